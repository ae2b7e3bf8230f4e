//! Snapshots: one webhook is told how each number stands, in order, once each,
//! without a change of anything.

use bellwether::model::delivery::DeliveryState::{Delivered, Pending};
use bellwether::model::webhook::{DeliveryMode, Webhook, WebhookType};
use bellwether::store::catalog::EventRow;
use serde_json::Value;

use super::{
    ACME, Bench, account_id, at, business_account, change, change_of, template_change, webhook, webhook_id,
};

/// What the snapshots' events say: number, event, limit, sequence.
async fn told(bench: &Bench) -> Vec<(String, String, String, i64)> {
    let say = |event: EventRow| {
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        let meta = &body["eventDetails"]["meta"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = event.phone_number.unwrap_or_default();
        (number, text(&meta["event"]), text(&meta["currentLimit"]), event.sequence)
    };
    bench.events().await.into_iter().filter(|event| event.snapshot).map(say).collect()
}

fn standing(number: &str, limit: &str, sequence: i64) -> (String, String, String, i64) {
    (number.to_owned(), "ONBOARDING".to_owned(), limit.to_owned(), sequence)
}

async fn begin(bench: &Bench, webhook: u128) -> bool {
    bench.store.put_snapshot(account_id(ACME), webhook_id(webhook), 7).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_number_is_told_of_in_order_to_one_webhook_and_nothing_changes() {
    let bench = Bench::with_webhook().await;
    let mut shop = business_account("2");
    shop.sub_account = Some("shop".parse().unwrap());
    bench.store.put_business_account(shop, at(0)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(2, "shop")]).await.unwrap();
    bench.accept_each(1, &["13", "11", "11", "12"]).await;
    bench.accept(9, vec![change_of("2", "14", 9), template_change(10)]).await;
    bench.settle_all(20, Delivered).await;

    assert!(begin(&bench, 1).await);
    assert!(!bench.store.advance_snapshots(50, at(30)).await.unwrap());
    let all = [
        standing("11", "TIER_3", 2),
        standing("12", "TIER_4", 1),
        standing("13", "TIER_1", 1),
        standing("14", "TIER_9", 1),
    ];
    assert_eq!(told(&bench).await, all);
    let claimed = bench.claim(40).await;
    assert!(claimed.len() == 4 && claimed.iter().all(|claimed| claimed.snapshot && !claimed.test));
    assert!(claimed.iter().all(|claimed| claimed.lane.webhook.0 == 1), "the other one did not ask");
    for claimed in claimed {
        bench.settle(&claimed, 41, Delivered).await;
    }
    bench.accept(50, vec![change("11", 50)]).await;
    assert_eq!(bench.events().await.last().unwrap().sequence, 3, "the count goes on as if nothing had been");

    // A sub-account's webhook is told of its numbers only.
    assert!(begin(&bench, 2).await);
    bench.store.advance_snapshots(50, at(60)).await.unwrap();
    assert_eq!(told(&bench).await[4..], [standing("14", "TIER_9", 1)]);
}

#[tokio::test(start_paused = true)]
async fn it_goes_in_steps_and_on_after_a_crash_and_tells_of_none_twice() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12", "13", "14", "15"]).await;
    assert!(begin(&bench, 1).await);
    assert!(bench.store.advance_snapshots(2, at(10)).await.unwrap());
    let bench = bench.reopened(20).await;
    bench.break_once(bellwether::env::Point::BeforeCommit);
    bench.store.advance_snapshots(2, at(20)).await.unwrap_err();
    assert!(bench.store.advance_snapshots(2, at(21)).await.unwrap());
    assert!(!bench.store.advance_snapshots(2, at(22)).await.unwrap());
    assert!(!bench.store.advance_snapshots(2, at(23)).await.unwrap(), "it is over");
    let numbers: Vec<_> = told(&bench).await.into_iter().map(|(number, ..)| number).collect();
    assert_eq!(numbers, ["11", "12", "13", "14", "15"]);
    let ids: std::collections::BTreeSet<_> = bench.events().await.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn asked_for_again_it_begins_anew_and_one_that_gets_nothing_is_told_nothing() {
    let bench = Bench::with_webhook().await;
    let messages = Webhook { kind: WebhookType::Msg, ..webhook(2, "*") };
    bench.store.put_webhooks(vec![messages]).await.unwrap();
    assert!(!begin(&bench, 2).await && !begin(&bench, 9).await);
    bench.accept_each(1, &["11", "12", "13"]).await;
    assert!(begin(&bench, 1).await);
    bench.store.advance_snapshots(2, at(10)).await.unwrap();
    assert!(begin(&bench, 1).await);
    while bench.store.advance_snapshots(2, at(11)).await.unwrap() {}
    assert_eq!(told(&bench).await.len(), 5);

    assert!(begin(&bench, 1).await);
    let disabled = Webhook { enabled: false, ..webhook(1, "*") };
    bench.store.put_webhooks(vec![disabled]).await.unwrap();
    assert!(!bench.store.advance_snapshots(2, at(20)).await.unwrap());
    bench.store.put_webhooks(vec![webhook(1, "*")]).await.unwrap();
    assert!(!bench.store.advance_snapshots(2, at(21)).await.unwrap(), "it has ended with that");
    assert_eq!(told(&bench).await.len(), 5);
    assert!(!begin(&bench, 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_begins_to_get_events_is_told_at_once_if_that_is_asked_for() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let configure = async |webhook| bench.store.configure(vec![webhook], Some(3)).await.unwrap();
    let count = async || {
        bench.store.advance_snapshots(9, at(10)).await.unwrap();
        told(&bench).await.len()
    };
    configure(webhook(1, "*")).await;
    assert_eq!(count().await, 0, "it gets them already");
    configure(Webhook { enabled: false, ..webhook(1, "*") }).await;
    assert_eq!(count().await, 0);
    configure(webhook(1, "*")).await;
    assert_eq!(count().await, 1, "enabled again");
    configure(Webhook { kind: WebhookType::Cadr, ..webhook(2, "*") }).await;
    assert_eq!(count().await, 1, "such a one gets none");
    bench.store.delete_webhooks(account_id(ACME), vec![super::identity("*")], at(11)).await.unwrap();
    configure(webhook(3, "*")).await;
    assert_eq!(count().await, 2, "new");
}

#[tokio::test(start_paused = true)]
async fn it_has_its_place_in_the_lane_and_stands_for_what_waits_there() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    begin(&bench, 1).await;
    bench.store.advance_snapshots(9, at(11)).await.unwrap();
    bench.accept_each(12, &["11"]).await;
    bench.settle(&claimed, 13, Pending).await;
    let order: Vec<_> = bench.settle_all(2_000, Delivered).await.iter().map(|id| id.position()).collect();
    assert_eq!(order, [1, 2, 3], "after what was before it, and before what came later");

    bench.store.set_delivery(account_id(ACME), webhook_id(1), DeliveryMode::Latest, at(3_000)).await.unwrap();
    bench.accept_each(3_001, &["11"]).await;
    let claimed = bench.claim(3_010).await.remove(0);
    bench.settle(&claimed, 3_020, Pending).await;
    begin(&bench, 1).await;
    bench.store.advance_snapshots(9, at(3_030)).await.unwrap();
    let order: Vec<_> = bench.settle_all(9_000, Delivered).await.iter().map(|id| id.position()).collect();
    assert_eq!(order, [5], "it says what the waiting one said");
}
