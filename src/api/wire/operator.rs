//! What operators look at.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::events::raw;
use crate::api;
use crate::store::catalog::{UnparsedRow, UnroutedRow};

/// A change that waits for its business account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Unrouted {
    /// Its id.
    pub id: String,
    /// The business account as Meta said it.
    pub business_account_id: String,
    /// The app it came through.
    pub app: String,
    /// Meta's name of the field.
    pub field: String,
    /// The time it says, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// When it arrived.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// The value as it came.
    #[schema(value_type = Object)]
    pub value: Box<RawValue>,
}

impl From<UnroutedRow> for Unrouted {
    fn from(row: UnroutedRow) -> Self {
        Self {
            id: row.row.to_string(),
            business_account_id: row.business_account,
            app: row.app,
            field: row.field,
            time: row.time,
            received_at: row.received_at.to_string(),
            value: raw(&row.raw),
        }
    }
}

/// Something validly signed that could not be read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Unparsed {
    /// Its id.
    pub id: String,
    /// The app it came through.
    pub app: String,
    /// The business account, if that much could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_account_id: Option<String>,
    /// When it arrived.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its bytes, as text.
    pub raw: String,
}

impl From<UnparsedRow> for Unparsed {
    fn from(row: UnparsedRow) -> Self {
        Self {
            id: row.row.to_string(),
            app: row.app,
            business_account_id: row.business_account,
            received_at: row.received_at.to_string(),
            reason: row.reason,
            raw: String::from_utf8_lossy(&row.raw).into_owned(),
        }
    }
}

/// A Meta app of the configuration.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct MetaApp {
    /// Its name.
    #[schema(example = "main")]
    pub name: String,
    /// Where Meta posts, behind the server's public address.
    #[schema(example = "/ingest/meta/main")]
    pub callback_path: String,
    /// How many app secrets count: two while one is rotated.
    pub secrets: usize,
    /// Whether there is a verify token, without which the app's dashboard can't take the callback URL.
    pub handshake: bool,
}

impl From<api::MetaApp> for MetaApp {
    fn from(app: api::MetaApp) -> Self {
        Self {
            callback_path: format!("/ingest/meta/{}", app.name),
            name: app.name,
            secrets: app.secrets,
            handshake: app.handshake,
        }
    }
}
