//! Events, published and listed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Delivery;
use crate::model::event::Derived;
use crate::model::number::What;
use crate::store::catalog::EventRow;

/// A change published without Meta.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "businessAccountId": "102290129340398", "displayPhoneNumber": "15550783881", "event": "UPGRADE",
    "currentLimit": "TIER_10K", "oldLimit": "TIER_1K"
}))]
pub(in crate::api) struct Publish {
    /// The WABA it is about; registered to this account.
    #[schema(example = "102290129340398")]
    pub business_account_id: String,
    /// The number as the provider shows it.
    #[schema(example = "15550783881")]
    pub display_phone_number: String,
    /// `UPGRADE`, `FLAGGED`.. or a value of the future: passed on unchanged.
    #[schema(example = "UPGRADE")]
    pub event: String,
    /// The limit now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TIER_10K")]
    pub current_limit: Option<String>,
    /// The limit before; on messaging-limit changes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "TIER_1K")]
    pub old_limit: Option<String>,
    /// The portfolio's limit, in Meta's newer words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily_conversations_per_business: Option<String>,
    /// When it happened; now unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub timestamp: Option<String>,
}

/// The event that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct EventRef {
    /// Its id.
    #[schema(format = "uuid")]
    pub event_id: String,
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct EventsQuery {
    /// About this number.
    pub phone_number: Option<String>,
    /// Of this type, `phone_number_quality_update`.
    pub event_type: Option<String>,
    /// Accepted at or after this time (RFC 3339).
    pub since: Option<String>,
    /// Accepted before this time (RFC 3339).
    pub until: Option<String>,
    /// At most so many items, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// An event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Event {
    /// Its id.
    #[schema(format = "uuid")]
    pub event_id: String,
    /// When it was accepted.
    #[schema(format = DateTime)]
    pub accepted_at: String,
    /// Its sequence within account and number: 1, 2, 3..
    pub sequence: i64,
    /// The number's digits, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The Meta app it came through; left out if it was published here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// How often Meta sent it again with a later time.
    pub resends: u32,
    /// Whether it is a test event.
    pub test: bool,
    /// What it follows from, if no notification said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "business_capability_update")]
    pub derived: Option<&'static str>,
    /// What it tells although something newer was known when it was accepted:
    /// `limit`, `portfolioLimit`, `throughput`, `flagged`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<&'static str>,
    /// Whether it tells one webhook how the number stands, because it was asked to.
    /// Its sequence is that of the number's last event.
    pub snapshot: bool,
    /// The event as it is sent.
    #[schema(value_type = Object)]
    pub body: Box<RawValue>,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            event_id: row.id.to_string(),
            accepted_at: row.accepted_at.to_string(),
            sequence: row.sequence,
            phone_number: row.phone_number,
            app: row.app,
            resends: row.resends,
            test: row.test,
            derived: row.derived.map(Derived::as_str),
            stale: row.stale.iter().map(What::as_str).collect(),
            snapshot: row.snapshot,
            body: raw(&String::from_utf8_lossy(&row.body)),
        }
    }
}

/// Stored JSON as it is; should it be none, a JSON string of it.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned())
        .or_else(|_| serde_json::value::to_raw_value(text))
        .expect("a string is JSON")
}

/// An event and what it owes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct EventDetail {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Its deliveries, one a webhook.
    pub deliveries: Vec<Delivery>,
}
