//! Listing deliveries, and how a webhook fares.

use bellwether::model::delivery::DeliveryState::{self, Delivered, Exhausted, Pending};
use bellwether::model::id::DeliveryId;
use bellwether::model::number::Subject;
use bellwether::store::catalog::DeliveryQuery;

use super::{ACME, Bench, account_id, at, change, deliveries_in, is_success, webhook, webhook_id};

async fn all_pages(bench: &Bench, mut query: DeliveryQuery) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    loop {
        let page = bench.store.deliveries(query.clone()).await.unwrap();
        ids.extend(page.items.iter().map(|delivery| delivery.id));
        match page.next {
            Some(next) => query.before = Some(next),
            None => return ids,
        }
    }
}

/// Deliveries by the position of their events and their place among its.
fn ids(of: &[(i64, i64)]) -> Vec<DeliveryId> {
    of.iter().map(|(position, ordinal)| DeliveryId::new(*position, *ordinal)).collect()
}

/// Events 1 to 6 of three numbers to two webhooks: 1 and 2 delivered, 3 and 4
/// exhausted, 5 and 6 pending.
async fn mixed() -> Bench {
    let bench = Bench::with_account().await;
    let mut shop = super::business_account(super::WABA);
    shop.sub_account = Some("shop".parse().unwrap());
    bench.store.put_business_account(shop, at(0)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(1, "*"), webhook(2, "shop")]).await.unwrap();
    for (ms, state) in [(100, Delivered), (200, Exhausted)] {
        bench.accept_each(ms, &["11", "12"]).await;
        bench.settle_all(ms + 50, state).await;
    }
    bench.accept_each(300, &["11", "13"]).await;
    bench
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_listed_newest_first_by_every_filter_wherever_the_watermark_is() {
    let bench = mixed().await;
    let both = |positions: &[i64]| {
        positions.iter().flat_map(|at| [DeliveryId::new(*at, 1), DeliveryId::new(*at, 0)]).collect::<Vec<_>>()
    };
    for _ in 0..4 {
        for limit in [1, 2, 3, 100] {
            let query = |state| DeliveryQuery { limit, ..deliveries_in(state) };
            assert_eq!(all_pages(&bench, query(None)).await, both(&[6, 5, 4, 3, 2, 1]));
            assert_eq!(all_pages(&bench, query(Some(Delivered))).await, both(&[2, 1]));
            assert_eq!(all_pages(&bench, query(Some(Exhausted))).await, both(&[4, 3]));
            assert_eq!(all_pages(&bench, query(Some(Pending))).await, both(&[6, 5]));
            assert_eq!(all_pages(&bench, query(Some(DeliveryState::Canceled))).await, []);
            for state in [Some(Delivered), Some(Exhausted), Some(Pending)] {
                let to_2 = DeliveryQuery { webhook: Some(webhook_id(2)), ..query(state) };
                assert_eq!(all_pages(&bench, to_2.clone()).await.len(), 2, "{state:?}");
                let of_11 = DeliveryQuery { number: Subject::number("11"), ..to_2 };
                assert_eq!(all_pages(&bench, of_11).await.len(), 1, "{state:?}");
            }
            let early = DeliveryQuery { until: Some(at(200)), ..query(None) };
            assert_eq!(all_pages(&bench, early).await, both(&[2, 1]));
            let late = DeliveryQuery { since: Some(at(201)), ..query(Some(Exhausted)) };
            assert_eq!(all_pages(&bench, late).await, both(&[4]));
        }
        bench.store.tidy(2).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_matches_nothing() {
    let bench = mixed().await;
    for query in [
        DeliveryQuery { webhook: Some(webhook_id(9)), ..deliveries_in(None) },
        DeliveryQuery { number: Subject::number("99"), ..deliveries_in(None) },
        DeliveryQuery { account: account_id(9), ..deliveries_in(None) },
    ] {
        assert_eq!(all_pages(&bench, query).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_longer_than_one_call_may_look_at_is_listed_whole() {
    let bench = Bench::with_webhook().await;
    bench.accept(1, (1..=5_500).map(|number| change(&number.to_string(), 1)).collect()).await;
    let query = DeliveryQuery { limit: 500, ..deliveries_in(Some(Pending)) };
    let listed = all_pages(&bench, query).await;
    assert_eq!(listed.len(), 5_500);
    assert!(listed.is_sorted_by(|a, b| a > b));
}

#[tokio::test(start_paused = true)]
async fn only_the_waiting_head_of_a_lane_has_a_next_time() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(10, &["1", "1", "2"]).await;
    let next = async || {
        let pending = bench.deliveries(deliveries_in(Some(Pending))).await;
        pending.into_iter().rev().map(|delivery| delivery.next_at).collect::<Vec<_>>()
    };
    assert_eq!(next().await, [Some(at(10)), None, Some(at(12))]);
    let claimed = bench.claim(20).await;
    assert_eq!(next().await, [None, None, None], "two are under way, one waits behind");
    bench.settle(&claimed[0], 30, Pending).await;
    assert_eq!(next().await, [Some(at(1_030)), None, None]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_shows_every_attempt_the_one_that_delivered_too() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["15550783881"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.settle(&claimed, 20, Pending).await;
    let claimed = bench.claim(1_020).await.remove(0);
    bench.settle(&claimed, 1_030, Delivered).await;

    let id = DeliveryId::new(1, 0);
    let (delivery, attempts) = bench.store.delivery(account_id(ACME), id).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts, delivery.next_at), (Delivered, 2, None));
    assert_eq!((delivery.created_at, delivery.phone_number.as_deref()), (at(1), Some("15550783881")));
    assert_eq!(
        (delivery.webhook, delivery.event_type.as_str()),
        (webhook_id(1), "phone_number_quality_update")
    );
    let shown: Vec<_> =
        attempts.iter().map(|attempt| (attempt.number, attempt.status, attempt.next_at)).collect();
    assert_eq!(shown, [(1, Some(500), Some(at(1_020))), (2, Some(204), None)]);
    assert_eq!((attempts[1].started_at, attempts[1].answer.as_slice()), (at(1_030), b"thanks".as_slice()));
    assert_eq!(delivery.last.as_ref(), attempts.last());
    assert_eq!(bench.deliveries(deliveries_in(None)).await, [delivery]);

    let event = bench.store.events(super::events_of(ACME)).await.unwrap().items.remove(0);
    let (_, deliveries) = bench.store.event(account_id(ACME), event.id).await.unwrap().unwrap();
    assert_eq!(deliveries.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), ids(&[(1, 0)]));
    assert_eq!(bench.store.delivery(account_id(2), id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn health_tells_how_the_last_attempted_ones_fared() {
    let bench = mixed().await;
    let health = bench.store.health(account_id(ACME), webhook_id(1)).await.unwrap();
    assert_eq!((health.pending, health.delivered, health.exhausted), (2, 2, 2));
    assert_eq!(health.last_delivered_at, Some(at(150)));
    let failure = health.last_failure.unwrap();
    assert_eq!((failure.started_at, failure.status, is_success(&failure)), (at(250), Some(500), false));
    let none = bench.store.health(account_id(ACME), webhook_id(9)).await.unwrap();
    assert_eq!((none.pending, none.last_failure), (0, None));
}

#[tokio::test(start_paused = true)]
async fn totals_count_by_state_and_tell_the_longest_wait() {
    let bench = mixed().await;
    let totals = bench.store.totals(at(1_000)).await.unwrap();
    assert_eq!((totals.deliveries, totals.oldest_due_ms), ([4, 4, 4, 0, 0], 700));
    bench.claim(1_000).await;
    let totals = bench.store.totals(at(1_100)).await.unwrap();
    assert_eq!(totals.oldest_due_ms, 0, "what is under way is not overdue");
}
