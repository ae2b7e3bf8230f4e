//! A configured URL.

use super::id::{AccountId, SubAccountId, WebhookId};
use super::time::Timestamp;

/// What a webhook is for (contract.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WebhookType {
    /// Delivery receipts: stored and listed, nothing is sent.
    Cadr,
    /// Inbound messages: stored and listed, nothing is sent.
    Msg,
    /// Business-management updates: the ones Bellwether delivers.
    Cabm,
}

impl WebhookType {
    /// All types.
    pub const ALL: [Self; 3] = [Self::Cadr, Self::Msg, Self::Cabm];

    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cadr => "CADR",
            Self::Msg => "MSG",
            Self::Cabm => "CABM",
        }
    }

    /// The type of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whose events a webhook gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of the account's (`*`).
    All,
    /// Those of one sub-account's business accounts.
    SubAccount(SubAccountId),
}

impl Scope {
    /// As on the wire: `*` or the name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::SubAccount(id) => id.as_str(),
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = super::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" { Ok(Self::All) } else { text.parse().map(Self::SubAccount) }
    }
}

/// Which events a webhook gets when several of a number wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Each, one after another.
    All,
    /// Those that no newer one stands for: the others are superseded.
    Latest,
}

/// A webhook as stored. Secrets are sealed (see `secrets`), never in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id, kept when the same identity is configured anew.
    pub id: WebhookId,
    /// Whose it is.
    pub account: AccountId,
    /// Whose events it gets.
    pub scope: Scope,
    /// What for.
    pub kind: WebhookType,
    /// Where to.
    pub url: String,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Which events of those that wait.
    pub delivery: DeliveryMode,
    /// How it authorises itself at the receiver.
    pub authorization: Authorization,
    /// The signing secret, sealed.
    pub secret: Vec<u8>,
    /// The signing secret before rotation, sealed, and until when it signs too.
    pub previous_secret: Option<(Vec<u8>, Timestamp)>,
    /// Since when it exists.
    pub created_at: Timestamp,
    /// When it was last configured.
    pub updated_at: Timestamp,
}

/// How a webhook authorises itself at its receiver; sealed.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// Not at all.
    None,
    /// A fixed `Authorization` header.
    Header(Vec<u8>),
    /// OAuth 2.0 client credentials: sealed JSON.
    OAuth(Vec<u8>),
}
