//! The API's JSON: the only types of it that serde knows. Requests refuse
//! fields they do not know, on both APIs: of a misspelled `enabled` the default
//! would be taken silently. Answers leave out what has no value.
#![expect(clippy::struct_field_names, reason = "the names are those of the JSON")]

mod accounts;
pub(super) mod compat;
mod deliveries;
mod events;
mod numbers;
mod operator;
mod reconciliation;
mod replays;
mod session;
mod stream;
mod undelivered;
mod webhooks;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use accounts::{
    Account, ApiKey, BusinessAccount, BusinessAccountsQuery, ListQuery, NewApiKey, NewKey, PutAccount,
    PutBusinessAccount,
};
pub(super) use deliveries::{Attempt, DeliveriesQuery, Delivery, DeliveryDetail};
pub(super) use events::{Event, EventDetail, EventRef, EventsQuery, Publish};
pub(super) use numbers::{HistoryItem, Number, NumbersQuery, PutNumber};
pub(super) use operator::{MetaApp, Unparsed, Unrouted};
pub(super) use reconciliation::{PutAccessToken, ReadingState, Reconciliation, TokenOwner};
pub(super) use replays::{Counted, NewReplay, Obsolete, Replay, ReplayAnswer};
pub(super) use session::{Session, SessionTerms};
pub(super) use stream::{StreamData, StreamQuery};
pub(super) use undelivered::Undelivered;
pub(super) use webhooks::{RotateQuery, Secret, Webhook, WebhookChange};

/// A page of a listing.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    /// What is on it; may be empty although there is a next page.
    pub items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// RFC 9457 problem details.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// A URN made of `code`.
    #[schema(example = "urn:bellwether:problem:unknown-field")]
    pub r#type: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// The kind, for programs: stable.
    #[schema(example = "unknown_field")]
    pub code: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
