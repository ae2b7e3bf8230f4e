//! 8x8's error body: code, message, an id for support and the time.

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use super::super::auth::{Denied, HOW_TO_AUTHENTICATE};
use super::super::errors::{RETRY_AFTER_SECONDS, note};
use super::super::{App, UrlRefusal, wire};
use crate::server::body::BodyError;
use crate::store::{self, ErrorKind};

/// More is asked than can be done at the moment.
const BUSY: &str = "too many requests at the moment; repeat this one after Retry-After";

/// 8x8's codes (contract.md 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Code {
    InvalidParameter = 1000,
    NotYours = 1001,
    InsecureProtocol = 1014,
    Unauthenticated = 1200,
    Forbidden = 1201,
    TooMany = 429,
    NotFound = 1300,
    Internal = 2000,
    InvalidUrl = 3020,
    TooLarge = 7001,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidParameter | Self::NotYours | Self::InsecureProtocol | Self::InvalidUrl => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// A refusal of the 8x8-compatible API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Refusal {
    code: Code,
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(in crate::api) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into() }
    }

    /// Something failed here; the message tells nothing of what.
    pub(super) fn internal(message: &str) -> Self {
        Self::new(Code::Internal, message)
    }

    /// With another HTTP status than the code's own.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// About `place`, an item or a field of one.
    pub(super) fn at(place: &str, code: Code, rule: &str) -> Self {
        Self::new(code, format!("{place}: {rule}"))
    }

    /// About a URL at `place`.
    pub(super) fn url(place: &str, refusal: &UrlRefusal) -> Self {
        match refusal {
            UrlRefusal::Insecure(why) => Self::at(place, Code::InsecureProtocol, why),
            UrlRefusal::Forbidden(why) => Self::at(place, Code::InvalidUrl, why),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The answer, with an id of its own and the time.
    pub(in crate::api) fn render(self, app: &App) -> Response {
        let error_id = app.env.entropy.uuid().to_string();
        if self.code == Code::Internal {
            tracing::warn!(error_id, message = self.message, "a request of the 8x8-compatible API failed");
        }
        let body = wire::compat::Error {
            code: self.code as u16,
            message: self.message,
            error_id,
            timestamp: app.env.clock.now().to_string(),
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        match self.code {
            Code::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Code::Internal | Code::TooMany => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            Code::InvalidParameter
            | Code::NotYours
            | Code::InsecureProtocol
            | Code::Forbidden
            | Code::NotFound
            | Code::InvalidUrl
            | Code::TooLarge => {}
        }
        response
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthenticated => {
                Self::new(Code::Unauthenticated, format!("this needs a valid API key: {HOW_TO_AUTHENTICATE}"))
            }
            Denied::Forbidden(why) => Self::new(Code::Forbidden, why),
            Denied::NoAccount => Self::new(Code::NotFound, "there is no such account"),
            Denied::Malformed(error) => Self::new(Code::InvalidParameter, format!("accountId {error}")),
            Denied::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::new(Code::NotFound, error.message),
            ErrorKind::Limit => Self::new(Code::InvalidParameter, error.message),
            ErrorKind::Overloaded => Self::new(Code::TooMany, BUSY),
            ErrorKind::Conflict
            | ErrorKind::Full
            | ErrorKind::Failed
            | ErrorKind::Damaged
            | ErrorKind::Unusable => {
                note(&error);
                Self::internal("the store is not available; repeat the request after Retry-After")
            }
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => Self::new(
                Code::TooLarge,
                format!("the body may have at most {limit} bytes; send fewer webhooks at once"),
            ),
            BodyError::Encoding => Self::new(
                Code::InvalidParameter,
                "compressed bodies are not read; leave Content-Encoding out",
            ),
            BodyError::Timeout => Self::new(Code::InvalidParameter, "the body did not arrive in time"),
            BodyError::Broken => Self::new(Code::InvalidParameter, "the body ended early"),
            BodyError::NoRoom => Self::new(Code::TooMany, BUSY),
        }
    }
}
