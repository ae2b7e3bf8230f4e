//! `account_update`: verification, violations and restrictions of a business account.

use serde::{Deserialize, Serialize};

use super::Rest;

/// Details of an `account_update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccountUpdate {
    /// What happened, such as `BUSINESS_VERIFICATION_STATUS_UPDATE` or `ACCOUNT_RESTRICTION`.
    pub event: String,
    /// The number that it is about, as the provider shows it, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// How the verification stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_verification_info: Option<VerificationInfo>,
    /// Which rule was violated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violation_info: Option<ViolationInfo>,
    /// What is restricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction_info: Option<Vec<RestrictionInfo>>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// How a business's verification stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VerificationInfo {
    /// The business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_id: Option<String>,
    /// The status, such as `FAILED`.
    pub verification_status: String,
    /// Why it was rejected, such as `LEGAL_NAME_NOT_MATCHING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection_reasons: Option<Vec<String>>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// Which rule was violated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ViolationInfo {
    /// The rule, such as `SPAM`.
    pub violation_type: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// A restriction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RestrictionInfo {
    /// What is restricted, such as `RESTRICTED_ADD_PHONE_NUMBER_ACTION`.
    pub restriction_type: String,
    /// Until when: ISO 8601, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}
