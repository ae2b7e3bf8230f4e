//! Who events are for: accounts, the business accounts that belong to them,
//! and the keys that act for them.

use super::id::{AccountId, BusinessAccountId, SubAccountId};
use super::time::Timestamp;

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its UUID.
    pub id: AccountId,
    /// A name for people.
    pub name: String,
    /// Whether it is configured to use the Chat Apps product; without it
    /// nothing is delivered and its events wait unrouted (contract.md 5.4).
    pub chat_apps: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// A WABA and where its events belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessAccount {
    /// Meta's id.
    pub id: BusinessAccountId,
    /// The account its events belong to.
    pub account: AccountId,
    /// The sub-account whose webhooks get them besides those of `*`.
    pub sub_account: Option<SubAccountId>,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Operator,
    /// Everything within one account.
    Account,
    /// Reading within one account.
    Read,
}

impl Role {
    /// The role's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Account => "account",
            Self::Read => "read",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Operator, Self::Account, Self::Read].into_iter().find(|role| role.as_str() == text)
    }
}

/// A key's public half; the secret half is kept as a hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, part of the key's text.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The account it is confined to; always there unless the role is operator.
    pub account: Option<AccountId>,
    /// When it was made.
    pub created_at: Timestamp,
}
