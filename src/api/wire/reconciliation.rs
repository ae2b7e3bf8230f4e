//! Reading business accounts' numbers from the Graph API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::reconciliation as model;
use crate::model::time::Timestamp;

/// A token to read a business account with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"accessToken": "EAAJB..."}))]
pub(in crate::api) struct PutAccessToken {
    /// An access token of Meta's with the permission
    /// `whatsapp_business_management`: 1 to 4,096 characters. Kept encrypted, and
    /// never shown again.
    pub access_token: String,
}

/// How it stands with reading a business account's numbers from the Graph API.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Reconciliation {
    /// Meta's id.
    #[schema(example = "102290129340398")]
    pub business_account_id: String,
    /// How it stands.
    pub state: ReadingState,
    /// Whose access token it is read with.
    pub access_token: TokenOwner,
    /// When the business account's own token was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub access_token_set_at: Option<String>,
    /// The last reading that came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Success>,
    /// The last that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// How many have failed in a row.
    pub failures: u32,
    /// Meta asked not to be asked before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub throttled_until: Option<String>,
    /// When the next reading is due, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_at: Option<String>,
}

/// How it stands with reading a business account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum ReadingState {
    /// There is no access token for it: it is not read.
    NoToken,
    /// Deliveries are paused, and reading with them.
    Paused,
    /// Its account is not configured for Chat Apps: it is not read.
    NotConfigured,
    /// It was not read yet.
    Waiting,
    /// The last reading came about.
    Ok,
    /// The last reading failed.
    Failing,
}

/// Whose access token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum TokenOwner {
    /// The business account's own.
    Own,
    /// The one of the configuration.
    Configuration,
    /// There is none.
    None,
}

/// A reading that came about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Success {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Numbers that were read.
    pub numbers: u64,
    /// Of these, numbers that were unknown before.
    pub learned: u64,
    /// Events made of what had been missed.
    pub events: u64,
    /// Entries left out because they name no number.
    pub nameless: u64,
}

/// A reading that did not come about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Failure {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// What kept it, for programs: stable.
    #[schema(example = "token_expired")]
    pub code: String,
    /// What is wrong.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// Meta's code of the error, if it said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_code: Option<i64>,
    /// The code below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_subcode: Option<i64>,
}

impl From<(Timestamp, model::Gain)> for Success {
    fn from((at, gain): (Timestamp, model::Gain)) -> Self {
        let model::Gain { numbers, learned, events, nameless } = gain;
        Self { at: at.to_string(), numbers, learned, events, nameless }
    }
}

impl From<(Timestamp, model::Failure)> for Failure {
    fn from((at, failure): (Timestamp, model::Failure)) -> Self {
        let model::Failure { trouble, codes: (graph_code, graph_subcode), note } = failure;
        let detail = match note {
            Some(note) => format!("{}: {note}", trouble.what()),
            None => trouble.what().to_owned(),
        };
        Self {
            at: at.to_string(),
            code: trouble.as_str().to_owned(),
            detail,
            hint: trouble.hint().to_owned(),
            graph_code,
            graph_subcode,
        }
    }
}
