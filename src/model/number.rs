//! A business number as events speak of it, and what is known of it.

use std::fmt;

use super::change::Fingerprint;
use super::id::Position;
use super::time::Timestamp;

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
    pub field: String,
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

/// What is known of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberState {
    /// The sequence of the last event, 0 before the first.
    pub sequence: i64,
    /// The messaging limit and when it was said, in Meta's words (`TIER_10K`).
    pub limit: Option<(String, Timestamp)>,
    /// The last accepted change of each field, newest last: at most
    /// [`LATEST_KEPT`].
    pub latest: Vec<Latest>,
}
