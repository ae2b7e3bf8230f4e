//! What became of a request without an answer, by the type of the error at
//! the root of it and never by its text. The notes are fixed: a customer must
//! not learn from them what the operator's network looks like.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use tokio_rustls::rustls;

use super::revocable;
use crate::model::attempt::{Outcome, OutcomeClass};
use crate::policy::address::Refusal;
use crate::transport::resolve::ResolveError;
use crate::transport::tls;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialError {
    /// The URL, or an address it leads to, is forbidden.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No address.
    #[error("{0}")]
    Resolve(ResolveError),
    /// No TCP connection.
    #[error("{0}")]
    Connect(&'static str),
    /// A TCP connection that was gone at once.
    #[error("the connection was reset")]
    Reset,
    /// No TLS on it.
    #[error("{0}")]
    Tls(&'static str),
}

impl From<ResolveError> for DialError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Refused(refusal) => Self::Refused(refusal),
            ResolveError::NoAddress | ResolveError::Slow => Self::Resolve(error),
        }
    }
}

impl DialError {
    fn class(self) -> OutcomeClass {
        match self {
            Self::Refused(_) => OutcomeClass::ForbiddenAddress,
            Self::Resolve(_) => OutcomeClass::Dns,
            Self::Connect(_) => OutcomeClass::Connect,
            Self::Reset => OutcomeClass::Reset,
            Self::Tls(_) => OutcomeClass::Tls,
        }
    }
}

/// A receiver said more than any answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver says too much")]
pub(super) struct TooMuch;

/// A request that was not made.
pub(super) fn refused(refusal: Refusal) -> Outcome {
    Outcome::failed(OutcomeClass::ForbiddenAddress, &refusal.to_string())
}

/// A request that was not answered.
pub(super) fn outcome(error: &legacy::Error) -> Outcome {
    if let Some(dial) = chain(error).find_map(|cause| cause.downcast_ref::<DialError>()) {
        return Outcome::failed(dial.class(), &dial.to_string());
    }
    let io = || chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    if let Some(refusal) = io().find_map(revocable::refused) {
        return Outcome::failed(OutcomeClass::ForbiddenAddress, &refusal);
    }
    // With TLS 1.3 a receiver that wants a client certificate says so only
    // after the client has finished its handshake.
    if let Some(tls) = chain(error).filter_map(|cause| cause.downcast_ref()).find_map(tls_error) {
        return Outcome::failed(OutcomeClass::Tls, tls::reason(tls));
    }
    let any = |is: fn(&hyper::Error) -> bool| {
        chain(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(is)
    };
    let said_too_much =
        |error: &io::Error| error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<TooMuch>);
    if any(hyper::Error::is_parse) || io().any(said_too_much) {
        return Outcome::failed(OutcomeClass::Protocol, "the answer is not HTTP, or its head is too long");
    }
    if any(hyper::Error::is_timeout) {
        return Outcome::failed(OutcomeClass::Reset, "the connection went dead before an answer");
    }
    let ended = any(hyper::Error::is_incomplete_message)
        || any(hyper::Error::is_closed)
        || any(hyper::Error::is_body_write_aborted)
        || io().next().is_some();
    if ended {
        return Outcome::failed(OutcomeClass::Reset, "the connection ended before an answer");
    }
    Outcome::failed(OutcomeClass::Protocol, "the receiver broke the HTTP protocol")
}

/// The TLS error that tokio's I/O traits have made an I/O error of.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// An error and all its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
