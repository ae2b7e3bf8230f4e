//! The way in: verify, read, make durable, answer.
//!
//! The order is a promise. Nothing of an unsigned body is looked at; nothing of
//! a signed one is dropped: what can't be routed or read is kept and visible.
//! The 200 follows the commit of the whole notification. Anything else that
//! goes wrong is answered so that Meta sends it again, and deduplication makes
//! the repeat harmless.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use secrecy::SecretString;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::env::Env;
use crate::model::change::Unparsed;
use crate::model::event::Derived;
use crate::policy::signature::{MetaKey, SignatureError, verify_meta};
use crate::secrets;
use crate::source::meta;
use crate::store::queue::{Batch, Derivation, Item, Receipt, Waiting};
use crate::store::{Error, Store};
use crate::telemetry::{Metrics, Refused};

/// The largest notification (Meta sends up to 3 MB).
pub const LARGEST_NOTIFICATION_BYTES: usize = 4 << 20;

/// Bodies being read or written at once, with what is made of them, may add up
/// to this.
pub const BODIES_IN_MEMORY_BYTES: usize = 128 << 20;

/// What a byte of a body takes in memory by the time it is stored: itself, the
/// change that it was read into, the event that became of that.
const COPIES: usize = 3;

/// The longest challenge that is echoed.
const LONGEST_CHALLENGE: usize = 256;

/// Refusals are warned of at most this often.
const WARN_EVERY_MS: i64 = 10_000;

/// After so many new events the store has something to tidy.
const TIDY_EVERY: u64 = 2_000;

/// Unrouted changes routed in one transaction.
const ROUTE_STEP: usize = 500;

/// Numbers that hear of a capability update in one transaction of the janitor's.
const DERIVE_STEP: usize = 200;

/// A Meta app: who may post here.
#[derive(Clone)]
pub struct App {
    /// Its secrets: two while rotating.
    pub keys: Vec<MetaKey>,
    /// What Meta says in the handshake.
    pub verify_token: Option<SecretString>,
}

/// Why a notification is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such app.
    #[error(
        "no such app is configured here; hint: the last part of the callback URL is a name under meta.apps"
    )]
    UnknownApp,
    /// Not signed by the app's secret.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Not durable, or not known to be.
    #[error("the notification could not be stored; try again shortly")]
    NotStored(#[from] Error),
    /// The handshake's token is wrong, or none is configured.
    #[error(
        "the verify token does not match; hint: enter meta.apps.<name>.verify_token in the app's dashboard"
    )]
    Token,
    /// The handshake is not one.
    #[error(
        "this is no handshake; hint: hub.mode must be subscribe and hub.challenge a number of at most 256 digits"
    )]
    Handshake,
}

/// Takes notifications.
pub struct Intake {
    apps: HashMap<String, App>,
    store: Arc<dyn Store>,
    env: Env,
    metrics: Metrics,
    fill_limits: bool,
    derive: bool,
    memory: Semaphore,
    errand: Arc<Notify>,
    accepted: AtomicU64,
    /// When a refusal was last warned of, in milliseconds.
    warned: AtomicI64,
}

impl Intake {
    /// An intake for these apps, by name. Whether limits are filled in, and
    /// whether events are derived from capability updates. `errand` is told now
    /// and then that the store has grown, or that something is left to derive.
    pub fn new(
        apps: HashMap<String, App>,
        store: Arc<dyn Store>,
        env: Env,
        metrics: Metrics,
        (fill_limits, derive): (bool, bool),
        errand: Arc<Notify>,
    ) -> Self {
        let memory = Semaphore::new(BODIES_IN_MEMORY_BYTES);
        Self {
            apps,
            store,
            env,
            metrics,
            fill_limits,
            derive,
            memory,
            errand,
            accepted: AtomicU64::new(0),
            warned: AtomicI64::new(0),
        }
    }

    /// Meta's handshake: the challenge to echo, if the token is right.
    pub fn verify(&self, app: &str, mode: &str, token: &str, challenge: &str) -> Result<String, Refusal> {
        let name = app;
        let app = self.app(name)?;
        // Meta's challenge is a number; nothing else is reflected.
        let plain = (1..=LONGEST_CHALLENGE).contains(&challenge.len())
            && challenge.bytes().all(|b| b.is_ascii_digit());
        if mode != "subscribe" || !plain {
            return Err(self.refuse(name, Refused::Handshake, Refusal::Handshake));
        }
        match &app.verify_token {
            Some(expected) if secrets::equal(expected, token) => Ok(challenge.to_owned()),
            _ => Err(self.refuse(name, Refused::Handshake, Refusal::Token)),
        }
    }

    /// Counts a refusal, and warns of it once in a while: whoever mistyped a
    /// secret needs to see it, and whoever floods must not fill the log.
    fn refuse(&self, app: &str, reason: Refused, refusal: Refusal) -> Refusal {
        self.metrics.refused(reason);
        let now = self.env.clock.now().ms();
        let warned = self.warned.load(Ordering::Relaxed);
        let due = now - warned >= WARN_EVERY_MS;
        if due && self.warned.compare_exchange(warned, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let app: String = app.chars().take(64).collect();
            tracing::warn!(?app, reason = reason.as_str(), %refusal, "a request was refused (more are only counted for a while)");
        }
        refusal
    }

    fn app(&self, name: &str) -> Result<&App, Refusal> {
        self.apps.get(name).ok_or_else(|| self.refuse(name, Refused::UnknownApp, Refusal::UnknownApp))
    }

    /// Whether notifications of `app` are taken at all: asked before anything is
    /// read.
    pub fn knows(&self, app: &str) -> Result<(), Refusal> {
        self.app(app).map(|_| ())
    }

    /// Memory for one body, to grow as it arrives.
    pub fn room(&self) -> Room<'_> {
        Room { memory: &self.memory, taken: None }
    }

    /// Takes a notification: its raw bytes and all its `X-Hub-Signature-256`
    /// headers. `Ok` means durable.
    pub async fn receive<'a>(
        &self,
        app: &str,
        signatures: impl Iterator<Item = &'a [u8]>,
        body: Bytes,
    ) -> Result<Receipt, Refusal> {
        let keys = &self.app(app)?.keys;
        verify_meta(keys, signatures, &body)
            .map_err(|error| self.refuse(app, Refused::Signature, error.into()))?;
        let notification = meta::read(&body);
        // What was read out of it is kept until it is written: not both.
        drop(body);
        self.metrics.ignored(notification.ignored);
        let items: Vec<Item> = notification.items.into_iter().map(item).collect();
        let ignored = notification.ignored;
        if items.is_empty() {
            return Ok(Receipt { ignored, ..Receipt::default() });
        }
        let receipt = self.store.accept(self.batch(app, items)).await.inspect_err(|error| {
            self.metrics.refused(Refused::Store);
            tracing::warn!(%error, "a notification was not stored and is answered 503");
        })?;
        self.metrics.received(&receipt);
        let before = self.accepted.fetch_add(receipt.accepted, Ordering::Relaxed);
        if before / TIDY_EVERY != (before + receipt.accepted) / TIDY_EVERY || receipt.underived > 0 {
            self.errand.notify_one();
        }
        Ok(Receipt { ignored, ..receipt })
    }

    fn batch(&self, app: &str, items: Vec<Item>) -> Batch {
        Batch {
            now: self.env.clock.now(),
            app: app.to_owned(),
            items,
            random: self.env.entropy.u64(),
            fill_limits: self.fill_limits,
            derive: self.derive,
        }
    }

    /// Routes some of what waited unrouted and can be routed now, in order; says
    /// how many changes. 0: nothing is left.
    pub async fn route_waiting(&self) -> Result<u64, Error> {
        let waiting = self.store.waiting(ROUTE_STEP).await?;
        let Some(first) = waiting.first() else { return Ok(0) };
        let app = first.app.clone();
        let items = waiting.iter().take_while(|change| change.app == app).map(reread).collect();
        let receipt = self.store.accept(self.batch(&app, items)).await?;
        self.metrics.received(&receipt);
        Ok(receipt.accepted + receipt.resent + receipt.unparsed)
    }

    /// Takes a capability update that has numbers left to hear of it some further;
    /// says whether more is left.
    pub async fn derive_rest(&self) -> Result<bool, Error> {
        let (now, random) = (self.env.clock.now(), self.env.entropy.u64());
        let derivation = Derivation { step: DERIVE_STEP, now, fill_limits: self.fill_limits, random };
        let (events, more) = self.store.derive(derivation).await?;
        self.metrics.derived(Derived::Capability, events);
        Ok(more)
    }
}

/// Memory that one body takes; given back when dropped.
pub struct Room<'a> {
    memory: &'a Semaphore,
    taken: Option<SemaphorePermit<'a>>,
}

impl Room<'_> {
    /// Takes `bytes` of a body more; false if there is no memory for them.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = bytes.saturating_mul(COPIES);
        let Ok(more) = self.memory.try_acquire_many(u32::try_from(taken).unwrap_or(u32::MAX)) else {
            return false;
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

fn item(item: meta::Item) -> Item {
    match item {
        meta::Item::Change(change) => Item::Change(change),
        meta::Item::Unparsed(unparsed) => Item::Unparsed(unparsed),
    }
}

fn reread(waiting: &Waiting) -> Item {
    let Waiting { row, business_account, time, received_at, field, raw, .. } = waiting;
    let read: Result<_, Unparsed> = match meta::reread(business_account, *time, field, raw) {
        meta::Item::Change(change) => Ok(change),
        meta::Item::Unparsed(unparsed) => Err(unparsed),
    };
    Item::Waiting { row: *row, received_at: *received_at, read }
}
