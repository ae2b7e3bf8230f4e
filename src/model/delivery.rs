//! A delivery: an event owed to a webhook, the unit of durability and scheduling.

use super::attempt::Attempt;
use super::id::{DeliveryId, EventId, NumberKey, WebhookId, WebhookKey};
use super::time::Timestamp;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeliveryState {
    /// To be attempted: now, later, or behind an earlier one of its lane.
    Pending,
    /// A receiver answered 2xx.
    Delivered,
    /// Every attempt of the schedule failed. Kept, visible, replayable.
    Exhausted,
    /// Given up on purpose: its webhook was deleted.
    Canceled,
    /// Not sent (again), since a newer event of its number stands for it and the
    /// webhook wants the latest only. Kept, visible, replayable.
    Superseded,
}

impl DeliveryState {
    /// All states, in the order of their codes.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Delivered, Self::Exhausted, Self::Canceled, Self::Superseded];

    /// The state's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The state's code in the store.
    pub fn code(self) -> i64 {
        self as i64
    }

    /// The state of a code.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied()
    }
}

/// A lane: deliveries of one number to one webhook go out one after another,
/// in the order their events were accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// To which webhook.
    pub webhook: WebhookKey,
    /// Of which number.
    pub number: NumberKey,
}

/// A delivery as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The event that is owed.
    pub event: EventId,
    /// The event's type.
    pub event_type: String,
    /// The number's digits, if the event is about one.
    pub phone_number: Option<String>,
    /// To which webhook.
    pub webhook: WebhookId,
    /// Where it stands.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the event was accepted.
    pub created_at: Timestamp,
    /// When the next attempt is due; `None` once settled, while it waits behind
    /// an earlier delivery of its lane, and while an attempt is under way.
    pub next_at: Option<Timestamp>,
    /// The last attempt, if any was made.
    pub last: Option<Attempt>,
    /// The newer event that stands for this one, once it is superseded.
    pub superseded_by: Option<EventId>,
}
