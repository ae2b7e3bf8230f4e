//! What is kept of asking the source of truth: access tokens, when each business
//! account is asked next, and how it went. Small, and far from the hot path.

use super::Reply;
use crate::model::id::BusinessAccountId;
use crate::model::reconciliation::{Failure, Gain, Reconciliation};
use crate::model::time::Timestamp;

/// The business accounts' readings.
pub trait Reconciliations: Send + Sync + 'static {
    /// Sets a business account's own access token, sealed, or removes it; with a
    /// token the next reading is due at once. `NotFound` if it is not registered.
    fn put_graph_token(&self, id: BusinessAccountId, sealed: Option<Vec<u8>>, now: Timestamp) -> Reply<()>;

    /// How it stands; `None` if the business account is not registered.
    fn reconciliation(&self, id: BusinessAccountId) -> Reply<Option<Reconciliation>>;

    /// Makes the next reading due at `now`, or when Meta may be asked again.
    /// `NotFound` if the business account is not registered.
    fn ask_reconciliation(&self, id: BusinessAccountId, now: Timestamp) -> Reply<()>;

    /// A token for all is in use, of which `mark` tells it from another (`None`:
    /// there is none). If it is another than before, what Meta asked of that one is
    /// forgotten, and who could not be read with it is due at `now`.
    fn use_token_for_all(&self, mark: Option<i64>, now: Timestamp) -> Reply<()>;

    /// What is to be read now, the longest due first.
    fn agenda(&self, look: Look) -> Reply<Agenda>;

    /// Keeps how a reading went, and when the next one is due. What was asked for
    /// meanwhile stays due; of a business account that has another token by now, or is
    /// gone, nothing is kept.
    fn note_reconciliation(&self, note: Note) -> Reply<()>;
}

/// A look at what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it is by now.
    pub now: Timestamp,
    /// What is due after this is due now: see [`crate::policy::reconciliation::horizon`].
    pub horizon: Timestamp,
    /// Whether those without an access token of their own are read, too, unless
    /// Meta wants that nobody asks with the one for all.
    pub everyone: bool,
    /// At most so many.
    pub limit: usize,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda {
    /// Now, the longest due first. Only accounts that are configured.
    pub due: Vec<Due>,
    /// When the next is, if one waits.
    pub next: Option<Timestamp>,
    /// How many business accounts could not be read the last time.
    pub failing: u64,
    /// Until when Meta wants nobody to ask with the token for all.
    pub held_until: Option<Timestamp>,
}

/// A reading that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose numbers.
    pub business_account: BusinessAccountId,
    /// Its own access token, sealed, and when that was set.
    pub token: Option<(Vec<u8>, Timestamp)>,
    /// Since when.
    pub due_at: Timestamp,
    /// How many readings have failed in a row before.
    pub failures: u32,
}

/// How a reading went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was due.
    pub business_account: BusinessAccountId,
    /// [`Due::due_at`]: if it is another by now, it is not changed.
    pub due_at: Timestamp,
    /// When the token was set that was used, if it was the business account's own.
    pub token_at: Option<Timestamp>,
    /// When it ended.
    pub at: Timestamp,
    /// What it brought, or why it did not come about.
    pub result: Result<Gain, Failure>,
    /// When the next is due.
    pub next_at: Timestamp,
    /// Until when Meta wants not to be asked.
    pub held_until: Option<Timestamp>,
    /// Until when Meta wants nobody to ask with the token that was used, if that
    /// was the one for all.
    pub all_held_until: Option<Timestamp>,
}
