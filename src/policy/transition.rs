//! A number's state and a change: whether it is news, what it says in full,
//! and what is known afterwards (contract.md 5.1 and 5.5).

use crate::model::change::{Change, Detail, Quality};
use crate::model::id::Position;
use crate::model::number::{LATEST_KEPT, Latest, NumberState};
use crate::model::time::Timestamp;

/// Within this span the latest value, stamped anew, is a resend.
pub const RESEND_SECONDS: i64 = 8 * 24 * 3600;

/// Events that speak of the messaging limit, so that an old limit makes sense.
const LIMIT_EVENTS: [&str; 2] = ["UPGRADE", "DOWNGRADE"];

/// What a change means for its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The latest value again with a later time: no event, but a note at the one
    /// at this position.
    Resent(NumberState, Position),
    /// An event, and what is known after it.
    News(NumberState, Detail),
}

/// Holds `change`, arrived at `now`, against what is known of its number. If it
/// is news, its event will be at `position`. `fill` allows limits to be filled
/// in; what Meta sent is never altered.
pub fn transition(
    state: &NumberState,
    change: &Change,
    now: Timestamp,
    position: Position,
    fill: bool,
) -> Transition {
    let time = change.time.unwrap_or_else(|| now.seconds());
    if let Some(event) = resent(state, change, time) {
        let latest = latest_after(state, change, time, event);
        return Transition::Resent(NumberState { latest, ..state.clone() }, event);
    }
    let detail = match &change.detail {
        Detail::Quality(quality) if fill => Detail::Quality(filled(state, quality)),
        detail @ (Detail::Quality(_) | Detail::Other { .. }) => detail.clone(),
    };
    let next = NumberState {
        sequence: state.sequence + 1,
        limit: limit_after(state, &change.detail, Timestamp::from_seconds(time).unwrap_or(now)),
        latest: latest_after(state, change, time, position),
    };
    Transition::News(next, detail)
}

/// The position of the event that `change` repeats, if it is a resend.
fn resent(state: &NumberState, change: &Change, time: i64) -> Option<Position> {
    let about_a_number = change.subject.digits().is_some();
    let latest = state.latest.iter().find(|latest| latest.field == change.field);
    let latest = latest.filter(|_| about_a_number && change.time.is_some())?;
    let age = time.saturating_sub(latest.time);
    let again = latest.fingerprint == change.fingerprint && age > 0 && age <= RESEND_SECONDS;
    again.then_some(latest.event)
}

fn latest_after(state: &NumberState, change: &Change, time: i64, event: Position) -> Vec<Latest> {
    let Change { field, fingerprint, .. } = change;
    let mut latest: Vec<_> = state.latest.iter().filter(|latest| latest.field != *field).cloned().collect();
    latest.push(Latest { field: field.clone(), fingerprint: *fingerprint, time, event });
    let surplus = latest.len().saturating_sub(LATEST_KEPT);
    latest.drain(..surplus);
    latest
}

fn filled(state: &NumberState, quality: &Quality) -> Quality {
    let mut filled = quality.clone();
    if filled.current_limit.is_none() {
        filled.current_limit.clone_from(&quality.max_daily_conversations_per_business);
    }
    let known = state.limit.as_ref().map(|(limit, _)| limit);
    let speaks_of_limit = LIMIT_EVENTS.contains(&quality.event.as_str());
    if filled.old_limit.is_none() && speaks_of_limit && filled.current_limit.as_ref() != known {
        filled.old_limit = known.cloned();
    }
    if filled.current_limit.is_none() && !speaks_of_limit && !speaks_of_throughput(quality) {
        filled.current_limit = known.cloned();
    }
    filled
}

/// On throughput changes `current_limit` is the throughput level, not the
/// messaging limit (seed, *meta object description*).
fn speaks_of_throughput(quality: &Quality) -> bool {
    quality.event.starts_with("THROUGHPUT")
}

/// The limit known after a change: what it says, unless something later is known.
fn limit_after(state: &NumberState, detail: &Detail, time: Timestamp) -> Option<(String, Timestamp)> {
    let Detail::Quality(quality) = detail else {
        return state.limit.clone();
    };
    if speaks_of_throughput(quality) {
        return state.limit.clone();
    }
    let said = quality.current_limit.as_ref().or(quality.max_daily_conversations_per_business.as_ref());
    let known_later = state.limit.as_ref().is_some_and(|(_, since)| *since > time);
    match said.filter(|_| !known_later) {
        Some(limit) => Some((limit.clone(), time)),
        None => state.limit.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::number::Subject;

    const NOW: i64 = 1_750_000_000;

    fn quality(event: &str, current: &str, old: &str, max: &str) -> Quality {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Quality {
            display_phone_number: "15550783881".into(),
            event: event.into(),
            current_limit: some(current),
            old_limit: some(old),
            max_daily_conversations_per_business: some(max),
        }
    }

    fn change(quality: Quality, value: u8, time: Option<i64>) -> Change {
        Change {
            business_account: "102290129340398".parse().unwrap(),
            time,
            field: "phone_number_quality_update".into(),
            subject: Subject::number("15550783881").unwrap(),
            fingerprint: [value; 16],
            detail: Detail::Quality(quality),
            raw: String::new(),
        }
    }

    fn knowing(limit: &str) -> NumberState {
        let since = Timestamp::from_seconds(NOW - 100).unwrap();
        NumberState { sequence: 4, limit: Some((limit.into(), since)), latest: Vec::new() }
    }

    fn news(state: &NumberState, change: &Change) -> (NumberState, Quality) {
        let now = Timestamp::from_seconds(NOW).unwrap();
        let Transition::News(next, Detail::Quality(quality)) = transition(state, change, now, 9, true) else {
            panic!("expected news of {change:?}")
        };
        (next, quality)
    }

    #[test]
    fn limits_are_filled_from_what_is_known_and_never_altered() {
        let nothing = NumberState::default();
        let known = knowing("TIER_1K");
        let cases = [
            // what is known, (event, current, old, max) as sent, (current, old) as told
            (&nothing, ("ONBOARDING", "", "", "TIER_2K"), ("TIER_2K", "")),
            (&nothing, ("FLAGGED", "", "", ""), ("", "")),
            (&known, ("FLAGGED", "", "", ""), ("TIER_1K", "")),
            (&known, ("UPGRADE", "TIER_10K", "", ""), ("TIER_10K", "TIER_1K")),
            (&known, ("UPGRADE", "TIER_1K", "", ""), ("TIER_1K", "")),
            (&known, ("UPGRADE", "TIER_10K", "TIER_250", "TIER_100K"), ("TIER_10K", "TIER_250")),
            (&known, ("UPGRADE", "", "", "TIER_10K"), ("TIER_10K", "TIER_1K")),
            (&known, ("UPGRADE", "", "", ""), ("", "TIER_1K")),
            (&known, ("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "", ""), ("TIER_UNLIMITED", "")),
            (&known, ("THROUGHPUT_UPGRADE", "", "", ""), ("", "")),
        ];
        for (state, (event, current, old, max), told) in cases {
            let (_, full) = news(state, &change(quality(event, current, old, max), 1, Some(NOW)));
            let said = (full.current_limit.unwrap_or_default(), full.old_limit.unwrap_or_default());
            assert_eq!((said.0.as_str(), said.1.as_str()), told, "{event} {current} {old} {max}");
        }
    }

    #[test]
    fn nothing_is_filled_when_filling_is_off() {
        let sent = quality("UPGRADE", "", "", "TIER_10K");
        let now = Timestamp::from_seconds(NOW).unwrap();
        let change = change(sent.clone(), 1, Some(NOW));
        let told = transition(&knowing("TIER_1K"), &change, now, 9, false);
        assert!(matches!(told, Transition::News(_, Detail::Quality(told)) if told == sent));
    }

    #[test]
    fn a_throughput_level_and_a_late_change_leave_the_known_limit_alone() {
        let limit = |state: &NumberState| state.limit.clone().unwrap().0;
        let (next, _) = news(
            &knowing("TIER_1K"),
            &change(quality("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "", ""), 1, Some(NOW)),
        );
        assert_eq!(limit(&next), "TIER_1K");
        let (next, _) =
            news(&knowing("TIER_1K"), &change(quality("UPGRADE", "TIER_250", "", ""), 1, Some(NOW - 9_000)));
        assert_eq!(limit(&next), "TIER_1K");
        let (next, _) =
            news(&knowing("TIER_1K"), &change(quality("UPGRADE", "TIER_10K", "", ""), 1, Some(NOW)));
        assert_eq!(limit(&next), "TIER_10K");
    }

    #[test]
    fn the_latest_value_stamped_anew_within_8_days_is_a_resend_and_later_or_changed_it_is_news() {
        let now = Timestamp::from_seconds(NOW).unwrap();
        let upgrade = |value, time| change(quality("UPGRADE", "TIER_10K", "", ""), value, time);
        let (state, _) = news(&NumberState::default(), &upgrade(1, Some(NOW)));
        let resent = |state: &NumberState, change: &Change| {
            matches!(transition(state, change, now, 1, true), Transition::Resent(..))
        };
        assert!(resent(&state, &upgrade(1, Some(NOW + 1))));
        assert!(resent(&state, &upgrade(1, Some(NOW + RESEND_SECONDS))));
        assert!(!resent(&state, &upgrade(1, Some(NOW + RESEND_SECONDS + 1))));
        assert!(!resent(&state, &upgrade(1, Some(NOW - 1))), "an earlier one is late news");
        let (between, _) = news(&state, &upgrade(2, Some(NOW + 1)));
        assert!(!resent(&between, &upgrade(1, Some(NOW + 2))), "after a different one it is news again");
    }

    #[test]
    fn another_fields_change_in_between_leaves_a_resend_a_resend() {
        let now = Timestamp::from_seconds(NOW).unwrap();
        let upgrade = |time| change(quality("UPGRADE", "TIER_10K", "", ""), 1, Some(time));
        let other =
            Change { field: "account_update".into(), ..change(quality("X", "", "", ""), 9, Some(NOW)) };
        let (state, _) = news(&NumberState::default(), &upgrade(NOW));
        let (state, _) = news(&state, &other);
        assert!(matches!(transition(&state, &upgrade(NOW + 5), now, 1, true), Transition::Resent(..)));
    }

    #[test]
    fn every_event_has_the_next_sequence() {
        let (next, _) = news(&knowing("TIER_1K"), &change(quality("UPGRADE", "", "", ""), 1, None));
        assert_eq!(next.sequence, 5);
    }
}
