//! Accounts, business accounts and API keys.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::model::account;

/// Which page of a listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListQuery {
    /// At most so many items, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// What an account is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"name": "Harbour Florists", "chatApps": true}))]
pub(in crate::api) struct PutAccount {
    /// A name for people, 1 to 200 characters.
    pub name: String,
    /// Whether the account is configured to use the Chat Apps product: without
    /// it its events wait unrouted. Left out, a new account is, and one that
    /// exists stays as it is.
    pub chat_apps: Option<bool>,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Account {
    /// Its UUID.
    #[schema(format = "uuid")]
    pub account_id: String,
    /// A name for people.
    pub name: String,
    /// Whether it is configured to use the Chat Apps product.
    pub chat_apps: bool,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<account::Account> for Account {
    fn from(account: account::Account) -> Self {
        Self {
            account_id: account.id.to_string(),
            name: account.name,
            chat_apps: account.chat_apps,
            created_at: account.created_at.to_string(),
        }
    }
}

/// Where a business account belongs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"accountId": "0f88f5c4-fae7-4dcf-8ff2-b2990133edea"}))]
pub(in crate::api) struct PutBusinessAccount {
    /// The account its events are for.
    #[schema(format = "uuid")]
    pub account_id: String,
    /// The sub-account whose webhooks get them besides those of `*`.
    #[schema(pattern = r"^[A-Za-z0-9\-._&]{3,50}$")]
    pub sub_account_id: Option<String>,
}

/// Which business accounts to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct BusinessAccountsQuery {
    /// Only those whose last reading from the Graph API failed.
    pub unreconciled: Option<bool>,
    /// At most so many items, 1 to 500; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

/// A business account (WABA).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct BusinessAccount {
    /// Meta's id.
    #[schema(example = "102290129340398")]
    pub business_account_id: String,
    /// The account its events are for.
    #[schema(format = "uuid")]
    pub account_id: String,
    /// The sub-account, if it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_account_id: Option<String>,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<account::BusinessAccount> for BusinessAccount {
    fn from(business_account: account::BusinessAccount) -> Self {
        Self {
            business_account_id: business_account.id.to_string(),
            account_id: business_account.account.to_string(),
            sub_account_id: business_account.sub_account.map(|id| id.to_string()),
            created_at: business_account.created_at.to_string(),
        }
    }
}

/// What a key may do.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Role {
    /// Everything.
    Operator,
    /// Everything within one account.
    Account,
    /// Reading within one account, secrets apart.
    Read,
}

impl From<Role> for account::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Operator => Self::Operator,
            Role::Account => Self::Account,
            Role::Read => Self::Read,
        }
    }
}

impl From<account::Role> for Role {
    fn from(role: account::Role) -> Self {
        match role {
            account::Role::Operator => Self::Operator,
            account::Role::Account => Self::Account,
            account::Role::Read => Self::Read,
        }
    }
}

/// What a key is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "name": "Harbour Florists", "role": "account", "accountId": "0f88f5c4-fae7-4dcf-8ff2-b2990133edea"
}))]
pub(in crate::api) struct NewApiKey {
    /// A name for people, 1 to 200 characters.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The account it is confined to; needed unless the role is operator.
    #[schema(format = "uuid")]
    pub account_id: Option<String>,
}

/// A key, without its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ApiKey {
    /// Its id, which is part of its text.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The account it is confined to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub account_id: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<account::ApiKey> for ApiKey {
    fn from(key: account::ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            role: key.role.into(),
            account_id: key.account.map(|id| id.to_string()),
            created_at: key.created_at.to_string(),
        }
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct NewKey {
    /// What it is.
    #[serde(flatten)]
    pub about: ApiKey,
    /// Its text, shown this once: what goes after `Authorization: Bearer`.
    pub key: String,
}
