//! A business number as events speak of it, and what is known of it.

use std::fmt;

use super::change::{CAPABILITY_FIELD, Fingerprint};
use super::id::Position;
use super::limit::Step;
use super::time::Timestamp;
use super::word::Word;

/// What a change is about and, with the webhook, what its lane is: a phone
/// number by its digits or, for changes that name none, the business account.
/// Order, sequence and the last known value are kept per account and subject.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Box<str>);

impl Subject {
    /// The number that `display` shows, by its digits; `None` without any.
    /// `+1 555-078-3881` and `15550783881` are the same number.
    pub fn number(display: &str) -> Option<Self> {
        let digits: String = display.chars().filter(char::is_ascii_digit).collect();
        (1..=32).contains(&digits.len()).then(|| Self(digits.into()))
    }

    /// The business account as a whole.
    pub fn business_account(id: &str) -> Self {
        Self(format!("waba:{id}").into())
    }

    /// A test event's own: it waits for no other, and no other for it.
    pub fn test(random: u64) -> Self {
        Self(format!("test:{random:016x}").into())
    }

    /// The subject that was stored as `text`.
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The subject as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits, if this is a number.
    pub fn digits(&self) -> Option<&str> {
        self.0.bytes().all(|b| b.is_ascii_digit()).then_some(&*self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last accepted change of a subject and field, against which the next is
/// held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// Meta's name of the field.
    pub field: Word,
    /// Which value it had.
    pub fingerprint: Fingerprint,
    /// The time it said, in seconds since the epoch.
    pub time: i64,
    /// The position of the event it made, to note resends at.
    pub event: Position,
}

/// So many fields' last changes are kept of a subject. Meta has fewer that name
/// a number; a resend of an older one would be told as news.
pub const LATEST_KEPT: usize = 8;

/// What can be known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The messaging limit.
    Limit,
    /// The limit of the portfolio that it belongs to.
    PortfolioLimit,
    /// `STANDARD`, `HIGH`.
    Throughput,
    /// `FLAGGED` or `UNFLAGGED`.
    Flagged,
    /// The quality rating, `GREEN`..
    Rating,
    /// `CONNECTED`..
    Status,
}

impl What {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] =
        [Self::Limit, Self::PortfolioLimit, Self::Throughput, Self::Flagged, Self::Rating, Self::Status];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::PortfolioLimit => "portfolioLimit",
            Self::Throughput => "throughput",
            Self::Flagged => "flagged",
            Self::Rating => "rating",
            Self::Status => "status",
        }
    }

    /// Its code in the store.
    pub fn code(self) -> u8 {
        match self {
            Self::Limit => 0,
            Self::PortfolioLimit => 1,
            Self::Throughput => 2,
            Self::Flagged => 3,
            Self::Rating => 4,
            Self::Status => 5,
        }
    }

    /// What has that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether two words say the same of it.
    pub fn same(self, one: &Word, other: &Word) -> bool {
        let limits = matches!(self, Self::Limit | Self::PortfolioLimit);
        one == other || limits && Step::of(one.as_str()) == Step::of(other.as_str())
    }
}

/// By what something was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnedBy {
    /// The number's own notification.
    Notification,
    /// The account published it.
    Published,
    /// A `business_capability_update`.
    Capability,
    /// A reading of the source of truth.
    Reconciliation,
    /// It was entered by hand.
    Hand,
}

impl LearnedBy {
    /// All of them, in the order of their codes, which begin with 1.
    pub const ALL: [Self; 5] =
        [Self::Notification, Self::Published, Self::Capability, Self::Reconciliation, Self::Hand];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Published => "published",
            Self::Capability => CAPABILITY_FIELD,
            Self::Reconciliation => "reconciliation",
            Self::Hand => "hand",
        }
    }

    /// Its code in the store.
    pub fn code(self) -> u8 {
        match self {
            Self::Notification => 1,
            Self::Published => 2,
            Self::Capability => 3,
            Self::Reconciliation => 4,
            Self::Hand => 5,
        }
    }

    /// What has that code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// One thing that is known of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it is about.
    pub what: What,
    /// How it is, in Meta's words, as said.
    pub value: Word,
    /// When it was first said to be so.
    pub since: Timestamp,
    /// When it was last said to be so: what is said for a time before this is
    /// late and changes nothing.
    pub confirmed: Timestamp,
    /// By what it was learned.
    pub by: LearnedBy,
    /// The event that told it, if any did.
    pub event: Option<Position>,
}

/// A derived event that the number's own notification may still repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it told; `None`: that the number is there.
    pub what: Option<What>,
    /// How that is.
    pub value: Word,
    /// For which time it was told.
    pub since: Timestamp,
    /// For which time something else was said.
    pub until: Option<Timestamp>,
    /// The event.
    pub event: Position,
}

/// So many derived events of a number are remembered, the last ones.
pub const TOLD_KEPT: usize = 8;

/// What is known of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberState {
    /// The sequence of the last event, 0 before the first.
    pub sequence: i64,
    /// How often something changed without an event.
    pub revision: i64,
    /// When anything of it last changed, by the program's own time.
    pub changed_at: Timestamp,
    /// Whether it was retired by hand: it is not shown, and what is known of it waits.
    pub retired: bool,
    /// What is said for a time before this does not bring a retired number back; of
    /// one that was introduced anew it says nothing that is not known.
    pub not_before: Timestamp,
    /// The latest time for which somebody who named it spoke of it: whose it is was
    /// said for then.
    pub placed: Timestamp,
    /// What is known, each thing once.
    pub known: Vec<Known>,
    /// Derived events that may still be repeated, the newest last: at most
    /// [`TOLD_KEPT`].
    pub told: Vec<Told>,
    /// The last accepted change of each field, newest last: at most
    /// [`LATEST_KEPT`].
    pub latest: Vec<Latest>,
}

impl NumberState {
    /// What is known of `what`.
    pub fn known(&self, what: What) -> Option<&Known> {
        self.known.iter().find(|known| known.what == what)
    }

    /// How `what` is.
    pub fn value(&self, what: What) -> Option<&Word> {
        self.known(what).map(|known| &known.value)
    }
}

/// A change of something known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What changed.
    pub what: What,
    /// How it was, if it was known.
    pub from: Option<Word>,
    /// How it is.
    pub to: Word,
}

/// Things of which an event tells what was no longer the newest when it was
/// accepted: a receiver must not take them from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stale(u8);

impl Stale {
    /// Adds one.
    pub fn insert(&mut self, what: What) {
        self.0 |= 1 << what.code();
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Which they are.
    pub fn iter(self) -> impl Iterator<Item = What> {
        What::ALL.into_iter().filter(move |what| self.0 & (1 << what.code()) != 0)
    }
}
