//! Retention: what is old goes with all that hangs on it, step by step, and
//! what is still owed stays.

use bellwether::model::change::{Change, Unparsed};
use bellwether::model::delivery::DeliveryState::{Delivered, Exhausted, Pending};
use bellwether::model::id::Position;
use bellwether::model::number::Subject;
use bellwether::store::catalog::EventQuery;
use bellwether::store::queue::{Audience, Item, Publication, Published, Retention};

use super::{ACME, Bench, account_id, at, batch, change, change_of, deliveries_in, events_of};

const DAY: i64 = 24 * 3600 * 1000;

/// Events from before `events` go, keys from before `keys`.
fn before(events: i64, keys: i64) -> Retention {
    Retention {
        now: at(i64::MAX),
        events_before: at(events),
        after: 0,
        keys_before: at(keys),
        journal_before: at(events),
        step: 10,
    }
}

/// Removes all that is old; says in how many steps.
async fn retire(bench: &Bench, mut retention: Retention) -> usize {
    for steps in 1.. {
        match bench.store.retire(retention).await.unwrap() {
            Some(after) => retention.after = after,
            None => return steps,
        }
    }
    unreachable!("it ends")
}

async fn positions(bench: &Bench) -> Vec<Position> {
    bench.events().await.iter().map(|event| event.id.position()).collect()
}

/// How many rows the tables have.
fn rows<const N: usize>(bench: &Bench, tables: [&str; N]) -> [i64; N] {
    let sql = rusqlite::Connection::open(bench.home.database()).unwrap();
    tables.map(|table| sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_old_event_goes_with_all_that_hangs_on_it() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12"]).await;
    bench.settle_all(10, Exhausted).await;
    bench.accept_each(100, &["11"]).await;
    bench.settle_all(110, Delivered).await;
    while bench.store.tidy(1).await.unwrap() {}
    retire(&bench, before(50, 0)).await;

    assert_eq!(positions(&bench).await, [3]);
    assert_eq!(bench.store.totals(at(0)).await.unwrap().deliveries, [0, 1, 0, 0, 0]);
    assert_eq!(bench.deliveries(deliveries_in(None)).await.len(), 1);
    let tables = ["events", "deliveries", "attempts", "events_by_account", "events_by_number"];
    assert_eq!(rows(&bench, tables), [1, 1, 0, 1, 1]);
    let of_12 = EventQuery { number: Subject::number("12"), ..events_of(ACME) };
    assert_eq!(bench.store.events(of_12).await.unwrap().items, []);
    bench.accept_each(200, &["12"]).await;
    let events = bench.events().await;
    assert_eq!((events[1].id.position(), events[1].sequence), (4, 2), "a number's count goes on");
}

#[tokio::test(start_paused = true)]
async fn an_old_event_that_is_still_owed_stays() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12", "13"]).await;
    let claimed = bench.claim(10).await;
    bench.settle(&claimed[0], 20, Delivered).await;
    bench.settle(&claimed[2], 20, Pending).await;
    retire(&bench, before(DAY, 0)).await;
    assert_eq!(positions(&bench).await, [2, 3]);
    assert_eq!(bench.store.totals(at(0)).await.unwrap().deliveries, [2, 0, 0, 0, 0]);
    bench.settle(&claimed[1], 30, Delivered).await;
    bench.settle_all(5_000, Delivered).await;
    retire(&bench, before(DAY, 0)).await;
    assert!(positions(&bench).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn fault_78_events_from_a_time_when_the_clock_was_ahead_keep_no_old_one_from_going() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["1"]).await;
    let ahead: Vec<String> = (100..160).map(|number| number.to_string()).collect();
    bench.accept_each(10_000 * DAY, &ahead.iter().map(String::as_str).collect::<Vec<_>>()).await;
    bench.accept_each(2, &["2", "3"]).await;
    bench.accept_each(2 * DAY, &["4"]).await;
    bench.settle_all(10_001 * DAY, Delivered).await;
    let steps = retire(&bench, Retention { now: at(3 * DAY), step: 2, ..before(DAY, 0) }).await;
    assert_eq!(bench.events().await.len(), 61, "the young one and those from ahead are left");
    assert!((2..10).contains(&steps), "a step looks at a bounded number: {steps}");
}

#[tokio::test(start_paused = true)]
async fn positions_are_never_given_twice_even_when_all_events_are_gone() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12", "13"]).await;
    bench.settle_all(10, Delivered).await;
    retire(&bench, before(DAY, 0)).await;
    assert!(positions(&bench).await.is_empty());
    let bench = bench.reopened(20).await;
    bench.accept_each(30, &["11"]).await;
    assert_eq!(positions(&bench).await, [4]);
    bench.settle_all(40, Delivered).await;
    retire(&bench, before(DAY, 0)).await;
    bench.break_once(bellwether::env::Point::BeforeCommit);
    bench.store.accept(batch(50, [Item::Change(change("11", 50))])).await.unwrap_err();
    bench.accept_each(60, &["11"]).await;
    assert_eq!(positions(&bench).await, [5]);
}

#[tokio::test(start_paused = true)]
async fn a_step_is_bounded_and_says_where_the_next_begins() {
    let bench = Bench::with_webhook().await;
    let numbers: Vec<_> = (1..=100).map(|number| number.to_string()).collect();
    bench.accept_each(1, &numbers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claimed = bench.claim(200).await;
    for claimed in &claimed[50..] {
        bench.settle(claimed, 300, Delivered).await;
    }
    let mut retention = before(DAY, 0);
    for (after, left) in [(10, 100), (20, 100), (30, 100), (40, 100), (50, 100), (60, 90), (70, 80)] {
        assert_eq!(bench.store.retire(retention).await.unwrap(), Some(after));
        assert_eq!(bench.events().await.len(), left);
        retention.after = after;
    }
    assert_eq!(retire(&bench, retention).await, 4, "three full ones, and a look that finds nothing");
    assert_eq!(positions(&bench).await, (1..=50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_again_after_its_key_has_gone_is_news() {
    let bench = Bench::with_webhook().await;
    let arrived = at(0).seconds();
    let fresh = |number: &str| Change { time: Some(arrived), ..change(number, 1) };
    let old: Vec<_> = (10..45).map(|number| fresh(&number.to_string())).collect();
    assert_eq!(bench.accept(1_000, old.clone()).await.accepted, 35);
    bench.accept(2_000, vec![fresh("99")]).await;
    assert_eq!(bench.accept(14 * DAY, old.clone()).await.duplicate, 35);

    assert_eq!(retire(&bench, before(0, 1_001)).await, 4);
    assert_eq!(rows(&bench, ["seen"]), [1]);
    assert_eq!(bench.accept(14 * DAY + 1, vec![fresh("99")]).await.duplicate, 1, "younger by a second");
    assert_eq!(bench.accept(14 * DAY + 1, old).await.accepted, 35);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_said_a_late_time_or_none_is_known_as_long_as_any() {
    let bench = Bench::with_webhook().await;
    let timeless = Change { time: None, ..change("11", 1) };
    let ancient = Change { time: Some(1), ..change("12", 1) };
    bench.accept(DAY, vec![timeless.clone(), ancient.clone()]).await;
    retire(&bench, before(0, DAY)).await;
    assert_eq!(bench.accept(2 * DAY, vec![timeless.clone(), ancient.clone()]).await.duplicate, 2);
    retire(&bench, before(0, DAY + 1)).await;
    assert_eq!(bench.accept(2 * DAY, vec![timeless, ancient]).await.accepted, 2);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_is_free_again_after_its_time() {
    let bench = Bench::with_webhook().await;
    let publish = async |ms: i64, key: String| {
        let publication = Publication {
            now: at(ms),
            account: account_id(ACME),
            change: Change { time: None, ..change("11", 1) },
            timestamp: None,
            audience: Audience::Routed,
            idempotency: Some((key, [1; 16])),
            random: 7,
            fill_limits: true,
        };
        bench.store.publish(publication).await.unwrap()
    };
    for number in 0..25 {
        publish(number, format!("k{number}")).await;
    }
    assert_eq!(retire(&bench, before(0, 24)).await, 3);
    assert!(matches!(publish(DAY, "k24".into()).await, Published::Repeated(_)));
    assert!(matches!(publish(DAY, "k23".into()).await, Published::Accepted(_)));
    assert!(matches!(publish(DAY, "k0".into()).await, Published::Accepted(_)));
}

fn unparsed(value: u8) -> Item {
    let raw = vec![value];
    let reason = "no JSON".to_owned();
    Item::Unparsed(Unparsed { business_account: None, time: None, reason, raw, fingerprint: [value; 16] })
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_routed_or_read_goes_when_it_is_old() {
    let bench = Bench::with_webhook().await;
    for ms in 0..25 {
        let value = u8::try_from(ms).unwrap();
        let items = [unparsed(value), Item::Change(change_of("unknown", "11", ms))];
        bench.store.accept(batch(ms, items)).await.unwrap();
    }
    assert_eq!(retire(&bench, before(22, 0)).await, 3);
    let unrouted = bench.store.unrouted(None, 100).await.unwrap().items;
    let left: Vec<_> = unrouted.iter().map(|change| change.received_at).collect();
    assert_eq!(left, [at(22), at(23), at(24)]);
    assert_eq!(bench.store.unparsed(None, 100).await.unwrap().items.len(), 3);
    assert_eq!(bench.store.totals(at(99)).await.unwrap().unrouted, 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_routed_in_between_does_not_end_the_steps_early() {
    let bench = Bench::new();
    for ms in 0..80 {
        let whose = if ms % 2 == 0 { super::WABA } else { "unknown" };
        bench.accept(ms, vec![change_of(whose, "11", ms)]).await;
    }
    let bench = bench.and_webhook().await;
    for waiting in bench.store.waiting(100).await.unwrap() {
        let item =
            Item::Waiting { row: waiting.row, received_at: at(0), read: Ok(change("11", waiting.row)) };
        bench.store.accept(batch(100, [item])).await.unwrap();
    }
    assert_eq!(bench.store.totals(at(200)).await.unwrap().unrouted, 40);
    assert_eq!(retire(&bench, before(DAY, 0)).await, 5);
    assert_eq!(bench.store.totals(at(200)).await.unwrap().unrouted, 0);
}
