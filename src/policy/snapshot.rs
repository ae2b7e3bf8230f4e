//! How a number stands, told by ordinary events.
//!
//! `ONBOARDING` says it best: that there is this number, and its limit, without
//! claiming that anything has just risen or fallen. A receiver that follows the
//! events' names needs nothing new to take it in, and one that has lost what it
//! knew needs nothing else.

use crate::model::change::{Detail, Quality};
use crate::model::number::NumberState;
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
    let (limit, since) = state.limit.clone().unzip();
    let quality = Quality {
        display_phone_number: digits.to_owned(),
        event: "ONBOARDING".to_owned(),
        current_limit: limit,
        ..Quality::default()
    };
    vec![Standing { detail: Detail::Quality(quality), since }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_of_whether_its_limit_is_known_or_not() {
        let since = Timestamp::from_ms(5);
        for limit in [None, Some(("TIER_10K".to_owned(), since))] {
            let state = NumberState { limit: limit.clone(), ..NumberState::default() };
            let [Standing { detail: Detail::Quality(quality), since }] = &standing(&state, "15550783881")[..]
            else {
                panic!("one event")
            };
            let said = (quality.event.as_str(), quality.display_phone_number.as_str());
            assert_eq!(said, ("ONBOARDING", "15550783881"));
            assert_eq!(quality.current_limit.clone().zip(*since), limit);
            assert_eq!(quality.old_limit, None, "nothing has changed");
        }
    }
}
