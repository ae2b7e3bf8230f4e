//! The journal: what each commit did, for those who follow it live.
//!
//! A commit appends one row with all it has to tell, some twenty bytes an event,
//! built up as bytes while its jobs run: no statement an entry, and the rows lie
//! in the order of the commits. It tells which event or delivery, not what is in
//! them: that is read when somebody follows, and nobody pays who is not followed.
//!
//! Readers may see a commit before it is durable, and what a power cut takes back
//! must not have been told. So they read no further than the row of the last
//! commit that was carried out, of which they are told by a watch; it is also what
//! wakes them.

mod entry;
mod follow;

use rusqlite::{Connection, OptionalExtension};

pub(super) use entry::Entry;
pub(super) use follow::follow;

/// A commit that has more to tell makes several rows: who reads on in the middle
/// of one does not read much of it again.
const ROW_BYTES: usize = 32 * 1024;

/// Beyond so many rows the oldest go, whatever their age: some 300 MB.
const MOST_ROWS: i64 = 4_000_000;

/// Rows of the journal removed for each that a step of retention may remove
/// elsewhere: they are small and lie together.
const ROWS_PER_STEP: i64 = 4;

/// What a commit tells.
#[derive(Default)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    /// The latest instant among them.
    at: i64,
}

impl Entries {
    pub(super) fn add(&mut self, at: i64, entry: Entry) {
        self.at = self.at.max(at);
        entry.write(&mut self.bytes);
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.bytes.extend_from_slice(&other.bytes);
    }
}

/// Where the journal ends.
pub(super) struct Journal {
    last_row: i64,
    last_at: i64,
}

impl Journal {
    /// The journal as it is on the disk.
    pub(super) fn read(sql: &Connection) -> rusqlite::Result<Self> {
        let last = sql
            .prepare_cached("SELECT row, at FROM journal WHERE row = (SELECT max(row) FROM journal)")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (last_row, last_at) = last.unwrap_or((0, 0));
        Ok(Self { last_row, last_at })
    }

    /// Writes what a commit tells, as part of its transaction; the journal's last
    /// row now.
    pub(super) fn write(&mut self, sql: &Connection, entries: &Entries) -> rusqlite::Result<i64> {
        let mut left = &entries.bytes[..];
        if left.is_empty() {
            return Ok(self.last_row);
        }
        let mut insert = sql.prepare_cached("INSERT INTO journal (row, at, entries) VALUES (?1, ?2, ?3)")?;
        // What tells no time happened with what came before it.
        self.last_at = if entries.at > 0 { entries.at } else { self.last_at };
        while !left.is_empty() {
            let (row, rest) = left.split_at(row_end(left));
            self.last_row += 1;
            insert.execute((self.last_row, self.last_at, row))?;
            left = rest;
        }
        Ok(self.last_row)
    }

    pub(super) fn last_row(&self) -> i64 {
        self.last_row
    }
}

/// How many of these bytes make a row, of whole entries.
fn row_end(entries: &[u8]) -> usize {
    if entries.len() <= ROW_BYTES {
        return entries.len();
    }
    entry::read(entries).map(|(_, end)| end).find(|end| *end >= ROW_BYTES).unwrap_or(entries.len())
}

/// Removes rows from before `before`, and those beyond the bound, but never the
/// last: who is up to date stays so. Says whether a full step went.
pub(super) fn retire(sql: &Connection, before: i64, step: i64) -> rusqlite::Result<bool> {
    let step = step.saturating_mul(ROWS_PER_STEP);
    let last = Journal::read(sql)?.last_row;
    let gone = sql
        .prepare_cached(
            "DELETE FROM journal WHERE row IN \
             (SELECT row FROM (SELECT row, at FROM journal ORDER BY row LIMIT ?2) \
              WHERE row < ?3 AND (at < ?1 OR row <= ?3 - ?4))",
        )?
        .execute((before, step, last, MOST_ROWS))?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX) == step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::AccountKey;

    #[test]
    fn what_is_much_makes_several_rows_of_whole_entries() {
        let sql = Connection::open_in_memory().unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0001_spine.sql")).unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0002_tail.sql")).unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0004_journal.sql")).unwrap();
        let mut entries = Entries::default();
        for position in 1..=20_000 {
            entries.add(5, Entry::Event { account: AccountKey(1), position });
        }
        let mut journal = Journal::read(&sql).unwrap();
        let last = journal.write(&sql, &entries).unwrap();
        assert!(last > 1);
        assert_eq!(journal.write(&sql, &Entries::default()).unwrap(), last, "nothing to tell makes no row");
        let mut select = sql.prepare("SELECT entries FROM journal ORDER BY row").unwrap();
        let rows: Vec<Vec<u8>> =
            select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(rows.iter().all(|row| row.len() < ROW_BYTES + 100));
        let told = rows.iter().flat_map(|row| entry::read(row).map(|(entry, _)| entry).collect::<Vec<_>>());
        let positions = told.map(|entry| match entry {
            Entry::Event { position, .. } => position,
            Entry::Delivery { .. } | Entry::Number { .. } => 0,
        });
        assert!(positions.eq(1..=20_000));
        drop(select);
        assert!(retire(&sql, 6, 1).unwrap() || last <= 4, "a step of four");
        while retire(&sql, 6, 1).unwrap() {}
        assert_eq!(Journal::read(&sql).unwrap().last_row, last, "the last row stays");
    }
}
