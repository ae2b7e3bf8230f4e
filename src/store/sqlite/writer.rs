//! The one writer: group commit, and what it remembers between commits.
//!
//! A job is a closure that runs inside the group's transaction and leaves its
//! answer aside; the answers go out when the commit has returned. What it hands
//! to the dispatcher goes the same way, so nothing leaves before it is durable.
//! What the writer remembers (routes, the next position) is read from the store
//! when missing and forgotten on every rollback.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::Mode;
use super::accept::Route;
use crate::env::{Fault, Faults, Point};
use crate::model::delivery::DeliveryState;
use crate::model::id::{Position, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::queue::Claimed;
use crate::store::{Error, ErrorKind, Handover, Reply};
use crate::telemetry::Metrics;

/// At most so many jobs share a commit, so that no answer waits long.
const GROUP: usize = 512;

/// Routes remembered; beyond that they are forgotten and read again.
pub(super) const ROUTES: usize = 50_000;

/// What a job leaves behind until the commit: how to answer.
type Answer = Box<dyn FnOnce(Result<(), &Error>) + Send>;
type Job = Box<dyn FnOnce(&mut Turn<'_>) -> Result<Answer, Unanswered> + Send>;

/// A job whose work failed in a way that spoils the group.
struct Unanswered {
    error: Error,
    answer: Answer,
}

/// The writer's memory and means.
pub(super) struct State {
    connection: Connection,
    memory: Memory,
    handover: Arc<Handover>,
    faults: Faults,
    metrics: Metrics,
    lease_ms: i64,
    _lock: File,
}

/// What the writer remembers between commits.
pub(super) struct Memory {
    pub(super) routes: HashMap<String, Option<Arc<Route>>>,
    pub(super) last_position: Position,
    last_token: i64,
}

/// One group's transaction, and what becomes of it once it is durable.
pub(super) struct Turn<'a> {
    pub(super) sql: &'a Transaction<'a>,
    pub(super) memory: &'a mut Memory,
    handover: &'a Handover,
    lease_ms: i64,
    effects: Effects,
}

/// What a commit sets off.
#[derive(Default)]
struct Effects {
    /// A place for each delivery that is handed over.
    places: Vec<WebhookKey>,
    ready: Vec<Claimed>,
    due: Vec<(WebhookKey, Timestamp)>,
    changed: Vec<WebhookKey>,
    counts: [i64; 4],
    unrouted: i64,
    settled: Vec<DeliveryState>,
}

impl State {
    pub(super) fn new(
        connection: Connection,
        lock: File,
        handover: Arc<Handover>,
        faults: Faults,
        metrics: Metrics,
        lease_ms: i64,
    ) -> Result<Self, Error> {
        let opened: i64 = connection.query_row(
            "UPDATE facts SET value = value + 1 WHERE name = 'opened' RETURNING value",
            [],
            |row| row.get(0),
        )?;
        let last_position = last_position(&connection)?;
        let memory = Memory { routes: HashMap::new(), last_position, last_token: opened << 40 };
        Ok(Self { connection, memory, handover, faults, metrics, lease_ms, _lock: lock })
    }

    /// Runs the jobs in one transaction, commits, answers. An error that the
    /// process can't survive comes back.
    fn commit(&mut self, jobs: Vec<Job>) -> Result<(), Error> {
        let size = jobs.len();
        let started = Instant::now();
        let mut answers = Vec::with_capacity(size);
        match self.run(jobs, &mut answers) {
            Ok((effects, said)) => {
                self.metrics.committed(size, started.elapsed());
                self.carry_out(effects);
                for answer in answers {
                    answer(said.as_ref().copied());
                }
                Ok(())
            }
            Err(error) => {
                self.memory.routes.clear();
                self.memory.last_position = last_position(&self.connection)?;
                tracing::error!(%error, jobs = size, "a group of writes failed; none of it is acknowledged");
                for answer in answers {
                    answer(Err(&error));
                }
                if is_fatal(&error) { Err(error) } else { Ok(()) }
            }
        }
    }

    /// What the commit sets off, and whether it may be said (a test's fault may
    /// forbid that). Jobs that never ran are dropped: their callers read that as
    /// a failure.
    fn run(
        &mut self,
        jobs: Vec<Job>,
        answers: &mut Vec<Answer>,
    ) -> Result<(Effects, Result<(), Error>), Error> {
        let sql = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut turn = Turn {
            sql: &sql,
            memory: &mut self.memory,
            handover: &self.handover,
            lease_ms: self.lease_ms,
            effects: Effects::default(),
        };
        let mut spoiled = None;
        for job in jobs {
            match job(&mut turn) {
                Ok(answer) => answers.push(answer),
                Err(unanswered) => {
                    answers.push(unanswered.answer);
                    spoiled = Some(unanswered.error);
                    break;
                }
            }
        }
        let effects = turn.effects;
        let ended = match spoiled {
            Some(error) => Err(error),
            None => end(sql, &effects, &self.faults),
        };
        match ended {
            Ok(said) => Ok((effects, said)),
            Err(error) => {
                effects.give_back(&self.handover);
                Err(error)
            }
        }
    }

    fn carry_out(&self, effects: Effects) {
        effects.due.iter().for_each(|(webhook, at)| self.handover.note_due(*webhook, *at));
        effects.changed.iter().for_each(|webhook| self.handover.note_changed(*webhook));
        effects.settled.iter().for_each(|state| self.metrics.settled(*state));
        self.handover.hand_over(effects.ready);
    }
}

/// Counts and commits, unless a test's fault comes between. A fault after the
/// commit forbids to say what is durable: a caller can't tell, and must not need to.
fn end(sql: Transaction<'_>, effects: &Effects, faults: &Faults) -> Result<Result<(), Error>, Error> {
    let broken = |when: &str| Error::new(ErrorKind::Full, format!("a planned fault {when} the commit"));
    count(&sql, effects)?;
    if faults.at(Point::BeforeCommit) == Some(Fault::Error) {
        return Err(broken("before"));
    }
    sql.commit()?;
    Ok(match faults.at(Point::AfterCommit) {
        Some(Fault::Error) => Err(broken("after")),
        None => Ok(()),
    })
}

/// After these nobody knows what is on the disk.
fn is_fatal(error: &Error) -> bool {
    error.kind == ErrorKind::Failed
}

fn last_position(connection: &Connection) -> rusqlite::Result<Position> {
    connection.query_row(
        "SELECT max((SELECT value FROM facts WHERE name = 'last_position'), \
                    coalesce((SELECT max(position) FROM events), 0))",
        [],
        |row| row.get(0),
    )
}

/// Adds what the group changed to the counts.
fn count(sql: &Transaction<'_>, effects: &Effects) -> rusqlite::Result<()> {
    const NAMES: [&str; 4] = ["deliveries_0", "deliveries_1", "deliveries_2", "deliveries_3"];
    let changes = NAMES.into_iter().zip(effects.counts).chain([("unrouted", effects.unrouted)]);
    let mut update = sql.prepare_cached("UPDATE facts SET value = value + ?2 WHERE name = ?1")?;
    for (name, change) in changes.filter(|(_, change)| *change != 0) {
        update.execute((name, change))?;
    }
    Ok(())
}

impl Turn<'_> {
    /// A fresh lease from `now` on.
    pub(super) fn lease(&mut self, now: Timestamp) -> crate::store::queue::Lease {
        self.memory.last_token += 1;
        let until = Timestamp::from_ms(now.ms() + self.lease_ms);
        crate::store::queue::Lease { token: self.memory.last_token, until }
    }

    /// Takes a place in the handover, to be filled by [`Turn::hand_over`]; false
    /// if there is none. It is given back if this does not become durable.
    pub(super) fn reserve(&mut self, webhook: WebhookKey) -> bool {
        let there = self.handover.reserve(webhook);
        if there {
            self.effects.places.push(webhook);
        }
        there
    }

    /// Goes to the dispatcher once this is durable; its place is reserved.
    pub(super) fn hand_over(&mut self, claimed: Claimed) {
        self.effects.ready.push(claimed);
    }

    /// The dispatcher learns that `webhook` has something due at `at`.
    pub(super) fn note_due(&mut self, webhook: WebhookKey, at: Timestamp) {
        self.effects.due.push((webhook, at));
    }

    /// The dispatcher learns that `webhook` is configured anew; routes are read
    /// again.
    pub(super) fn note_changed(&mut self, webhook: WebhookKey) {
        self.effects.changed.push(webhook);
        self.memory.routes.clear();
    }

    /// Routes are read again.
    pub(super) fn forget_routes(&mut self) {
        self.memory.routes.clear();
    }

    /// So many deliveries came into `state` (or left it, below 0).
    pub(super) fn count(&mut self, state: DeliveryState, change: i64) {
        self.effects.counts[usize::try_from(state.code()).unwrap_or(0)] += change;
    }

    /// A delivery left pending for `state`.
    pub(super) fn count_settled(&mut self, state: DeliveryState) {
        self.count(DeliveryState::Pending, -1);
        self.count(state, 1);
        self.effects.settled.push(state);
    }

    /// So many changes more (or fewer) wait unrouted.
    pub(super) fn count_unrouted(&mut self, change: i64) {
        self.effects.unrouted += change;
    }
}

/// How the rest of the program reaches the writer.
#[derive(Clone)]
pub(super) struct Handle {
    jobs: mpsc::Sender<Job>,
    failed: watch::Receiver<bool>,
    running: Arc<AtomicUsize>,
}

impl Handle {
    pub(super) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.clone()
    }

    pub(super) fn depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity() + self.running.load(Ordering::Relaxed)
    }

    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        self.send(move |turn, reply| match work(turn) {
            Ok(value) => Ok(answer(reply, Ok(value))),
            Err(error) => Err(Unanswered { error: error.into(), answer: answer::<T>(reply, Err(None)) }),
        })
    }

    pub(super) fn submit_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.send(move |turn, reply| {
            let fail = |error: rusqlite::Error, reply| Unanswered {
                error: error.into(),
                answer: answer::<T>(reply, Err(None)),
            };
            if let Err(error) = turn.sql.execute_batch("SAVEPOINT job") {
                return Err(fail(error, reply));
            }
            let effects = std::mem::take(&mut turn.effects);
            let done = work(turn);
            let own = std::mem::replace(&mut turn.effects, effects);
            if let (Err(error), true) = (&done, turn.sql.is_autocommit()) {
                // A full disk may have rolled the whole group back already.
                own.give_back(turn.handover);
                let error = Error::new(error.kind, error.message.clone());
                return Err(Unanswered { error, answer: answer::<T>(reply, Err(None)) });
            }
            let end = if done.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
            if let Err(error) = turn.sql.execute_batch(end) {
                own.give_back(turn.handover);
                return Err(fail(error, reply));
            }
            match done {
                Ok(value) => {
                    turn.effects.add(own);
                    Ok(answer(reply, Ok(value)))
                }
                Err(error) => {
                    own.give_back(turn.handover);
                    turn.memory.routes.clear();
                    Ok(answer(reply, Err(Some(error))))
                }
            }
        })
    }

    fn send<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Turn<'_>, oneshot::Sender<Result<T, Error>>) -> Result<Answer, Unanswered>
        + Send
        + 'static,
    ) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.try_send(Box::new(move |turn| job(turn, reply)));
        Box::pin(async move {
            match sent {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    return Err(Error::new(ErrorKind::Overloaded, "too many writes are waiting"));
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    return Err(Error::new(ErrorKind::Failed, "the store has stopped"));
                }
            }
            let lost = |_| Error::new(ErrorKind::Failed, "the store did not confirm the write");
            answer.await.map_err(lost)?
        })
    }
}

impl Effects {
    /// Gives the places back of what does not become durable.
    fn give_back(&self, handover: &Handover) {
        self.places.iter().for_each(|webhook| handover.free(*webhook));
    }

    fn add(&mut self, other: Self) {
        self.places.extend(other.places);
        self.ready.extend(other.ready);
        self.due.extend(other.due);
        self.changed.extend(other.changed);
        self.settled.extend(other.settled);
        self.unrouted += other.unrouted;
        for (sum, change) in self.counts.iter_mut().zip(other.counts) {
            *sum += change;
        }
    }
}

/// The answer that goes out after the commit: the job's own, or the group's error.
fn answer<T: Send + 'static>(
    reply: oneshot::Sender<Result<T, Error>>,
    own: Result<T, Option<Error>>,
) -> Answer {
    Box::new(move |committed| {
        let group = |error: &Error| Error::new(error.kind, error.message.clone());
        let said = match (own, committed) {
            (Err(Some(error)), _) => Err(error),
            (_, Err(error)) => Err(group(error)),
            (Err(None), Ok(())) => Err(Error::new(ErrorKind::Failed, "the write failed")),
            (Ok(value), Ok(())) => Ok(value),
        };
        // A caller that went away does not mind.
        let _ = reply.send(said);
    })
}

/// Starts the writer.
pub(super) fn start(state: State, queue: usize, mode: Mode) -> Result<Handle, Error> {
    let (jobs, waiting) = mpsc::channel(queue);
    let (report, failed) = watch::channel(false);
    let running = Arc::new(AtomicUsize::new(0));
    let depth = Arc::clone(&running);
    match mode {
        Mode::Threads => {
            let name = std::thread::Builder::new().name("store-writer".into());
            name.spawn(move || write_in_thread(state, waiting, &report, &depth)).map_err(|error| {
                Error::new(ErrorKind::Unusable, format!("cannot start the writer: {error}"))
            })?;
        }
        Mode::Inline => {
            tokio::spawn(write_in_task(state, waiting, report));
        }
    }
    Ok(Handle { jobs, failed, running })
}

fn write_in_thread(
    mut state: State,
    mut waiting: mpsc::Receiver<Job>,
    report: &watch::Sender<bool>,
    depth: &AtomicUsize,
) {
    while let Some(first) = waiting.blocking_recv() {
        let group = gather(first, &mut waiting);
        depth.store(group.len(), Ordering::Relaxed);
        let written = state.commit(group);
        depth.store(0, Ordering::Relaxed);
        if let Err(error) = written {
            tracing::error!(%error, "the store can't go on; ending so that a fresh start finds out what is durable");
            report.send_replace(true);
            return;
        }
    }
}

async fn write_in_task(mut state: State, mut waiting: mpsc::Receiver<Job>, report: watch::Sender<bool>) {
    while let Some(first) = waiting.recv().await {
        if state.commit(gather(first, &mut waiting)).is_err() {
            report.send_replace(true);
            return;
        }
    }
}

fn gather(first: Job, waiting: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut group = vec![first];
    while group.len() < GROUP {
        match waiting.try_recv() {
            Ok(job) => group.push(job),
            Err(_) => break,
        }
    }
    group
}
