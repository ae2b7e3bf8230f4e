//! What is known of numbers, as it is asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::id::{AccountId, BusinessAccountId, EventId, Position};
use crate::model::number::{Changed, LearnedBy, NumberState, Subject, What};
use crate::model::time::Timestamp;
use crate::policy::transition::ByHand;

/// Which numbers; what is `None` does not matter.
#[derive(Debug, Clone)]
pub struct NumberQuery {
    /// Of which account.
    pub account: AccountId,
    /// Of which business account.
    pub business_account: Option<BusinessAccountId>,
    /// Whose digits contain these.
    pub digits: Option<String>,
    /// With this messaging limit, however it is spelled.
    pub messaging_limit: Option<String>,
    /// With this throughput.
    pub throughput: Option<String>,
    /// With this rating.
    pub rating: Option<String>,
    /// Flagged, or not known to be.
    pub flagged: Option<bool>,
    /// Of which something changed at or after.
    pub changed_since: Option<Timestamp>,
    /// In which order.
    pub sort: NumberSort,
    /// Behind this place.
    pub after: Option<NumberPlace>,
    /// At most so many.
    pub limit: usize,
}

/// The order of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NumberSort {
    /// By their digits.
    #[default]
    Number,
    /// What changed longest ago first.
    Changed,
    /// What changed last first.
    ChangedDown,
    /// The lowest limit first.
    Limit,
    /// The highest limit first.
    LimitDown,
}

/// A number's place in an order: what it is sorted by, then its digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberPlace {
    /// What it is sorted by, as a number that grows in that order.
    pub rank: u64,
    /// Its digits.
    pub digits: String,
}

impl fmt::Display for NumberPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.rank, self.digits)
    }
}

impl FromStr for NumberPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (rank, digits) = text.split_once('-').ok_or(())?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let rank = rank.parse().ok().filter(|_| plain).ok_or(())?;
        Ok(Self { rank, digits: digits.to_owned() })
    }
}

/// A number as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberRow {
    /// Its digits.
    pub digits: String,
    /// The business account that last spoke of it.
    pub business_account: Option<String>,
    /// What is known of it.
    pub state: Arc<NumberState>,
    /// The events that told it, as far as they are still kept.
    pub events: Vec<(What, EventId)>,
}

/// Whose history.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Of which account.
    pub account: AccountId,
    /// Which number.
    pub number: Subject,
    /// Before this place.
    pub before: Option<HistoryPlace>,
    /// At most so many.
    pub limit: usize,
}

/// A place in a number's history: the position of an event and 0, or the
/// position of the last event by then and 1, 2..
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPlace(pub Position, pub i64);

impl fmt::Display for HistoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for HistoryPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, ordinal) = text.split_once('-').ok_or(())?;
        position.parse().ok().zip(ordinal.parse().ok()).map(|(one, two)| Self(one, two)).ok_or(())
    }
}

/// A higher limit was refused or put off: what Meta's alert says of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `INCREASED_CAPABILITIES_ELIGIBILITY_FAILED`..
    pub kind: String,
    /// `CRITICAL`..
    pub severity: Option<String>,
    /// `ACTIVE`..
    pub status: Option<String>,
    /// In Meta's words.
    pub description: Option<String>,
}

/// What changed of a number at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// Its place.
    pub place: HistoryPlace,
    /// When it was learned.
    pub at: Timestamp,
    /// By what.
    pub by: LearnedBy,
    /// The event that told it, if one did.
    pub event: Option<EventId>,
    /// What changed.
    pub changed: Vec<Changed>,
    /// That it was refused a higher limit.
    pub refusal: Option<Refusal>,
}

/// A number entered by hand.
#[derive(Debug, Clone)]
pub struct NumberEntry {
    /// Whose.
    pub account: AccountId,
    /// Which number.
    pub number: Subject,
    /// The business account that it belongs to.
    pub business_account: BusinessAccountId,
    /// What is known of it.
    pub entered: ByHand,
    /// When.
    pub now: Timestamp,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// The number was not known.
    New,
    /// It was.
    Known,
    /// The business account is not registered to this account.
    UnknownBusinessAccount,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_being_written_and_read_and_nothing_else_is_one() {
        let place = NumberPlace { rank: u64::MAX, digits: "15550783881".into() };
        assert_eq!(place.to_string().parse(), Ok(place));
        let place = HistoryPlace(42, 3);
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "-", "1-", "1-x", "x-1", "-1-1", "18446744073709551616-1"] {
            assert!(text.parse::<NumberPlace>().is_err(), "{text}");
        }
        assert!("4".parse::<HistoryPlace>().is_err() && "4-x".parse::<HistoryPlace>().is_err());
    }
}
