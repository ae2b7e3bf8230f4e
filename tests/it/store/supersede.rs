//! Superseding: for a webhook that wants the latest only, a newer event takes the
//! place of what waits and is of its kind; of every kind the newest arrives, and
//! what does not is visible.

use bellwether::env::Point;
use bellwether::model::attempt::OutcomeClass;
use bellwether::model::change::{Change, Detail};
use bellwether::model::delivery::DeliveryState::{self, Delivered, Exhausted, Pending, Superseded};
use bellwether::model::id::{DeliveryId, EventId};
use bellwether::model::webhook::{DeliveryMode, Webhook};
use bellwether::store::catalog::{Replay, ReplayState, Replayed};
use bellwether::store::queue::Claimed;

use super::{
    ACME, Bench, LEASE_MS, account_id, at, business_account, change, deliveries_in, webhook, webhook_id,
};

fn id(position: i64) -> DeliveryId {
    DeliveryId::new(position, 0)
}

fn ids(claimed: &[Claimed]) -> Vec<DeliveryId> {
    claimed.iter().map(|claimed| claimed.delivery).collect()
}

/// A store with one webhook, which wants the latest only.
async fn latest() -> Bench {
    let bench = Bench::with_account().await;
    let webhook = Webhook { delivery: DeliveryMode::Latest, ..webhook(1, "*") };
    bench.store.put_webhooks(vec![webhook]).await.unwrap();
    bench
}

/// A change of `number` of another kind than [`change`]'s.
fn flagged(number: &str, version: i64) -> Change {
    let mut flagged = change(number, version);
    if let Detail::Quality(quality) = &mut flagged.detail {
        quality.event = "FLAGGED".into();
    }
    flagged
}

/// How each delivery stands, oldest first: its position, its state, what
/// superseded it.
async fn standing(bench: &Bench) -> Vec<(i64, DeliveryState, Option<i64>)> {
    let all = bench.deliveries(deliveries_in(None)).await;
    let stands = all.into_iter().rev().map(|delivery| {
        (delivery.id.position(), delivery.state, delivery.superseded_by.map(EventId::position))
    });
    stands.collect()
}

async fn totals(bench: &Bench) -> [u64; 5] {
    bench.store.totals(at(0)).await.unwrap().deliveries
}

#[tokio::test(start_paused = true)]
async fn a_newer_event_supersedes_the_one_that_waits_for_its_retry_and_goes_at_once() {
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.settle(&claimed, 20, Pending).await;
    bench.handover.open();
    bench.accept(30, vec![change("11", 30)]).await;
    assert_eq!(ids(&bench.ready()), [id(2)], "it does not wait for the other's retry");
    assert_eq!(standing(&bench).await, [(1, Superseded, Some(2)), (2, Pending, None)]);
    assert_eq!(totals(&bench).await, [1, 0, 0, 0, 1]);
    let (delivery, attempts) = bench.store.delivery(account_id(ACME), id(1)).await.unwrap().unwrap();
    assert_eq!((delivery.attempts, delivery.next_at, attempts.len()), (1, None, 1), "its history stays");
    assert_eq!(bench.deliveries(deliveries_in(Some(Superseded))).await, [delivery]);
    assert!(bench.claim(5_000).await.is_empty(), "the retry does not come");
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_let_end_and_superseded_only_if_it_fails() {
    for (state, became) in [(Delivered, Delivered), (Pending, Superseded), (Exhausted, Superseded)] {
        let bench = latest().await;
        bench.accept_each(1, &["11"]).await;
        let claimed = bench.claim(10).await.remove(0);
        // Of those that wait behind it only the newest is left.
        bench.accept_each(11, &["11", "11", "11"]).await;
        let behind = [(2, Superseded, Some(3)), (3, Superseded, Some(4)), (4, Pending, None)];
        assert_eq!(standing(&bench).await[1..], behind);
        bench.handover.open();
        bench.settle(&claimed, 20, state).await;
        assert_eq!(ids(&bench.ready()), [id(4)], "{state:?}");
        let by = (became == Superseded).then_some(4);
        assert_eq!(standing(&bench).await[0], (1, became, by));
        let (_, attempts) = bench.store.delivery(account_id(ACME), id(1)).await.unwrap().unwrap();
        assert_eq!((attempts.len(), attempts[0].next_at), (1, None), "there is no next attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_kind_or_number_is_left_alone_and_keeps_its_turn() {
    let bench = latest().await;
    bench.accept_each(1, &["11", "12"]).await;
    for claimed in bench.claim(10).await {
        bench.settle(&claimed, 20, Pending).await;
    }
    bench.accept(30, vec![flagged("11", 30)]).await;
    bench.handover.open();
    assert!(bench.ready().is_empty(), "the flag waits behind the limit's retry");
    bench.accept(31, vec![change("11", 31)]).await;
    assert_eq!(ids(&bench.ready()), [id(3)], "the limit has gone, so the flag is next");
    let stands = [(1, Superseded, Some(4)), (2, Pending, None), (3, Pending, None), (4, Pending, None)];
    assert_eq!(standing(&bench).await, stands);
    assert_eq!(bench.settle_all(1_000 + LEASE_MS, Delivered).await.len(), 3, "all else arrives");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_wants_all_gets_all_beside_one_that_wants_the_latest() {
    let bench = latest().await;
    let mut shop = business_account(super::WABA);
    shop.sub_account = Some("shop".parse().unwrap());
    bench.store.put_business_account(shop, at(0)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(2, "shop")]).await.unwrap();
    bench.accept_each(1, &["11"]).await;
    for claimed in bench.claim(10).await {
        bench.settle(&claimed, 20, Pending).await;
    }
    bench.accept_each(30, &["11"]).await;
    assert_eq!(totals(&bench).await, [3, 0, 0, 0, 1]);
    let delivered = bench.settle_all(2_000, Delivered).await;
    assert_eq!(delivered, [id(2), DeliveryId::new(1, 1), DeliveryId::new(2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_interrupted_or_given_back_makes_way_for_a_newer_one() {
    // Given back unused.
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.accept_each(11, &["11"]).await;
    bench.store.release(vec![(claimed.delivery, claimed.lease)], at(12)).await.unwrap();
    assert_eq!(standing(&bench).await, [(1, Superseded, Some(2)), (2, Pending, None)]);
    assert_eq!(ids(&bench.claim(13).await), [id(2)]);

    // Its lease has run out.
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    bench.claim(10).await;
    bench.accept_each(11, &["11"]).await;
    assert_eq!(ids(&bench.claim(10 + LEASE_MS).await), [id(2)]);
    assert_eq!(standing(&bench).await, [(1, Superseded, Some(2)), (2, Pending, None)]);
    let (_, attempts) = bench.store.delivery(account_id(ACME), id(1)).await.unwrap().unwrap();
    assert_eq!(attempts[0].class, OutcomeClass::Interrupted, "it may have arrived, and that stays visible");

    // The process has ended.
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    bench.claim(10).await;
    bench.accept_each(11, &["11", "12"]).await;
    let bench = bench.reopened(20).await;
    assert_eq!(standing(&bench).await, [(1, Superseded, Some(2)), (2, Pending, None), (3, Pending, None)]);
    assert_eq!(totals(&bench).await, [2, 0, 0, 0, 1]);
    assert_eq!(ids(&bench.claim(20).await), [id(3), id(2)]);
}

#[tokio::test(start_paused = true)]
async fn the_mode_is_the_native_apis_and_outlives_being_configured_anew() {
    let bench = Bench::with_webhook().await;
    let set = async |number, mode| {
        bench.store.set_delivery(account_id(ACME), webhook_id(number), mode, at(5)).await.unwrap()
    };
    assert!(set(9, DeliveryMode::Latest).await.is_none(), "there is none");
    let changed = set(1, DeliveryMode::Latest).await.unwrap();
    assert_eq!((changed.delivery, changed.updated_at), (DeliveryMode::Latest, at(5)));
    bench.store.put_webhooks(vec![webhook(1, "*")]).await.unwrap();
    let kept = bench.store.webhooks(account_id(ACME)).await.unwrap().remove(0);
    assert_eq!(kept.delivery, DeliveryMode::Latest);
    // It takes effect with the next event, whatever was remembered of the way.
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.settle(&claimed, 20, Pending).await;
    set(1, DeliveryMode::All).await;
    bench.accept_each(30, &["11"]).await;
    assert_eq!(totals(&bench).await, [2, 0, 0, 0, 0]);
    set(1, DeliveryMode::Latest).await;
    bench.accept_each(40, &["11"]).await;
    assert_eq!(totals(&bench).await, [1, 0, 0, 0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_of_before_is_thinned_in_steps_and_its_lane_never_stands_still() {
    let bench = Bench::with_webhook().await;
    bench.accept(1, (0..1_200).map(|version| change("11", version)).collect()).await;
    bench.store.set_delivery(account_id(ACME), webhook_id(1), DeliveryMode::Latest, at(2)).await.unwrap();
    let mut left = Vec::new();
    for version in 2_000..2_003 {
        bench.accept(version, vec![change("11", version)]).await;
        let [pending, .., superseded] = totals(&bench).await;
        assert_eq!(pending + superseded, 1_200 + u64::try_from(version).unwrap() - 1_999);
        left.push(pending);
    }
    assert!(left[0] > left[1] && left[1] > left[2], "a step each time: {left:?}");
    assert_eq!(left[2], 1);
    assert_eq!(bench.settle_all(9_000, Delivered).await, [id(1_203)], "the newest arrives");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_leaves_what_waits_as_it_was() {
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.settle(&claimed, 20, Pending).await;
    bench.break_once(Point::BeforeCommit);
    bench.handover.open();
    let spoiled = super::batch(30, [super::Item::Change(change("11", 30))]);
    bench.store.accept(spoiled.clone()).await.unwrap_err();
    assert_eq!(standing(&bench).await, [(1, Pending, None)]);
    assert_eq!((bench.places(), totals(&bench).await), (0, [1, 0, 0, 0, 0]));
    bench.store.accept(spoiled).await.unwrap();
    assert_eq!(standing(&bench).await, [(1, Superseded, Some(2)), (2, Pending, None)]);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_delivery_can_be_replayed_alone_and_in_bulk_but_not_unasked() {
    let bench = latest().await;
    bench.accept_each(1, &["11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.settle(&claimed, 20, Pending).await;
    bench.accept_each(30, &["11"]).await;
    bench.settle_all(40, Delivered).await;
    assert_eq!(bench.store.count(deliveries_in(None)).await.unwrap(), 0, "unasked it is left alone");
    assert_eq!(bench.store.count(deliveries_in(Some(Superseded))).await.unwrap(), 1);
    let replayed = bench.store.replay(account_id(ACME), vec![id(1)], at(50)).await.unwrap();
    assert_eq!(replayed, [Replayed::Revived]);
    assert_eq!(standing(&bench).await[0], (1, Pending, None));
    assert_eq!(bench.settle_all(60, Delivered).await, [id(1)]);
    assert_eq!(totals(&bench).await, [0, 2, 0, 0, 0]);
}

fn skipping(ms: i64) -> Replay {
    Replay {
        id: "r1".into(),
        query: deliveries_in(Some(Exhausted)),
        per_second: 1_000,
        matched: 0,
        replayed: 0,
        skip_superseded: true,
        superseded: 0,
        state: ReplayState::Running,
        created_at: at(ms),
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_supersedes_what_a_newer_delivery_stands_for_when_asked() {
    for listed in [false, true] {
        let bench = Bench::with_webhook().await;
        // 11: three limits exhausted, 12: one, and a newer one arrives.
        bench.accept_each(1, &["11", "11", "12", "11"]).await;
        bench.accept(5, vec![flagged("11", 5)]).await;
        bench.settle_all(10, Exhausted).await;
        bench.accept_each(20, &["12", "13"]).await;
        bench.settle_all(30, Delivered).await;
        if listed {
            while bench.store.tidy(1).await.unwrap() {}
        }
        assert_eq!(bench.store.put_replay(skipping(1_000)).await.unwrap().matched, 5);
        for ms in [1_100, 1_200, 1_300] {
            bench.store.advance_replays(2, at(ms)).await.unwrap();
        }
        while bench.store.advance_replays(100, at(9_000)).await.unwrap() {}
        let stands = [
            (1, Superseded, Some(4)),
            (2, Superseded, Some(4)),
            (3, Superseded, Some(6)),
            (4, Pending, None),
            (5, Pending, None),
            (6, Delivered, None),
            (7, Delivered, None),
        ];
        assert_eq!(standing(&bench).await, stands, "listed: {listed}");
        assert_eq!(totals(&bench).await, [2, 2, 0, 0, 3]);
        let replay = bench.store.bulk_replay(account_id(ACME), "r1".into()).await.unwrap().unwrap();
        assert_eq!((replay.replayed, replay.superseded), (2, 3));
        assert!(replay.skip_superseded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bulk_replay_replays_what_only_stands_behind_an_event_that_it_does_not_take() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    bench.settle_all(10, Exhausted).await;
    let mut replay = skipping(1_000);
    replay.query.until = Some(at(2));
    bench.store.put_replay(replay).await.unwrap();
    while bench.store.advance_replays(100, at(9_000)).await.unwrap() {}
    assert_eq!(standing(&bench).await, [(1, Pending, None), (2, Exhausted, None)]);
}
