//! Replays: settled deliveries become pending again, in their lane's order.

use bellwether::model::delivery::DeliveryState::{self, Delivered, Exhausted, Pending};
use bellwether::model::id::DeliveryId;
use bellwether::model::time::Timestamp;
use bellwether::store::ErrorKind;
use bellwether::store::catalog::{DeliveryQuery, Replay, ReplayState, Replayed};

use super::{ACME, Bench, account_id, at, deliveries_in, identity, is_success, webhook_id};

fn id(position: i64) -> DeliveryId {
    DeliveryId::new(position, 0)
}

async fn replay(bench: &Bench, position: i64, ms: i64) -> Replayed {
    bench.store.replay(account_id(ACME), vec![id(position)], at(ms)).await.unwrap()[0]
}

/// What pending deliveries there are and when each is due, oldest first.
async fn pending(bench: &Bench) -> Vec<(i64, Option<Timestamp>)> {
    let pending = bench.deliveries(deliveries_in(Some(Pending))).await;
    pending.into_iter().rev().map(|delivery| (delivery.id.position(), delivery.next_at)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_replayed_delivery_has_a_fresh_round_of_attempts_and_keeps_its_history() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    bench.settle_all(10, Delivered).await;
    bench.handover.take();
    assert_eq!(replay(&bench, 1, 50).await, Replayed::Revived);
    assert_eq!(bench.handover.take().due.into_values().collect::<Vec<_>>(), [at(50)]);
    assert_eq!(bench.store.totals(at(50)).await.unwrap().deliveries, [1, 0, 0, 0, 0]);

    let claimed = bench.claim(60).await.remove(0);
    assert_eq!((claimed.attempts, claimed.attempts_before), (1, 1));
    bench.settle(&claimed, 70, Delivered).await;
    let (delivery, attempts) = bench.store.delivery(account_id(ACME), id(1)).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.attempts), (Delivered, 2));
    let shown: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.started_at)).collect();
    assert_eq!(shown, [(1, at(10)), (2, at(70))]);
    assert!(attempts.iter().all(is_success));
    assert_eq!(bench.store.totals(at(50)).await.unwrap().deliveries, [0, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_says_what_became_of_each() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12"]).await;
    let claimed = bench.claim(10).await;
    bench.settle(&claimed[0], 11, Exhausted).await;
    let asked = vec![id(1), id(2), id(3), id(1)];
    let replayed = bench.store.replay(account_id(ACME), asked, at(20)).await.unwrap();
    assert_eq!(
        replayed,
        [Replayed::Revived, Replayed::AlreadyPending, Replayed::Unknown, Replayed::AlreadyPending]
    );
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(30)).await.unwrap();
    assert_eq!(replay(&bench, 1, 40).await, Replayed::WebhookDeleted);
    let others = bench.store.replay(account_id(2), vec![id(1)], at(50)).await.unwrap();
    assert_eq!(others, [Replayed::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_delivery_goes_before_younger_ones_that_still_wait() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    bench.settle_all(10, Exhausted).await;
    bench.accept_each(20, &["11"]).await;
    assert_eq!(replay(&bench, 2, 30).await, Replayed::Revived);
    assert_eq!(pending(&bench).await, [(2, Some(at(30))), (3, None)]);
    assert_eq!(replay(&bench, 1, 40).await, Replayed::Revived);
    assert_eq!(pending(&bench).await, [(1, Some(at(40))), (2, None), (3, None)]);
    assert_eq!(bench.settle_all(50, Delivered).await, [id(1), id(2), id(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_replayed_delivery_waits_behind_an_older_one() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    bench.settle_all(10, Exhausted).await;
    replay(&bench, 1, 20).await;
    replay(&bench, 2, 30).await;
    assert_eq!(pending(&bench).await, [(1, Some(at(20))), (2, None)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_and_a_retry_keep_their_turn() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    bench.settle_all(10, Exhausted).await;
    bench.accept_each(20, &["11"]).await;
    let claimed = bench.claim(30).await.remove(0);
    replay(&bench, 1, 40).await;
    assert!(bench.claim(40).await.is_empty(), "one at a time");
    bench.settle(&claimed, 50, Pending).await;
    assert_eq!(pending(&bench).await, [(1, None), (2, Some(at(1_050)))], "a retry is never early");
    assert!(bench.claim(60).await.is_empty());
    assert_eq!(bench.settle_all(2_000, Delivered).await, [id(2), id(1)]);

    bench.accept_each(3_000, &["11"]).await;
    let claimed = bench.claim(3_010).await.remove(0);
    bench.settle(&claimed, 3_020, Pending).await;
    replay(&bench, 1, 3_030).await;
    assert_eq!(pending(&bench).await, [(1, None), (3, Some(at(4_020)))]);
}

fn bulk(state: Option<DeliveryState>, per_second: u32, ms: i64) -> Replay {
    Replay {
        id: "r1".into(),
        query: deliveries_in(state),
        per_second,
        matched: 0,
        replayed: 0,
        skip_superseded: false,
        superseded: 0,
        state: ReplayState::Running,
        created_at: at(ms),
    }
}

/// Six exhausted deliveries of two lanes, then a delivered one.
async fn exhausted() -> Bench {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12", "11", "12", "11", "12"]).await;
    bench.settle_all(10, Exhausted).await;
    bench.accept_each(20, &["13"]).await;
    bench.settle_all(30, Delivered).await;
    bench
}

async fn standing(bench: &Bench) -> (u64, u64, ReplayState) {
    let replay = bench.store.bulk_replay(account_id(ACME), "r1".into()).await.unwrap().unwrap();
    (replay.matched, replay.replayed, replay.state)
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_takes_what_matches_oldest_first_at_its_pace() {
    let bench = exhausted().await;
    let kept = bench.store.put_replay(bulk(Some(Exhausted), 2, 1_000)).await.unwrap();
    assert_eq!((kept.matched, kept.replayed, kept.state), (6, 0, ReplayState::Running));
    assert!(bench.store.advance_replays(100, at(1_000)).await.unwrap());
    assert_eq!(standing(&bench).await, (6, 0, ReplayState::Running), "no time has passed");
    assert!(bench.store.advance_replays(100, at(1_500)).await.unwrap());
    assert_eq!(standing(&bench).await.1, 1);
    assert!(bench.store.advance_replays(100, at(1_600)).await.unwrap());
    assert_eq!(standing(&bench).await.1, 1, "two a second");
    assert!(bench.store.advance_replays(100, at(60_000)).await.unwrap());
    assert_eq!(standing(&bench).await.1, 3, "a pause is not made up for");
    assert_eq!(pending(&bench).await.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(bench.store.advance_replays(1, at(62_000)).await.unwrap());
    assert_eq!(standing(&bench).await.1, 4, "no more than a step");
    for second in 63..70 {
        bench.store.advance_replays(100, at(second * 1_000)).await.unwrap();
    }
    assert_eq!(standing(&bench).await, (6, 6, ReplayState::Completed));
    assert!(!bench.store.advance_replays(100, at(90_000)).await.unwrap());
    assert_eq!(bench.store.totals(at(90_000)).await.unwrap().deliveries, [6, 1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_leaves_alone_what_fails_after_it_was_asked_for() {
    let bench = exhausted().await;
    bench.accept_each(900, &["14"]).await;
    bench.store.put_replay(bulk(None, 1_000, 1_000)).await.unwrap();
    bench.settle_all(1_100, Exhausted).await;
    assert!(bench.store.advance_replays(3, at(2_000)).await.unwrap());
    bench.settle_all(2_100, Exhausted).await;
    while bench.store.advance_replays(3, at(3_000)).await.unwrap() {}
    assert_eq!(standing(&bench).await, (6, 6, ReplayState::Completed));
    let left = bench.deliveries(deliveries_in(Some(Exhausted))).await;
    assert!(left.iter().any(|delivery| delivery.id == id(8)), "it failed later");
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_of_delivered_ones_goes_along_the_events() {
    let bench = exhausted().await;
    bench.store.tidy(4).await.unwrap();
    let query = DeliveryQuery { webhook: Some(webhook_id(1)), ..deliveries_in(Some(Delivered)) };
    assert_eq!(bench.store.count(query.clone()).await.unwrap(), 1);
    bench.store.put_replay(Replay { query, ..bulk(None, 1_000, 1_000) }).await.unwrap();
    for ms in 2_000..2_010 {
        bench.store.advance_replays(2, at(ms)).await.unwrap();
    }
    assert_eq!(standing(&bench).await, (1, 1, ReplayState::Completed));
    assert_eq!(pending(&bench).await, [(7, Some(at(2_004)))]);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_honours_its_filters_and_never_takes_what_is_pending_or_deleted() {
    let bench = exhausted().await;
    let count = async |query| bench.store.count(query).await.unwrap();
    let exhausted = deliveries_in(Some(Exhausted));
    assert_eq!(count(deliveries_in(None)).await, 6);
    assert_eq!(count(DeliveryQuery { since: Some(at(3)), until: Some(at(6)), ..exhausted.clone() }).await, 3);
    assert_eq!(count(DeliveryQuery { webhook: Some(webhook_id(9)), ..exhausted.clone() }).await, 0);
    replay(&bench, 1, 40).await;
    assert_eq!(count(deliveries_in(Some(Pending))).await, 0);
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(50)).await.unwrap();
    assert_eq!(count(exhausted).await, 0);
    assert_eq!(count(deliveries_in(Some(DeliveryState::Canceled))).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_can_be_canceled_by_its_account_alone() {
    let bench = exhausted().await;
    bench.store.put_replay(bulk(None, 1, 1_000)).await.unwrap();
    let taken = bench.store.put_replay(bulk(None, 1, 1_000)).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict);
    assert!(bench.store.cancel_replay(account_id(2), "r1".into()).await.unwrap().is_none());
    assert!(bench.store.bulk_replay(account_id(2), "r1".into()).await.unwrap().is_none());
    bench.store.advance_replays(100, at(2_000)).await.unwrap();
    let canceled = bench.store.cancel_replay(account_id(ACME), "r1".into()).await.unwrap().unwrap();
    assert_eq!((canceled.state, canceled.replayed), (ReplayState::Canceled, 1));
    assert_eq!(canceled.query.state, None);
    assert!(!bench.store.advance_replays(100, at(3_000)).await.unwrap());
    assert_eq!(pending(&bench).await.len(), 1);
}
