//! The embedded store: SQLite in WAL mode with `synchronous=FULL`.
//!
//! One writer owns the one connection that writes. It drains whatever waits,
//! intake and settlements together, into one transaction and one fsync, then
//! answers all (group commit): idle, a change commits at once; under load the
//! batches grow by themselves. Queries run on read-only connections of their
//! own and never hold the writer up. In production the writer is a thread; in
//! the simulation the same code runs as a task on paused time.
//!
//! An I/O error during a commit ends the writer: what reached the disk is then
//! unknown, so nothing more may be acknowledged before a fresh start.

mod accept;
mod catalog;
mod claim;
mod connection;
mod control;
mod deliveries;
mod listing;
mod publish;
mod queries;
mod replays;
mod retire;
mod rows;
mod settle;
mod webhooks;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use connection::Readers;
pub use connection::{Problem, inspect};
use writer::{Handle, State};

use super::queue::{
    Batch, Lease, Publication, Published, Queue, Receipt, Retention, Settled, Settlement, Waiting, Want,
};
use super::{Error, Handover, Reply};
use crate::env::Faults;
use crate::model::id::{DeliveryId, Position, WebhookKey};
use crate::model::time::Timestamp;
use crate::telemetry::Metrics;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The database file; its directory must exist.
    pub path: PathBuf,
    /// How long a lease lasts from the moment it is given, in milliseconds.
    pub lease_ms: i64,
    /// At most so many writes wait; beyond that they are refused as overload.
    pub queue: usize,
    /// Where the writer runs.
    pub mode: Mode,
}

/// Where the writer and the readers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Threads: for production.
    Threads,
    /// Tasks of the current runtime, without threads: for the simulation.
    Inline,
}

/// An open SQLite store.
#[derive(Clone)]
pub struct Sqlite {
    writer: Handle,
    readers: Arc<Readers>,
}

impl Sqlite {
    /// Opens or makes the store at `options.path`, brings its schema up to
    /// date, and starts the writer. Leases of earlier runs are void: what they
    /// held is due at once. Refuses a newer schema, a second process, a SQLite
    /// older than 3.51.3 and durability settings that did not take.
    pub fn open(
        options: &Options,
        handover: Arc<Handover>,
        faults: Faults,
        metrics: Metrics,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let (mut connection, lock) = connection::open_writer(&options.path)?;
        claim::void_leases(&mut connection, now)?;
        let readers = Arc::new(Readers::new(options.path.clone(), options.mode));
        let state = State::new(connection, lock, handover, faults, metrics, options.lease_ms)?;
        let writer = writer::start(state, options.queue, options.mode)?;
        Ok(Self { writer, readers })
    }

    /// Becomes true when the writer has ended on an error it can't survive; the
    /// process must end then.
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.writer.failed()
    }

    /// How many writes wait.
    pub fn depth(&self) -> usize {
        self.writer.depth()
    }

    /// Runs `work` in the writer's next transaction; the answer comes after its
    /// commit. `work` must not fail for reasons that a caller controls: an
    /// error rolls the whole group back. For those see [`Sqlite::write_apart`].
    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Turn<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        self.writer.submit(work)
    }

    /// Like [`Sqlite::write`], for the control plane: `work` may refuse, and
    /// then leaves no trace.
    fn write_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Turn<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.writer.submit_apart(work)
    }

    /// Runs `query` on a read-only connection, in one snapshot.
    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.readers.run(query)
    }
}

impl Queue for Sqlite {
    fn accept(&self, batch: Batch) -> Reply<Receipt> {
        self.accept_batch(batch)
    }

    fn publish(&self, publication: Publication) -> Reply<Published> {
        self.write(move |turn| publish::publish(turn, &publication))
    }

    fn claim(&self, wants: Vec<Want>, now: Timestamp) -> Reply<Vec<(WebhookKey, Option<Timestamp>)>> {
        self.write(move |turn| wants.iter().map(|want| claim::claim(turn, *want, now)).collect())
    }

    fn settle(&self, settlement: Settlement) -> Reply<Settled> {
        self.write(move |turn| settle::settle(turn, &settlement))
    }

    fn release(&self, leases: Vec<(DeliveryId, Lease)>, now: Timestamp) -> Reply<()> {
        self.write(move |turn| leases.iter().try_for_each(|lease| claim::release(turn, lease, now)))
    }

    fn schedule(&self) -> Reply<BTreeMap<WebhookKey, Timestamp>> {
        self.read(|sql| Ok(claim::schedule(sql)?))
    }

    fn waiting(&self, limit: usize) -> Reply<Vec<Waiting>> {
        self.write(move |turn| publish::waiting(turn, limit))
    }

    fn retire(&self, retention: Retention) -> Reply<Option<Position>> {
        self.write(move |turn| retire::retire(turn, retention))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use super::ErrorKind::{Conflict, Failed, Full};
        let kind = match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Full,
            Some(rusqlite::ErrorCode::ConstraintViolation) => Conflict,
            _ => Failed,
        };
        Self::new(kind, format!("the store failed: {error}"))
    }
}
