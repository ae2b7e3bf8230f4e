//! Deliveries and their attempts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::model::delivery::DeliveryState;
use crate::model::{attempt, delivery};

/// Where a delivery stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum DeliveryStatus {
    /// To be attempted: now, later, or behind an earlier one of its number.
    Pending,
    /// A receiver answered 2xx.
    Delivered,
    /// Every attempt failed; kept, and replayable.
    Exhausted,
    /// Given up on purpose: its webhook was deleted.
    Canceled,
    /// Not sent (again): a newer event of its number stands for it, and the
    /// webhook wants the latest only. Kept, and replayable.
    Superseded,
}

impl From<DeliveryStatus> for DeliveryState {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Pending => Self::Pending,
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Exhausted => Self::Exhausted,
            DeliveryStatus::Canceled => Self::Canceled,
            DeliveryStatus::Superseded => Self::Superseded,
        }
    }
}

impl From<DeliveryState> for DeliveryStatus {
    fn from(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Pending => Self::Pending,
            DeliveryState::Delivered => Self::Delivered,
            DeliveryState::Exhausted => Self::Exhausted,
            DeliveryState::Canceled => Self::Canceled,
            DeliveryState::Superseded => Self::Superseded,
        }
    }
}

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct DeliveriesQuery {
    /// Standing there.
    #[param(inline)]
    pub status: Option<DeliveryStatus>,
    /// To this webhook.
    pub webhook_id: Option<String>,
    /// Of this number.
    pub phone_number: Option<String>,
    /// Whose event was accepted at or after this time (RFC 3339).
    pub since: Option<String>,
    /// Whose event was accepted before this time (RFC 3339).
    pub until: Option<String>,
    /// At most so many items, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// An event owed to a webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Delivery {
    /// Its id.
    pub delivery_id: String,
    /// The event that is owed.
    #[schema(format = "uuid")]
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// The number's digits, if the event is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// To which webhook.
    #[schema(format = "uuid")]
    pub webhook_id: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How many attempts were made.
    pub attempt_count: u32,
    /// When the event was accepted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the next attempt is due; left out once settled, and while it waits
    /// behind an earlier delivery of its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_attempt_at: Option<String>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<Attempt>,
    /// The newer event that stands for this one, if it is superseded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub superseded_by: Option<String>,
}

impl From<delivery::Delivery> for Delivery {
    fn from(delivery: delivery::Delivery) -> Self {
        Self {
            delivery_id: delivery.id.to_string(),
            event_id: delivery.event.to_string(),
            event_type: delivery.event_type,
            phone_number: delivery.phone_number,
            webhook_id: delivery.webhook.to_string(),
            status: delivery.state.into(),
            attempt_count: delivery.attempts,
            created_at: delivery.created_at.to_string(),
            next_attempt_at: delivery.next_at.map(|at| at.to_string()),
            last_attempt: delivery.last.map(Attempt::from),
            superseded_by: delivery.superseded_by.map(|by| by.to_string()),
        }
    }
}

/// A delivery with every attempt.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
}

/// One try to hand an event over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Attempt {
    /// 1, 2, 3.. over the life of the delivery, replays included.
    pub number: u32,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How long it took.
    pub duration_ms: i64,
    /// What came of it: `success`, `redirect`, `http_status`, `timeout`,
    /// `dns`, `forbidden_address`, `connect`, `tls`, `reset`, `protocol` or
    /// `oauth`.
    #[schema(example = "http_status")]
    pub outcome: String,
    /// The HTTP status, if an answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// A note for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The first bytes of the answer, as text. Written by the receiver: treat
    /// it as hostile.
    pub answer: String,
    /// When the next attempt is due; left out after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_attempt_at: Option<String>,
}

impl From<attempt::Attempt> for Attempt {
    fn from(attempt: attempt::Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: attempt.duration_ms,
            outcome: attempt.class.as_str().to_owned(),
            http_status: attempt.status,
            note: attempt.note,
            answer: String::from_utf8_lossy(&attempt.answer).into_owned(),
            next_attempt_at: attempt.next_at.map(|at| at.to_string()),
        }
    }
}
