//! Errors of the Graph API: `{"error": {"code": 190, "error_subcode": 463, ...}}`,
//! or no JSON at all from what stands before it. Branched on are codes, never
//! texts, and no text is kept: of a malformed token the message repeats it.

use super::super::json::{Json, Members};
use crate::model::reconciliation::{Failure, Trouble};

/// What is wrong, if the answer is an error: by its status or by what it says,
/// for an error may come with 200, too.
pub(super) fn read(status: u16, body: &[u8]) -> Option<Failure> {
    let told = std::str::from_utf8(body).ok().and_then(Members::read);
    let told = told.and_then(|body| Json::read(body.get("error")?));
    match told {
        Some(error @ Json::Object(_)) => Some(said(status, &error)),
        Some(Json::Text(_) | Json::Number(_) | Json::Plain(_) | Json::List(_)) | None => unsaid(status),
    }
}

fn said(status: u16, error: &Json<'_>) -> Failure {
    let number = |name| {
        let member = error.member(name)?;
        member.text().or(member.digits())?.parse::<i64>().ok()
    };
    let codes = (number("code"), number("error_subcode"));
    let transient = error.member("is_transient") == Some(&Json::Plain("true"));
    let trouble = match codes {
        (Some(190), Some(463)) => Trouble::TokenExpired,
        (Some(190 | 102 | 104), _) => Trouble::TokenInvalid,
        (Some(4 | 17 | 32 | 613 | 80_000..=80_014), _) => Trouble::Throttled,
        (Some(3 | 10 | 200..=299), _) => Trouble::Permission,
        (Some(100), Some(33)) | (Some(803), _) => Trouble::NotFound,
        (Some(1 | 2), _) => Trouble::Failing,
        _ if transient => Trouble::Failing,
        _ => unsaid(status).map_or(Trouble::Rejected, |failure| failure.trouble),
    };
    Failure { trouble, codes, note: None }
}

/// What the status alone says; nothing, if it is a success.
fn unsaid(status: u16) -> Option<Failure> {
    let trouble = match status {
        200..=299 => return None,
        401 => Trouble::TokenInvalid,
        403 => Trouble::Permission,
        408 | 425 | 500..=599 => Trouble::Failing,
        429 => Trouble::Throttled,
        _ => Trouble::Rejected,
    };
    let note = match status {
        300..=399 => format!("the answer is {status}: redirects are not followed"),
        _ => format!("the answer is {status}, without an error of the Graph API"),
    };
    Some(Failure::noted(trouble, note))
}
