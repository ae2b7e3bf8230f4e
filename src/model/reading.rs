//! A reading: what the source of truth says of a business account's numbers now.

use super::id::BusinessAccountId;
use super::time::Timestamp;

/// All numbers of one business account, as the Graph API told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose numbers.
    pub business_account: BusinessAccountId,
    /// When the first page was asked for: what is learned later by other ways is newer.
    pub at: Timestamp,
    /// Each number once.
    pub numbers: Vec<NumberReading>,
}

/// One number. Values are Meta's, unchanged, known or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NumberReading {
    /// As shown, `+1 555-078-3881`.
    pub display_phone_number: String,
    /// `GREEN`, `YELLOW`, `RED`, `NA`, `UNKNOWN`.
    pub quality_rating: Option<String>,
    /// `STANDARD`, `HIGH`, `NOT_APPLICABLE`.
    pub throughput: Option<String>,
    /// `CONNECTED`..
    pub status: Option<String>,
    /// The messaging limit, `TIER_10K`.
    pub limit: Option<String>,
    /// Whether that is the portfolio's, by its name.
    pub of_portfolio: bool,
}

/// Statuses of a number that is listed still and not in use any more, there.
const GONE: [&str; 3] = ["DISCONNECTED", "MIGRATED", "DELETED"];

impl NumberReading {
    /// Whether it is listed still, but in use no more: what else is said of it there is
    /// how it was once.
    pub fn is_gone(&self) -> bool {
        self.status.as_deref().is_some_and(|status| GONE.contains(&status))
    }
}
