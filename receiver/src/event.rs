//! An event: what happened, to whom. The envelope is common to all; `eventType` says which details to
//! expect, and what does not fit them, or is of no known type, is kept as it was written.

pub(crate) mod account;
pub(crate) mod quality;
pub(crate) mod raw;
pub(crate) mod template;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use account::AccountUpdate;
use quality::Quality;
use raw::RawEvent;
use template::{Category, CorrectCategory, Score, Status};

/// Members that are not modelled, by name; written out again as they came, but for numbers that don't fit
/// 64 bits, which are rounded.
pub type Rest = Map<String, Value>;

/// An event, equal on every attempt and replay.
///
/// From JSON and back loses no member and no value; members come out in the published order, those that
/// are not modelled last.
///
/// ```
/// use bellwether_receiver::{Details, Event};
///
/// let text = r#"{"eventId":"e","timestamp":"2025-01-01T00:00:00.00Z","provider":"WhatsApp","businessAccountId":"1","accountId":"2","eventType":"security","eventDetails":{"rawEvent":{"field":"security","value":{"event":"PIN_CHANGED"}}},"novel":[1]}"#;
/// let event = Event::read(text.as_bytes())?;
/// assert!(matches!(&event.details, Details::Raw(raw) if raw.raw_event.field == "security"));
/// assert_eq!(serde_json::to_string(&event).unwrap(), text);
/// # Ok::<(), bellwether_receiver::EventError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// A UUID, to be taken as opaque; equal to the header `webhook-id`.
    pub event_id: String,
    /// When it happened, as Meta says: ISO 8601, UTC, two fraction digits.
    pub timestamp: String,
    /// `WhatsApp`.
    pub provider: String,
    /// The WhatsApp Business Account (WABA) that it is about.
    pub business_account_id: String,
    /// The account it is for, a UUID.
    pub account_id: String,
    /// What kind of event it is.
    pub event_type: String,
    /// What happened.
    pub details: Details,
    /// Members of the envelope that are not modelled.
    pub rest: Rest,
}

/// What happened, by `eventType`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Details {
    /// `phone_number_quality_update`: limit, throughput or flag of a number changed.
    Quality(Quality),
    /// `template_status_update`.
    TemplateStatus(Status),
    /// `template_quality_update`.
    TemplateQuality(Score),
    /// `template_category_update`.
    TemplateCategory(Category),
    /// `template_correct_category_detection`.
    TemplateCorrectCategory(CorrectCategory),
    /// `account_update`.
    Account(AccountUpdate),
    /// Any other field of Meta's, or one of the above that says what its model can't: as Meta sent it.
    Raw(RawEvent),
    /// Details of no known shape, as they were written.
    Other(raw::Raw),
}

/// Why a body is no event. Nothing genuine is refused for what its details say.
#[derive(Debug, thiserror::Error)]
#[error("the body is no event: {0}; hint: is it what Bellwether sent, whole and unchanged?")]
pub struct EventError(#[from] serde_json::Error);

/// The envelope as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_id: String,
    timestamp: String,
    provider: String,
    business_account_id: String,
    account_id: String,
    event_type: String,
    event_details: Box<RawValue>,
    #[serde(flatten)]
    rest: Rest,
}

impl Event {
    /// From a body.
    pub fn read(body: &[u8]) -> Result<Self, EventError> {
        let envelope: Envelope = serde_json::from_slice(body)?;
        Ok(envelope.into())
    }

    /// Whom its sequence counts: the account and the number, or the business account if it names none.
    /// Numbers are the same however they are written: `+1 555-078-3881` is `15550783881`.
    pub fn subject(&self) -> String {
        match self.details.number() {
            Some(number) => format!("{}/{number}", self.account_id),
            None => format!("{}/waba:{}", self.account_id, self.business_account_id),
        }
    }
}

impl Details {
    fn read(event_type: &str, json: Box<RawValue>) -> Self {
        let text = json.get();
        let modelled = match event_type {
            "phone_number_quality_update" => serde_json::from_str(text).ok().map(Self::Quality),
            "template_status_update" => serde_json::from_str(text).ok().map(Self::TemplateStatus),
            "template_quality_update" => serde_json::from_str(text).ok().map(Self::TemplateQuality),
            "template_category_update" => serde_json::from_str(text).ok().map(Self::TemplateCategory),
            "template_correct_category_detection" => {
                serde_json::from_str(text).ok().map(Self::TemplateCorrectCategory)
            }
            "account_update" => serde_json::from_str(text).ok().map(Self::Account),
            _ => None,
        };
        let raw = || serde_json::from_str(text).ok().map(Self::Raw);
        modelled.or_else(raw).unwrap_or(Self::Other(raw::Raw(json)))
    }

    fn write(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Self::Quality(details) => to_raw_value(details),
            Self::TemplateStatus(details) => to_raw_value(details),
            Self::TemplateQuality(details) => to_raw_value(details),
            Self::TemplateCategory(details) => to_raw_value(details),
            Self::TemplateCorrectCategory(details) => to_raw_value(details),
            Self::Account(details) => to_raw_value(details),
            Self::Raw(details) => to_raw_value(details),
            Self::Other(details) => Ok(details.0.clone()),
        }
    }

    /// The digits of the number that it is about, if it names one.
    pub fn number(&self) -> Option<String> {
        match self {
            Self::Quality(quality) => digits(&quality.display_phone_number),
            Self::Account(update) => update.phone_number.as_deref().and_then(digits),
            Self::Raw(raw) => raw.raw_event.number(),
            Self::TemplateStatus(_)
            | Self::TemplateQuality(_)
            | Self::TemplateCategory(_)
            | Self::TemplateCorrectCategory(_)
            | Self::Other(_) => None,
        }
    }
}

/// The digits of a number as it is shown; `None` if there are none, or more than a number could have.
fn digits(shown: &str) -> Option<String> {
    let digits: String = shown.chars().filter(char::is_ascii_digit).collect();
    (1..=32).contains(&digits.len()).then_some(digits)
}

impl From<Envelope> for Event {
    fn from(envelope: Envelope) -> Self {
        Self {
            details: Details::read(&envelope.event_type, envelope.event_details),
            event_id: envelope.event_id,
            timestamp: envelope.timestamp,
            provider: envelope.provider,
            business_account_id: envelope.business_account_id,
            account_id: envelope.account_id,
            event_type: envelope.event_type,
            rest: envelope.rest,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let envelope = Envelope {
            event_id: self.event_id.clone(),
            timestamp: self.timestamp.clone(),
            provider: self.provider.clone(),
            business_account_id: self.business_account_id.clone(),
            account_id: self.account_id.clone(),
            event_type: self.event_type.clone(),
            event_details: self.details.write().map_err(serde::ser::Error::custom)?,
            rest: self.rest.clone(),
        };
        envelope.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Envelope::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests;
