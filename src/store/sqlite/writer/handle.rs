//! How the rest of the store reaches the writer: jobs go in, answers come out
//! after their commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::turn::Turn;
use crate::store::sqlite::leases::Leases;
use crate::store::{Error, ErrorKind, Reply};

/// What a job leaves behind until the commit: how to answer.
pub(super) type Answer = Box<dyn FnOnce(Result<(), &Error>) + Send>;
pub(super) type Job = Box<dyn FnOnce(&mut Turn<'_>) -> Result<Answer, Unanswered> + Send>;

/// A job whose work failed in a way that spoils the group.
pub(super) struct Unanswered {
    pub(super) error: Error,
    pub(super) answer: Answer,
}

/// How the rest of the program reaches the writer.
#[derive(Clone)]
pub(in crate::store::sqlite) struct Handle {
    jobs: mpsc::Sender<Job>,
    failed: watch::Receiver<bool>,
    running: Arc<AtomicUsize>,
}

impl Handle {
    pub(super) fn new(
        jobs: mpsc::Sender<Job>,
        failed: watch::Receiver<bool>,
        running: Arc<AtomicUsize>,
    ) -> Self {
        Self { jobs, failed, running }
    }

    pub(in crate::store::sqlite) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.clone()
    }

    pub(in crate::store::sqlite) fn depth(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity() + self.running.load(Ordering::Relaxed)
    }

    pub(in crate::store::sqlite) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        self.send(move |turn, reply| match work(turn) {
            Ok(value) => Ok(answer(reply, Ok(value))),
            Err(error) => Err(Unanswered { error: error.into(), answer: answer::<T>(reply, Err(None)) }),
        })
    }

    pub(in crate::store::sqlite) fn submit_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        self.send(move |turn, reply| run_apart(turn, reply, work))
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

/// Runs a job that may refuse inside a savepoint: what it did goes or stays with
/// its own verdict.
fn run_apart<T: Send + 'static>(
    turn: &mut Turn<'_>,
    reply: oneshot::Sender<Result<T, Error>>,
    work: impl FnOnce(&mut Turn<'_>) -> Result<T, Error>,
) -> Result<Answer, Unanswered> {
    let spoiled = |error: Error, reply| Unanswered { error, answer: answer::<T>(reply, Err(None)) };
    if let Err(error) = turn.sql.execute_batch("SAVEPOINT job") {
        return Err(spoiled(error.into(), reply));
    }
    let effects = std::mem::take(&mut turn.effects);
    let done = work(turn);
    let own = std::mem::replace(&mut turn.effects, effects);
    let refused =
        |error: &Error| matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::Limit);
    if let Err(error) = &done
        && (turn.sql.is_autocommit() || !refused(error))
    {
        // What is remembered may know what is not there: all of it is read again. A full
        // disk may have rolled the whole group back already.
        own.give_back(turn.handover);
        return Err(spoiled(Error::new(error.kind, error.message.clone()), reply));
    }
    let end = if done.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    if let Err(error) = turn.sql.execute_batch(end) {
        own.give_back(turn.handover);
        return Err(spoiled(error.into(), reply));
    }
    match done {
        Ok(value) => {
            turn.effects.add(own);
            Ok(answer(reply, Ok(value)))
        }
        Err(error) => {
            own.give_back(turn.handover);
            turn.memory.routes.clear();
            match Leases::read(turn.sql) {
                Ok(leases) => turn.memory.leases = leases,
                Err(error) => return Err(spoiled(error.into(), reply)),
            }
            Ok(answer(reply, Err(Some(error))))
        }
    }
}
