//! The log: SQLite's WAL, to which commits are written and from which they are
//! copied back into the store's file.

use std::time::Duration;

use rusqlite::Connection;

use crate::store::Error;
use crate::store::sqlite::connection::BUSY;

/// A page of 4 KiB and what is said about it.
pub(super) const FRAME_BYTES: u64 = 4_096 + 24;

/// How long the log is, and how much of it is copied back, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    frames: u64,
    copied: u64,
}

impl Log {
    /// Looks and changes nothing.
    pub(super) fn look(sql: &Connection) -> Result<Self, Error> {
        Ok(run(sql, "PRAGMA wal_checkpoint(NOOP)")?)
    }

    /// Copies back what no reader holds up, and waits for none. An error of the
    /// disk comes back.
    pub(super) fn copy(sql: &Connection) -> Result<Self, Error> {
        Ok(run(sql, "PRAGMA wal_checkpoint(PASSIVE)")?)
    }

    /// Makes the log empty, if nobody reads it just now.
    pub(super) fn cut(sql: &Connection) -> Result<Self, Error> {
        sql.busy_timeout(Duration::ZERO)?;
        let cut = run(sql, "PRAGMA wal_checkpoint(TRUNCATE)");
        sql.busy_timeout(BUSY)?;
        Ok(cut?)
    }

    pub(super) fn bytes(self) -> u64 {
        self.frames * FRAME_BYTES
    }

    pub(super) fn is_copied(self) -> bool {
        self.copied >= self.frames
    }
}

fn run(sql: &Connection, pragma: &str) -> rusqlite::Result<Log> {
    sql.prepare_cached(pragma)?.query_row([], |row| {
        // Below 0 where nothing is known.
        let frames = |at| row.get::<_, i64>(at).map(|frames| u64::try_from(frames).unwrap_or(0));
        Ok(Log { frames: frames(1)?, copied: frames(2)? })
    })
}
