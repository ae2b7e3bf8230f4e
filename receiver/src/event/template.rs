//! The four `template_*` events: a template's status, quality and category.

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::Rest;
use crate::word::words;

/// Which template, and what of it changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Template<Meta> {
    /// Meta's id of it, a whole number.
    #[cfg_attr(feature = "schema", schema(value_type = u64))]
    pub template_id: Number,
    /// Its name.
    pub template_name: String,
    /// Its language, such as `en-US`.
    pub template_language: String,
    /// What changed.
    pub meta: Meta,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// Details of a `template_status_update`.
pub type Status = Template<StatusMeta>;
/// Details of a `template_quality_update`.
pub type Score = Template<ScoreMeta>;
/// Details of a `template_category_update`.
pub type Category = Template<CategoryMeta>;
/// Details of a `template_correct_category_detection`.
pub type CorrectCategory = Template<CorrectCategoryMeta>;

/// A template's status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusMeta {
    /// The status, such as `APPROVED`, `REJECTED` or `PAUSED`.
    pub status: String,
    /// Why, such as `INVALID_FORMAT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_info: Option<DisableInfo>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_info: Option<OtherInfo>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// When a template is disabled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DisableInfo {
    /// The day, as Meta writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_date: Option<String>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// More about a template's status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct OtherInfo {
    /// A word for it, such as `FIRST_PAUSE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// A template's quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScoreMeta {
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_quality_score: Option<QualityScore>,
    /// Now.
    pub new_quality_score: QualityScore,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

words! {
    /// A template's quality; others may come.
    QualityScore {
        /// High.
        Green = "GREEN",
        /// Medium.
        Yellow = "YELLOW",
        /// Low.
        Red = "RED",
        /// Not rated yet.
        Unknown = "UNKNOWN",
    }
}

/// A template's category, such as `UTILITY` or `MARKETING`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CategoryMeta {
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_category: Option<String>,
    /// Now.
    pub new_category: String,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}

/// The category that a template has, and the one that Meta finds right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CorrectCategoryMeta {
    /// The one that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The one that Meta finds right.
    pub correct_category: String,
    /// Members that are not modelled.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schema(ignore))]
    pub rest: Rest,
}
