//! What has not arrived: per number the oldest that is still owed, however it came
//! to be, and what was acknowledged last.

use bellwether::model::delivery::DeliveryState::{Delivered, Exhausted, Pending};
use bellwether::store::catalog::{SweepPlace, Undelivered};
use bellwether::store::queue::{Audience, Publication};

use super::{ACME, Bench, account_id, at, change, identity, webhook, webhook_id};

/// All there is, in pages of `limit`.
async fn undelivered(bench: &Bench, limit: usize) -> Vec<Undelivered> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = bench.store.undelivered(account_id(ACME), webhook_id(1), after, limit).await.unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// In short: the number, the sequence, the state, attempts, what was acknowledged.
fn told(all: &[Undelivered]) -> Vec<String> {
    let short = |item: &Undelivered| {
        let delivery = &item.delivery;
        let number = delivery.phone_number.as_deref().unwrap_or("-");
        let acknowledged = item.acknowledged.map_or("none".to_owned(), |sequence| sequence.to_string());
        let (state, attempts) = (delivery.state.as_str(), delivery.attempts);
        format!("{number}: {} {state} after {attempts}, {acknowledged} acknowledged", item.sequence)
    };
    all.iter().map(short).collect()
}

/// Numbers in every situation there is: delivered, waiting for its first attempt
/// behind a retry, exhausted with news behind it, under way.
async fn played() -> Bench {
    let bench = Bench::with_webhook().await;
    for (ms, state) in [(1, Delivered), (100, Exhausted), (200, Delivered)] {
        bench.accept_each(ms, &["11"]).await;
        bench.settle_all(ms + 10, state).await;
    }
    bench.accept_each(300, &["12"]).await;
    bench.settle_all(310, Delivered).await;
    bench.accept_each(400, &["12", "12", "13"]).await;
    for claimed in bench.claim(410).await {
        let state = if claimed.lane.number.0 == 2 { Pending } else { Delivered };
        bench.settle(&claimed, 410, state).await;
    }
    bench.accept_each(500, &["14"]).await;
    assert_eq!(bench.claim(510).await.len(), 1);
    bench
}

#[tokio::test(start_paused = true)]
async fn of_each_number_the_oldest_that_has_not_arrived_is_told_and_what_was_acknowledged_last() {
    let bench = played().await;
    let expected = [
        "11: 2 exhausted after 1, 3 acknowledged",
        "12: 2 pending after 1, 1 acknowledged",
        "14: 1 pending after 0, none acknowledged",
    ];
    let all = undelivered(&bench, 100).await;
    assert_eq!(told(&all), expected);
    assert_eq!(all[0].last_failure.as_ref().unwrap().status, Some(500));
    assert_eq!((all[1].delivery.next_at, all[1].delivery.created_at), (Some(at(1_410)), at(400)));
    assert_eq!(all[2].last_failure, None);
    for limit in [1, 2] {
        assert_eq!(told(&undelivered(&bench, limit).await), expected, "in pages of {limit}");
    }
    // The same once the listing's tables know of the events.
    while bench.store.tidy(1).await.unwrap() {}
    assert_eq!(told(&undelivered(&bench, 100).await), expected);
    let other = bench.store.undelivered(account_id(ACME), webhook_id(7), None, 9).await.unwrap();
    assert_eq!(other.items, [], "no such webhook");
}

#[tokio::test(start_paused = true)]
async fn what_was_replayed_and_has_arrived_is_told_no_more() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12"]).await;
    let exhausted = bench.settle_all(10, Exhausted).await;
    assert_eq!(undelivered(&bench, 9).await.len(), 2);
    bench.store.replay(account_id(ACME), exhausted[..1].to_vec(), at(20)).await.unwrap();
    assert_eq!(told(&undelivered(&bench, 9).await)[0], "11: 1 pending after 1, none acknowledged");
    bench.settle_all(30, Delivered).await;
    assert_eq!(told(&undelivered(&bench, 9).await), ["12: 1 exhausted after 1, none acknowledged"]);
}

/// A test event of webhook 1.
fn test_event() -> Publication {
    Publication {
        now: at(5),
        account: account_id(ACME),
        change: change("11", 1),
        timestamp: None,
        audience: Audience::Test(webhook_id(1)),
        idempotency: None,
        random: 77,
        fill_limits: false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_event_that_does_not_arrive_is_nobodys_loss() {
    let bench = Bench::with_webhook().await;
    bench.store.publish(test_event()).await.unwrap();
    bench.settle_all(10, Exhausted).await;
    assert_eq!(undelivered(&bench, 9).await, []);
    assert_eq!(swept(&bench, 9).await, Vec::<i64>::new());
}

/// What a sweep in steps of so many lanes finds: the oldest of each account, in
/// milliseconds.
async fn swept(bench: &Bench, step: usize) -> Vec<i64> {
    let (mut oldest, mut place) = (std::collections::BTreeMap::new(), SweepPlace::default());
    loop {
        let sweep = bench.store.sweep_undelivered(place, step).await.unwrap();
        for (account, accepted) in sweep.oldest {
            let known = oldest.entry(account).or_insert(accepted);
            *known = accepted.min(*known);
        }
        match sweep.next {
            Some(next) => place = next,
            None => return oldest.into_values().map(|accepted| accepted.ms() - at(0).ms()).collect(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_the_oldest_of_each_account_in_steps_of_any_size() {
    let bench = played().await;
    for step in [1, 2, 100] {
        assert_eq!(swept(&bench, step).await, [100], "in steps of {step}");
    }
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(700)).await.unwrap();
    let left = swept(&bench, 1).await;
    assert_eq!(left, Vec::<i64>::new(), "what was owed to a deleted webhook is nobody's loss");
    bench.store.put_webhooks(vec![webhook(2, "*")]).await.unwrap();
    bench.accept_each(800, &["15"]).await;
    assert_eq!(swept(&bench, 1).await, [800]);
}
