//! Read-only connections, a few of each kind, and the queries that share them.
//!
//! A query waits in its pool's queue; whoever finds a connection idle starts a
//! thread's turn, which goes on until the queue is empty. A pool may let a turn
//! answer several queries from one snapshot: after a start each of 10,000
//! webhooks is looked up once, and the way to a thread and back costs more than
//! the row. The snapshot is taken when these have been taken from the queue, so
//! each query sees all that was committed before it was asked.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::Mode;
use super::connection::open_reader;
use super::damage::Damage;
use crate::store::{Error, ErrorKind, Reply};

/// A query that takes longer is interrupted: it holds up others of its kind, and
/// its snapshot keeps the WAL from being reused.
pub(super) const LONGEST_QUERY: Duration = Duration::from_secs(20);

/// Virtual-machine steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 100_000;

/// A query with its answer's way back; without a connection it says why.
type Job = Box<dyn FnOnce(Result<&Connection, &Error>) + Send>;

/// How a pool shares its connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared {
    /// At most so many threads' turns at a time.
    pub(super) turns: usize,
    /// At most so many queries in one snapshot.
    pub(super) together: usize,
}

/// A few read-only connections.
pub(super) struct Readers {
    path: PathBuf,
    mode: Mode,
    shared: Shared,
    /// A query that takes longer is interrupted.
    longest: Duration,
    idle: Mutex<Vec<Connection>>,
    waiting: Mutex<VecDeque<Job>>,
    turns: Arc<Semaphore>,
    damage: Damage,
}

impl Readers {
    /// A pool; what a query meets of `damage` is noted there.
    pub(super) fn new(path: PathBuf, mode: Mode, shared: Shared, longest: Duration, damage: Damage) -> Self {
        let turns = Arc::new(Semaphore::new(shared.turns));
        let (idle, waiting) = (Mutex::default(), Mutex::default());
        Self { path, mode, shared, longest, idle, waiting, turns, damage }
    }

    /// Answers `query` from a snapshot that is no older than this call.
    pub(super) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        let readers = Arc::clone(self);
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let damage = readers.damage.clone();
            readers.queue().push_back(Box::new(move |connection| {
                if reply.is_closed() {
                    return;
                }
                let answer = match connection {
                    Ok(connection) => query(connection),
                    Err(error) => Err(Error::new(error.kind, error.message.clone())),
                };
                let _ = reply.send(damage.notice(answer));
            }));
            readers.serve();
            let ended = |_| Error::new(ErrorKind::Failed, "a query ended abruptly");
            answer.await.map_err(ended)?
        })
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a turn if one is left. Else those under way see what waits: they end
    /// their turns only with nothing waiting, and look again afterwards.
    fn serve(self: &Arc<Self>) {
        if self.mode == Mode::Inline {
            return self.answer_all();
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else { return };
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let turn = Turn { readers, permit: Some(turn) };
            turn.readers.answer_all();
        });
    }

    fn answer_all(&self) {
        loop {
            let jobs: Vec<Job> = {
                let mut waiting = self.queue();
                let count = waiting.len().min(self.shared.together);
                waiting.drain(..count).collect()
            };
            if jobs.is_empty() {
                return;
            }
            self.answer(jobs);
        }
    }

    /// Answers from one snapshot. A connection that a query broke is not used again.
    fn answer(&self, jobs: Vec<Job>) {
        let mut jobs = VecDeque::from(jobs);
        let answered = self.with_snapshot(|snapshot| {
            while let Some(job) = jobs.pop_front() {
                job(Ok(snapshot));
            }
        });
        if let Err(error) = self.damage.notice(answered) {
            for job in jobs {
                job(Err(&error));
            }
        }
    }

    fn with_snapshot(&self, work: impl FnOnce(&Connection)) -> Result<(), Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let started = Instant::now();
        let longest = self.longest;
        let too_long = move || started.elapsed() > longest;
        connection.progress_handler(STEPS_PER_LOOK, Some(too_long))?;
        let snapshot = connection.transaction()?;
        work(&snapshot);
        snapshot.finish()?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }
}

/// A thread's turn. Also if a query panics, those that wait are not forgotten.
struct Turn {
    readers: Arc<Readers>,
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        // Who came between the last look and this found no turn left.
        if !self.readers.queue().is_empty() {
            self.readers.serve();
        }
    }
}
