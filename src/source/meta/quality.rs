//! The value of a `phone_number_quality_update` (contract.md 3). Any subset of
//! the limits is taken, each as string or number, known value or not: only a
//! change that does not say which number, or what happened, can't be read.

use super::super::json::Json;
use crate::model::change::Quality;
use crate::model::number::Subject;

/// The number that the value is about, and what it says of it; or what is
/// wrong with it.
pub fn read(value: &Json<'_>) -> Result<(Subject, Quality), &'static str> {
    if !matches!(value, Json::Object(_)) {
        return Err("the value is no object");
    }
    let display = value.member("display_phone_number").ok_or("display_phone_number is missing")?;
    let display = display.text().or(display.digits());
    let display = display.ok_or("display_phone_number is neither a string nor a whole number")?;
    let subject = Subject::number(display).ok_or("display_phone_number has no digits, or more than 32")?;
    let event = value.member("event").ok_or("event is missing")?.text().ok_or("event is no string")?;
    let quality = Quality {
        display_phone_number: display.to_owned(),
        event: event.to_owned(),
        current_limit: limit(value, "current_limit")?,
        old_limit: limit(value, "old_limit")?,
        max_daily_conversations_per_business: limit(value, "max_daily_conversations_per_business")?,
    };
    Ok((subject, quality))
}

/// A limit in Meta's words: a string as it is, a number or a truth value as written.
fn limit(value: &Json<'_>, name: &str) -> Result<Option<String>, &'static str> {
    let Some(limit) = value.member(name) else {
        return Ok(None);
    };
    let text = match limit {
        Json::Text(_) => limit.text(),
        Json::Number(text) | Json::Plain(text @ ("true" | "false")) => Some(*text),
        Json::Plain(_) | Json::List(_) | Json::Object(_) => None,
    };
    text.map(|text| Some(text.to_owned())).ok_or("a limit is neither a string nor a number")
}
