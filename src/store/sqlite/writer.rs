//! The one writer: group commit, and what it remembers between commits.
//!
//! A job is a closure that runs inside the group's transaction and leaves its
//! answer aside; the answers go out when the commit has returned. What it hands
//! to the dispatcher goes the same way, so nothing leaves before it is durable.
//! What the writer remembers (routes, the next position) is read from the store
//! when missing and forgotten on every rollback.

mod handle;
mod turn;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::overlay::Overlay;
use super::space::Space;
use super::{Mode, webhooks};
use crate::env::{Fault, Faults, Point, Weakness};
use crate::store::{Error, ErrorKind, Handover};
use crate::telemetry::Metrics;
pub(super) use handle::Handle;
use handle::{Answer, Job};
use turn::{Effects, Memory};
pub(super) use turn::{ROUTES, Turn};

/// At most so many jobs share a commit, so that no answer waits long.
const GROUP: usize = 512;

/// Under load the log and the files are looked after this often: a look costs as
/// much as an event or two.
const KEEP_EVERY: Duration = Duration::from_millis(5);

/// The writer's memory and means.
pub(super) struct State {
    connection: Connection,
    memory: Memory,
    handover: Arc<Handover>,
    faults: Faults,
    metrics: Metrics,
    lease_ms: i64,
    space: Arc<Space>,
    /// The last row of the journal that is durable.
    told: watch::Sender<i64>,
    overlay: Overlay,
    _lock: File,
}

impl State {
    pub(super) fn new(
        connection: Connection,
        (lock, space, overlay): (File, Arc<Space>, Overlay),
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
        let memory = Memory::read(&connection, opened)?;
        webhooks::tell_accounts(&connection, &handover)?;
        let told = watch::Sender::new(memory.journal.last_row());
        overlay.catch_up(memory.tail.late(), Vec::new());
        Ok(Self {
            connection,
            memory,
            handover,
            faults,
            metrics,
            lease_ms,
            space,
            told,
            overlay,
            _lock: lock,
        })
    }

    /// Up to which row the journal is durable.
    pub(super) fn told(&self) -> watch::Receiver<i64> {
        self.told.subscribe()
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
                self.memory.read_again(&self.connection)?;
                tracing::error!(%error, jobs = size, "a group of writes failed; none of it is acknowledged");
                for answer in answers {
                    answer(Err(&error));
                }
                if error.kind == ErrorKind::Full {
                    self.space.ran_out();
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
        let mut turn = Turn::new(&sql, &mut self.memory, &self.handover, self.lease_ms);
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
        let mut effects = turn.effects;
        if spoiled.is_none() && self.faults.weakens(Weakness::AnswerBeforeCommit) {
            answer_early(answers);
        }
        let ended = match spoiled {
            Some(error) => Err(error),
            None => self
                .memory
                .tail
                .commit(&sql)
                .and_then(|()| self.memory.journal.write(&sql, &effects.entries))
                .map_err(Error::from)
                .and_then(|row| {
                    effects.journaled = row;
                    end(sql, &effects, &self.faults)
                }),
        };
        match ended {
            Ok(said) => {
                effects.numbers = self.memory.tail.take_news();
                Ok((effects, said))
            }
            Err(error) => {
                effects.give_back(&self.handover);
                Err(error)
            }
        }
    }

    fn carry_out(&self, effects: Effects) {
        let (told, written) = effects.numbers;
        self.overlay.catch_up(told, written);
        effects.due.iter().for_each(|(webhook, at)| self.handover.note_due(*webhook, *at));
        effects.changed.iter().for_each(|webhook| self.handover.note_changed(*webhook));
        effects.settled.iter().for_each(|state| self.metrics.settled(*state));
        self.handover.hand_over(effects.ready);
        self.told.send_if_modified(|told| std::mem::replace(told, effects.journaled) != effects.journaled);
    }
}

/// Answers before the commit, and leaves time for that to be seen, for tests that
/// must notice ([`Weakness::AnswerBeforeCommit`]).
fn answer_early(answers: &mut Vec<Answer>) {
    answers.drain(..).for_each(|answer| answer(Ok(())));
    let (_never, waits) = std::sync::mpsc::channel::<()>();
    let _ = waits.recv_timeout(Duration::from_millis(10));
}

/// Counts and commits, unless a test's fault comes between. A fault after the
/// commit forbids to say what is durable: a caller can't tell, and must not need to.
fn end(sql: Transaction<'_>, effects: &Effects, faults: &Faults) -> Result<Result<(), Error>, Error> {
    let broken = |when: &str| Error::new(ErrorKind::Full, format!("a planned fault {when} the commit"));
    effects.count(&sql)?;
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
    matches!(error.kind, ErrorKind::Failed | ErrorKind::Damaged)
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
    Ok(Handle::new(jobs, failed, running))
}

fn write_in_thread(
    mut state: State,
    mut waiting: mpsc::Receiver<Job>,
    report: &watch::Sender<bool>,
    depth: &AtomicUsize,
) {
    let mut kept: Option<Instant> = None;
    while let Some(first) = waiting.blocking_recv() {
        let group = gather(first, &mut waiting);
        depth.store(group.len(), Ordering::Relaxed);
        let mut written = state.commit(group);
        if written.is_ok() && kept.is_none_or(|at| at.elapsed() >= KEEP_EVERY) {
            written = state.space.keep(&state.connection);
            kept = Some(Instant::now());
        }
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
        if let Some(stall) = state.faults.stall() {
            tokio::time::sleep(stall).await;
        }
        let group = gather(first, &mut waiting);
        if state.commit(group).and_then(|()| state.space.keep(&state.connection)).is_err() {
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
