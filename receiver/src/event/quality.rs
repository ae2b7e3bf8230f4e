//! `phone_number_quality_update`: the limit, the throughput or the flag of a number changed.

use serde::{Deserialize, Serialize};

use super::Rest;
use crate::word::words;

/// Details of a `phone_number_quality_update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// The number as the provider shows it, such as `15550783881`.
    pub display_phone_number: String,
    /// What changed.
    pub meta: QualityMeta,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// What changed of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct QualityMeta {
    /// What happened.
    pub event: Change,
    /// The messaging limit now; of a `THROUGHPUT_UPGRADE` it is no messaging limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_limit: Option<Limit>,
    /// The messaging limit before; on changes of the messaging limit only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_limit: Option<Limit>,
    /// The portfolio's limit, in Meta's newer words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily_conversations_per_business: Option<Limit>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

words! {
    /// What happened to a number. Others may come, such as `THROUGHPUT_DOWNGRADE`.
    Change {
        /// The messaging limit rose.
        Upgrade = "UPGRADE",
        /// The messaging limit fell.
        Downgrade = "DOWNGRADE",
        /// The quality is low.
        Flagged = "FLAGGED",
        /// The quality is good again.
        Unflagged = "UNFLAGGED",
        /// The number is new.
        Onboarding = "ONBOARDING",
        /// The number may send more messages a second.
        ThroughputUpgrade = "THROUGHPUT_UPGRADE",
    }
}

words! {
    /// A limit: conversations a day with customers who did not write first. Others may come, such as `250`
    /// or `UNLIMITED`: they are passed on as Meta says them.
    Limit {
        /// 50.
        Tier50 = "TIER_50",
        /// 250.
        Tier250 = "TIER_250",
        /// 1,000.
        Tier1K = "TIER_1K",
        /// 2,000.
        Tier2K = "TIER_2K",
        /// 10,000.
        Tier10K = "TIER_10K",
        /// 100,000.
        Tier100K = "TIER_100K",
        /// None is set.
        NotSet = "TIER_NOT_SET",
        /// As many as one likes.
        Unlimited = "TIER_UNLIMITED",
    }
}
