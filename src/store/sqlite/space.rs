//! Space to write, and what is done without it.
//!
//! Three things take it away: the disk is full; somebody's long read keeps the
//! log (SQLite's WAL) from being used anew, so that it grows; the files are no
//! longer where they belong. While that is so, what would make the store grow is
//! refused, quickly and before it reaches the writer, and nothing is
//! acknowledged. What is stored already is still delivered: outcomes are
//! recorded in the *reserve*, a file beside the store whose only content is
//! space, given up when the disk is full and made anew when there is space
//! again. Whoever is refused looks whether that is so, so it ends by itself.
//!
//! The log is copied back here, not by SQLite's own automatism, which keeps an
//! error to itself: a copy that did not reach the disk must end the process.

mod log;
mod reserve;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::Mode;
use crate::env::Faults;
use crate::store::{Error, ErrorKind};
use crate::telemetry::{Metrics, NoSpace};
use log::Log;
use reserve::Reserve;

/// What copying a whole log back may take, and outcomes besides.
const RESERVE_BYTES: u64 = 24 << 20;

/// The log is copied back from this length on; without space sooner, so that its
/// own space is used again.
const COPY_FROM: u64 = 4_000 * log::FRAME_BYTES;
const COPY_FROM_WITHOUT_SPACE: u64 = 250 * log::FRAME_BYTES;

/// A log longer than this is worth a warning, and is cut once it is copied.
const LONG_LOG: u64 = 64 << 20;

/// A log longer than this takes nothing new.
const LONGEST_LOG: u64 = 256 << 20;

/// Whoever is refused looks again at most this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How far things may go.
#[derive(Debug, Clone, Copy)]
struct Limits {
    reserve: u64,
    copy_from: u64,
    long_log: u64,
    longest_log: u64,
}

/// Whether there is space to write, and what keeps it so.
pub(super) struct Space {
    path: PathBuf,
    reserve: Reserve,
    limits: Limits,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is wrong, in the order of [`NoSpace::ALL`].
    wrong: [bool; 3],
    warned_of_log: bool,
    looked: Option<Instant>,
    /// When the log could not be copied back.
    not_copied: Option<Instant>,
    /// Device and inode of the store's files.
    home: Option<[(u64, u64); 2]>,
}

impl Space {
    /// The space of the store at `path`. In the simulation there is no reserve,
    /// and a planned fault is no full disk.
    pub(super) fn new(path: &Path, mode: Mode, faults: &Faults, metrics: Metrics) -> Self {
        let reserve = match mode {
            Mode::Threads => RESERVE_BYTES,
            Mode::Inline => 0,
        };
        let copy_from = faults.limits().log_frames.map_or(COPY_FROM, |frames| frames * log::FRAME_BYTES);
        let limits = Limits { reserve, copy_from, long_log: LONG_LOG, longest_log: LONGEST_LOG };
        Self::with(path, limits, metrics)
    }

    fn with(path: &Path, limits: Limits, metrics: Metrics) -> Self {
        let reserve = Reserve::new(path, limits.reserve);
        Self { path: path.to_owned(), reserve, limits, metrics, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store would answer to something new, if not by writing it.
    pub(super) fn refusal(&self) -> Option<Error> {
        let wrong = self.state().wrong;
        let (why, _) = NoSpace::ALL.into_iter().zip(wrong).find(|(_, wrong)| *wrong)?;
        Some(Error::new(ErrorKind::Full, format!("nothing new is stored: {}", self.told(why))))
    }

    /// Whether it is time for who is refused to look again.
    pub(super) fn may_look(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let may = state.looked.is_none_or(|looked| now - looked >= LOOK_AGAIN);
        if may {
            state.looked = Some(now);
        }
        may
    }

    /// Looks whether the disk has space again, and whether the files are back.
    pub(super) fn look(&self) {
        self.restore();
        self.look_at_home();
    }

    /// Makes the reserve whole, if that can be.
    pub(super) fn restore(&self) {
        match self.reserve.restore() {
            Ok(()) => self.set(NoSpace::Disk, false),
            Err(error) => {
                tracing::debug!(%error, "no space for the reserve");
                self.set(NoSpace::Disk, true);
            }
        }
    }

    /// The disk is full: the reserve is given up, for what is stored already.
    pub(super) fn ran_out(&self) {
        if self.limits.reserve > 0 {
            self.set(NoSpace::Disk, true);
            self.release();
        }
    }

    /// Gives the reserve up; whether there was any.
    pub(super) fn release(&self) -> bool {
        self.reserve.release()
    }

    /// Looks after the log and the files, between two groups. An error is one that
    /// the process can't survive.
    pub(super) fn keep(&self, sql: &Connection) -> Result<(), Error> {
        let log = self.keep_log(sql)?;
        self.metrics.log_bytes(log.bytes());
        let stuck = !log.is_copied();
        self.set(NoSpace::Log, stuck && log.bytes() > self.limits.longest_log);
        let to_warn = stuck && log.bytes() > self.limits.long_log;
        let warned = std::mem::replace(&mut self.state().warned_of_log, to_warn);
        if to_warn && !warned {
            let mib = log.bytes() >> 20;
            tracing::warn!(
                mib,
                "the store's log grows: another program reads it in one long transaction; hint: end that"
            );
        }
        self.look_at_home();
        Ok(())
    }

    fn keep_log(&self, sql: &Connection) -> Result<Log, Error> {
        let log = Log::look(sql)?;
        let without_space = self.state().wrong != [false; 3];
        let from = if without_space { COPY_FROM_WITHOUT_SPACE } else { self.limits.copy_from };
        let nothing_to_do = log.bytes() < from || log.is_copied() && log.bytes() <= self.limits.long_log;
        if nothing_to_do || self.state().not_copied.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return Ok(log);
        }
        let copied = match Log::copy(sql) {
            Err(error) if error.kind == ErrorKind::Full => {
                self.ran_out();
                Log::copy(sql)
            }
            copied => copied,
        };
        match copied {
            Ok(copied) if copied.is_copied() && copied.bytes() > self.limits.long_log => Log::cut(sql),
            Err(error) if error.kind == ErrorKind::Full => {
                // Not even the reserve suffices; outcomes still have the rest of it.
                self.state().not_copied = Some(Instant::now());
                Ok(log)
            }
            copied => copied,
        }
    }

    /// Whether path and log still name the files that are open. What is written
    /// to a file that was removed goes with the process.
    fn look_at_home(&self) {
        let found =
            [self.path.clone(), super::connection::beside(&self.path, "-wal")].map(|path| identity(&path));
        let [Some(store), Some(log)] = found else {
            let known = self.state().home.is_some();
            return self.set(NoSpace::Moved, known);
        };
        let moved = *self.state().home.get_or_insert([store, log]) != [store, log];
        self.set(NoSpace::Moved, moved);
    }

    fn set(&self, why: NoSpace, wrong: bool) {
        let before = std::mem::replace(&mut self.state().wrong[why as usize], wrong);
        if before == wrong {
            return;
        }
        self.metrics.no_space(why, wrong);
        if wrong {
            tracing::error!(reason = why.as_str(), "nothing new is stored: {}", self.told(why));
        } else {
            tracing::info!(reason = why.as_str(), "new things are stored again");
        }
    }

    /// What is wrong and what to do, for operators.
    fn told(&self, why: NoSpace) -> String {
        let path = self.path.display();
        match why {
            NoSpace::Disk => format!(
                "there is no space to write {path}; what is stored is still delivered; hint: free space on its disk, or lift the limit on its size"
            ),
            NoSpace::Log => format!(
                "another program reads {path} in one long transaction, so its log has outgrown {} MiB; hint: end that program's read",
                self.limits.longest_log >> 20
            ),
            NoSpace::Moved => format!(
                "{path} or its log was moved or removed while in use; hint: move it back; what is stored is still delivered, and lost to later starts"
            ),
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
