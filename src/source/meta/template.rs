//! The four template fields in 8x8's words (contract.md 4).

use serde::Serialize;

use super::super::json::Json;
use super::fit::{Misfit, object, required, text};

/// The `eventDetails` of all four.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a, Meta> {
    template_id: u64,
    template_name: &'a str,
    template_language: &'a str,
    meta: Meta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusMeta<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_info: Option<DisableInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_info: Option<OtherInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DisableInfo<'a> {
    disable_date: &'a str,
}

#[derive(Serialize)]
struct OtherInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QualityScore<'a> {
    previous_quality_score: &'a str,
    new_quality_score: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Category<'a> {
    previous_category: &'a str,
    new_category: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CorrectCategory<'a> {
    category: &'a str,
    correct_category: &'a str,
}

/// `message_template_status_update`.
pub fn status(value: &Json<'_>) -> Result<String, Misfit> {
    let disable_info = match object(value, "disable_info")? {
        Some(info) => text(info, "disable_date")?.map(|disable_date| DisableInfo { disable_date }),
        None => None,
    };
    let other_info = match object(value, "other_info")? {
        Some(info) => {
            let (title, description) = (text(info, "title")?, text(info, "description")?);
            title.or(description).map(|_| OtherInfo { title, description })
        }
        None => None,
    };
    let (status, reason) = (required(value, "event")?, text(value, "reason")?);
    details(value, StatusMeta { status, reason, disable_info, other_info })
}

/// `message_template_quality_update`.
pub fn quality(value: &Json<'_>) -> Result<String, Misfit> {
    let meta = QualityScore {
        previous_quality_score: required(value, "previous_quality_score")?,
        new_quality_score: required(value, "new_quality_score")?,
    };
    details(value, meta)
}

/// `template_category_update`, if the category has changed. Notice of a change
/// to come has no previous category, and its `new_category` is today's: it does
/// not fit.
pub fn category(value: &Json<'_>) -> Result<String, Misfit> {
    let meta = Category {
        previous_category: required(value, "previous_category")?,
        new_category: required(value, "new_category")?,
    };
    details(value, meta)
}

/// `template_correct_category_detection`.
pub fn correct_category(value: &Json<'_>) -> Result<String, Misfit> {
    let meta = CorrectCategory {
        category: required(value, "category")?,
        correct_category: required(value, "correct_category")?,
    };
    details(value, meta)
}

fn details<Meta: Serialize>(value: &Json<'_>, meta: Meta) -> Result<String, Misfit> {
    let details = Details {
        template_id: required(value, "message_template_id")?.parse().map_err(|_| Misfit)?,
        template_name: required(value, "message_template_name")?,
        template_language: required(value, "message_template_language")?,
        meta,
    };
    Ok(serde_json::to_string(&details).expect("strings and numbers always serialise"))
}
