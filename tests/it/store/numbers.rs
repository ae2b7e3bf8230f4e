//! What is known of numbers: learned from whoever speaks of them, told once,
//! and visible the moment it is durable.

use bellwether::env::Point;
use bellwether::model::change::{CAPABILITY_FIELD, Capability, Change, Detail, QUALITY_FIELD, Quality};
use bellwether::model::event::Derived;
use bellwether::model::number::{Changed, LearnedBy, Subject, What};
use bellwether::model::reading::{NumberReading, Reading};
use bellwether::model::time::Timestamp;
use bellwether::model::word::Word;
use bellwether::policy::transition::ByHand;
use bellwether::store::catalog::{
    Entered, EventRow, HistoryPlace, HistoryQuery, HistoryRow, NumberEntry, NumberPlace, NumberQuery,
    NumberRow, NumberSort, Page,
};
use bellwether::store::queue::{Derivation, Item, Observation, Observed, Receipt, Retention};

use super::{ACME, Bench, WABA, account, account_id, at, batch, business_account, change};

/// When the story begins, in seconds.
fn began() -> i64 {
    at(0).seconds()
}

/// A change of `number`, said for `second` of the story.
pub(super) fn quality(number: &str, second: i64, event: &str, limit: Option<&str>) -> Change {
    let quality = Quality {
        display_phone_number: number.into(),
        event: event.into(),
        current_limit: limit.map(str::to_owned),
        ..Quality::default()
    };
    let mut fingerprint = [0; 16];
    let text = format!("{number}{event}{limit:?}");
    for (at, byte) in (0_u32..).zip(text.bytes()) {
        fingerprint[at as usize % 16] ^= byte.rotate_left(at / 2);
    }
    Change {
        business_account: WABA.parse().unwrap(),
        time: Some(began() + second),
        field: QUALITY_FIELD.into(),
        subject: Subject::number(number).unwrap(),
        fingerprint,
        detail: Detail::Quality(quality),
        raw: "{}".into(),
    }
}

/// A capability update, said for `second`.
pub(super) fn capability(second: i64, limit: &str) -> Change {
    let details = format!(
        "{{\"rawEvent\":{{\"field\":\"{CAPABILITY_FIELD}\",\
         \"value\":{{\"max_daily_conversations_per_business\":\"{limit}\"}}}}}}"
    );
    let mut fingerprint = [7; 16];
    limit.bytes().enumerate().for_each(|(at, byte)| fingerprint[at % 16] ^= byte);
    Change {
        field: CAPABILITY_FIELD.into(),
        subject: Subject::business_account(WABA),
        fingerprint,
        detail: Detail::Capability(Capability { limit: limit.into(), of_portfolio: true, details }),
        ..quality("1", second, "", None)
    }
}

fn derivation(step: usize, now: Timestamp, random: u64) -> Derivation {
    Derivation { step, now, fill_limits: true, random }
}

/// A reading that counts for that second: it was asked for half a minute later, and
/// what it says may lag behind by so much.
pub(super) fn reading(second: i64, numbers: Vec<NumberReading>) -> Observation {
    let asked_for = at((second + 30) * 1_000);
    let reading = Reading { business_account: WABA.parse().unwrap(), at: asked_for, numbers };
    Observation { now: at(second * 1_000), reading, flags: true, fill_limits: true, random: 5 }
}

pub(super) fn read(number: &str, limit: &str, rating: &str) -> NumberReading {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    NumberReading {
        display_phone_number: number.into(),
        quality_rating: some(rating),
        throughput: Some("STANDARD".into()),
        status: Some("CONNECTED".into()),
        limit: some(limit),
        of_portfolio: false,
    }
}

fn query() -> NumberQuery {
    NumberQuery {
        account: account_id(ACME),
        business_account: None,
        digits: None,
        messaging_limit: None,
        throughput: None,
        rating: None,
        flagged: None,
        changed_since: None,
        sort: NumberSort::Number,
        after: None,
        limit: 100,
    }
}

impl Bench {
    pub(super) async fn number(&self, number: &str) -> NumberRow {
        let number = Subject::number(number).unwrap();
        self.store.number(account_id(ACME), number).await.unwrap().expect("a number that is known")
    }

    pub(super) async fn known(&self, number: &str, what: What) -> String {
        self.number(number).await.state.value(what).map_or_else(String::new, |word| word.as_str().to_owned())
    }

    async fn numbers(&self, query: NumberQuery) -> Page<NumberRow, NumberPlace> {
        self.store.numbers(query).await.unwrap()
    }

    /// A number's history, some rows a page.
    async fn history(&self, number: &str, limit: usize) -> Vec<HistoryRow> {
        let (mut rows, mut before) = (Vec::new(), None::<HistoryPlace>);
        loop {
            let number = Subject::number(number).unwrap();
            let query = HistoryQuery { account: account_id(ACME), number, before, limit };
            let page = self.store.history(query).await.unwrap().expect("a number that is known");
            assert!(page.items.len() <= limit);
            rows.extend(page.items);
            before = page.next;
            if before.is_none() {
                return rows;
            }
        }
    }

    /// The account's quality events as `number sequence EVENT old current`.
    pub(super) async fn told(&self) -> Vec<String> {
        self.events().await.iter().filter(|event| event.phone_number.is_some()).map(told).collect()
    }

    /// Three numbers, each with a limit of 2,000.
    pub(super) async fn with_three_numbers() -> Self {
        let bench = Self::with_webhook().await;
        let onboarding = ["11", "12", "13"].map(|number| quality(number, 1, "ONBOARDING", Some("TIER_2K")));
        bench.accept(1_000, onboarding.into()).await;
        bench
    }
}

pub(super) fn told(event: &EventRow) -> String {
    let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
    let meta = &body["eventDetails"]["meta"];
    let text = |name: &str| meta[name].as_str().unwrap_or("-").to_owned();
    let number = event.phone_number.as_deref().unwrap_or_default();
    let sequence = event.sequence;
    format!("{number} {sequence} {} {} {}", text("event"), text("oldLimit"), text("currentLimit"))
}

#[tokio::test(start_paused = true)]
async fn a_capability_update_becomes_one_event_of_each_number_whose_limit_it_changes() {
    let bench = Bench::with_three_numbers().await;
    bench.accept(2_000, vec![quality("13", 2, "UPGRADE", Some("TIER_10K"))]).await;
    let receipt = bench.accept(3_000, vec![capability(3, "10000")]).await;
    assert_eq!(receipt, Receipt { accepted: 1, derived: 2, ..Receipt::default() });
    let all = bench.told().await;
    assert_eq!(all[4..], ["11 2 UPGRADE TIER_2K TIER_10K", "12 2 UPGRADE TIER_2K TIER_10K"]);
    let derived: Vec<_> = bench.events().await.iter().map(|event| event.derived).collect();
    let of = Some(Derived::Capability);
    assert_eq!(derived, [None, None, None, None, None, of, of]);
    // Stamped anew, repeated, and what the numbers themselves say of it.
    assert_eq!(bench.accept(4_000, vec![capability(4, "10000")]).await.derived, 0);
    assert_eq!(bench.accept(5_000, vec![capability(4, "10000")]).await.duplicate, 1);
    let own = ["11", "12"].map(|number| quality(number, 3, "UPGRADE", Some("TIER_10K")));
    assert_eq!(bench.accept(6_000, own.into()).await, Receipt { resent: 2, ..Receipt::default() });
    assert_eq!(bench.told().await, all);
    let resends: Vec<_> = bench.events().await.iter().map(|event| event.resends).collect();
    assert_eq!(resends[5..7], [1, 1], "noted at the derived events");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_limit_is_learned_without_an_event_and_deriving_can_be_switched_off() {
    let bench = Bench::with_webhook().await;
    bench.accept(1_000, vec![quality("11", 1, "FLAGGED", None)]).await;
    let mut off = batch(2_000, [Item::Change(capability(2, "2000"))]);
    off.derive = false;
    assert_eq!(bench.store.accept(off).await.unwrap().derived, 0);
    let known = (bench.known("11", What::Limit).await, bench.known("11", What::PortfolioLimit).await);
    assert_eq!(known, (String::new(), "2000".into()));
    assert_eq!(bench.accept(3_000, vec![capability(3, "10000")]).await.derived, 0);
    let known = (bench.known("11", What::Limit).await, bench.known("11", What::PortfolioLimit).await);
    assert_eq!(known, ("TIER_10K".into(), "10000".into()));
    assert_eq!(bench.accept(4_000, vec![capability(4, "TIER_2K")]).await.derived, 1);
    assert_eq!(bench.told().await[1], "11 2 DOWNGRADE TIER_10K TIER_2K");
}

#[tokio::test(start_paused = true)]
async fn a_late_change_is_told_and_names_what_of_it_is_stale() {
    let bench = Bench::with_three_numbers().await;
    bench.accept(9_000, vec![quality("11", 9, "UPGRADE", Some("TIER_10K"))]).await;
    bench.accept(9_500, vec![quality("11", 5, "DOWNGRADE", Some("TIER_250"))]).await;
    assert_eq!(bench.known("11", What::Limit).await, "TIER_10K");
    let events = bench.events().await;
    let stale = |event: &EventRow| event.stale.iter().collect::<Vec<_>>();
    assert_eq!((stale(&events[3]), stale(&events[4])), (vec![], vec![What::Limit]));
    let claimed = bench.settle_all_seen(10_000).await;
    let late = claimed.iter().find(|claimed| claimed.event == events[4].id).unwrap();
    assert_eq!(late.stale, events[4].stale, "whoever delivers it knows");
}

impl Bench {
    /// All that is due, lane by lane.
    async fn settle_all_seen(&self, ms: i64) -> Vec<bellwether::store::queue::Claimed> {
        let mut seen = Vec::new();
        loop {
            let claimed = self.claim(ms).await;
            if claimed.is_empty() {
                return seen;
            }
            for claimed in claimed {
                self.settle(&claimed, ms, bellwether::model::delivery::DeliveryState::Delivered).await;
                seen.push(claimed);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_business_account_of_thousands_hears_in_steps_and_each_number_once_whatever_breaks() {
    const NUMBERS: u64 = 700;
    let mut bench = Bench::with_account().await;
    for from in (0..NUMBERS).step_by(100) {
        let onboarding =
            (from..from + 100).map(|n| quality(&format!("9{n:04}"), 1, "ONBOARDING", Some("TIER_2K")));
        bench.accept(1_000, onboarding.collect()).await;
    }
    let receipt = bench.accept(2_000, vec![capability(2, "10000")]).await;
    assert_eq!((receipt.derived, receipt.underived), (200, 1));
    // What follows queues up behind it, and a number may speak meanwhile.
    let receipt = bench.accept(3_000, vec![capability(3, "100000")]).await;
    assert_eq!((receipt.derived, receipt.underived), (0, 1));
    bench.accept(4_000, vec![quality("90650", 2, "UPGRADE", Some("TIER_10K"))]).await;
    let mut derived = 200;
    for round in 0.. {
        match round % 3 {
            0 => bench.break_once(Point::BeforeCommit),
            1 => bench.break_once(Point::AfterCommit),
            _ => bench = bench.reopened(5_000).await,
        }
        // Whether one that failed counted is not known: it must not matter.
        if let Ok((events, more)) = bench.store.derive(derivation(150, at(6_000), round)).await {
            derived += events;
            if !more {
                break;
            }
        }
        assert!(round < 60, "it comes to an end");
    }
    assert!(derived < 2 * NUMBERS, "{derived}");
    for n in [0, 199, 200, 431, 650, 699] {
        let number = format!("9{n:04}");
        assert_eq!(bench.known(&number, What::Limit).await, "TIER_100K");
        let changes: Vec<_> =
            bench.history(&number, 10).await.into_iter().filter(|row| row.event.is_some()).collect();
        let own = if n == 650 { LearnedBy::Notification } else { LearnedBy::Capability };
        let by: Vec<_> = changes.iter().map(|row| row.by).collect();
        assert_eq!(by, [LearnedBy::Capability, own, LearnedBy::Notification], "{number}");
        assert_eq!(bench.number(&number).await.state.sequence, 3);
    }
    let totals = bench.store.events(super::events_of(ACME)).await.unwrap();
    assert_eq!(totals.items[0].id.position(), 3 * i64::try_from(NUMBERS).unwrap() + 2, "no event too many");
}

#[tokio::test(start_paused = true)]
async fn a_reading_learns_numbers_and_makes_the_events_that_were_missed_once() {
    let bench = Bench::with_three_numbers().await;
    let read = || {
        reading(
            9,
            vec![
                read("+1 1", "TIER_10K", "GREEN"),
                read("12", "TIER_2K", "GREEN"),
                read("+1 555-078-3881", "TIER_250", "RED"),
            ],
        )
    };
    let observed = bench.store.observe(read()).await.unwrap();
    assert_eq!(observed, Some(Observed { numbers: 3, learned: 1, events: 2 }));
    let all = bench.told().await;
    assert_eq!(all[3..], ["11 2 UPGRADE TIER_2K TIER_10K", "15550783881 1 ONBOARDING - TIER_250"]);
    assert!(bench.events().await[3..].iter().all(|event| event.derived == Some(Derived::Reconciliation)));
    let again = bench.store.observe(read()).await.unwrap();
    assert_eq!(again, Some(Observed { numbers: 3, learned: 0, events: 0 }));
    // A notification of before it says what is known; one of after it is newer.
    assert_eq!(bench.accept(9_500, vec![quality("11", 8, "UPGRADE", Some("10000"))]).await.resent, 1);
    assert_eq!(bench.accept(9_600, vec![quality("12", 12, "UPGRADE", Some("TIER_100K"))]).await.accepted, 1);
    let observed = bench.store.observe(read()).await.unwrap().unwrap();
    assert_eq!((observed.events, bench.known("12", What::Limit).await), (0, "TIER_100K".into()));
    // A rating that falls is told, one that falls a little is not, and both are visible.
    let yellow = bench.number("12").await.state;
    let read = |second, rating| reading(second, vec![super::numbers::read("12", "", rating)]);
    bench.store.observe(read(20, "YELLOW")).await.unwrap();
    let fallen = bench.number("12").await.state;
    assert_eq!((fallen.sequence, fallen.revision), (yellow.sequence, yellow.revision + 1));
    assert_eq!(bench.store.observe(read(30, "RED")).await.unwrap().unwrap().events, 1);
    assert_eq!(bench.told().await.last().unwrap(), "12 3 FLAGGED - TIER_100K");
    let nobody = Observation {
        reading: Reading { business_account: "404".parse().unwrap(), at: at(0), numbers: vec![] },
        ..read(9, "")
    };
    assert_eq!(bench.store.observe(nobody).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_is_seen_at_once_before_and_after_its_row_is_written() {
    let mut bench = Bench::with_three_numbers().await;
    for (second, limit) in (2..).zip(["TIER_10K", "TIER_100K", "TIER_UNLIMITED"]) {
        bench.accept(second * 1_000, vec![quality("11", second, "UPGRADE", Some(limit))]).await;
        assert_eq!(bench.known("11", What::Limit).await, limit);
        bench.break_once(Point::BeforeCommit);
        let lost = batch(second * 1_000, [Item::Change(quality("11", second, "DOWNGRADE", Some("TIER_50")))]);
        bench.store.accept(lost).await.unwrap_err();
        assert_eq!(bench.known("11", What::Limit).await, limit, "what was rolled back is not seen");
        if limit == "TIER_100K" {
            bench = bench.reopened(second * 1_000).await;
            assert_eq!(bench.known("11", What::Limit).await, limit, "the tail is read at the start");
        }
    }
    let retention = Retention {
        now: at(0),
        events_before: at(0),
        journal_before: at(0),
        after: 0,
        keys_before: at(0),
        step: 10,
    };
    bench.store.retire(retention).await.unwrap();
    assert_eq!(bench.known("11", What::Limit).await, "TIER_UNLIMITED", "its row says it, too");
    let state = bench.number("11").await.state;
    assert_eq!((state.sequence, state.known(What::Limit).unwrap().since), (4, at(4_000)));
}

#[tokio::test(start_paused = true)]
async fn numbers_are_found_by_what_is_known_of_them_and_paged_in_any_order() {
    let bench = Bench::with_webhook().await;
    let limits = ["TIER_250", "TIER_10K", "10000", "TIER_UNLIMITED", "TIER_2K"];
    for (n, limit) in (1..).zip(limits) {
        // The digits rise, the times fall.
        let number = format!("2{n}");
        bench.accept(100_000 - n * 1_000, vec![quality(&number, n, "ONBOARDING", Some(limit))]).await;
    }
    bench
        .accept(
            200_000,
            vec![quality("25", 200, "FLAGGED", None), quality("24", 200, "THROUGHPUT_UPGRADE", None)],
        )
        .await;
    bench
        .store
        .observe(reading(201, vec![NumberReading { throughput: None, ..read("21", "", "GREEN") }]))
        .await
        .unwrap();
    let paged = async |query: NumberQuery| {
        let (mut digits, mut after) = (Vec::new(), None);
        loop {
            let page = bench.numbers(NumberQuery { after, limit: 2, ..query.clone() }).await;
            digits.extend(page.items.into_iter().map(|row| row.digits));
            after = page.next;
            if after.is_none() {
                return digits;
            }
        }
    };
    assert_eq!(paged(query()).await, ["21", "22", "23", "24", "25"]);
    let sorted = async |sort| paged(NumberQuery { sort, ..query() }).await;
    assert_eq!(sorted(NumberSort::Changed).await, ["23", "22", "24", "25", "21"]);
    assert_eq!(sorted(NumberSort::ChangedDown).await, ["21", "24", "25", "22", "23"]);
    assert_eq!(sorted(NumberSort::Limit).await, ["21", "25", "22", "23", "24"]);
    assert_eq!(sorted(NumberSort::LimitDown).await, ["24", "22", "23", "25", "21"]);
    let tier_10k = NumberQuery { messaging_limit: Some("tier_10k".into()), ..query() };
    assert_eq!(paged(tier_10k).await, ["22", "23"]);
    assert_eq!(paged(NumberQuery { digits: Some("4".into()), ..query() }).await, ["24"]);
    assert_eq!(paged(NumberQuery { flagged: Some(true), ..query() }).await, ["25"]);
    assert_eq!(paged(NumberQuery { flagged: Some(false), ..query() }).await.len(), 4);
    assert_eq!(paged(NumberQuery { throughput: Some("HIGH".into()), ..query() }).await, ["24"]);
    assert_eq!(paged(NumberQuery { rating: Some("GREEN".into()), ..query() }).await, ["21"]);
    assert_eq!(paged(NumberQuery { changed_since: Some(at(200_000)), ..query() }).await, ["21", "24", "25"]);
    let other = NumberQuery { business_account: Some("5".parse().unwrap()), ..query() };
    assert_eq!(paged(other).await, Vec::<String>::new());
    assert_eq!(bench.numbers(NumberQuery { account: account_id(2), ..query() }).await.items, []);
    let told = bench.number("25").await;
    let events = bench.events().await;
    let ids: Vec<_> = told.events.iter().map(|(what, id)| (*what, *id)).collect();
    assert_eq!(ids, [(What::Limit, events[4].id), (What::Flagged, events[5].id)]);
}

#[tokio::test(start_paused = true)]
async fn the_history_has_every_change_of_each_value_in_order_with_and_without_an_event() {
    let bench = Bench::with_three_numbers().await;
    let rated = |second, rating| reading(second, vec![read("11", "", rating)]);
    bench.store.observe(rated(2, "GREEN")).await.unwrap();
    bench.accept(3_000, vec![capability(3, "10000")]).await;
    bench.store.observe(rated(4, "YELLOW")).await.unwrap();
    bench.store.observe(rated(5, "GREEN")).await.unwrap();
    bench.accept(6_000, vec![quality("11", 6, "SOMETHING", None)]).await;
    bench.accept(7_000, vec![quality("11", 7, "DOWNGRADE", Some("TIER_250"))]).await;
    let change =
        |what, from: Option<&str>, to: &str| Changed { what, from: from.map(Word::new), to: Word::new(to) };
    let expected = [
        (7_000, LearnedBy::Notification, true, vec![change(What::Limit, Some("TIER_10K"), "TIER_250")]),
        (5_000, LearnedBy::Reconciliation, false, vec![change(What::Rating, Some("YELLOW"), "GREEN")]),
        (4_000, LearnedBy::Reconciliation, false, vec![change(What::Rating, Some("GREEN"), "YELLOW")]),
        (
            3_000,
            LearnedBy::Capability,
            true,
            vec![
                change(What::Limit, Some("TIER_2K"), "TIER_10K"),
                change(What::PortfolioLimit, None, "10000"),
            ],
        ),
        (
            2_000,
            LearnedBy::Reconciliation,
            false,
            vec![
                change(What::Throughput, None, "STANDARD"),
                change(What::Rating, None, "GREEN"),
                change(What::Status, None, "CONNECTED"),
            ],
        ),
        (1_000, LearnedBy::Notification, true, vec![change(What::Limit, None, "TIER_2K")]),
    ];
    for limit in [1, 2, 3, 100] {
        let rows = bench.history("11", limit).await;
        let seen: Vec<_> =
            rows.into_iter().map(|row| (row.at, row.by, row.event.is_some(), row.changed)).collect();
        let expected: Vec<_> =
            expected.iter().map(|(ms, by, told, all)| (at(*ms), *by, *told, all.clone())).collect();
        assert_eq!(seen, expected, "{limit} a page");
    }
    let nobody = HistoryQuery {
        account: account_id(ACME),
        number: Subject::number("404").unwrap(),
        before: None,
        limit: 9,
    };
    assert_eq!(bench.store.history(nobody).await.unwrap(), None);
    let retention = Retention {
        now: at(8_000),
        events_before: at(4_500),
        journal_before: at(0),
        after: 0,
        keys_before: at(0),
        step: 100,
    };
    bench.settle_all_seen(8_000).await;
    bench.store.retire(retention).await.unwrap();
    assert_eq!(bench.history("11", 9).await.len(), 2, "what is old has gone, observations too");
}

#[tokio::test(start_paused = true)]
async fn a_number_is_entered_by_hand_and_retired_and_its_sequence_goes_on() {
    let bench = Bench::with_webhook().await;
    let entry = |number: &str, limit: &str| NumberEntry {
        account: account_id(ACME),
        number: Subject::number(number).unwrap(),
        business_account: WABA.parse().unwrap(),
        entered: ByHand { values: vec![(What::Limit, Word::new(limit))] },
        now: at(1_000),
    };
    assert_eq!(bench.store.put_number(entry("+1 555-078-3881", "TIER_2K")).await.unwrap(), Entered::New);
    assert_eq!(bench.store.put_number(entry("15550783881", "TIER_2K")).await.unwrap(), Entered::Known);
    let foreign = NumberEntry { business_account: "5".parse().unwrap(), ..entry("1", "TIER_2K") };
    assert_eq!(bench.store.put_number(foreign).await.unwrap(), Entered::UnknownBusinessAccount);
    assert_eq!((bench.events().await.len(), bench.number("15550783881").await.state.sequence), (0, 0));
    assert_eq!(bench.accept(2_000, vec![capability(2, "10000")]).await.derived, 1, "its limit is known");
    let gone = async || {
        bench
            .store
            .delete_number(account_id(ACME), Subject::number("15550783881").unwrap(), at(3_000))
            .await
            .unwrap()
    };
    assert!(gone().await && !gone().await);
    let shown = bench.store.number(account_id(ACME), Subject::number("15550783881").unwrap()).await.unwrap();
    assert_eq!((shown, bench.numbers(query()).await.items.len()), (None, 0));
    assert_eq!(bench.accept(4_000, vec![capability(4, "2000")]).await.derived, 0, "it hears of nothing");
    bench.accept(5_000, vec![quality("15550783881", 5, "ONBOARDING", Some("TIER_250"))]).await;
    assert_eq!(bench.told().await[1], "15550783881 2 ONBOARDING - TIER_250");
    assert_eq!(bench.known("15550783881", What::PortfolioLimit).await, "", "what was known before is not");
}

#[tokio::test(start_paused = true)]
async fn a_number_belongs_to_the_business_account_that_last_spoke_of_it() {
    let bench = Bench::with_three_numbers().await;
    bench.store.put_business_account(business_account("5"), at(0)).await.unwrap();
    let moved = Change { business_account: "5".parse().unwrap(), ..quality("11", 2, "FLAGGED", None) };
    bench.accept(2_000, vec![moved]).await;
    assert_eq!(bench.number("11").await.business_account.as_deref(), Some("5"));
    assert_eq!(bench.accept(3_000, vec![capability(3, "10000")]).await.derived, 2);
    let theirs = Change { business_account: "5".parse().unwrap(), ..capability(4, "250") };
    assert_eq!(bench.accept(4_000, vec![theirs]).await.derived, 1);
    assert_eq!(bench.told().await.last().unwrap(), "11 3 DOWNGRADE TIER_2K TIER_250");
}

#[tokio::test(start_paused = true)]
async fn an_update_under_way_goes_with_its_business_account_to_another_account() {
    let bench = Bench::with_account().await;
    let onboarding = (0..250).map(|n| quality(&format!("9{n:04}"), 1, "ONBOARDING", Some("TIER_2K")));
    bench.accept(1_000, onboarding.collect()).await;
    assert_eq!(bench.accept(2_000, vec![capability(2, "10000")]).await.underived, 1);
    bench.store.put_account(account(2)).await.unwrap();
    let theirs =
        bellwether::model::account::BusinessAccount { account: account_id(2), ..business_account(WABA) };
    bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap();
    let nobodys = bench.store.derive(derivation(100, at(2_500), 1)).await.unwrap();
    assert_eq!(nobodys, (0, false), "it waits while that is nobody's");
    bench.store.put_business_account(theirs, at(3_000)).await.unwrap();
    let mut told = 0;
    loop {
        let (events, more) = bench.store.derive(derivation(100, at(3_000), 1)).await.unwrap();
        told += events;
        if !more {
            break;
        }
    }
    assert_eq!(told, 50, "who had heard of it is not told again");
    let number = Subject::number("90249").unwrap();
    let row = bench.store.number(account_id(2), number).await.unwrap().expect("it went there");
    assert_eq!(row.state.value(What::Limit).map(Word::as_str), Some("TIER_10K"));
}

#[tokio::test(start_paused = true)]
async fn numbers_of_the_second_schema_keep_their_limit_and_hear_of_capability_updates() {
    let bench = Bench::with_three_numbers().await;
    bench.accept(1_500, vec![super::template_change(1), change("14", 3)]).await;
    bench.meddle(super::opening::SECOND_SCHEMA);
    let bench = bench.reopened(2_000).await;
    let row = bench.number("11").await;
    let limit = row.state.known(What::Limit).unwrap();
    assert_eq!((limit.value.as_str(), row.business_account.as_deref()), ("TIER_2K", Some(WABA)));
    assert_eq!(row.state.sequence, 1);
    assert_eq!(bench.accept(3_000, vec![capability(3, "10000")]).await.derived, 4);
    assert_eq!(bench.told().await[4], "11 2 UPGRADE TIER_2K TIER_10K");
}

/// A reading at that millisecond.
fn reading_at(ms: i64, limit: &str) -> Observation {
    let mut observation = reading(0, vec![read("11", limit, "")]);
    (observation.now, observation.reading.at) = (at(ms), at(ms));
    observation
}

#[tokio::test(start_paused = true)]
async fn what_a_number_says_in_the_second_of_a_reading_counts_and_is_not_told_again() {
    let bench = Bench::with_three_numbers().await;
    bench.store.observe(reading_at(9_500, "TIER_2K")).await.unwrap();
    bench.accept(10_500, vec![quality("11", 9, "UPGRADE", Some("TIER_10K"))]).await;
    assert_eq!(bench.known("11", What::Limit).await, "TIER_10K");
    let again = bench.store.observe(reading_at(20_000, "TIER_10K")).await.unwrap();
    assert_eq!(again.unwrap().events, 0, "{:?}", bench.told().await);
}

#[tokio::test(start_paused = true)]
async fn a_notification_without_a_time_does_not_tell_again_what_a_derived_event_told() {
    let bench = Bench::with_three_numbers().await;
    bench.accept(3_000, vec![capability(3, "10000")]).await;
    let own = Change { time: None, ..quality("11", 3, "UPGRADE", Some("TIER_10K")) };
    let receipt = bench.accept(4_000, vec![own]).await;
    assert_eq!((receipt.accepted, receipt.resent), (0, 1), "{:?}", bench.told().await);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_its_old_business_account_still_lists_is_believed_where_it_is_in_use() {
    let bench = Bench::with_three_numbers().await;
    bench.store.put_business_account(super::business_account("2"), at(0)).await.unwrap();
    let mut events = 0;
    for round in 0..4_i64 {
        let old = NumberReading { status: Some("DISCONNECTED".into()), ..read("11", "TIER_250", "") };
        let mut new = reading(100 + round * 100, vec![read("11", "TIER_10K", "")]);
        new.reading.numbers[0].status = Some("CONNECTED".into());
        new.reading.business_account = "2".parse().unwrap();
        events += bench.store.observe(new).await.unwrap().unwrap().events;
        let old = reading(101 + round * 100, vec![old]);
        events += bench.store.observe(old).await.unwrap().unwrap().events;
    }
    assert_eq!((events, bench.known("11", What::Limit).await.as_str()), (1, "TIER_10K"));
    assert_eq!(bench.number("11").await.business_account.as_deref(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn an_update_under_way_waits_while_its_account_is_not_configured_and_then_goes_on() {
    let bench = Bench::with_account().await;
    for from in (0..300_u64).step_by(100) {
        let numbers =
            (from..from + 100).map(|n| quality(&format!("9{n:04}"), 1, "ONBOARDING", Some("TIER_2K")));
        bench.accept(1_000, numbers.collect()).await;
    }
    bench.accept(2_000, vec![capability(2, "10000")]).await;
    let off = bellwether::model::account::Account { chat_apps: false, ..account(ACME) };
    bench.store.put_account(off).await.unwrap();
    assert_eq!(bench.store.derive(derivation(150, at(6_000), 1)).await.unwrap(), (0, false));
    bench.store.put_account(account(ACME)).await.unwrap();
    while bench.store.derive(derivation(150, at(7_000), 2)).await.unwrap().1 {}
    assert_eq!(bench.known("90299", What::Limit).await, "TIER_10K");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_filled_in_unless_that_is_switched_off() {
    for (fill_limits, expected) in [(true, "11 2 FLAGGED - TIER_2K"), (false, "11 2 FLAGGED - -")] {
        let bench = Bench::with_three_numbers().await;
        bench.store.observe(reading(2, vec![read("11", "", "GREEN")])).await.unwrap();
        let red = Observation { fill_limits, ..reading(3, vec![read("11", "", "RED")]) };
        bench.store.observe(red).await.unwrap();
        assert_eq!(bench.told().await.last().unwrap(), expected);
    }
}
