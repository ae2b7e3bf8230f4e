//! What callers send: bodies, path parameters and queries, read strictly. A
//! mistake is named with its place, and nothing is stored.

mod plain;

use std::fmt::{self, Display};
use std::str::FromStr;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::App;
use super::auth::path_param;
use super::errors::{Code, Problem};
use crate::model::id::{AccountId, BusinessAccountId, DeliveryId, EventId, WebhookId};
use crate::model::number::Subject;
use crate::model::time::Timestamp;
use crate::server::body::{BodyError, read};

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => {
                Self::new(Code::TooLarge, format!("the body may have at most {limit} bytes"))
            }
            BodyError::Encoding => Self::new(Code::UnsupportedEncoding, "compressed bodies are not read")
                .hint("send the body as it is, without Content-Encoding"),
            BodyError::Timeout => Self::new(Code::BodyTimeout, "the body did not arrive in time"),
            BodyError::Broken => Self::new(Code::InvalidJson, "the body ended early"),
            BodyError::NoRoom => Self::new(Code::Internal, "too much is being received at once"),
        }
    }
}

/// What is wrong with a JSON text. As text, the hint follows the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which kind.
    pub code: Code,
    /// Where and what: `[3].url: must be a string, found ...`.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<&'static str>,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

/// Reads JSON, all of it.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    if bytes.trim_ascii().is_empty() {
        let message = "the body is empty".to_owned();
        return Err(Fault { code: Code::InvalidJson, message, hint: Some(EMPTY_HINT) });
    }
    axum::Json::from_bytes(bytes).map(|axum::Json(value)| value).map_err(|rejection| fault(&rejection, bytes))
}

const EMPTY_HINT: &str = "send JSON, as GET /openapi.json describes it for this path";
const ARRAY_HINT: &str = "wrap the item in [ ]";

fn fault(rejection: &JsonRejection, bytes: &[u8]) -> Fault {
    let text = rejection.body_text();
    // "Failed to deserialize the JSON body into the target type: path: what"
    let raw = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
    // Where a word is expected, the deserialiser takes any other value for a slip
    // in the syntax: "expected value", although there is one.
    let misread =
        raw.contains("expected value at ") && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    let is_json = misread || matches!(rejection, JsonRejection::JsonDataError(_));
    let code = match raw {
        _ if !is_json => Code::InvalidJson,
        raw if raw.contains("unknown field `") => Code::UnknownField,
        raw if raw.contains("missing field `") => Code::MissingField,
        _ => Code::InvalidField,
    };
    let hint = raw.starts_with("invalid type: map, expected a sequence").then_some(ARRAY_HINT);
    let message = if misread {
        plain::word(raw)
    } else if !is_json && raw.starts_with("expected ") {
        format!("the body is not JSON: {raw}")
    } else {
        plain::body(raw)
    };
    Fault { code, message, hint }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let problem = Self::new(fault.code, fault.message);
        match fault.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// A native request's body.
pub(super) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let limits = app.limits;
        let bytes = read(&parts.headers, body, limits.request_bytes, limits.body_deadline).await?;
        Ok(Self(parse(&bytes)?))
    }
}

/// The body of a request that needs none: nothing, or an object without a field.
/// A field would be a wish, and nobody would learn that it was not heard.
pub(super) struct Nothing;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFields {}

impl FromRequest<App> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let limits = app.limits;
        let bytes = read(&parts.headers, body, limits.request_bytes, limits.body_deadline).await?;
        if !bytes.trim_ascii().is_empty() {
            let _: Option<NoFields> = parse(&bytes)?;
        }
        Ok(Self)
    }
}

/// A listing's query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri).map(|Query(value)| Self(value)).map_err(|rejection| {
            let text = rejection.body_text();
            let message = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
            let unknown = message.contains("unknown field `");
            let code = if unknown { Code::UnknownParameter } else { Code::InvalidParameter };
            Problem::new(code, plain::query(message))
        })
    }
}

/// The name of the first query parameter, if there is any.
pub(super) fn first_parameter(uri: &Uri) -> Option<&str> {
    let query = uri.query().filter(|query| !query.is_empty())?;
    query.split(['=', '&']).next()
}

/// What a path can name, and under which name.
pub(super) trait InPath: FromStr<Err: Display> {
    /// The parameter's name.
    const NAME: &'static str;
}

macro_rules! in_path {
    ($($id:ty => $name:literal),*) => {$(impl InPath for $id { const NAME: &'static str = $name; })*};
}
in_path!(
    AccountId => "accountId", BusinessAccountId => "businessAccountId", EventId => "eventId",
    WebhookId => "webhookId", DeliveryId => "deliveryId", Name => "id", PhoneNumber => "phoneNumber"
);

/// An id of ours that is only looked up: of a key, of a bulk replay.
pub(super) struct Name(pub(super) String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err("must be an id as this API gave it") }
    }
}

/// A number as people write it: `15550783881`, `+1 555-078-3881`, `+1 (555) 078 3881`.
pub(super) struct PhoneNumber(pub(super) Subject);

impl FromStr for PhoneNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let dressing =
            |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '/' | '(' | ')' | ' ' | '\u{a0}');
        let number = Subject::number(text).filter(|_| text.chars().all(dressing));
        number.map(Self).ok_or("must be a phone number such as 15550783881 or %2B1-555-078-3881")
    }
}

/// An id in the path.
pub(super) struct Id<T>(pub(super) T);

impl<T: InPath> FromRequestParts<App> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text = path_param(parts, app, T::NAME).await.unwrap_or_default();
        text.parse().map(Self).map_err(|error| Problem::parameter(T::NAME, error))
    }
}

/// The rule of [`instant`], as it is told.
pub(super) const INSTANT_RULE: &str = "must be an RFC 3339 time such as 2025-01-01T00:00:00Z";

/// An instant, if one is given.
pub(super) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let wrong = |text: &str| {
        let problem = Problem::parameter(name, INSTANT_RULE);
        // In a query a + means a blank.
        let plus = text.contains(' ') && Timestamp::parse(&text.replace(' ', "+")).is_some();
        if plus {
            problem.hint("in a URL, write the + of an offset as %2B, or the time in UTC, with Z")
        } else {
            problem
        }
    };
    text.map(|text| Timestamp::parse(text).ok_or_else(|| wrong(text))).transpose()
}

/// The bounds of a span, as far as they are given: from `since` on, before
/// `until`.
pub(super) fn span(
    since: Option<&str>,
    until: Option<&str>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let (since, until) = (instant("since", since)?, instant("until", until)?);
    match (since, until) {
        (Some(from), Some(to)) if from >= to => {
            Err(Problem::parameter("since", format!("must be before until: {from} is not before {to}")))
        }
        _ => Ok((since, until)),
    }
}

/// A number, if one is given.
pub(super) fn number(text: Option<&str>) -> Result<Option<Subject>, Problem> {
    let rule = "must be a phone number such as 15550783881";
    text.map(|text| Subject::number(text).ok_or_else(|| Problem::parameter("phoneNumber", rule))).transpose()
}

/// A webhook's id, if one is given.
pub(super) fn webhook(text: Option<&str>) -> Result<Option<WebhookId>, Problem> {
    text.map(|text| text.parse().map_err(|error| Problem::parameter("webhookId", error))).transpose()
}

/// A text for people: 1 to `most` characters, none of them a control character.
pub(super) fn label(name: &str, text: String, most: usize) -> Result<String, Problem> {
    let fits = (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let rule = format!("must be 1 to {most} characters without control characters");
    if fits { Ok(text) } else { Err(Problem::field(name, rule)) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Sample {
        #[serde(rename = "url")]
        _url: String,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said_with_its_place() {
        let cases = [
            (r#"[{"url":5}]"#, Code::InvalidField, "[0].url: must be a string, found integer `5`"),
            (
                r#"[{"url":"a"},{"url":"a","ulr":1}]"#,
                Code::UnknownField,
                "[1].ulr: unknown field `ulr`, expected `url`",
            ),
            (r#"[{"url":"a"},{}]"#, Code::MissingField, "[1]: missing field `url`"),
            (r#"[{"url":"a","url":"b"}]"#, Code::InvalidField, "duplicate field `url`"),
            (r#"{"url":"a"}"#, Code::InvalidField, "must be a JSON array, found an object"),
            ("null", Code::InvalidField, "must be a JSON array, found null"),
            ("[1]", Code::InvalidField, "[0]: must be a JSON object, found integer `1`"),
            ("[", Code::InvalidJson, "the body ends within a list"),
            (" ", Code::InvalidJson, "the body is empty"),
            (r#"[{"url":}]"#, Code::InvalidJson, "expected value"),
            ("[] []", Code::InvalidJson, "trailing characters"),
        ];
        for (body, code, message) in cases {
            let fault = parse::<Vec<Sample>>(body.as_bytes()).unwrap_err();
            assert_eq!(fault.code, code, "{body}: {}", fault.message);
            assert!(fault.message.contains(message), "{body}: {}", fault.message);
        }
        assert!(parse::<Vec<Sample>>("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
    }
}
