//! The way out: one request, one outcome; one question, one answer. Nothing
//! else in the program opens an outbound connection.

pub mod http;
pub mod resolve;
pub mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use crate::model::attempt::{Outcome, OutcomeClass};

/// A POST to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to, as configured; judged anew on each send.
    pub url: String,
    /// Headers besides those that the transport sets itself (`host`,
    /// `content-length`, `accept-encoding: identity`).
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The exact bytes.
    pub body: Bytes,
    /// From resolving the name to the last byte read of the answer.
    pub deadline: Duration,
}

/// Sends requests. Infallible: a failure is an [`Outcome`].
pub trait Transport: Send + Sync + 'static {
    /// Sends once and never twice: a request of which a byte may have been
    /// written is not repeated.
    fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

/// A GET to be made, of which the answer counts whole or not at all: an
/// attempt is over with an answer's head, a question is not.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// Where to; judged on each.
    pub url: String,
    /// Headers besides those that the transport sets itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// An answer with a longer body, in bytes, is none.
    pub most_bytes: usize,
    /// From resolving the name to the last byte of the answer.
    pub deadline: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Which kind.
    pub class: OutcomeClass,
    /// A note for people: fixed text.
    pub note: String,
}

/// Asks. Redirects are answers, and never followed.
pub trait Inquirer: Send + Sync + 'static {
    /// Asks once.
    fn inquire(
        &self,
        inquiry: Inquiry,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + '_>>;
}
