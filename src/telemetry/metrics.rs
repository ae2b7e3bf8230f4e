//! The metrics, in the `OpenMetrics` text format. Each value of [`Metrics`] is a
//! registry of its own, so that many nodes live in one process. Counters are
//! looked up by their labels once, at the start.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::logs::Lost;
use crate::model::attempt::OutcomeClass;
use crate::model::delivery::DeliveryState;
use crate::model::event::Derived;
use crate::model::id::AccountId;
use crate::model::reconciliation::Trouble;
use crate::store::catalog::Totals;
use crate::store::queue::Receipt;

/// The content type of what [`Metrics::scrape`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why a notification was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Its signature is missing or wrong.
    Signature,
    /// Its body is over the limit.
    TooLarge,
    /// Its body is compressed.
    Encoding,
    /// Too much waits to be written.
    Overloaded,
    /// The store failed.
    Store,
    /// Its body took too long.
    Timeout,
    /// Its body ended early.
    Broken,
    /// It came for an app that is not configured.
    UnknownApp,
    /// A handshake with a wrong token, or none.
    Handshake,
}

impl Refused {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::Signature,
        Self::TooLarge,
        Self::Encoding,
        Self::Overloaded,
        Self::Store,
        Self::Timeout,
        Self::Broken,
        Self::UnknownApp,
        Self::Handshake,
    ];

    /// The reason's name, as in the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Overloaded => "overloaded",
            Self::Store => "store",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::UnknownApp => "unknown_app",
            Self::Handshake => "handshake",
        }
    }
}

/// Why nothing new is stored for the time being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSpace {
    /// The disk is full, or a limit on what may be written is reached.
    Disk,
    /// The log is too long, since somebody reads for too long.
    Log,
    /// The files are no longer where they belong.
    Moved,
}

impl NoSpace {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Disk, Self::Log, Self::Moved];

    /// The reason's name, as in the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Log => "log",
            Self::Moved => "moved",
        }
    }
}

/// How much waits in memory, asked for at a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depths {
    /// Writes that wait for the writer.
    pub writer: usize,
    /// Deliveries that wait for an attempt.
    pub dispatch: usize,
    /// Attempts under way.
    pub in_flight: usize,
}

/// The metrics of one node. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

type Labels = [(&'static str, &'static str); 1];

/// Labels of which the values come and go.
type Named = [(&'static str, String); 1];

struct Inner {
    registry: Mutex<Registry>,
    /// In the order of [`CHANGES`].
    changes: [Counter; 6],
    /// In the order of [`Derived::ALL`].
    derived: [Counter; 2],
    /// In the order of [`Refused::ALL`].
    refused: [Counter; 9],
    /// In the order of [`OutcomeClass::ALL`].
    attempts: [Counter; 12],
    /// In the order of [`DeliveryState::ALL`]; the pending one stays out of it.
    settled: [Option<Counter>; 5],
    batch_size: Histogram,
    commit: Histogram,
    attempt: Histogram,
    /// In the order of [`DeliveryState::ALL`].
    deliveries: [Gauge; 5],
    unrouted: Gauge,
    oldest_due: Gauge<f64, AtomicU64>,
    /// In the order of [`QUEUES`].
    depths: [Gauge; 3],
    connections: Gauge,
    paused: Gauge,
    unanswered: Counter,
    late: Gauge,
    undelivered: Family<Named, Gauge<f64, AtomicU64>>,
    log_bytes: Gauge,
    /// In the order of [`NoSpace::ALL`].
    no_space: [Gauge; 3],
    reconciled: Counter,
    /// In the order of [`Trouble::ALL`].
    unread: [Counter; 11],
    reading: Histogram,
    unreconciled: Gauge,
}

const CHANGES: [&str; 6] = ["accepted", "duplicate", "resent", "unrouted", "unparsed", "ignored"];
const IGNORED: usize = 5;
const QUEUES: [&str; 3] = ["writer", "dispatch", "in_flight"];

/// Registers a family and takes its members, one for each value of `label`.
fn family<M, const N: usize>(
    registry: &mut Registry,
    (name, help, label): (&str, &str, &'static str),
    values: [&'static str; N],
) -> [M; N]
where
    M: Clone + Default + Send + Sync + std::fmt::Debug + 'static,
    Family<Labels, M>: prometheus_client::registry::Metric,
{
    let family = Family::<Labels, M>::default();
    registry.register(name, help, family.clone());
    values.map(|value| family.get_or_create_owned(&[(label, value)]))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that stand at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("bellwether");
        let r = &mut registry;
        let changes = ("changes", "Changes that notifications brought", "result");
        let derived =
            ("events_derived", "Events that no notification said, by what they follow from", "from");
        let refused = ("notifications_refused", "Notifications that were not taken", "reason");
        let attempts = ("attempts", "Attempts to deliver, by what came of them", "class");
        let settled = ("deliveries_settled", "Deliveries that ended", "state");
        let deliveries = ("deliveries", "Deliveries in the store", "state");
        let depths = ("queue_depth", "What waits in memory", "queue");
        let readings =
            ("reconciliations", "Readings of business accounts' numbers from the Graph API", "result");
        let results =
            std::array::from_fn(|at| at.checked_sub(1).map_or("succeeded", |at| Trouble::ALL[at].as_str()));
        let readings: [Counter; 12] = family(r, readings, results);
        let [reconciled, unread @ ..] = readings;
        let no_space = ("store_no_space", "Whether nothing new is stored, and why: 0 or 1", "reason");
        let ended = [
            DeliveryState::Delivered,
            DeliveryState::Exhausted,
            DeliveryState::Canceled,
            DeliveryState::Superseded,
        ];
        let [delivered, exhausted, canceled, superseded] =
            family(r, settled, ended.map(DeliveryState::as_str));
        let inner = Inner {
            changes: family(r, changes, CHANGES),
            derived: family(r, derived, Derived::ALL.map(Derived::as_str)),
            refused: family(r, refused, Refused::ALL.map(Refused::as_str)),
            attempts: family(r, attempts, OutcomeClass::ALL.map(OutcomeClass::as_str)),
            settled: [None, Some(delivered), Some(exhausted), Some(canceled), Some(superseded)],
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            attempt: Histogram::new(exponential_buckets(0.005, 2.0, 14)),
            deliveries: family(r, deliveries, DeliveryState::ALL.map(DeliveryState::as_str)),
            unrouted: Gauge::default(),
            oldest_due: Gauge::default(),
            depths: family(r, depths, QUEUES),
            connections: Gauge::default(),
            paused: Gauge::default(),
            registry: Mutex::default(),
            unanswered: Counter::default(),
            late: Gauge::default(),
            undelivered: Family::default(),
            log_bytes: Gauge::default(),
            no_space: family(r, no_space, NoSpace::ALL.map(NoSpace::as_str)),
            reconciled,
            unread,
            reading: Histogram::new(exponential_buckets(0.05, 2.0, 14)),
            unreconciled: Gauge::default(),
        };
        inner.register_single(r);
        *inner.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        Self(Arc::new(inner))
    }

    /// Counts what became of a notification's changes.
    pub fn received(&self, receipt: &Receipt) {
        let counts =
            [receipt.accepted, receipt.duplicate, receipt.resent, receipt.unrouted, receipt.unparsed];
        for (counter, count) in self.0.changes.iter().zip(counts) {
            counter.inc_by(count);
        }
        self.derived(Derived::Capability, receipt.derived);
    }

    /// Counts events that no notification said.
    pub fn derived(&self, from: Derived, events: u64) {
        self.0.derived[from as usize].inc_by(events);
    }

    /// Whether deliveries are paused.
    pub fn paused(&self, paused: bool) {
        self.0.paused.set(paused.into());
    }

    /// Counts changes of fields that are not stored.
    pub fn ignored(&self, changes: u64) {
        self.0.changes[IGNORED].inc_by(changes);
    }

    /// Counts a notification that was not taken.
    pub fn refused(&self, reason: Refused) {
        self.0.refused[reason as usize].inc();
    }

    /// Counts an attempt and how long it took.
    pub fn attempt(&self, class: OutcomeClass, took: Duration) {
        self.0.attempts[class as usize].inc();
        self.0.attempt.observe(took.as_secs_f64());
    }

    /// Counts a delivery that ended in `state`. A pending one has not ended.
    pub fn settled(&self, state: DeliveryState) {
        if let Some(counter) = &self.0.settled[state as usize] {
            counter.inc();
        }
    }

    /// Counts a commit: how many operations were in it, and how long it took.
    pub fn committed(&self, batch: usize, took: Duration) {
        self.0.batch_size.observe(f64::from(u32::try_from(batch).unwrap_or(u32::MAX)));
        self.0.commit.observe(took.as_secs_f64());
    }

    /// Says how many accounts have an event that is late, and the age of the oldest
    /// undelivered one of some accounts.
    pub fn undelivered(&self, late: usize, oldest: &[(AccountId, Duration)]) {
        self.0.late.set(i64::try_from(late).unwrap_or(i64::MAX));
        self.0.undelivered.clear();
        for (account, age) in oldest {
            let gauge = self.0.undelivered.get_or_create_owned(&[("account", account.to_string())]);
            gauge.set(age.as_secs_f64());
        }
    }

    /// Counts a reading from the Graph API: what kept it, if anything did, and how
    /// long it took.
    pub fn reconciled(&self, trouble: Option<Trouble>, took: Duration) {
        let counter = trouble.map_or(&self.0.reconciled, |trouble| &self.0.unread[trouble as usize]);
        counter.inc();
        self.0.reading.observe(took.as_secs_f64());
    }

    /// Says how many business accounts could not be read the last time.
    pub fn unreconciled(&self, business_accounts: u64) {
        self.0.unreconciled.set(i64::try_from(business_accounts).unwrap_or(i64::MAX));
    }

    /// Says how long the store's log is.
    pub fn log_bytes(&self, bytes: u64) {
        self.0.log_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Says whether nothing new is stored for that reason.
    pub fn no_space(&self, why: NoSpace, wrong: bool) {
        self.0.no_space[why as usize].set(wrong.into());
    }

    /// Shows a count of lost log lines, kept elsewhere: logs are the process's.
    pub fn count_lost_lines(&self, lost: &Lost) {
        let mut registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register("log_lines_lost", "Log lines that nobody took in time", lost.counter());
    }

    /// Counts a connection for as long as the result lives.
    pub fn connection(&self) -> Connection {
        self.0.connections.inc();
        Connection(self.0.connections.clone())
    }

    /// All metrics as text of the type [`CONTENT_TYPE`].
    #[expect(clippy::missing_panics_doc, reason = "writing to a string does not fail")]
    pub fn scrape(&self, totals: Option<&Totals>, depths: Depths) -> String {
        // Held throughout, so that one scrape does not mix with another.
        let registry = self.0.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match totals {
            Some(totals) => self.show(totals),
            None => {
                self.0.unanswered.inc();
            }
        }
        for (gauge, depth) in self.0.depths.iter().zip([depths.writer, depths.dispatch, depths.in_flight]) {
            gauge.set(i64::try_from(depth).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes all that is written to it");
        text
    }

    fn show(&self, totals: &Totals) {
        for (gauge, count) in self.0.deliveries.iter().zip(totals.deliveries) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.0.unrouted.set(i64::try_from(totals.unrouted).unwrap_or(i64::MAX));
        let due = Duration::from_millis(u64::try_from(totals.oldest_due_ms).unwrap_or(0));
        self.0.oldest_due.set(due.as_secs_f64());
    }
}

impl Inner {
    /// Registers the metrics that have no labels.
    fn register_single(&self, registry: &mut Registry) {
        registry.register("commit_batch_size", "Operations in a commit", self.batch_size.clone());
        let seconds = || Unit::Seconds;
        registry.register_with_unit("commit", "How long a commit took", seconds(), self.commit.clone());
        registry.register_with_unit("attempt", "How long an attempt took", seconds(), self.attempt.clone());
        registry.register("unrouted", "Changes that wait for their business account", self.unrouted.clone());
        let help = "How long the oldest due delivery has been due";
        registry.register_with_unit("oldest_due", help, seconds(), self.oldest_due.clone());
        let help =
            "Scrapes that the store did not answer: its figures are then those of the last that it did";
        registry.register("scrapes_unanswered", help, self.unanswered.clone());
        let help = "Accounts with an event that has not arrived for longer than delivery.late_after_s";
        registry.register("late_accounts", help, self.late.clone());
        let help = "The age of the oldest event that has not arrived, of the accounts where it is the oldest";
        registry.register_with_unit("undelivered_oldest", help, seconds(), self.undelivered.clone());
        let help = "How long a reading from the Graph API took";
        registry.register_with_unit("reconciliation", help, seconds(), self.reading.clone());
        let help = "Business accounts whose last reading from the Graph API failed";
        registry.register("business_accounts_unreconciled", help, self.unreconciled.clone());
        registry.register("connections", "Connections that are served", self.connections.clone());
        let help = "Whether nothing is sent, by configuration or as the store is a copy: 0 or 1";
        registry.register("deliveries_paused", help, self.paused.clone());
        let help = "How long the store's log is: what is committed and not yet used anew";
        registry.register_with_unit("store_log", help, Unit::Bytes, self.log_bytes.clone());
    }
}

/// A connection that counts.
pub struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
