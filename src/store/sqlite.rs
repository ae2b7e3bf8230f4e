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
//! unknown, so nothing more may be acknowledged before a fresh start. A write
//! that finds no space is none: nothing of it counts, and `space` sees to it
//! that what is stored is still delivered.

mod accept;
mod backup;
mod brought;
mod by_hand;
mod bytes;
mod catalog;
mod claim;
mod connection;
mod control;
mod damage;
mod deliveries;
mod derived;
mod events;
mod history;
mod interrupt;
mod journal;
mod known;
mod leases;
mod listing;
mod maps;
mod numbers;
mod observe;
mod overlay;
mod publish;
mod queries;
mod readers;
mod reconciliations;
mod replays;
mod restore;
mod retire;
mod routes;
mod rows;
mod settle;
mod snapshots;
mod space;
mod stepped;
mod sums;
mod supersede;
mod tail;
mod undelivered;
mod weakened;
mod webhooks;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

pub use backup::{BackupError, back_up, resume};
pub use connection::{Inspected, Problem, check_directory, inspect};
use damage::Damage;
use overlay::Overlay;
use readers::{LONGEST_QUERY, Readers, Shared};
pub use restore::{Restored, restore};
use space::Space;
use writer::{Handle, State};

use super::queue::{
    Batch, Derivation, Lease, Observation, Observed, Publication, Published, Queue, Receipt, Retention,
    Settled, Settlement, Waiting, Want,
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

/// At most so many queries of each kind run at a time; others wait their turn.
/// Single rows are looked up together.
const READERS: Shared = Shared { turns: 4, together: 1 };
const LOOKUPS: Shared = Shared { turns: 2, together: 64 };
const SURVEYS: Shared = Shared { turns: 1, together: 1 };
const FOLLOWERS: Shared = Shared { turns: 1, together: 8 };

/// An open SQLite store.
#[derive(Clone)]
pub struct Sqlite {
    writer: Handle,
    /// For pages of listings.
    readers: Arc<Readers>,
    /// For single rows that a request or an attempt waits for.
    lookups: Arc<Readers>,
    /// For what may look at many rows: counts and health.
    surveys: Arc<Readers>,
    /// For those who follow the journal.
    followers: Arc<Readers>,
    /// Up to which row the journal is durable.
    told: watch::Receiver<i64>,
    damage: Damage,
    faults: Faults,
    space: Arc<Space>,
    /// What is known of numbers whose rows are late.
    overlay: Overlay,
}

impl Sqlite {
    /// Opens or makes the store at `options.path`, brings its schema up to
    /// date, and starts the writer. Leases of earlier runs are void: what they
    /// held is due at once. Refuses a newer schema, a second process, a SQLite
    /// older than 3.51.3 and durability settings that did not take. On a full
    /// disk it opens with the help of the reserve.
    pub fn open(
        options: &Options,
        handover: Arc<Handover>,
        faults: Faults,
        metrics: Metrics,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let lock = connection::lock(&options.path)?;
        let space = Arc::new(Space::new(&options.path, options.mode, &faults, metrics.clone()));
        let overlay = Overlay::default();
        let (owned, path, planned, known) =
            (Arc::clone(&space), &options.path, faults.clone(), overlay.clone());
        let open = move || {
            let mut connection = connection::open_writer(path)?;
            weakened::connection(&planned, &connection)?;
            claim::void_leases(&mut connection, now)?;
            stepped::bring_back(&connection, now)?;
            let lock = lock.try_clone().map_err(|error| connection::cannot_lock(path, &error))?;
            let (alone, handover) = ((lock, Arc::clone(&owned), known.clone()), Arc::clone(&handover));
            State::new(connection, alone, handover, planned.clone(), metrics.clone(), options.lease_ms)
        };
        let state = open()
            .or_else(|error| if space.release() { open() } else { Err(error) })
            .map_err(|error| connection::refuse_damaged(path, error))?;
        space.restore();
        let damage = Damage::default();
        let longest = faults.limits().query.unwrap_or(LONGEST_QUERY);
        let pool = |shared: Shared| {
            Arc::new(Readers::new(options.path.clone(), options.mode, shared, longest, damage.clone()))
        };
        let (readers, lookups) = (pool(READERS), pool(LOOKUPS));
        let (surveys, followers) = (pool(SURVEYS), pool(FOLLOWERS));
        let told = state.told();
        let writer = writer::start(state, options.queue, options.mode)?;
        Ok(Self { writer, readers, lookups, surveys, followers, told, damage, faults, space, overlay })
    }

    /// Becomes true when the writer has ended on an error it can't survive; the
    /// process must end then.
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.writer.failed()
    }

    /// Becomes what was found damaged, before anybody is told so; the process
    /// must end then, and a fresh start finds the same.
    pub fn damaged(&self) -> watch::Receiver<Option<String>> {
        self.damage.watch()
    }

    /// When this store was copied, if it is a copy that has not taken the original's
    /// place ([`resume`]): then nothing may be delivered from it.
    pub fn copied_at(&self) -> Reply<Option<Timestamp>> {
        self.look_up(backup::copied_at)
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
        let damage = self.damage.clone();
        self.writer.submit(move |turn| damage.notice(work(turn)))
    }

    /// Like [`Sqlite::write`], for the control plane: `work` may refuse, and
    /// then leaves no trace.
    fn write_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Turn<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        let damage = self.damage.clone();
        self.writer.submit_apart(move |turn| damage.notice(work(turn)))
    }

    /// Does `write`, which makes the store grow, unless there is no space for it.
    /// Who is refused looks whether there is again, at most once in a while.
    fn if_space<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Self) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        if self.space.refusal().is_none() {
            return write(self);
        }
        let store = self.clone();
        Box::pin(async move {
            if store.space.may_look() {
                let space = Arc::clone(&store.space);
                // An error of its own changes nothing of what is asked below.
                let _ = store
                    .write(move |_| {
                        space.look();
                        Ok(())
                    })
                    .await;
            }
            match store.space.refusal() {
                Some(refusal) => Err(refusal),
                None => write(&store).await,
            }
        })
    }

    /// [`Sqlite::write_apart`] of what makes the store grow.
    fn add_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Turn<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.if_space(|store| store.write_apart(work))
    }

    /// Runs `query` on a read-only connection, in one snapshot.
    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.readers.run(query)
    }
}

impl Sqlite {
    /// Like [`Sqlite::read`], for single rows: never waits for longer queries.
    fn look_up<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.lookups.run(query)
    }

    /// Like [`Sqlite::read`], for what may look at many rows: such queries wait
    /// for each other, and nobody else for them.
    fn survey<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.surveys.run(query)
    }
}

impl Queue for Sqlite {
    fn accept(&self, batch: Batch) -> Reply<Receipt> {
        self.if_space(|store| store.accept_batch(weakened::batch(&store.faults, batch)))
    }

    fn publish(&self, publication: Publication) -> Reply<Published> {
        self.if_space(|store| store.write(move |turn| publish::publish(turn, &publication)))
    }

    fn claim(&self, wants: Vec<Want>, now: Timestamp) -> Reply<Vec<(WebhookKey, Option<Timestamp>)>> {
        self.write(move |turn| wants.iter().map(|want| claim::claim(turn, *want, now)).collect())
    }

    fn settle(&self, settlement: Settlement) -> Reply<Settled> {
        let faults = self.faults.clone();
        self.write(move |turn| {
            let settlement = weakened::settlement(&faults, turn, settlement)?;
            let settled = settle::settle(turn, &settlement)?;
            weakened::settled(&faults, turn, &settlement)?;
            Ok(settled)
        })
    }

    fn release(&self, leases: Vec<(DeliveryId, Lease)>, now: Timestamp) -> Reply<()> {
        self.write(move |turn| leases.iter().try_for_each(|lease| claim::release(turn, lease, now)))
    }

    fn schedule(&self) -> Reply<BTreeMap<WebhookKey, Timestamp>> {
        self.look_up(|sql| Ok(claim::schedule(sql)?))
    }

    fn waiting(&self, limit: usize) -> Reply<Vec<Waiting>> {
        self.write(move |turn| publish::waiting(turn, limit))
    }

    /// Without space it waits.
    fn derive(&self, derivation: Derivation) -> Reply<(u64, bool)> {
        if self.space.refusal().is_some() {
            return Box::pin(std::future::ready(Ok((0, false))));
        }
        self.write(move |turn| derived::go_on(turn, &derivation))
    }

    fn observe(&self, observation: Observation) -> Reply<Option<Observed>> {
        self.if_space(|store| store.write(move |turn| observe::observe(turn, &observation)))
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
            _ if damage::is_damage(&error) => {
                return Self::new(super::ErrorKind::Damaged, damage::Tells::told(&error));
            }
            _ if error.sqlite_error().is_some_and(|error| was_not_written(error.extended_code)) => Full,
            _ => Failed,
        };
        Self::new(kind, format!("the store failed: {error}"))
    }
}

/// Whether a write was refused before anything of it could count: beyond a quota
/// or a file's largest size, or on a disk that has become read-only. A failed
/// fsync is none of these.
fn was_not_written(extended_code: i32) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};
    [SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE].contains(&extended_code)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Duration;

    use rusqlite::Connection;
    use uuid::Uuid;

    use super::*;
    use crate::env::Narrowed;
    use crate::model::account::Account;
    use crate::model::id::AccountId;
    use crate::store::{Catalog, ErrorKind};

    /// A directory of its own, removed in the end.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let home = std::env::temp_dir().join(format!("bellwether-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&home).unwrap();
            Self(home)
        }

        fn store(&self, mode: Mode) -> Sqlite {
            self.store_with(mode, Faults::none())
        }

        fn store_with(&self, mode: Mode, faults: Faults) -> Sqlite {
            let options = Options { path: self.0.join("store.db"), lease_ms: 1_000, queue: 9, mode };
            let (handover, now) = (Arc::new(Handover::new(1, 1)), Timestamp::default());
            Sqlite::open(&options, handover, faults, Metrics::new(), now).unwrap()
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// What durability rests on, as this connection has it.
    fn settings(sql: &Connection) -> rusqlite::Result<(String, i64, i64)> {
        let read = |name| sql.pragma_query_value(None, name, |row| row.get(0));
        let mode = sql.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        Ok((mode, read("synchronous")?, read("foreign_keys")?))
    }

    #[tokio::test]
    async fn fault_11_every_connection_has_the_settings_that_durability_rests_on() {
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
        let home = Home::new("settings");
        let store = home.store(Mode::Threads);
        let durable = ("wal".to_owned(), 2, 1);
        assert_eq!(store.write(|turn| settings(turn.sql)).await.unwrap(), durable);
        // Each waits for the others: no two share a connection.
        let all_there = Arc::new(Barrier::new(READERS.turns));
        let readers: Vec<_> = (0..READERS.turns)
            .map(|_| {
                let all_there = Arc::clone(&all_there);
                tokio::spawn(store.read(move |sql| {
                    all_there.wait();
                    Ok(settings(sql)?)
                }))
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap().unwrap(), durable);
        }
    }

    #[tokio::test]
    async fn fault_21_a_query_that_takes_too_long_is_ended_and_the_next_ones_are_answered() {
        let home = Home::new("endless");
        let narrowed = Narrowed { query: Some(Duration::from_millis(50)), ..Narrowed::default() };
        let store = home.store_with(Mode::Threads, Faults::none().narrowed(narrowed));
        // More of them than there are connections, each of which is of use again.
        for _ in 0..6 {
            let endless = store.read(|sql| {
                let count = "WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count) \
                     SELECT count(*) FROM count";
                Ok(sql.query_row(count, [], |row| row.get::<_, i64>(0))?)
            });
            let error = tokio::time::timeout(Duration::from_secs(20), endless).await.unwrap().unwrap_err();
            assert!(error.message.contains("interrupted"), "{error}");
            let count = "SELECT count(*) FROM accounts";
            let rows = store.read(move |sql| Ok(sql.query_row(count, [], |row| row.get::<_, i64>(0))?)).await;
            assert_eq!(rows.unwrap(), 0);
        }
        assert!(!*store.failed().borrow() && store.put_account(account()).await.unwrap());
    }

    fn account() -> Account {
        let id = AccountId::new(Uuid::from_u128(1));
        Account { id, name: "Acme".into(), chat_apps: true, created_at: Timestamp::default() }
    }

    /// Writes a megabyte, apart. SQLite answers a full disk by rolling back all
    /// of the transaction, savepoints included.
    fn write_much(store: &Sqlite) -> Reply<usize> {
        store.write_apart(|turn| {
            Ok(turn.sql.execute(
                "INSERT INTO unparsed (app, received_at, reason, raw) VALUES ('', 0, '', zeroblob(1 << 20))",
                [],
            )?)
        })
    }

    /// Lets the database grow by so many pages from here.
    async fn allow_pages(store: &Sqlite, more: i64) {
        let set = store.write(move |turn| {
            let pages: i64 = turn.sql.pragma_query_value(None, "page_count", |row| row.get(0))?;
            turn.sql.pragma_update_and_check(None, "max_page_count", pages + more, |_| Ok(()))
        });
        set.await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_an_answer_for_the_whole_group_and_the_writer_goes_on() {
        let home = Home::new("full");
        let store = home.store(Mode::Inline);
        allow_pages(&store, 0).await;
        let (first, second) = tokio::join!(store.put_account(account()), write_much(&store));
        assert_eq!((first.unwrap_err().kind, second.unwrap_err().kind), (ErrorKind::Full, ErrorKind::Full));
        assert_eq!(store.accounts(None, 9).await.unwrap().items, []);
        assert!(!*store.failed().borrow());
        allow_pages(&store, 1_000).await;
        assert!(store.put_account(account()).await.unwrap());
        assert_eq!(write_much(&store).await.unwrap(), 1);
    }
}
