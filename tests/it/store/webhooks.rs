//! Webhooks, and what becomes of their deliveries.

use bellwether::model::delivery::DeliveryState;
use bellwether::model::id::WebhookKey;
use bellwether::model::webhook::{Authorization, Webhook, WebhookType};
use bellwether::store::ErrorKind;
use bellwether::store::catalog::WEBHOOKS_PER_ACCOUNT;
use bellwether::store::queue::Settled;

use super::{ACME, Bench, account_id, at, change, deliveries_in, identity, webhook, webhook_id};

#[tokio::test(start_paused = true)]
async fn a_webhook_is_kept_as_it_is_given() {
    let bench = Bench::with_account().await;
    let plain = webhook(1, "*");
    let rotating = Webhook {
        authorization: Authorization::Header(vec![4, 5]),
        previous_secret: Some((vec![6], at(99))),
        kind: WebhookType::Msg,
        enabled: false,
        ..webhook(2, "shop")
    };
    let oauth = Webhook { authorization: Authorization::OAuth(vec![7]), ..webhook(3, "shop") };
    let all = vec![plain, rotating, oauth];
    bench.store.put_webhooks(all.clone()).await.unwrap();
    assert!(bench.store.webhooks(account_id(ACME)).await.unwrap() == all);
    assert!(bench.store.webhook(WebhookKey(2)).await.unwrap().as_ref() == all.get(1));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_the_same_identity_is_replaced_and_keeps_its_age_and_its_deliveries() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["1"]).await;
    bench.handover.take();
    let url = "https://elsewhere.example/".to_owned();
    let replaced = Webhook { url, created_at: at(9), updated_at: at(9), ..webhook(1, "*") };
    bench.store.put_webhooks(vec![replaced.clone()]).await.unwrap();
    assert!(
        bench.store.webhooks(account_id(ACME)).await.unwrap() == [Webhook { created_at: at(0), ..replaced }]
    );
    assert!(bench.handover.take().changed.contains(&WebhookKey(1)), "the dispatcher is told");
    assert_eq!(bench.claim(10).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_put_all_or_none() {
    let bench = Bench::with_webhook().await;
    let raced = vec![webhook(2, "shop"), webhook(3, "*")];
    let refused = bench.store.put_webhooks(raced).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    let taken = bench.store.put_webhooks(vec![webhook(1, "shop")]).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict);
    let homeless = Webhook { account: account_id(2), ..webhook(4, "*") };
    let refused = bench.store.put_webhooks(vec![webhook(2, "shop"), homeless]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound);
    assert!(bench.store.webhooks(account_id(ACME)).await.unwrap() == [webhook(1, "*")]);
}

#[tokio::test(start_paused = true)]
async fn an_account_has_a_limit_of_webhooks() {
    let bench = Bench::with_account().await;
    let many = (1..=WEBHOOKS_PER_ACCOUNT as u128).map(|number| webhook(number, &format!("shop{number}")));
    bench.store.put_webhooks(many.collect()).await.unwrap();
    let refused = bench.store.put_webhooks(vec![webhook(20_000, "*")]).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Limit);
    assert!(refused.message.contains("10000 webhooks"), "{refused}");
    bench.store.put_webhooks(vec![webhook(7, "shop7")]).await.unwrap();
    bench.store.delete_webhooks(account_id(ACME), vec![identity("shop7")], at(1)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(20_000, "*")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn webhooks_are_deleted_all_or_none() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["1"]).await;
    let identities = vec![identity("*"), identity("shop")];
    let refused = bench.store.delete_webhooks(account_id(ACME), identities, at(2)).await.unwrap_err();
    assert_eq!((refused.kind, refused.message.as_str()), (ErrorKind::NotFound, "1"));
    assert_eq!(bench.store.webhooks(account_id(ACME)).await.unwrap().len(), 1);
    assert_eq!(bench.deliveries(deliveries_in(Some(DeliveryState::Pending))).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_webhook_has_its_deliveries_canceled_even_those_under_way() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["1", "1", "2"]).await;
    let claimed = bench.claim(10).await;
    assert_eq!(claimed.len(), 2);
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(11)).await.unwrap();

    assert!(bench.store.webhook(WebhookKey(1)).await.unwrap().is_none());
    assert!(bench.handover.take().changed.contains(&WebhookKey(1)));
    assert_eq!(bench.settle(&claimed[0], 12, DeliveryState::Delivered).await, Settled::Stale);
    let canceled = bench.deliveries(deliveries_in(Some(DeliveryState::Canceled))).await;
    assert_eq!(canceled.len(), 3);
    assert!(canceled.iter().all(|delivery| delivery.webhook == webhook_id(1) && delivery.next_at.is_none()));
    assert_eq!(bench.store.totals(at(99)).await.unwrap().deliveries, [0, 0, 0, 3, 0]);

    bench.store.put_webhooks(vec![webhook(2, "*")]).await.unwrap();
    bench.accept_each(20, &["1"]).await;
    assert_eq!(bench.claim(30).await.len(), 1, "the identity is free for another");
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_is_canceled_in_steps_and_nothing_of_it_goes_out_meanwhile() {
    let bench = Bench::with_webhook().await;
    let numbers: Vec<_> = (1..=5_010).map(|number| change(&number.to_string(), 1)).collect();
    assert_eq!(bench.accept(1, numbers).await.accepted, 5_010);
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(2)).await.unwrap();
    assert_eq!(bench.store.totals(at(3)).await.unwrap().deliveries, [10, 0, 0, 5_000, 0]);
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.store.totals(at(99)).await.unwrap().oldest_due_ms, 0, "nothing is owed");
    assert!(bench.store.tidy(7).await.unwrap());
    while bench.store.tidy(7).await.unwrap() {}
    assert_eq!(bench.store.totals(at(3)).await.unwrap().deliveries, [0, 0, 0, 5_010, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_a_disabled_webhook_is_held_until_it_is_enabled() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(5, &["1", "2"]).await;
    bench.store.put_webhooks(vec![Webhook { enabled: false, ..webhook(1, "*") }]).await.unwrap();
    assert!(bench.claim(10).await.is_empty());
    assert_eq!(bench.store.totals(at(99)).await.unwrap().oldest_due_ms, 0, "held, not overdue");
    bench.accept_each(20, &["3"]).await;
    bench.handover.take();

    bench.store.put_webhooks(vec![webhook(1, "*")]).await.unwrap();
    assert_eq!(bench.handover.take().due.get(&WebhookKey(1)), Some(&at(5)), "the dispatcher is told");
    assert_eq!(bench.claim(30).await.len(), 2, "nothing was routed to it while disabled");
}
