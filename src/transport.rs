//! The way out: one request, one outcome. Nothing else in the program opens an
//! outbound connection.

pub mod http;
pub mod resolve;
pub mod tls;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;

use crate::model::attempt::Outcome;

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
