//! How a number stands, told by ordinary events.
//!
//! `ONBOARDING` says it best: that there is this number, and its limit, without
//! claiming that anything has just risen or fallen. A flag that is up and a
//! throughput that was raised have events of their own, which follow it. A
//! receiver that follows the events' names needs nothing new to take it in, and
//! one that has lost what it knew needs nothing else.

use crate::model::change::{Detail, Quality};
use crate::model::number::{NumberState, What};
use crate::model::time::Timestamp;

/// What an event of a snapshot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// As of a change.
    pub detail: Detail,
    /// Since when it is so, if that is known: what a change says that came
    /// meanwhile and is later is newer.
    pub since: Option<Timestamp>,
}

/// The events that tell all that is known of the number of these digits, in
/// their order.
pub fn standing(state: &NumberState, digits: &str) -> Vec<Standing> {
    let value = |what| state.value(what).map(|value| value.as_str().to_owned());
    let limit = value(What::Limit).or_else(|| value(What::PortfolioLimit));
    let event = |event: &str, what| Standing {
        detail: Detail::Quality(Quality {
            display_phone_number: digits.to_owned(),
            event: event.to_owned(),
            // On throughput changes it would be the throughput's level.
            current_limit: limit.clone().filter(|_| what != What::Throughput),
            ..Quality::default()
        }),
        since: state.known(what).map(|known| known.since),
    };
    let mut told = event("ONBOARDING", What::Limit);
    if let Detail::Quality(quality) = &mut told.detail {
        quality.max_daily_conversations_per_business =
            value(What::PortfolioLimit).filter(|_| is_current(state));
    }
    let flag = value(What::Flagged).map(|flag| event(&flag, What::Flagged));
    let raised = value(What::Throughput).is_some_and(|throughput| throughput == "HIGH");
    let throughput = raised.then(|| event("THROUGHPUT_UPGRADE", What::Throughput));
    std::iter::once(told).chain(flag).chain(throughput).collect()
}

/// Whether the portfolio's limit is no older than the number's, or the same: a newer
/// limit of the number shows that the portfolio's, whatever it is, has changed since.
fn is_current(state: &NumberState) -> bool {
    let (limit, portfolio) = (state.known(What::Limit), state.known(What::PortfolioLimit));
    limit.zip(portfolio).is_none_or(|(limit, portfolio)| {
        portfolio.confirmed >= limit.since || What::Limit.same(&limit.value, &portfolio.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::number::{Known, LearnedBy};
    use crate::model::word::Word;

    fn knowing(known: &[(What, &str, i64)]) -> NumberState {
        let known = known.iter().map(|(what, value, ms)| {
            let (since, by) = (Timestamp::from_ms(*ms), LearnedBy::Notification);
            Known { what: *what, value: Word::new(value), since, confirmed: since, by, event: None }
        });
        NumberState { known: known.collect(), ..NumberState::default() }
    }

    /// Name, limit, portfolio's limit and since when.
    type Said = (String, Option<String>, Option<String>, Option<i64>);

    fn told(known: &[(What, &str, i64)]) -> Vec<Said> {
        let events = standing(&knowing(known), "15550783881").into_iter().map(|told| {
            let Detail::Quality(quality) = told.detail else { panic!("a quality event") };
            assert_eq!((quality.display_phone_number.as_str(), quality.old_limit), ("15550783881", None));
            let limits = (quality.current_limit, quality.max_daily_conversations_per_business);
            (quality.event, limits.0, limits.1, told.since.map(Timestamp::ms))
        });
        events.collect()
    }

    #[test]
    fn a_number_is_told_of_whether_its_limit_is_known_or_not() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(&[]), [("ONBOARDING".to_owned(), None, None, None)]);
        assert_eq!(
            told(&[(What::Limit, "TIER_10K", 5), (What::PortfolioLimit, "TIER_100K", 6)]),
            [("ONBOARDING".to_owned(), some("TIER_10K"), some("TIER_100K"), Some(5))]
        );
        let said_since = told(&[(What::Limit, "TIER_10K", 7), (What::PortfolioLimit, "TIER_2K", 6)]);
        assert_eq!(said_since, [("ONBOARDING".to_owned(), some("TIER_10K"), None, Some(7))]);
        let flagged = told(&[(What::PortfolioLimit, "TIER_2K", 6), (What::Flagged, "FLAGGED", 7)]);
        let limits: Vec<_> = flagged.into_iter().map(|(_, limit, ..)| limit).collect();
        assert_eq!(
            limits,
            [some("TIER_2K"), some("TIER_2K")],
            "the portfolio's, if that is all that is known"
        );
    }

    #[test]
    fn a_flag_and_a_raised_throughput_follow_and_what_has_no_event_is_not_told() {
        let names = |known: &[(What, &str, i64)]| {
            told(known).into_iter().map(|(event, .., since)| (event, since)).collect::<Vec<_>>()
        };
        let all = [
            (What::Flagged, "FLAGGED", 3),
            (What::Throughput, "HIGH", 4),
            (What::Rating, "RED", 5),
            (What::Status, "CONNECTED", 6),
        ];
        let expected = [("ONBOARDING", None), ("FLAGGED", Some(3)), ("THROUGHPUT_UPGRADE", Some(4))];
        assert_eq!(names(&all), expected.map(|(event, since)| (event.to_owned(), since)));
        let calm = [(What::Flagged, "UNFLAGGED", 3), (What::Throughput, "STANDARD", 4)];
        let expected = [("ONBOARDING", None), ("UNFLAGGED", Some(3))];
        assert_eq!(names(&calm), expected.map(|(event, since)| (event.to_owned(), since)));
    }
}
