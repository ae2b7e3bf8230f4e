//! Numbers that go: to another business account, with theirs to another account,
//! or out of use. And what comes late from where they were.

use bellwether::model::account::BusinessAccount;
use bellwether::model::change::{Change, Detail};
use bellwether::model::number::{LearnedBy, Subject, What};
use bellwether::model::reading::NumberReading;
use bellwether::store::catalog::{EventQuery, NumberRow};
use bellwether::store::queue::{Item, Receipt};

use super::numbers::{capability, quality, read, reading, told};
use super::{ACME, Bench, WABA, account, account_id, at, batch, business_account, events_of};

const OTHER: &str = "5";

fn of_other(change: Change) -> Change {
    Change { business_account: OTHER.parse().unwrap(), ..change }
}

/// What names a number shows to those who ask whether anything changed.
fn version(number: &NumberRow) -> (i64, i64) {
    (number.state.sequence, number.state.revision)
}

impl Bench {
    async fn of_account(&self, account: u128, number: &str) -> Option<NumberRow> {
        self.store.number(account_id(account), Subject::number(number).unwrap()).await.unwrap()
    }

    async fn register(&self, account: u128, ms: i64) {
        let theirs = BusinessAccount { account: account_id(account), ..business_account(WABA) };
        self.store.put_business_account(theirs, at(ms)).await.unwrap();
    }

    async fn retire_number(&self, number: &str, ms: i64) {
        let number = Subject::number(number).unwrap();
        assert!(self.store.delete_number(account_id(ACME), number, at(ms)).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_business_account_says_late_does_not_take_a_number_back() {
    let bench = Bench::with_three_numbers().await;
    bench.store.put_business_account(business_account(OTHER), at(0)).await.unwrap();
    let before = bench.number("11").await;
    bench.accept(9_000, vec![of_other(quality("11", 9, "ONBOARDING", Some("TIER_2K")))]).await;
    let moved = bench.number("11").await;
    assert_eq!(moved.business_account.as_deref(), Some(OTHER));
    assert!(version(&moved) > version(&before));
    bench.accept(10_000, vec![quality("11", 8, "FLAGGED", None)]).await;
    assert_eq!(bench.number("11").await.business_account.as_deref(), Some(OTHER));
    bench.accept(11_000, vec![quality("11", 10, "UNFLAGGED", None)]).await;
    assert_eq!(bench.number("11").await.business_account.as_deref(), Some(WABA));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_makes_no_event_is_a_change_all_the_same() {
    let bench = Bench::with_three_numbers().await;
    bench.store.observe(reading(2, vec![read("11", "TIER_2K", "GREEN")])).await.unwrap();
    bench.store.put_business_account(business_account(OTHER), at(0)).await.unwrap();
    let before = bench.number("11").await;
    let mut theirs = reading(5, vec![read("11", "TIER_2K", "GREEN")]);
    theirs.reading.business_account = OTHER.parse().unwrap();
    bench.store.observe(theirs).await.unwrap();
    let moved = bench.number("11").await;
    assert_eq!(version(&moved), (before.state.sequence, before.state.revision + 1));
    assert_eq!((moved.business_account.as_deref(), moved.state.changed_at), (Some(OTHER), at(5_000)));
    // The same value stamped anew, by the first one.
    let resent = bench.accept(8_000, vec![quality("11", 8, "ONBOARDING", Some("TIER_2K"))]).await;
    assert_eq!(resent, Receipt { resent: 1, ..Receipt::default() });
    let back = bench.number("11").await;
    assert_eq!(version(&back), (before.state.sequence, before.state.revision + 2));
    assert_eq!(back.business_account.as_deref(), Some(WABA));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_its_numbers_goes_with_a_business_account_to_another_account() {
    let bench = Bench::with_three_numbers().await;
    bench.store.observe(reading(2, vec![read("11", "TIER_2K", "YELLOW")])).await.unwrap();
    bench.accept(3_000, vec![quality("11", 3, "FLAGGED", None)]).await;
    bench.store.put_account(account(2)).await.unwrap();
    bench.register(2, 60_000).await;
    for number in ["11", "12", "13"] {
        assert_eq!(bench.of_account(ACME, number).await, None, "{number} is no longer here");
    }
    let brought = bench.of_account(2, "11").await.unwrap();
    let value = |what| brought.state.value(what).unwrap().as_str().to_owned();
    assert_eq!([What::Limit, What::Rating, What::Flagged].map(value), ["TIER_2K", "YELLOW", "FLAGGED"]);
    assert_eq!((brought.state.sequence, brought.events.len()), (0, 0), "events stay whose they are");
    assert_eq!(brought.state.changed_at, at(60_000));
    assert_eq!(brought.state.known(What::Rating).unwrap().by, LearnedBy::Reconciliation);
    assert_eq!(brought.state.known(What::Limit).unwrap().since, at(1_000));
    // So the new owner is told what changes, from what.
    assert_eq!(bench.accept(61_000, vec![capability(61, "10000")]).await.derived, 3);
    let query = EventQuery { number: Subject::number("11"), ..events_of(2) };
    let events = bench.store.events(query).await.unwrap().items;
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["11 1 UPGRADE TIER_2K TIER_10K"]);
    assert_eq!(bench.events().await.len(), 4, "and the old one of nothing any more");
}

#[tokio::test(start_paused = true)]
async fn it_goes_there_and_back_and_through_a_time_when_it_is_nobodys() {
    let bench = Bench::with_three_numbers().await;
    bench.store.put_account(account(2)).await.unwrap();
    bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap();
    bench.register(2, 60_000).await;
    assert_eq!(bench.of_account(ACME, "11").await, None);
    assert_eq!(
        bench.of_account(2, "11").await.unwrap().state.value(What::Limit).unwrap().as_str(),
        "TIER_2K"
    );
    bench.accept(61_000, vec![quality("11", 61, "UPGRADE", Some("TIER_10K"))]).await;
    bench.register(ACME, 70_000).await;
    assert_eq!(bench.of_account(2, "11").await, None);
    let back = bench.number("11").await.state;
    assert_eq!((back.value(What::Limit).unwrap().as_str(), back.sequence), ("TIER_10K", 1));
    let other = bench.number("12").await.state;
    assert_eq!(other.value(What::Limit).unwrap().as_str(), "TIER_2K");
    bench.register(ACME, 80_000).await;
    assert_eq!(bench.number("12").await.state, other, "registered where it is, nothing goes anywhere");
}

#[tokio::test(start_paused = true)]
async fn a_retired_number_comes_back_by_what_is_said_for_a_later_time_alone() {
    let bench = Bench::with_three_numbers().await;
    bench.retire_number("11", 5_500).await;
    // Said before, come after: a reading, a change, the latest value stamped anew.
    let early = bench.store.observe(reading(5, vec![read("11", "TIER_2K", "GREEN")])).await.unwrap().unwrap();
    assert_eq!((early.learned, early.events), (0, 0));
    bench.accept(6_000, vec![quality("11", 4, "FLAGGED", None)]).await;
    assert_eq!(bench.told().await.last().unwrap(), "11 2 FLAGGED - TIER_2K", "an event is never lost");
    bench.accept(7_000, vec![quality("11", 5, "ONBOARDING", Some("TIER_2K"))]).await;
    let other = Change {
        field: "account_update".into(),
        fingerprint: [3; 16],
        detail: Detail::Other { event_type: "account_update".into(), details: "{}".into() },
        ..quality("11", 7, "", None)
    };
    bench.accept(7_000, vec![other]).await;
    assert_eq!(bench.of_account(ACME, "11").await, None);
    let bench = bench.reopened(8_000).await;
    assert_eq!(bench.of_account(ACME, "11").await, None, "that outlives a restart");
    bench.accept(9_000, vec![quality("11", 9, "ONBOARDING", Some("TIER_2K"))]).await;
    assert_eq!(bench.known("11", What::Limit).await, "TIER_2K");
    bench.retire_number("12", 9_000).await;
    let anew = bench.accept(10_000, vec![quality("12", 10, "ONBOARDING", Some("TIER_2K"))]).await;
    assert_eq!(
        (anew.accepted, bench.known("12", What::Limit).await),
        (1, "TIER_2K".into()),
        "it begins anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_listed_and_gone_is_not_introduced() {
    let bench = Bench::with_three_numbers().await;
    bench.retire_number("11", 5_500).await;
    for (second, status) in [(7, "DISCONNECTED"), (8, "MIGRATED"), (9, "DELETED")] {
        let gone = |number| NumberReading { status: Some(status.into()), ..read(number, "TIER_2K", "GREEN") };
        let observed =
            bench.store.observe(reading(second, vec![gone("11"), gone("99")])).await.unwrap().unwrap();
        assert_eq!((observed.learned, observed.events), (0, 0), "{status}");
    }
    assert_eq!((bench.of_account(ACME, "11").await, bench.of_account(ACME, "99").await), (None, None));
    let observed =
        bench.store.observe(reading(10, vec![read("11", "TIER_2K", "GREEN")])).await.unwrap().unwrap();
    assert_eq!((observed.learned, observed.events), (1, 1), "in use again");
}

#[tokio::test(start_paused = true)]
async fn a_number_that_another_business_account_spoke_of_later_stays_there() {
    let bench = Bench::with_three_numbers().await;
    bench.store.put_account(account(2)).await.unwrap();
    let theirs = BusinessAccount { account: account_id(2), ..business_account(OTHER) };
    bench.store.put_business_account(theirs, at(0)).await.unwrap();
    bench.accept(9_000, vec![of_other(quality("11", 9, "UPGRADE", Some("TIER_10K")))]).await;
    bench.register(2, 60_000).await;
    let there = bench.of_account(2, "11").await.unwrap();
    assert_eq!(there.business_account.as_deref(), Some(OTHER));
    assert_eq!(there.state.value(What::Limit).unwrap().as_str(), "TIER_10K");
    assert_eq!(bench.of_account(2, "12").await.unwrap().business_account.as_deref(), Some(WABA));
}

#[tokio::test(start_paused = true)]
async fn what_waited_without_a_time_counts_for_when_it_came() {
    let bench = Bench::with_account().await;
    let timeless = |event, limit| Change { time: None, ..of_other(quality("11", 0, event, Some(limit))) };
    assert_eq!(bench.accept(1_000, vec![timeless("UPGRADE", "TIER_2K")]).await.unrouted, 1);
    bench.accept(5_000, vec![quality("11", 5, "UPGRADE", Some("TIER_10K"))]).await;
    bench.store.put_business_account(business_account(OTHER), at(0)).await.unwrap();
    let waiting = bench.store.waiting(10).await.unwrap();
    assert_eq!(waiting[0].received_at, at(1_000));
    let item = Item::Waiting {
        row: waiting[0].row,
        received_at: waiting[0].received_at,
        read: Ok(timeless("UPGRADE", "TIER_2K")),
    };
    let receipt = bench.store.accept(batch(20 * 24 * 3_600_000, [item])).await.unwrap();
    assert_eq!(receipt.accepted, 1);
    assert_eq!(bench.known("11", What::Limit).await, "TIER_10K", "it is older than what is known");
    let events = bench.events().await;
    let body: serde_json::Value = serde_json::from_slice(&events.last().unwrap().body).unwrap();
    assert_eq!(body["timestamp"], "2026-10-01T00:00:01.00Z");
    assert_eq!(bench.number("11").await.business_account.as_deref(), Some(WABA));
}
