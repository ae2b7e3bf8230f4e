//! One try to hand an event over, and what came of it.

use super::time::Timestamp;

/// The kinds of outcome. The names are stable: they are in the API, in the
/// metrics, and all that a customer learns of a failed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeClass {
    /// An answer from 200 to 299.
    Success,
    /// An answer from 300 to 399: never followed.
    Redirect,
    /// Any other answer.
    Status,
    /// No complete answer head before the deadline.
    Timeout,
    /// The name has no address.
    Dns,
    /// The address, port or name is one that deliveries never go to.
    ForbiddenAddress,
    /// No connection.
    Connect,
    /// No secure connection.
    Tls,
    /// The connection ended before an answer.
    Reset,
    /// What came back is not HTTP, or exceeds its limits.
    Protocol,
    /// No OAuth token.
    OAuth,
    /// The lease ended before the outcome was recorded, as when the process is
    /// killed: it may have arrived. Takes nothing from the schedule.
    Interrupted,
}

impl OutcomeClass {
    /// All classes, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::Success,
        Self::Redirect,
        Self::Status,
        Self::Timeout,
        Self::Dns,
        Self::ForbiddenAddress,
        Self::Connect,
        Self::Tls,
        Self::Reset,
        Self::Protocol,
        Self::OAuth,
        Self::Interrupted,
    ];

    /// The class's stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Redirect => "redirect",
            Self::Status => "http_status",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::ForbiddenAddress => "forbidden_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::OAuth => "oauth",
            Self::Interrupted => "interrupted",
        }
    }

    /// The class's code in the store.
    pub fn code(self) -> i64 {
        Self::ALL.iter().position(|class| *class == self).map_or(0, |at| at.cast_signed() as i64)
    }

    /// The class of a code.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied()
    }

    /// The class of an HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            _ => Self::Status,
        }
    }
}

/// What came of a request. A failure is data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which kind.
    pub class: OutcomeClass,
    /// The HTTP status, if an answer's head arrived.
    pub status: Option<u16>,
    /// The answer's `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// A note for people: fixed text, or for a redirect where it pointed.
    pub note: Option<String>,
    /// The answer's first bytes, at most 16 KiB.
    pub answer: Vec<u8>,
}

impl Outcome {
    /// An outcome without an answer.
    pub fn failed(class: OutcomeClass, note: &str) -> Self {
        Self { class, status: None, retry_after: None, note: Some(note.to_owned()), answer: Vec::new() }
    }

    /// An outcome with an answer.
    pub fn answered(status: u16, answer: Vec<u8>) -> Self {
        let class = OutcomeClass::of_status(status);
        Self { class, status: Some(status), retry_after: None, note: None, answer }
    }
}

/// An attempt as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// 1, 2, 3.. over the life of the delivery, replays included.
    pub number: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// What came of it.
    pub class: OutcomeClass,
    /// The HTTP status, if any.
    pub status: Option<u16>,
    /// A note for people.
    pub note: Option<String>,
    /// The answer's first bytes, at most [`ANSWER_KEPT_BYTES`].
    pub answer: Vec<u8>,
    /// When the next attempt is due; `None` after the last.
    pub next_at: Option<Timestamp>,
}

/// How much of an answer is kept with its attempt.
pub const ANSWER_KEPT_BYTES: usize = 1024;
