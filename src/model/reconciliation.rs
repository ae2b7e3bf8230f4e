//! How asking the source of truth went, and what a person can do about it.
//!
//! The texts are fixed. Meta's own are not passed on: of a malformed token its
//! message repeats the token. Its codes are, by which its pages can be searched.

use super::time::Timestamp;

/// What kept a business account's numbers from being read. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The access token is past its time.
    TokenExpired,
    /// Meta does not accept the access token.
    TokenInvalid,
    /// The kept access token does not open.
    TokenSealed,
    /// The access token may not read this.
    Permission,
    /// There is no such business account, or the token may not see it.
    NotFound,
    /// Too much was asked, or is about to be.
    Throttled,
    /// Meta refuses the request itself.
    Rejected,
    /// No answer.
    Unreachable,
    /// Meta failed to answer.
    Failing,
    /// An answer that can't be read.
    Unreadable,
    /// A listing without an end.
    Endless,
}

impl Trouble {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TokenSealed,
        Self::Permission,
        Self::NotFound,
        Self::Throttled,
        Self::Rejected,
        Self::Unreachable,
        Self::Failing,
        Self::Unreadable,
        Self::Endless,
    ];

    /// The name, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::TokenSealed => "token_sealed",
            Self::Permission => "permission_missing",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::Failing => "upstream_failed",
            Self::Unreadable => "unreadable",
            Self::Endless => "endless",
        }
    }

    /// The trouble of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.as_str() == text)
    }

    /// What is wrong, for people.
    pub fn what(self) -> &'static str {
        match self {
            Self::TokenExpired => "the access token has expired",
            Self::TokenInvalid => "Meta does not accept the access token",
            Self::TokenSealed => "the kept access token does not open",
            Self::Permission => "the access token may not read this business account",
            Self::NotFound => "Meta knows no such business account, or the access token may not see it",
            Self::Throttled => "Meta asks to slow down",
            Self::Rejected => "Meta refuses the request itself",
            Self::Unreachable => "the Graph API is not reached",
            Self::Failing => "the Graph API failed to answer",
            Self::Unreadable => "the Graph API's answer can't be read",
            Self::Endless => "the listing of numbers does not come to an end",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::TokenExpired | Self::TokenInvalid => {
                "make a new token at Meta and set it, with PUT .../access-token or as graph.access_token"
            }
            Self::TokenSealed => "set the token anew, or start with the key file this store was made with",
            Self::Permission => {
                "give the token the permission whatsapp_business_management, and its system user this business account"
            }
            Self::NotFound => {
                "if the business account still exists, assign it to the token's system user; else unregister it here"
            }
            Self::Throttled => {
                "nothing: it goes on by itself; if it recurs, raise graph.reconcile_every_s or ask less with the same app"
            }
            Self::Rejected => {
                "look at graph.version and graph.base_url, and whether the app demands an appsecret_proof, which is not sent"
            }
            Self::Unreachable => {
                "look at the name resolution, the firewall, graph.base_url and graph.allow_networks; it is tried again by itself"
            }
            Self::Failing => "nothing, unless it lasts: it is tried again by itself",
            Self::Unreadable => {
                "look whether graph.base_url leads to the Graph API; it is tried again by itself"
            }
            Self::Endless => {
                "look whether graph.base_url leads to the Graph API; up to 10,000 numbers are read"
            }
        }
    }

    /// Whether only a person can end it: trying again soon would be in vain.
    pub fn needs_a_person(self) -> bool {
        match self {
            Self::TokenExpired
            | Self::TokenInvalid
            | Self::TokenSealed
            | Self::Permission
            | Self::NotFound
            | Self::Rejected => true,
            Self::Throttled | Self::Unreachable | Self::Failing | Self::Unreadable | Self::Endless => false,
        }
    }
}

/// A reading that did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kept it.
    pub trouble: Trouble,
    /// Meta's code of the error, and the code below it.
    pub codes: (Option<i64>, Option<i64>),
    /// What is known more exactly: fixed text.
    pub note: Option<String>,
}

impl Failure {
    /// Without codes, and with a note.
    pub fn noted(trouble: Trouble, note: impl Into<String>) -> Self {
        Self { trouble, codes: (None, None), note: Some(note.into()) }
    }

    /// Without anything more exact.
    pub fn plain(trouble: Trouble) -> Self {
        Self { trouble, codes: (None, None), note: None }
    }
}

/// What a reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gain {
    /// Numbers that were read.
    pub numbers: u64,
    /// Numbers that were unknown before.
    pub learned: u64,
    /// Events made of what had been missed.
    pub events: u64,
    /// Entries that name no number, and were left out.
    pub nameless: u64,
}

/// How it stands with a business account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// When its own access token was set, if it has one.
    pub token_at: Option<Timestamp>,
    /// The last reading that came about.
    pub success: Option<(Timestamp, Gain)>,
    /// The last that did not.
    pub failure: Option<(Timestamp, Failure)>,
    /// How many have failed since the last that did not.
    pub failures: u32,
    /// Meta asked not to be asked before.
    pub held_until: Option<Timestamp>,
    /// When the next is due; in the past: as soon as there is room.
    pub next_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_a_name_of_its_own_and_says_what_is_wrong_and_what_to_do() {
        for trouble in Trouble::ALL {
            assert_eq!(Trouble::parse(trouble.as_str()), Some(trouble));
            assert!(trouble.what().len() > 10 && trouble.hint().len() > 10, "{trouble:?}");
        }
        assert_eq!(Trouble::parse("gone"), None);
    }
}
