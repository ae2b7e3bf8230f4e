//! Asking the source of truth: the Graph API is read now and then, and what
//! notifications never told becomes an event.
//!
//! One task looks at what is due and starts readings, a few at a time; each is a
//! task of its own (`listing` asks, `Queue::observe` holds what came against what is
//! known). When each business account is due is the store's to know, so a restart
//! neither forgets one nor asks for all at once.
//!
//! Whoever asks is a guest. What Meta says of its limits is heeded before they are
//! reached, for a business account or, where a token is shared, for all that share
//! it; what fails is tried again less and less soon; and while the store can't keep
//! what is read, nothing is asked.
//!
//! Dropping it ends every reading: one that is not whole is none.

mod listing;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::env::Env;
use crate::model::event::Derived;
use crate::model::id::BusinessAccountId;
use crate::model::reading::{NumberReading, Reading};
use crate::model::reconciliation::{Failure, Gain, Trouble};
use crate::model::time::Timestamp;
use crate::policy::reconciliation::{LONGEST_HOLD, horizon, wait};
use crate::secrets::{Place, Vault};
use crate::store::queue::Observation;
use crate::store::reconciliations::{Due, Look, Note};
use crate::store::{Error, Store};
use crate::telemetry::Metrics;
use crate::transport::Inquirer;
use listing::{Hold, Listing};

/// How the Graph API is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is, without a slash at the end: `https://graph.facebook.com`.
    pub base_url: String,
    /// Which version of it, `v23.0`.
    pub version: String,
    /// For business accounts without a token of their own.
    pub token_for_all: Option<SecretString>,
    /// From one reading of a business account to the next.
    pub every: Duration,
    /// At most so many readings at once.
    pub at_once: usize,
    /// For one page.
    pub page_timeout: Duration,
    /// Whether ratings become `FLAGGED` and `UNFLAGGED`.
    pub flags: bool,
    /// Whether the events that follow say limits that are known.
    pub fill_limits: bool,
}

/// What a reconciler works with.
#[derive(Clone)]
pub struct Means {
    /// Where it is known what is due, and what is true.
    pub store: Arc<dyn Store>,
    /// The way out.
    pub inquirer: Arc<dyn Inquirer>,
    /// Opens access tokens.
    pub vault: Vault,
    /// Time and chance.
    pub env: Env,
    /// Counts.
    pub metrics: Metrics,
}

/// Where a business account's own access token is sealed. The operator gives it
/// for the business account, whatever account that is registered to.
pub fn token_place(id: &BusinessAccountId) -> Place<'_> {
    Place { row: id.as_str(), account: "", column: "graph_token" }
}

/// What is due is looked for this often, even if nobody says that there is any:
/// clocks leap.
const ROUND: Duration = Duration::from_hours(1);

/// After the store refused, or a reading ended abruptly.
const AFTER_FAILURE: Duration = Duration::from_mins(1);

/// Numbers held against what is known in one transaction: a business account of
/// thousands must not hold the writer up.
const OBSERVED_AT_ONCE: usize = 100;

/// The one who asks.
pub struct Reconciler {
    work: Arc<Work>,
    /// Something may be due.
    wake: Arc<Notify>,
    readings: JoinSet<Ended>,
    under_way: HashMap<Id, BusinessAccountId>,
    /// Until when nobody is asked at all.
    paused_until: Option<Timestamp>,
}

/// Whether it is kept how a reading went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It is.
    Kept,
    /// The store did not keep it.
    Unkept,
}

impl Reconciler {
    /// A reconciler; [`Reconciler::run`] starts it. `wake` says that something may
    /// be due.
    pub fn new(means: Means, options: Options, wake: Arc<Notify>) -> Self {
        let work = Arc::new(Work { means, options });
        Self { work, wake, readings: JoinSet::new(), under_way: HashMap::new(), paused_until: None }
    }

    /// Asks, for ever.
    pub async fn run(mut self) {
        while let Err(error) = self.work.begin().await {
            tracing::warn!(%error, "reading from the Graph API does not begin; trying again");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        loop {
            let wait = self.look().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "what is to be read from the Graph API is not known; trying again");
                AFTER_FAILURE
            });
            tokio::select! {
                biased;
                Some(ended) = self.readings.join_next_with_id() => self.ended(ended),
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Starts what is due, as far as there is room; how long until more may be.
    async fn look(&mut self) -> Result<Duration, Error> {
        let Work { means, options } = &*self.work;
        let now = means.env.clock.now();
        let still = |until: &Timestamp| now < *until;
        if let Some(until) = self.paused_until.filter(still) {
            return Ok(until.since(now));
        }
        let look = Look {
            now,
            horizon: horizon(options.every, now),
            everyone: options.token_for_all.is_some(),
            // What is under way is due still.
            limit: options.at_once + self.under_way.len(),
        };
        let agenda = means.store.agenda(look).await?;
        means.metrics.unreconciled(agenda.failing);
        let busy: BTreeSet<_> = self.under_way.values().cloned().collect();
        let room = options.at_once.saturating_sub(busy.len());
        for due in agenda.due.into_iter().filter(|due| !busy.contains(&due.business_account)).take(room) {
            let (work, id) = (Arc::clone(&self.work), due.business_account.clone());
            let task = self.readings.spawn(async move { work.read(due).await });
            self.under_way.insert(task.id(), id);
        }
        let next = agenda.next.into_iter().chain(agenda.held_until).min();
        Ok(next.map_or(ROUND, |next| next.since(now).min(ROUND)))
    }

    fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let (task, ended) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "a reading of the Graph API ended abruptly");
            (error.id(), Ended::Unkept)
        });
        self.under_way.remove(&task);
        if ended == Ended::Unkept {
            self.paused_until = Some(self.work.means.env.clock.now().plus(AFTER_FAILURE));
        }
    }
}

/// What all readings share.
struct Work {
    means: Means,
    options: Options,
}

impl Work {
    /// Says which token for all is used: with a new one, what failed before is
    /// tried at once.
    async fn begin(&self) -> Result<(), Error> {
        let mark = self.options.token_for_all.as_ref().map(mark);
        self.means.store.use_token_for_all(mark, self.means.env.clock.now()).await
    }

    /// One reading from end to end.
    async fn read(&self, due: Due) -> Ended {
        let began = Instant::now();
        let told = match self.token(&due) {
            Ok(token) => listing::read(&self.means, &self.options, &due, &token).await,
            Err(failure) => (Err(failure), Hold::default()),
        };
        let (listed, hold) = told;
        let kept = async {
            let result = match listed {
                Ok(listing) => match self.observe(&due.business_account, listing).await? {
                    Some(gain) => Ok(gain),
                    // It is registered no more, so there is nothing to keep it at, and it
                    // is not on the agenda any more.
                    None => return Ok(()),
                },
                Err(failure) => Err(failure),
            };
            self.means
                .metrics
                .reconciled(result.as_ref().err().map(|failure| failure.trouble), began.elapsed());
            self.note(&due, result, hold).await
        };
        match kept.await {
            Ok(()) => Ended::Kept,
            Err(error) => {
                let error: Error = error;
                tracing::warn!(%error, "what was read from the Graph API could not be kept; reading it again later");
                Ended::Unkept
            }
        }
    }

    fn token(&self, due: &Due) -> Result<SecretString, Failure> {
        match &due.token {
            Some((sealed, _)) => self.means.vault.open(token_place(&due.business_account), sealed).map_err(|error| {
                tracing::error!(business_account = %due.business_account, %error, "a sealed secret does not open");
                Failure::plain(Trouble::TokenSealed)
            }),
            // Without one nothing is due that has none of its own.
            None => self.options.token_for_all.clone().ok_or(Failure::plain(Trouble::TokenInvalid)),
        }
    }

    /// Holds a whole listing against what is known, a few numbers in a transaction.
    /// What a failure leaves undone the next reading finds.
    async fn observe(&self, id: &BusinessAccountId, listing: Listing) -> Result<Option<Gain>, Error> {
        let Listing { at, numbers, nameless } = listing;
        let mut gain = Gain { nameless, ..Gain::default() };
        let mut parts: Vec<&[NumberReading]> = numbers.chunks(OBSERVED_AT_ONCE).collect();
        if parts.is_empty() {
            // Whether it is still registered counts without numbers, too.
            parts.push(&[]);
        }
        for part in parts {
            let reading = Reading { business_account: id.clone(), at, numbers: part.to_vec() };
            let observation = Observation {
                now: self.means.env.clock.now(),
                reading,
                flags: self.options.flags,
                fill_limits: self.options.fill_limits,
                random: self.means.env.entropy.u64(),
            };
            let Some(observed) = self.means.store.observe(observation).await? else { return Ok(None) };
            self.means.metrics.derived(Derived::Reconciliation, observed.events);
            gain.numbers += observed.numbers;
            gain.learned += observed.learned;
            gain.events += observed.events;
        }
        Ok(Some(gain))
    }

    async fn note(&self, due: &Due, result: Result<Gain, Failure>, hold: Hold) -> Result<(), Error> {
        let now = self.means.env.clock.now();
        let failures = if result.is_ok() { 0 } else { due.failures.saturating_add(1) };
        let trouble = result.as_ref().err().map(|failure| failure.trouble);
        let chance = self.means.env.entropy.u64();
        let next_at = now.plus(wait(self.options.every, trouble, failures, hold.longest(), chance));
        let id = &due.business_account;
        match &result {
            Ok(Gain { numbers, learned, events, .. }) if *events > 0 => {
                tracing::info!(business_account = %id, numbers, learned, events, "the Graph API told what was missed");
            }
            Ok(gain) => {
                tracing::debug!(business_account = %id, numbers = gain.numbers, "read from the Graph API");
            }
            Err(Failure { trouble, codes, note }) => {
                let (code, subcode) = codes;
                let (what, note) = (trouble.what(), note.as_deref());
                // Said once: the API shows how it stands.
                if due.failures == 0 {
                    tracing::warn!(business_account = %id, what, note, code, subcode, %next_at, "the numbers of a business account could not be read");
                }
            }
        }
        let held_until = hold.longest().map(|hold| now.plus(hold.min(LONGEST_HOLD)));
        let shared = hold.shared.filter(|_| due.token.is_none());
        let all_held_until = shared.map(|hold| now.plus(hold.min(LONGEST_HOLD)));
        let note = Note {
            business_account: id.clone(),
            due_at: due.due_at,
            token_at: due.token.as_ref().map(|(_, at)| *at),
            at: now,
            result,
            next_at,
            held_until,
            all_held_until,
        };
        self.means.store.note_reconciliation(note).await
    }
}

/// What tells a token from another and does not tell it: the start of its SHA-256.
fn mark(token: &SecretString) -> i64 {
    let digest = digest(&SHA256, token.expose_secret().as_bytes());
    i64::from_be_bytes(digest.as_ref().first_chunk().copied().unwrap_or_default())
}
