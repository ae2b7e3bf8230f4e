//! What has not arrived.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Attempt, Delivery};
use crate::model::time::Timestamp;
use crate::store::catalog;

/// The oldest event of a number that has not arrived at a webhook, as the
/// delivery that owes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Undelivered {
    /// The delivery: pending or exhausted.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The event's sequence within account and number.
    pub sequence: i64,
    /// How long ago the event was accepted.
    pub age_seconds: u64,
    /// The last attempt that failed; left out if none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Attempt>,
    /// The sequence of the number's last event that the receiver acknowledged;
    /// left out if none was, or none is found near.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_sequence: Option<i64>,
}

impl Undelivered {
    pub(in crate::api) fn new(item: catalog::Undelivered, now: Timestamp) -> Self {
        Self {
            sequence: item.sequence,
            age_seconds: now.since(item.delivery.created_at).as_secs(),
            last_failure: item.last_failure.map(Attempt::from),
            acknowledged_sequence: item.acknowledged,
            delivery: item.delivery.into(),
        }
    }
}
