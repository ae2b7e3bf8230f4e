//! A change: one item of a notification, read and understood; or not.

use super::id::BusinessAccountId;
use super::number::Subject;

/// Which value a change has: the first 16 bytes of SHA-256 over business
/// account, field and canonical value. With the change's time it is the
/// deduplication key (contract.md 5.5).
pub type Fingerprint = [u8; 16];

/// One change of one business account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The WABA it concerns.
    pub business_account: BusinessAccountId,
    /// `entry[].time`, in seconds since the epoch, if it was said.
    pub time: Option<i64>,
    /// Meta's name of the field, `phone_number_quality_update`.
    pub field: String,
    /// Whom it is about.
    pub subject: Subject,
    /// Which value it has.
    pub fingerprint: Fingerprint,
    /// What it says.
    pub detail: Detail,
    /// The value as it came, JSON: kept while the change waits unrouted.
    pub raw: String,
}

/// What a change says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A number's limit, throughput or quality: the seed's event.
    Quality(Quality),
    /// A `business_capability_update` that says the limit of the business
    /// account's numbers.
    Capability(Capability),
    /// Any other business-management change, mapped already.
    Other {
        /// The `eventType`.
        event_type: String,
        /// The `eventDetails`, JSON.
        details: String,
    },
}

/// The value of a `phone_number_quality_update`. Values are Meta's, unchanged,
/// known or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quality {
    /// The number as the provider shows it.
    pub display_phone_number: String,
    /// `UPGRADE`, `FLAGGED`..
    pub event: String,
    /// The limit now, `TIER_10K`.
    pub current_limit: Option<String>,
    /// The limit before; on messaging-limit changes only.
    pub old_limit: Option<String>,
    /// The portfolio's limit, in Meta's newer words.
    pub max_daily_conversations_per_business: Option<String>,
}

/// The value of a `business_capability_update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The limit of each number as said: `10000`, `TIER_10K`, `-1`..
    pub limit: String,
    /// Whether it was said of the portfolio, as nowadays, and not of each number.
    pub of_portfolio: bool,
    /// The `eventDetails` of the change's own event, JSON.
    pub details: String,
}

/// Meta's field of capability updates, and their `eventType`.
pub const CAPABILITY_FIELD: &str = "business_capability_update";

/// The seed's `eventType`, and Meta's field of the same name.
pub const QUALITY_FIELD: &str = "phone_number_quality_update";

/// Something validly signed that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unparsed {
    /// The business account, if that much can be read.
    pub business_account: Option<String>,
    /// The time it says, if any, in seconds.
    pub time: Option<i64>,
    /// What is wrong with it.
    pub reason: String,
    /// Its bytes as they came.
    pub raw: Vec<u8>,
    /// Which bytes these are, to keep repeats once.
    pub fingerprint: Fingerprint,
}
