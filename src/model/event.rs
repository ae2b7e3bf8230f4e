//! An event: what is owed to the account, and its exact bytes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::change::{CAPABILITY_FIELD, Detail, QUALITY_FIELD, Quality};
use super::id::{AccountId, BusinessAccountId, EventId};
use super::time::Timestamp;

/// The event's JSON in the seed's key order; a key without a value is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_id: &'a str,
    timestamp: &'a str,
    provider: &'static str,
    business_account_id: &'a str,
    account_id: &'a str,
    event_type: &'a str,
    event_details: Details<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Quality(QualityDetails<'a>),
    Mapped(&'a RawValue),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QualityDetails<'a> {
    display_phone_number: &'a str,
    meta: Meta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_daily_conversations_per_business: Option<&'a str>,
}

/// Why there is an event that no notification said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// A `business_capability_update` changed the limit of the business account's
    /// numbers.
    Capability,
    /// The source of truth differed from what was known.
    Reconciliation,
}

impl Derived {
    /// All of them, in the order of their codes, which begin with 1.
    pub const ALL: [Self; 2] = [Self::Capability, Self::Reconciliation];

    /// Its name, as the header `bellwether-derived` and the API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capability => CAPABILITY_FIELD,
            Self::Reconciliation => "reconciliation",
        }
    }

    /// Its code in the store.
    pub fn code(self) -> i64 {
        match self {
            Self::Capability => 1,
            Self::Reconciliation => 2,
        }
    }

    /// What has that code.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|derived| derived.code() == code)
    }
}

/// What is common to every event.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// Its id.
    pub id: EventId,
    /// When what it tells happened.
    pub timestamp: Timestamp,
    /// The WABA it is about.
    pub business_account: &'a BusinessAccountId,
    /// The account it is for.
    pub account: AccountId,
}

/// The bytes that are stored, signed and sent: compact JSON, keys in the order
/// of contract.md 1.
pub fn body(envelope: Envelope<'_>, detail: &Detail) -> Vec<u8> {
    let (event_type, event_details) = match detail {
        Detail::Quality(quality) => (QUALITY_FIELD, Details::Quality(quality_details(quality))),
        Detail::Capability(capability) => (CAPABILITY_FIELD, Details::Mapped(mapped(&capability.details))),
        Detail::Other { event_type, details } => (event_type.as_str(), Details::Mapped(mapped(details))),
    };
    let body = Body {
        event_id: &envelope.id.to_string(),
        timestamp: &envelope.timestamp.to_string(),
        provider: "WhatsApp",
        business_account_id: envelope.business_account.as_str(),
        account_id: &envelope.account.to_string(),
        event_type,
        event_details,
    };
    serde_json::to_vec(&body).expect("strings and raw JSON always serialise")
}

fn mapped(details: &str) -> &RawValue {
    serde_json::from_str(details).expect("details are JSON by construction")
}

/// The `eventType` of a change.
pub fn event_type(detail: &Detail) -> &str {
    match detail {
        Detail::Quality(_) => QUALITY_FIELD,
        Detail::Capability(_) => CAPABILITY_FIELD,
        Detail::Other { event_type, .. } => event_type,
    }
}

fn quality_details(quality: &Quality) -> QualityDetails<'_> {
    QualityDetails {
        display_phone_number: &quality.display_phone_number,
        meta: Meta {
            event: &quality.event,
            current_limit: quality.current_limit.as_deref(),
            old_limit: quality.old_limit.as_deref(),
            max_daily_conversations_per_business: quality.max_daily_conversations_per_business.as_deref(),
        },
    }
}
