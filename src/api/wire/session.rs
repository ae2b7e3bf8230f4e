//! Who calls, and by what session.

use serde::Serialize;
use utoipa::ToSchema;

use super::accounts::Role;
use crate::model::account;

/// Who calls.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Session {
    /// What the caller may do.
    pub role: Role,
    /// The account it is confined to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub account_id: Option<String>,
    /// The id of the API key; left out if it is the operator's of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The key's name, for people.
    pub key_name: String,
    /// The session's terms; left out if a key was shown in place of one.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub terms: Option<SessionTerms>,
}

/// The terms of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SessionTerms {
    /// What goes into the header `X-CSRF-Token` of all that is not GET.
    pub csrf_token: String,
    /// When it ends unless it is used.
    #[schema(format = DateTime)]
    pub idle_until: String,
    /// When it ends in any case.
    #[schema(format = DateTime)]
    pub ends_at: String,
}

impl Session {
    /// Of the holder of `key`; without one, of the operator of the configuration.
    pub(in crate::api) fn new(key: Option<account::ApiKey>, terms: Option<SessionTerms>) -> Self {
        let Some(key) = key else {
            let key_name = "operator key of the configuration".to_owned();
            return Self { role: Role::Operator, account_id: None, key_id: None, key_name, terms };
        };
        Self {
            role: key.role.into(),
            account_id: key.account.map(|id| id.to_string()),
            key_id: Some(key.id),
            key_name: key.name,
            terms,
        }
    }
}
