//! Publishing: events that do not come from Meta, and test events.

use bellwether::model::account::{Account, BusinessAccount};
use bellwether::model::change::Change;
use bellwether::model::webhook::{Webhook, WebhookType};
use bellwether::store::queue::{Audience, Publication, Published};

use super::{
    ACME, Bench, account, account_id, at, business_account, change, change_of, deliveries_in, identity,
    webhook, webhook_id,
};

fn publication(ms: i64, version: i64) -> Publication {
    Publication {
        now: at(ms),
        account: account_id(ACME),
        change: Change { time: None, ..change("11", version) },
        timestamp: None,
        audience: Audience::Routed,
        idempotency: None,
        random: 7 << 40,
        fill_limits: true,
    }
}

fn keyed(ms: i64, key: &str, request: u8) -> Publication {
    Publication { idempotency: Some((key.into(), [request; 16])), ..publication(ms, 1) }
}

fn test_of(ms: i64, webhook: u128) -> Publication {
    let audience = Audience::Test(webhook_id(webhook));
    Publication { audience, random: ms.cast_unsigned(), ..publication(ms, 1) }
}

async fn published(bench: &Bench, publication: Publication) -> Published {
    bench.store.publish(publication).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_makes_one_event_and_serves_one_request() {
    let bench = Bench::with_webhook().await;
    let Published::Accepted(id) = published(&bench, keyed(1, "k", 1)).await else { panic!("it is new") };
    assert_eq!(published(&bench, keyed(2, "k", 1)).await, Published::Repeated(id));
    assert_eq!(published(&bench, keyed(3, "k", 2)).await, Published::KeyReused);
    assert!(matches!(published(&bench, keyed(4, "l", 1)).await, Published::Accepted(_)));
    assert_eq!(bench.events().await.len(), 2);
    assert_eq!(bench.events().await[0].id, id);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_the_accounts_own() {
    let bench = Bench::with_webhook().await;
    bench.store.put_account(account(2)).await.unwrap();
    let theirs = BusinessAccount { account: account_id(2), ..business_account("2") };
    bench.store.put_business_account(theirs, at(0)).await.unwrap();
    published(&bench, keyed(1, "k", 1)).await;
    let other = Publication {
        account: account_id(2),
        change: Change { time: None, ..change_of("2", "11", 1) },
        ..keyed(2, "k", 9)
    };
    assert!(matches!(published(&bench, other).await, Published::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_publication_leaves_its_key_free() {
    let bench = Bench::with_webhook().await;
    let unknown = Publication { change: change_of("9", "11", 1), ..keyed(1, "k", 1) };
    assert_eq!(published(&bench, unknown).await, Published::UnknownBusinessAccount);
    assert!(matches!(published(&bench, keyed(2, "k", 2)).await, Published::Accepted(_)));
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_always_news() {
    let bench = Bench::with_webhook().await;
    for (ms, time) in [(1, None), (2, None), (3, Some(100)), (4, Some(200))] {
        let again = Publication { change: Change { time, ..change("11", 1) }, ..publication(ms, 1) };
        assert!(matches!(published(&bench, again).await, Published::Accepted(_)), "{time:?}");
    }
    let sequences: Vec<_> = bench.events().await.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    assert_eq!(bench.events().await[0].app, None);
}

#[tokio::test(start_paused = true)]
async fn an_account_publishes_for_its_own_business_accounts_only() {
    let bench = Bench::with_webhook().await;
    bench.store.put_account(account(2)).await.unwrap();
    let theirs = Publication { account: account_id(2), ..publication(1, 1) };
    assert_eq!(published(&bench, theirs).await, Published::UnknownBusinessAccount);
    let nobody = Publication { account: account_id(3), ..publication(1, 1) };
    assert_eq!(published(&bench, nobody).await, Published::UnknownBusinessAccount);
    bench.store.put_account(Account { chat_apps: false, ..account(ACME) }).await.unwrap();
    assert_eq!(published(&bench, publication(2, 1)).await, Published::NotConfigured);
    assert_eq!(published(&bench, test_of(2, 1)).await, Published::NotConfigured);
    assert_eq!(bench.events().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_test_event_goes_to_one_webhook_and_waits_for_no_other_test_or_not() {
    let bench = Bench::with_webhook().await;
    bench.store.put_webhooks(vec![webhook(2, "shop")]).await.unwrap();
    bench.accept_each(1, &["11"]).await;
    assert_eq!(bench.claim(2).await.len(), 1, "its lane is busy");
    for ms in [3, 4] {
        assert!(matches!(published(&bench, test_of(ms, 1)).await, Published::Accepted(_)));
        let claimed = bench.claim(ms).await.remove(0);
        assert_eq!((claimed.test, claimed.sequence), (true, 1), "a lane of its own");
    }
    let owed = bench.deliveries(deliveries_in(None)).await;
    assert_eq!(owed.len(), 3);
    assert!(owed.iter().all(|delivery| delivery.webhook == webhook_id(1)));
    let tests: Vec<_> = bench.events().await.iter().map(|event| event.test).collect();
    assert_eq!(tests, [false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_test_event_needs_an_enabled_business_webhook_of_the_account() {
    let bench = Bench::with_webhook().await;
    let disabled = Webhook { enabled: false, ..webhook(2, "shop") };
    let messages = Webhook { kind: WebhookType::Msg, ..webhook(3, "shop") };
    bench.store.put_webhooks(vec![disabled, messages]).await.unwrap();
    bench.store.put_account(account(2)).await.unwrap();
    bench.store.put_webhooks(vec![Webhook { account: account_id(2), ..webhook(4, "*") }]).await.unwrap();
    for number in [2, 3, 4, 5] {
        assert_eq!(published(&bench, test_of(1, number)).await, Published::UnknownWebhook, "{number}");
    }
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(2)).await.unwrap();
    assert_eq!(published(&bench, test_of(3, 1)).await, Published::UnknownWebhook);
    assert_eq!(bench.events().await, []);
}
