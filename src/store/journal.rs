//! The journal as the service follows it: what happened in an account, in the
//! order of the commits that did it.
//!
//! A place in the journal is a row and how many of its entries have been passed.
//! It also carries the row's instant: a store that was restored from a copy counts
//! its rows anew, and a place from before must not be taken for one of now.

use std::fmt;
use std::str::FromStr;

use super::catalog::{EventRow, NumberRow};
use crate::model::delivery::Delivery;
use crate::model::id::{AccountId, WebhookId};
use crate::model::number::Subject;

/// A place in the journal, behind an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The row; 0: before all of them.
    pub row: i64,
    /// Entries of it that lie before this place.
    pub passed: u32,
    /// The row's instant.
    pub at: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.row, self.passed, self.at)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let mut next = || parts.next().and_then(|part| part.parse().ok()).ok_or(());
        let (row, passed, at): (i64, i64, i64) = (next()?, next()?, next()?);
        let place = Self { row, passed: u32::try_from(passed).map_err(drop)?, at };
        if parts.next().is_none() && row >= 0 { Ok(place) } else { Err(()) }
    }
}

/// What is followed.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Whose.
    pub account: AccountId,
    /// From where on; `None`: from now on.
    pub after: Option<Place>,
    /// About this number only.
    pub number: Option<Subject>,
    /// Events of this type, and their deliveries, only.
    pub event_type: Option<String>,
    /// Of deliveries, those to this webhook only.
    pub webhook: Option<WebhookId>,
}

/// A step along the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// What happened, each with the place behind it.
    pub items: Vec<(Place, News)>,
    /// Where the next step begins.
    pub next: Place,
    /// Whether more is there already.
    pub more: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An event was accepted.
    Event(EventRow),
    /// A delivery had an attempt, ended, or is to be attempted again: as it stood
    /// then, whatever has become of it since.
    Delivery(Delivery),
    /// What is known of a number changed without an event: how it is now.
    Number(Box<NumberRow>),
    /// The number with these digits was retired.
    Retired(String),
    /// Here is, or may be, missing what the journal does not hold any more.
    Gap,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is() {
        let place = Place { row: 7, passed: 3, at: -5 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "1", "1.2", "1.2.3.4", "-1.0.0", "1.-2.3", "1.4294967296.3", "a.b.c", "1..3"] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text}");
        }
    }
}
