//! The table of cases: what is known, what is said, what follows.

use super::*;
use crate::model::change::Capability;
use crate::model::number::{Known, Subject};
use crate::model::reading::NumberReading;

mod readings;

const NOW: i64 = 1_750_000_000;
const DIGITS: &str = "15550783881";

type Values<'a> = &'a [(What, &'a str)];

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds).unwrap()
}

fn quality(event: &str, current: &str, old: &str, max: &str) -> Quality {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Quality {
        display_phone_number: DIGITS.into(),
        event: event.into(),
        current_limit: some(current),
        old_limit: some(old),
        max_daily_conversations_per_business: some(max),
    }
}

/// A change whose fingerprint is made of `value`.
fn change(quality: Quality, value: u8, time: Option<i64>) -> Change {
    Change {
        business_account: "102290129340398".parse().unwrap(),
        time,
        field: "phone_number_quality_update".into(),
        subject: Subject::number(DIGITS).unwrap(),
        fingerprint: [value; 16],
        detail: Detail::Quality(quality),
        raw: String::new(),
    }
}

/// Knowing these since a while, four events old.
fn knowing(values: &[(What, &str)]) -> NumberState {
    let since = instant(NOW - 100);
    let (by, event) = (LearnedBy::Notification, Some(3));
    let known = |&(what, value): &(What, &str)| Known {
        what,
        value: Word::new(value),
        since,
        confirmed: since,
        by,
        event,
    };
    NumberState {
        sequence: 4,
        changed_at: since,
        placed: since,
        known: values.iter().map(known).collect(),
        ..NumberState::default()
    }
}

fn terms(by: LearnedBy, at: i64, position: Position) -> Terms {
    Terms { now: instant(NOW + 50), at: instant(at), position, by, fill: true, elsewhere: false }
}

fn take(state: &NumberState, change: &Change, position: Position) -> Transition {
    let at = change.time.unwrap_or(NOW + 50);
    transition(state, change, &terms(LearnedBy::Notification, at, position))
}

#[track_caller]
fn news(state: &NumberState, change: &Change) -> (NumberState, Quality, Stale) {
    let taken = take(state, change, 9);
    let Transition::News(News { state, detail: Detail::Quality(quality), stale, .. }) = taken else {
        panic!("expected news of {change:?}, not {taken:?}")
    };
    (state, quality, stale)
}

fn capability(state: &NumberState, limit: &str, at: i64, position: Position) -> Learned {
    let said = Capability { limit: limit.into(), of_portfolio: true, details: String::new() };
    by_capability(state, DIGITS, &said, true, &terms(LearnedBy::Capability, at, position))
}

fn reading(state: Option<&NumberState>, reading: &NumberReading, at: i64, position: Position) -> Learned {
    by_reading(state, DIGITS, reading, true, &terms(LearnedBy::Reconciliation, at, position))
}

fn read_limit(limit: &str) -> NumberReading {
    NumberReading { limit: Some(limit.into()), ..NumberReading::default() }
}

fn value(state: &NumberState, what: What) -> &str {
    state.value(what).map_or("", Word::as_str)
}

/// The events as `UPGRADE TIER_2K TIER_10K`.
fn told(learned: &Learned) -> Vec<String> {
    let one = |event: &DerivedEvent| {
        let Quality { event, old_limit, current_limit, .. } = &event.quality;
        [Some(event), old_limit.as_ref(), current_limit.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    learned.events.iter().map(one).collect()
}

#[test]
fn limits_are_filled_from_what_is_known_and_never_altered() {
    let nothing = NumberState::default();
    let known = knowing(&[(What::Limit, "TIER_1K")]);
    let cases = [
        // what is known, (event, current, old, max) as sent, (current, old) as told
        (&nothing, ("ONBOARDING", "", "", "TIER_2K"), ("TIER_2K", "")),
        (&nothing, ("FLAGGED", "", "", ""), ("", "")),
        (&known, ("FLAGGED", "", "", ""), ("TIER_1K", "")),
        (&known, ("UPGRADE", "TIER_10K", "", ""), ("TIER_10K", "TIER_1K")),
        (&known, ("UPGRADE", "TIER_1K", "", ""), ("TIER_1K", "")),
        (&known, ("UPGRADE", "TIER_10K", "TIER_250", "TIER_100K"), ("TIER_10K", "TIER_250")),
        (&known, ("UPGRADE", "", "", "TIER_10K"), ("TIER_10K", "TIER_1K")),
        (&known, ("UPGRADE", "", "", ""), ("", "")),
        (&known, ("UPGRADE", "1000", "", ""), ("1000", "")),
        (&known, ("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "", ""), ("TIER_UNLIMITED", "")),
        (&known, ("THROUGHPUT_UPGRADE", "", "", ""), ("", "")),
    ];
    for (state, (event, current, old, max), told) in cases {
        let (_, full, _) = news(state, &change(quality(event, current, old, max), 1, Some(NOW)));
        let said = (full.current_limit.unwrap_or_default(), full.old_limit.unwrap_or_default());
        assert_eq!((said.0.as_str(), said.1.as_str()), told, "{event} {current} {old} {max}");
    }
}

#[test]
fn nothing_is_filled_when_filling_is_off() {
    let sent = quality("UPGRADE", "", "", "TIER_10K");
    let change = change(sent.clone(), 1, Some(NOW));
    let terms = Terms { fill: false, ..terms(LearnedBy::Notification, NOW, 9) };
    let told = transition(&knowing(&[(What::Limit, "TIER_1K")]), &change, &terms);
    assert!(matches!(told, Transition::News(News { detail: Detail::Quality(told), .. }) if told == sent));
}

#[test]
fn each_change_is_learned_for_what_it_is_about() {
    use What::{Flagged, Limit, PortfolioLimit, Throughput};
    type Said<'a> = (&'a str, &'a str, &'a str);
    let cases: [(Said<'_>, Values<'_>); 10] = [
        (("UPGRADE", "TIER_10K", ""), &[(Limit, "TIER_10K")]),
        (("UPGRADE", "", "TIER_10K"), &[(Limit, "TIER_10K"), (PortfolioLimit, "TIER_10K")]),
        (("DOWNGRADE", "tier_odd", "250"), &[(Limit, "tier_odd"), (PortfolioLimit, "250")]),
        (("ONBOARDING", "TIER_250", ""), &[(Limit, "TIER_250")]),
        (("FLAGGED", "", ""), &[(Flagged, "FLAGGED")]),
        (("UNFLAGGED", "TIER_1K", ""), &[(Flagged, "UNFLAGGED"), (Limit, "TIER_1K")]),
        (("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", ""), &[(Throughput, "HIGH")]),
        (("THROUGHPUT_DOWNGRADE", "TIER_1K", "2000"), &[(Throughput, "STANDARD"), (PortfolioLimit, "2000")]),
        (("THROUGHPUT_SOMETHING", "TIER_1K", ""), &[]),
        (("SOMETHING_NEW", "", ""), &[]),
    ];
    for ((event, current, max), learned) in cases {
        let (state, ..) =
            news(&NumberState::default(), &change(quality(event, current, "", max), 1, Some(NOW)));
        for what in What::ALL {
            let expected = learned.iter().find(|(known, _)| *known == what).map_or("", |(_, value)| value);
            assert_eq!(value(&state, what), expected, "{event} {current} {max}: {what:?}");
        }
    }
}

#[test]
fn a_late_change_is_told_changes_nothing_and_says_what_of_it_is_stale() {
    let known = knowing(&[(What::Limit, "TIER_1K"), (What::Flagged, "UNFLAGGED")]);
    let late = |event, limit| change(quality(event, limit, "", ""), 1, Some(NOW - 9_000));
    let cases: [(&str, &str, &[What]); 5] = [
        ("UPGRADE", "TIER_250", &[What::Limit]),
        ("FLAGGED", "TIER_250", &[What::Limit, What::Flagged]),
        ("FLAGGED", "1000", &[What::Flagged]),
        ("UNFLAGGED", "", &[]),
        ("UPGRADE", "TIER_1K", &[]),
    ];
    for (event, limit, stale) in cases {
        let (state, told, named) = news(&known, &late(event, limit));
        assert_eq!(told.old_limit, None, "{event} {limit}: what is known now was not the limit before");
        assert_eq!(named.iter().collect::<Vec<_>>(), stale, "{event} {limit}");
        assert_eq!((value(&state, What::Limit), value(&state, What::Flagged)), ("TIER_1K", "UNFLAGGED"));
        assert_eq!(state.sequence, 5);
    }
}

#[test]
fn what_was_confirmed_later_is_not_overtaken_by_what_lies_between() {
    let known = knowing(&[(What::Limit, "TIER_10K")]);
    let (confirmed, ..) = news(&known, &change(quality("FLAGGED", "10000", "", ""), 1, Some(NOW)));
    let (next, _, late) =
        news(&confirmed, &change(quality("DOWNGRADE", "TIER_2K", "", ""), 2, Some(NOW - 50)));
    assert_eq!((value(&next, What::Limit), late.is_empty()), ("TIER_10K", false));
    let limit = next.known(What::Limit).unwrap();
    assert_eq!((limit.since, limit.confirmed), (instant(NOW - 100), instant(NOW)));
}

#[test]
fn a_time_far_ahead_does_not_keep_later_changes_from_counting() {
    let bogus = change(quality("UPGRADE", "TIER_100K", "", ""), 1, Some(NOW + 900_000_000));
    let (state, ..) = news(&NumberState::default(), &bogus);
    assert_eq!(state.known(What::Limit).unwrap().confirmed, instant(NOW + 50).plus(AHEAD));
}

#[test]
fn the_latest_value_stamped_anew_within_8_days_is_a_resend_and_later_or_changed_it_is_news() {
    let upgrade = |value, time| change(quality("UPGRADE", "TIER_10K", "", ""), value, time);
    let (state, ..) = news(&NumberState::default(), &upgrade(1, Some(NOW)));
    let resent =
        |state: &NumberState, change: &Change| matches!(take(state, change, 1), Transition::Resent(..));
    assert!(resent(&state, &upgrade(1, Some(NOW + 1))));
    assert!(resent(&state, &upgrade(1, Some(NOW + RESEND_SECONDS))));
    assert!(!resent(&state, &upgrade(1, Some(NOW + RESEND_SECONDS + 1))));
    assert!(!resent(&state, &upgrade(1, Some(NOW - 1))), "an earlier one is late news");
    let (between, ..) = news(&state, &upgrade(2, Some(NOW + 1)));
    assert!(!resent(&between, &upgrade(1, Some(NOW + 2))), "after a different one it is news again");
    let lowered = capability(&state, "2000", NOW + 1, 10).state;
    assert!(!resent(&lowered, &upgrade(1, Some(NOW + 2))), "after a derived one, too");
}

#[test]
fn another_fields_change_in_between_leaves_a_resend_a_resend() {
    let upgrade = |time| change(quality("UPGRADE", "TIER_10K", "", ""), 1, Some(time));
    let other = Change { field: "account_update".into(), ..change(quality("X", "", "", ""), 9, Some(NOW)) };
    let (state, ..) = news(&NumberState::default(), &upgrade(NOW));
    let (state, ..) = news(&state, &other);
    assert!(matches!(take(&state, &upgrade(NOW + 5), 1), Transition::Resent(..)));
}

#[test]
fn every_event_has_the_next_sequence() {
    let known = knowing(&[(What::Limit, "TIER_1K")]);
    let (next, ..) = news(&known, &change(quality("UPGRADE", "", "", ""), 1, None));
    assert_eq!(next.sequence, 5);
    assert_eq!(capability(&known, "2000", NOW, 9).state.sequence, 5);
}

#[test]
fn a_capability_update_is_an_upgrade_or_a_downgrade_of_a_limit_that_is_known() {
    let cases = [
        // the limit known, as said, what is told, the limit afterwards
        ("TIER_2K", "10000", "UPGRADE TIER_2K TIER_10K", "TIER_10K"),
        ("TIER_2K", "TIER_10K", "UPGRADE TIER_2K TIER_10K", "TIER_10K"),
        ("2000", "tier_10k", "UPGRADE TIER_2K TIER_10K", "TIER_10K"),
        ("TIER_2K", "-1", "UPGRADE TIER_2K TIER_UNLIMITED", "TIER_UNLIMITED"),
        ("TIER_10K", "UNLIMITED", "UPGRADE TIER_10K TIER_UNLIMITED", "TIER_UNLIMITED"),
        ("-1", "TIER_100K", "DOWNGRADE TIER_UNLIMITED TIER_100K", "TIER_100K"),
        ("TIER_10K", "250", "DOWNGRADE TIER_10K TIER_250", "TIER_250"),
        ("TIER_2K", "5000", "UPGRADE TIER_2K 5000", "5000"),
        ("TIER_NOT_SET", "2000", "UPGRADE TIER_NOT_SET TIER_2K", "TIER_2K"),
        ("TIER_2K", "2000", "", "TIER_2K"),
        ("TIER_UNLIMITED", "-1", "", "TIER_UNLIMITED"),
        ("TIER_2K", "SOMETHING", "", "TIER_2K"),
        ("", "10000", "", "TIER_10K"),
        ("", "TIER_NOT_SET", "", "TIER_NOT_SET"),
        ("", "SOMETHING", "", "SOMETHING"),
        ("TIER_250", "TIER_NOT_SET", "DOWNGRADE TIER_250 TIER_NOT_SET", "TIER_NOT_SET"),
    ];
    for (known, said, event, after) in cases {
        let before = if known.is_empty() { NumberState::default() } else { knowing(&[(What::Limit, known)]) };
        let learned = capability(&before, said, NOW, 9);
        assert_eq!(told(&learned).join(""), event, "{known} {said}");
        assert_eq!(
            (value(&learned.state, What::Limit), value(&learned.state, What::PortfolioLimit)),
            (after, said)
        );
        let max =
            learned.events.first().map(|event| event.quality.max_daily_conversations_per_business.clone());
        assert!(max.is_none_or(|max| max.as_deref() == Some(said)), "as said");
        let again = capability(&learned.state, said, NOW + 1, 10);
        assert_eq!((told(&again), again.quiet), (vec![], vec![]), "said again it is nothing new");
    }
}

#[test]
fn what_is_known_later_stays_whatever_a_late_capability_update_or_reading_says() {
    let known = knowing(&[(What::Limit, "TIER_10K")]);
    assert_eq!(told(&capability(&known, "2000", NOW - 101, 9)), Vec::<String>::new());
    let learned = reading(Some(&known), &read_limit("TIER_2K"), NOW - 101, 9);
    assert_eq!((told(&learned), value(&learned.state, What::Limit)), (vec![], "TIER_10K"));
}

#[test]
fn without_deriving_only_the_portfolios_limit_is_learned() {
    let known = knowing(&[(What::Limit, "TIER_2K")]);
    let said = Capability { limit: "10000".into(), of_portfolio: true, details: String::new() };
    let learned = by_capability(&known, DIGITS, &said, false, &terms(LearnedBy::Capability, NOW, 9));
    assert_eq!((told(&learned), learned.quiet.len(), learned.state.revision), (vec![], 1, 1));
    assert_eq!(value(&learned.state, What::Limit), "TIER_2K");
}

#[test]
fn whichever_of_a_notification_and_a_capability_update_comes_first_it_is_told_once() {
    let known = knowing(&[(What::Limit, "TIER_2K")]);
    let own = |time| change(quality("UPGRADE", "TIER_10K", "TIER_2K", ""), 1, Some(time));
    // The notification's time lies before, at and behind the update's.
    for time in [NOW - 5, NOW, NOW + 5] {
        let (after_own, ..) = news(&known, &own(time));
        let learned = capability(&after_own, "10000", NOW, 10);
        assert_eq!(told(&learned), Vec::<String>::new(), "{time}: the notification said it already");
        let first = capability(&known, "10000", NOW, 9);
        assert_eq!(first.events.len(), 1);
        let Transition::Resent(state, 9, _) = take(&first.state, &own(time), 10) else {
            panic!("{time}: the derived event said it already");
        };
        assert_eq!((state.sequence, value(&state, What::Limit)), (5, "TIER_10K"));
        let again = own(time + 1);
        assert!(matches!(take(&state, &again, 10), Transition::Resent(..)), "stamped anew");
    }
}

#[test]
fn a_notification_that_follows_two_capability_updates_is_recognised_by_the_one_it_repeats() {
    let known = knowing(&[(What::Limit, "TIER_2K")]);
    let first = capability(&known, "10000", NOW, 9).state;
    let second = capability(&first, "100000", NOW + 10, 10).state;
    let own = |limit: &str, value, time| change(quality("UPGRADE", limit, "", ""), value, Some(time));
    let Transition::Resent(state, 9, _) = take(&second, &own("TIER_10K", 1, NOW + 1), 11) else { panic!() };
    let Transition::Resent(state, 10, _) = take(&state, &own("TIER_100K", 2, NOW + 11), 11) else { panic!() };
    assert_eq!(value(&state, What::Limit), "TIER_100K");
}

#[test]
fn after_another_limit_in_between_the_same_one_is_news_again() {
    let derived = capability(&knowing(&[(What::Limit, "TIER_2K")]), "10000", NOW, 9).state;
    let own = |event, limit, value, time| change(quality(event, limit, "", ""), value, Some(time));
    let (lowered, ..) = news(&derived, &own("DOWNGRADE", "TIER_2K", 1, NOW + 10));
    let (raised, told, stale) = news(&lowered, &own("UPGRADE", "TIER_10K", 2, NOW + 20));
    assert_eq!((value(&raised, What::Limit), told.old_limit.as_deref()), ("TIER_10K", Some("TIER_2K")));
    assert!(stale.is_empty());
}

#[test]
fn a_notification_that_says_more_than_the_derived_event_is_news() {
    let known = knowing(&[(What::Limit, "TIER_2K"), (What::PortfolioLimit, "2000")]);
    let derived = capability(&known, "10000", NOW, 9).state;
    let more = change(quality("UPGRADE", "TIER_10K", "", "TIER_100K"), 1, Some(NOW + 1));
    let (state, ..) = news(&derived, &more);
    assert_eq!(value(&state, What::PortfolioLimit), "TIER_100K");
    let in_other_words = change(quality("UPGRADE", "", "", "10000"), 1, Some(NOW + 1));
    let read = reading(Some(&known), &read_limit("TIER_10K"), NOW, 9).state;
    let Transition::Resent(state, 9, changed) = take(&read, &in_other_words, 10) else { panic!() };
    assert_eq!((value(&state, What::PortfolioLimit), changed.len(), state.revision), ("10000", 1, 1));
    let timeless = change(quality("UPGRADE", "TIER_10K", "", ""), 1, None);
    assert!(matches!(take(&derived, &timeless, 10), Transition::Resent(_, 9, _)));
    let published = terms(LearnedBy::Published, NOW + 50, 10);
    assert!(matches!(transition(&derived, &timeless, &published), Transition::News(_)));
}

#[test]
fn a_reading_makes_the_events_that_were_missed_and_learns_the_rest() {
    use What::{Flagged, Limit, Rating, Throughput};
    type Read<'a> = (&'a str, &'a str, &'a str);
    let cases: [(Values<'_>, Read<'_>, &[&str]); 13] = [
        (&[(Limit, "TIER_2K")], ("TIER_10K", "", ""), &["UPGRADE TIER_2K TIER_10K"]),
        (&[(Limit, "TIER_2K")], ("TIER_250", "", ""), &["DOWNGRADE TIER_2K TIER_250"]),
        (&[(Limit, "2000")], ("TIER_2K", "", ""), &[]),
        (&[], ("TIER_2K", "HIGH", "RED"), &["ONBOARDING TIER_2K"]),
        (&[(Throughput, "STANDARD")], ("", "HIGH", ""), &["THROUGHPUT_UPGRADE TIER_UNLIMITED"]),
        (&[(Throughput, "HIGH")], ("", "STANDARD", ""), &[]),
        (&[(Rating, "GREEN")], ("", "", "YELLOW"), &[]),
        (&[(Rating, "GREEN"), (Limit, "TIER_2K")], ("", "", "RED"), &["FLAGGED TIER_2K"]),
        (&[(Rating, "YELLOW"), (Flagged, "FLAGGED")], ("", "", "RED"), &[]),
        (&[(Rating, "RED"), (Flagged, "FLAGGED")], ("", "", "YELLOW"), &["UNFLAGGED"]),
        (&[(Rating, "RED"), (Flagged, "FLAGGED")], ("", "", "UNKNOWN"), &[]),
        (&[(Rating, "RED"), (Flagged, "UNFLAGGED")], ("", "", "GREEN"), &[]),
        (
            &[(Rating, "GREEN"), (Limit, "TIER_2K"), (Throughput, "STANDARD")],
            ("10000", "HIGH", "RED"),
            &["UPGRADE TIER_2K TIER_10K", "THROUGHPUT_UPGRADE TIER_UNLIMITED", "FLAGGED TIER_10K"],
        ),
    ];
    for (known, (limit, throughput, rating), events) in cases {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let read = NumberReading {
            display_phone_number: "+1 555-078-3881".into(),
            quality_rating: some(rating),
            throughput: some(throughput),
            status: Some("CONNECTED".into()),
            limit: some(limit),
            of_portfolio: false,
        };
        let before = knowing(known);
        let learned = reading(Some(&before), &read, NOW, 9);
        assert_eq!(told(&learned), events, "{known:?} {limit} {throughput} {rating}");
        let made = i64::try_from(learned.events.len()).unwrap();
        assert_eq!(learned.state.sequence, before.sequence + made);
        for (what, said) in [(Rating, rating), (Throughput, throughput), (What::Status, "CONNECTED")] {
            assert!(said.is_empty() || value(&learned.state, what) == said, "{what:?} {said}");
        }
        let again = reading(Some(&learned.state), &read, NOW + 9, 20);
        assert_eq!((told(&again), again.quiet), (vec![], vec![]), "read again it is nothing new");
    }
}

#[test]
fn a_number_flagged_for_its_rating_is_unflagged_once_a_better_one_is_known_again() {
    let rated =
        |rating: &str| NumberReading { quality_rating: Some(rating.into()), ..NumberReading::default() };
    let mut state = knowing(&[(What::Rating, "GREEN")]);
    let mut events = Vec::new();
    for (at, rating) in (NOW..).zip(["RED", "UNKNOWN", "RED", "NA", "YELLOW", "GREEN"]) {
        let learned = reading(Some(&state), &rated(rating), at, 9);
        events.extend(told(&learned));
        state = learned.state;
    }
    assert_eq!(events, ["FLAGGED", "UNFLAGGED"]);
    let quiet =
        by_reading(Some(&state), DIGITS, &rated("RED"), false, &terms(LearnedBy::Reconciliation, NOW + 9, 9));
    assert_eq!((told(&quiet), quiet.state.revision), (vec![], state.revision + 1), "by a switch");
}

#[test]
fn a_number_that_nobody_knew_is_onboarded_and_its_own_notification_repeats_that() {
    let read = NumberReading { throughput: Some("HIGH".into()), ..read_limit("TIER_2K") };
    let learned = reading(None, &read, NOW, 9);
    assert_eq!(told(&learned), ["ONBOARDING TIER_2K"]);
    assert_eq!((learned.state.sequence, value(&learned.state, What::Throughput)), (1, "HIGH"));
    let own = change(quality("ONBOARDING", "TIER_2K", "", ""), 1, Some(NOW - 60));
    assert!(matches!(take(&learned.state, &own, 10), Transition::Resent(_, 9, _)));
    let much_later = change(quality("ONBOARDING", "TIER_2K", "", ""), 1, Some(NOW + 2 * RESEND_SECONDS));
    news(&learned.state, &much_later);
}

#[test]
fn what_is_entered_by_hand_counts_and_what_is_retired_comes_back_by_what_is_said_later() {
    let known = knowing(&[(What::Limit, "TIER_10K"), (What::Rating, "GREEN")]);
    let entered = ByHand { values: vec![(What::Limit, Word::new("TIER_2K"))] };
    let learned = by_hand(&known, DIGITS, &entered, &terms(LearnedBy::Hand, NOW + 50, 9));
    assert_eq!(
        (value(&learned.state, What::Limit), value(&learned.state, What::Rating)),
        ("TIER_2K", "GREEN")
    );
    assert_eq!((told(&learned), learned.state.sequence, learned.state.revision), (vec![], 4, 1));
    let gone = retired(&learned.state, instant(NOW + 60));
    assert!(gone.retired);
    assert_eq!(reading(Some(&gone), &read_limit("TIER_2K"), NOW + 60, 10).state, gone, "read before");
    let back = reading(Some(&gone), &read_limit("TIER_2K"), NOW + 70, 10);
    assert_eq!(
        (told(&back), back.state.sequence, back.state.retired),
        (vec!["ONBOARDING TIER_2K".into()], 5, false)
    );
    let flagged = |time| change(quality("FLAGGED", "", "", ""), 1, Some(time));
    let (late, _, stale) = news(&gone, &flagged(NOW + 60));
    assert!(late.retired && stale.is_empty(), "what is late is told, and revives nothing");
    let (own, ..) = news(&gone, &flagged(NOW + 70));
    assert_eq!(
        (own.retired, value(&own, What::Limit)),
        (false, "TIER_2K"),
        "as its receivers were told last"
    );
    assert_eq!(told(&capability(&own, "10000", NOW + 80, 11)), ["UPGRADE TIER_2K TIER_10K"]);
    let (anew, ..) = news(&gone, &change(quality("ONBOARDING", "", "", ""), 1, Some(NOW + 70)));
    assert!(!anew.retired && anew.known.is_empty(), "introduced, it begins anew");
    let by_hand = by_hand(&gone, DIGITS, &ByHand::default(), &terms(LearnedBy::Hand, NOW + 70, 9)).state;
    assert!(!by_hand.retired && by_hand.known.is_empty(), "entered, too");
    let other = Change {
        detail: Detail::Other { event_type: "account_update".into(), details: "{}".into() },
        ..flagged(NOW + 70)
    };
    let Transition::News(News { state, .. }) = take(&gone, &other, 9) else { panic!() };
    assert!(state.retired, "that says nothing of how it is");
    let (_, _, stale) = news(&back.state, &flagged(NOW + 55));
    assert_eq!(stale.iter().collect::<Vec<_>>(), [What::Flagged], "nor is anything taken from before");
}

#[test]
fn a_resend_shows_that_a_retired_number_is_in_use() {
    let upgrade = |time| change(quality("UPGRADE", "TIER_10K", "", ""), 1, Some(time));
    let (state, ..) = news(&NumberState::default(), &upgrade(NOW));
    let gone = retired(&state, instant(NOW + 10));
    for (time, still) in [(NOW + 10, true), (NOW + 11, false)] {
        let Transition::Resent(next, ..) = take(&gone, &upgrade(time), 10) else { panic!("{time}") };
        assert_eq!(next.retired, still, "{time}");
        assert_eq!(value(&next, What::Limit), "TIER_10K");
        assert_eq!(next.revision, gone.revision + i64::from(!still));
    }
}

#[test]
fn a_number_belongs_to_the_business_account_that_spoke_of_it_for_the_latest_time() {
    let known = knowing(&[(What::Limit, "TIER_10K")]);
    for (at, elsewhere, expected) in
        [(NOW - 101, true, false), (NOW - 100, true, true), (NOW, true, true), (NOW, false, false)]
    {
        let terms = Terms { elsewhere, ..terms(LearnedBy::Notification, at, 9) };
        assert_eq!(moves(&known, &terms), expected, "{at} {elsewhere}");
        let said = change(quality("UPGRADE", "TIER_100K", "", ""), 1, Some(at));
        let Transition::News(News { state, .. }) = transition(&known, &said, &terms) else { panic!() };
        assert_eq!(state.revision, i64::from(expected), "that is a change");
        let read = by_reading(Some(&known), DIGITS, &read_limit("TIER_10K"), true, &terms);
        assert_eq!(read.state.revision, i64::from(expected));
    }
    let nameless = change(quality("ONBOARDING", "", "", ""), 1, Some(NOW));
    let (moved, ..) = news(&known, &nameless);
    let between = Terms { elsewhere: true, ..terms(LearnedBy::Notification, NOW - 50, 9) };
    assert!(moves(&known, &between) && !moves(&moved, &between), "what says no value counts, too");
    let heard = capability(&known, "10000", NOW, 9).state;
    assert!(moves(&heard, &between), "what is said of all numbers of one says nothing of whose they are");
    let gone = retired(&known, instant(NOW));
    let late = Terms { elsewhere: true, ..terms(LearnedBy::Notification, NOW, 9) };
    assert!(!moves(&gone, &late), "nor is it taken from where it was retired by what is late");
}

#[test]
fn what_is_known_elsewhere_is_brought_along_and_what_is_newer_here_stays() {
    let from = knowing(&[(What::Limit, "TIER_10K"), (What::Rating, "GREEN")]);
    let Brought { state: new, changed, moved } = brought(&NumberState::default(), &from, instant(NOW));
    assert!(moved);
    assert_eq!((value(&new, What::Limit), value(&new, What::Rating)), ("TIER_10K", "GREEN"));
    assert_eq!((new.sequence, new.revision, new.changed_at, changed.len()), (0, 1, instant(NOW), 2));
    assert!(new.known.iter().all(|known| known.event.is_none()), "another account's events told it");
    let own = change(quality("UPGRADE", "TIER_2K", "", ""), 1, Some(NOW - 50));
    let (here, ..) = news(&NumberState::default(), &own);
    let Brought { state: merged, changed, moved } = brought(&here, &from, instant(NOW));
    assert!(!moved, "what was said later was said by another");
    assert_eq!((value(&merged, What::Limit), value(&merged, What::Rating)), ("TIER_2K", "GREEN"));
    assert_eq!((merged.sequence, changed.len(), merged.latest.len()), (1, 1, 1));
    assert_eq!(brought(&merged, &from, instant(NOW + 1)).state, merged, "once more is nothing");
    let gone = retired(&here, instant(NOW - 10));
    assert!(brought(&gone, &from, instant(NOW)).state.retired, "it was retired later");
}

#[test]
fn a_change_without_a_time_counts_for_when_it_came() {
    let known = knowing(&[(What::Limit, "TIER_10K")]);
    let timeless = change(quality("DOWNGRADE", "TIER_2K", "", ""), 1, None);
    let late = terms(LearnedBy::Notification, NOW - 9_000, 9);
    let Transition::News(News { state, stale, .. }) = transition(&known, &timeless, &late) else { panic!() };
    assert_eq!((value(&state, What::Limit), stale.is_empty()), ("TIER_10K", false));
    assert_eq!(state.latest[0].time, NOW - 9_000);
}
