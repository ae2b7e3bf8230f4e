//! What must hold whatever is said, in whatever order, however often.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::model::change::Capability;
use crate::model::number::Subject;
use crate::model::reading::NumberReading;

const BEGAN: i64 = 1_750_000_000;
const DIGITS: &str = "15550783881";
const LIMITS: [&str; 7] = ["TIER_250", "2000", "TIER_2K", "tier_10k", "10000", "-1", "ODD"];
const EVENTS: [&str; 6] =
    ["UPGRADE", "DOWNGRADE", "ONBOARDING", "FLAGGED", "UNFLAGGED", "THROUGHPUT_UPGRADE"];

/// Something that is said of the number.
#[derive(Debug, Clone)]
enum Saying {
    Own(Quality, i64),
    Capability(&'static str, i64),
    Reading(NumberReading, i64),
}

fn saying() -> impl Strategy<Value = Saying> {
    let some = |from: &'static [&'static str]| prop::option::of(select(from).prop_map(str::to_owned));
    let time = || BEGAN..BEGAN + 40;
    prop_oneof![
        (select(&EVENTS[..]), some(&LIMITS), some(&LIMITS), time()).prop_map(
            |(event, current, max, time)| {
                let quality = Quality {
                    display_phone_number: DIGITS.into(),
                    event: event.into(),
                    current_limit: current,
                    old_limit: None,
                    max_daily_conversations_per_business: max,
                };
                Saying::Own(quality, time)
            }
        ),
        (select(&LIMITS[..]), time()).prop_map(|(limit, time)| Saying::Capability(limit, time)),
        (
            (some(&LIMITS), any::<bool>()),
            some(&["STANDARD", "HIGH", "NOT_APPLICABLE"]),
            some(&["GREEN", "RED", "UNKNOWN"]),
            select(&["CONNECTED", "DISCONNECTED"][..]),
            time()
        )
            .prop_map(|((limit, of_portfolio), throughput, quality_rating, status, time)| {
                let display_phone_number = DIGITS.to_owned();
                let status = Some(status.to_owned());
                let reading = NumberReading {
                    display_phone_number,
                    quality_rating,
                    throughput,
                    status,
                    limit,
                    of_portfolio,
                };
                Saying::Reading(reading, time)
            }),
    ]
}

/// A number, and a receiver of its events.
#[derive(Default)]
struct Play {
    state: Option<NumberState>,
    position: Position,
    /// What the receiver has taken from the events: the last that is not stale.
    received: BTreeMap<&'static str, String>,
    events: usize,
}

impl Play {
    fn say(&mut self, saying: &Saying) {
        let before = self.state.clone().unwrap_or_default();
        let terms = |by, at| Terms {
            now: Timestamp::from_seconds(BEGAN + 100).unwrap(),
            at: Timestamp::from_seconds(at).unwrap(),
            position: self.position + 1,
            by,
            fill: true,
            elsewhere: false,
        };
        let learned = match saying {
            Saying::Own(quality, time) => return self.own(&before, quality, *time),
            Saying::Capability(limit, at) => {
                let said = Capability { limit: (*limit).into(), of_portfolio: true, details: String::new() };
                by_capability(&before, DIGITS, &said, true, &terms(LearnedBy::Capability, *at))
            }
            Saying::Reading(reading, at) => {
                by_reading(self.state.as_ref(), DIGITS, reading, true, &terms(LearnedBy::Reconciliation, *at))
            }
        };
        assert_eq!(learned.state.sequence, before.sequence + i64::try_from(learned.events.len()).unwrap());
        for event in &learned.events {
            self.position += 1;
            self.receive(&event.quality, Stale::default());
        }
        self.state = Some(learned.state);
    }

    fn own(&mut self, before: &NumberState, quality: &Quality, time: i64) {
        let mut fingerprint = [0; 16];
        let text = format!("{quality:?}");
        for (at, byte) in (0_u32..).zip(text.bytes()) {
            fingerprint[at as usize % 16] ^= byte.rotate_left(at);
        }
        let change = Change {
            business_account: "102290129340398".parse().unwrap(),
            time: Some(time),
            field: "phone_number_quality_update".into(),
            subject: Subject::number(DIGITS).unwrap(),
            fingerprint,
            detail: Detail::Quality(quality.clone()),
            raw: String::new(),
        };
        let terms = Terms {
            now: Timestamp::from_seconds(BEGAN + 100).unwrap(),
            at: Timestamp::from_seconds(time).unwrap(),
            position: self.position + 1,
            by: LearnedBy::Notification,
            fill: true,
            elsewhere: false,
        };
        match transition(before, &change, &terms) {
            Transition::Resent(state, event, _) => {
                assert!(event <= self.position && state.sequence == before.sequence);
                self.state = Some(state);
            }
            Transition::News(News { state, detail: Detail::Quality(told), stale, .. }) => {
                assert_eq!(state.sequence, before.sequence + 1);
                self.position += 1;
                self.receive(&told, stale);
                self.state = Some(state);
            }
            Transition::News(other) => panic!("{other:?}"),
        }
    }

    /// As a receiver does that takes values by sequence.
    fn receive(&mut self, told: &Quality, stale: Stale) {
        self.events += 1;
        let fresh = |what| !stale.iter().any(|stale| stale == what);
        let limit = told.current_limit.as_ref().filter(|_| !told.event.starts_with("THROUGHPUT"));
        if let Some(limit) = limit.filter(|_| fresh(What::Limit)) {
            self.received.insert("limit", limit.clone());
        }
        let portfolio = told.max_daily_conversations_per_business.as_ref();
        if let Some(limit) = portfolio.filter(|_| fresh(What::PortfolioLimit)) {
            self.received.insert("portfolio", limit.clone());
        }
        match told.event.as_str() {
            "THROUGHPUT_UPGRADE" if fresh(What::Throughput) => {
                self.received.insert("throughput", "HIGH".into());
            }
            "FLAGGED" | "UNFLAGGED" if fresh(What::Flagged) => {
                self.received.insert("flagged", told.event.clone());
            }
            _ => {}
        }
    }

    /// The receiver's last values are what is known, as far as events tell it.
    fn check(&self) {
        let state = self.state.clone().unwrap_or_default();
        let told = [
            ("limit", What::Limit),
            ("portfolio", What::PortfolioLimit),
            ("throughput", What::Throughput),
            ("flagged", What::Flagged),
        ];
        for (name, what) in told {
            let Some(received) = self.received.get(name) else { continue };
            let known = state.known(what).expect("what was told is known");
            // There is no event for a throughput that falls, nor for a portfolio's limit
            // that says in its words what the number's has become.
            let silent = matches!(what, What::Throughput | What::PortfolioLimit);
            let untold = silent && known.event.is_none();
            assert!(untold || what.same(&known.value, &Word::new(received)), "{name}: {received} {known:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_said_the_receivers_last_values_are_what_is_known(all in vec(saying(), 1..30)) {
        let mut play = Play::default();
        for saying in &all {
            play.say(saying);
            play.check();
        }
    }

    #[test]
    fn nothing_regresses_and_unknown_values_pass(all in vec(saying(), 1..30)) {
        let mut play = Play::default();
        for saying in &all {
            let before = play.state.clone().unwrap_or_default();
            play.say(saying);
            for known in &play.state.as_ref().unwrap().known {
                let earlier = before.known(known.what).map(|before| before.confirmed);
                prop_assert!(earlier.is_none_or(|earlier| earlier <= known.confirmed));
            }
        }
    }

    #[test]
    fn what_others_say_once_more_makes_no_event_and_changes_nothing(all in vec(saying(), 1..20)) {
        let mut play = Play::default();
        for saying in &all {
            play.say(saying);
            if !matches!(saying, Saying::Own(..)) {
                let (before, events) = (play.state.clone(), play.events);
                play.say(saying);
                prop_assert_eq!((&play.state, play.events), (&before, events));
            }
        }
    }

    #[test]
    fn a_limit_said_by_both_is_told_once_in_either_order(
        known in select(&LIMITS[..]), limit in select(&LIMITS[..]), apart in -20_i64..20, own_first: bool,
    ) {
        let onboarding = Quality {
            display_phone_number: DIGITS.into(), event: "ONBOARDING".into(),
            current_limit: Some(known.into()), old_limit: None, max_daily_conversations_per_business: None,
        };
        let upgrade = Quality { event: "UPGRADE".into(), current_limit: Some(limit.into()), ..onboarding.clone() };
        let mut play = Play::default();
        play.say(&Saying::Own(onboarding, BEGAN - 1_000));
        let capability = Saying::Capability(limit, BEGAN);
        let mut both = [Saying::Own(upgrade, BEGAN + apart), capability.clone()];
        if !own_first {
            both.reverse();
        }
        both.iter().chain([&capability]).for_each(|saying| play.say(saying));
        let changes = !What::Limit.same(&Word::new(known), &Word::new(limit));
        if changes && limit != "ODD" {
            prop_assert_eq!(play.events, 2);
        }
    }
}
