//! What is kept: the port between the service and its store.
//!
//! Three traits. [`Queue`] is the data plane: every call is one transaction,
//! `Ok` means durable, and after an `Err` the call may be repeated. [`Catalog`]
//! is the control plane: accounts, webhooks, keys, and the queries behind the
//! API. [`Reconciliations`] says whom to ask what is true, and when. The service
//! knows nothing else of a store, and all it holds in memory can be rebuilt from
//! one.
//!
//! What an accepted event owes goes straight from the commit to the dispatcher
//! through the [`Handover`], while that has room; what does not fit stays due.

pub mod catalog;
pub mod handover;
pub mod journal;
pub mod queue;
pub mod reconciliations;
pub mod sqlite;

use std::future::Future;
use std::pin::Pin;

pub use catalog::Catalog;
pub use handover::Handover;
pub use queue::Queue;
pub use reconciliations::Reconciliations;

/// A store: both planes, and what is kept of asking the source of truth.
pub trait Store: Queue + Catalog + Reconciliations {}
impl<T: Queue + Catalog + Reconciliations> Store for T {}

/// A pending answer of the store.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// What went wrong in the store: branch on the kind, report the source.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind, to branch on.
    pub kind: ErrorKind,
    /// What happened. For `NotFound`, `Conflict` and `Limit` it tells the caller
    /// what to do; for the others, operators. Holds no secrets.
    pub message: String,
}

/// The kinds of store errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Too much is waiting to be written: try again later.
    Overloaded,
    /// No space left; nothing was written.
    Full,
    /// The write is unknown or failed: nothing may be acknowledged.
    Failed,
    /// The file holds what the store can't have written: nothing in it can be
    /// trusted any more.
    Damaged,
    /// The store can't be used: not ours, newer, damaged, or in use.
    Unusable,
    /// What is referred to does not exist.
    NotFound,
    /// It exists already, or is still referred to.
    Conflict,
    /// It would be more than is allowed; the limit is named.
    Limit,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
