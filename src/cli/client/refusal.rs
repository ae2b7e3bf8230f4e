//! What a server said that is no success, for the person at the keyboard: its own
//! words and hint, and an exit code that a script can tell apart.

use axum::http::StatusCode;
use serde_json::Value;

use crate::cli::output::clean;
use crate::cli::{Exit, Failure};

/// More of an answer that is not the API's is of no use.
const SHOWN: usize = 500;

const WHICH_KEY: &str = "the key is that of --api-key-file, BELLWETHER_API_KEY or the profile, in this order; `bellwether login` \
                         stores one";
const WHICH_SERVER: &str =
    "is that a Bellwether server, and does it have the configuration that was used here?";

/// The failure that an answer to `path` is.
pub(super) fn refused(path: &str, status: StatusCode, answer: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(clean);
    let exit = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Key,
        StatusCode::NOT_FOUND => Exit::Missing,
        _ => Exit::Server,
    };
    // The 8x8-compatible API says its hint within its message.
    let compatible = text("message").map(|message| match message.split_once("; hint: ") {
        Some((what, hint)) => (what.to_owned(), Some(hint.to_owned())),
        None => (message, None),
    });
    let Some((what, hint)) = text("detail").map(|detail| (detail, text("hint"))).or(compatible) else {
        return foreign(path, status, answer, exit);
    };
    let hint = if status == StatusCode::UNAUTHORIZED { Some(WHICH_KEY.to_owned()) } else { hint };
    let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    Failure::new(exit, format!("{what} ({})\n{path} was refused{hint}", status.as_u16()))
}

/// An answer that is not the API's: of an older server, or of something else.
fn foreign(path: &str, status: StatusCode, answer: &[u8], exit: Exit) -> Failure {
    let text = clean(String::from_utf8_lossy(answer).trim());
    let said: String =
        if text.is_empty() { "nothing".to_owned() } else { text.chars().take(SHOWN).collect() };
    Failure::new(exit, format!("{path} answered {status}: {said}\nhint: {WHICH_SERVER}"))
}
