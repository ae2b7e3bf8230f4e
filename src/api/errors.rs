//! What the native API answers when it can't do as asked: RFC 9457 problem
//! documents, each with a stable `code` to branch on and a hint for people.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use super::wire;
use crate::store;

/// How long a caller waits before it tries an unavailable store again, in
/// seconds.
pub(super) const RETRY_AFTER_SECONDS: &str = "2";

/// The kinds of problem. Their names are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidJson,
    UnknownField,
    MissingField,
    InvalidField,
    UnknownParameter,
    InvalidParameter,
    InvalidCursor,
    LimitReached,
    TooManyStreams,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    Conflict,
    NotConfigured,
    NotDeliverable,
    NotReplayable,
    TooLarge,
    UnsupportedEncoding,
    KeyReused,
    UnknownAccount,
    UnknownBusinessAccount,
    Internal,
    Unavailable,
}

impl Code {
    /// The HTTP status, the stable name and the title.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidJson => (S::BAD_REQUEST, "invalid_json", "The body is not JSON"),
            Self::UnknownField => (S::BAD_REQUEST, "unknown_field", "The body has an unknown field"),
            Self::MissingField => (S::BAD_REQUEST, "missing_field", "The body lacks a field"),
            Self::InvalidField => (S::BAD_REQUEST, "invalid_field", "A field can't be used"),
            Self::UnknownParameter => (S::BAD_REQUEST, "unknown_parameter", "Unknown query parameter"),
            Self::InvalidParameter => (S::BAD_REQUEST, "invalid_parameter", "A parameter can't be used"),
            Self::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", "The cursor can't be used"),
            Self::LimitReached => (S::BAD_REQUEST, "limit_reached", "More than is allowed"),
            Self::TooManyStreams => {
                (S::TOO_MANY_REQUESTS, "too_many_streams", "As many streams are open as are allowed")
            }
            Self::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "No valid API key"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "The API key may not do this"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", "The body took too long"),
            Self::Conflict => (S::CONFLICT, "conflict", "Not possible as things stand"),
            Self::NotConfigured => (S::CONFLICT, "not_configured", "Not configured for Chat Apps"),
            Self::NotDeliverable => (S::CONFLICT, "not_deliverable", "Nothing is sent to this webhook"),
            Self::NotReplayable => (S::CONFLICT, "not_replayable", "The delivery can't be replayed"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
            Self::UnsupportedEncoding => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "The body is compressed")
            }
            Self::KeyReused => {
                (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The idempotency key was used before")
            }
            Self::UnknownAccount => (S::UNPROCESSABLE_ENTITY, "unknown_account", "No such account"),
            Self::UnknownBusinessAccount => (
                S::UNPROCESSABLE_ENTITY,
                "unknown_business_account",
                "Not a business account of this account",
            ),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Something failed here"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "The store is not available"),
        }
    }
}

/// A refusal of the native API.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    detail: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), hint: None }
    }

    /// Says what to do next.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A field that fails its rule: `name must be ...`.
    pub(super) fn field(name: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidField, format!("{name} {rule}"))
    }

    /// A path or query parameter that fails its rule.
    pub(super) fn parameter(name: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name} {rule}"))
    }

    /// What was asked for is not there, or not the caller's: they look alike.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// The same, of a field of the body.
    pub(super) fn in_body(self) -> Self {
        Self { code: Code::InvalidField, ..self }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use store::ErrorKind as Kind;
        match error.kind {
            Kind::NotFound => Self::new(Code::NotFound, error.message),
            Kind::Conflict => Self::new(Code::Conflict, error.message),
            Kind::Limit => Self::new(Code::LimitReached, error.message),
            Kind::Overloaded | Kind::Full | Kind::Failed | Kind::Damaged | Kind::Unusable => {
                note(&error);
                Self::new(Code::Unavailable, "nothing was changed, as far as is known")
                    .hint("repeat the request after the time in Retry-After")
            }
        }
    }
}

/// Tells operators of a store's error; the caller learns nothing of it.
pub(super) fn note(error: &store::Error) {
    tracing::warn!(kind = ?error.kind, error = %error, "the store refused a request of the API");
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.parts();
        let body = wire::Problem {
            r#type: format!("urn:bellwether:problem:{}", code.replace('_', "-")),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: code.to_owned(),
            hint: self.hint,
        };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.code, Code::Unavailable | Code::TooManyStreams) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}
