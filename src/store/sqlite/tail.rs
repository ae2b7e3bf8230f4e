//! The tail: deduplication keys and numbers that commits have told of and whose
//! tables do not know yet.
//!
//! A key or a number lies anywhere in its table, so writing it there with every
//! commit costs a page each: logged, synced and copied back. Here a commit
//! appends one row that holds all it has to say of them, and memory holds the
//! same. Once [`FOLD_AT`] entries are there they are folded: written into their
//! tables in the order of their keys, neighbours on one page, and the rows
//! removed, all in one transaction. Memory is never the only place: after a
//! crash or a rollback it is read again from the rows and the tables.

mod record;

use std::collections::HashMap;

use rusqlite::Connection;

use super::numbers;
use crate::model::change::Fingerprint;
use crate::model::id::{AccountKey, NumberKey};
use crate::model::number::{NumberState, Subject};
use crate::model::time::Timestamp;
use record::Record;
pub(super) use record::{read_latest, write_latest};

/// Folded when so many entries are there: enough that neighbours share pages,
/// few enough that folding holds nobody up for long.
pub(super) const FOLD_AT: usize = 4_096;

/// Numbers remembered; beyond that, after a fold, they are forgotten and read
/// again.
const NUMBERS: usize = 50_000;

/// A deduplication key: the change's own time (0: it said none) and what it says.
type Key = (i64, Fingerprint);

struct Known {
    state: NumberState,
    /// The table has an older state.
    dirty: bool,
}

/// What is remembered of keys and numbers.
#[derive(Default)]
pub(super) struct Tail {
    /// Keys that are not in the table, and when they came.
    seen: HashMap<Key, i64>,
    numbers: HashMap<NumberKey, Known>,
    keys: HashMap<AccountKey, HashMap<Subject, NumberKey>>,
    dirty: Vec<NumberKey>,
    /// What this commit says, as it will be written.
    fresh: Vec<u8>,
}

impl Tail {
    /// The tail as it is on the disk.
    pub(super) fn read(sql: &Connection) -> rusqlite::Result<Self> {
        let mut tail = Self::default();
        let mut select = sql.prepare_cached("SELECT entries FROM tail ORDER BY row")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            for record in record::read(row.get_ref(0)?.as_blob()?) {
                match record {
                    Record::Seen { time, fingerprint, at } => {
                        tail.seen.insert((time, fingerprint), at);
                    }
                    Record::Number { key, state } => tail.set(key, state),
                }
            }
        }
        Ok(tail)
    }

    /// Whether the key was seen before; remembers it if not.
    pub(super) fn seen(
        &mut self,
        sql: &Connection,
        time: Option<i64>,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let key = (time.unwrap_or(0), *fingerprint);
        if self.seen.contains_key(&key) {
            return Ok(true);
        }
        let mut select = sql.prepare_cached("SELECT 1 FROM seen WHERE time = ?1 AND fingerprint = ?2")?;
        if select.exists((key.0, fingerprint))? {
            return Ok(true);
        }
        self.seen.insert(key, now.ms());
        record::write_seen(&mut self.fresh, key.0, fingerprint, now.ms());
        Ok(false)
    }

    /// What is known of a subject, and its key if it has one.
    pub(super) fn number(
        &mut self,
        sql: &Connection,
        account: AccountKey,
        subject: &Subject,
    ) -> rusqlite::Result<Option<(NumberKey, &NumberState)>> {
        let remembered = self.keys.get(&account).and_then(|keys| keys.get(subject)).copied();
        let key = if let Some(key) = remembered.filter(|key| self.numbers.contains_key(key)) {
            key
        } else {
            let Some((key, state)) = numbers::find(sql, account, subject)? else { return Ok(None) };
            self.keys.entry(account).or_default().insert(subject.clone(), key);
            // What the tail knows is newer than the table.
            self.numbers.entry(key).or_insert(Known { state, dirty: false });
            key
        };
        Ok(self.numbers.get(&key).map(|known| (key, &known.state)))
    }

    /// Keeps what is known of a number from now on.
    pub(super) fn put(&mut self, key: NumberKey, state: NumberState) {
        record::write_number(&mut self.fresh, key, &state);
        self.set(key, state);
    }

    fn set(&mut self, key: NumberKey, state: NumberState) {
        let was_dirty = self.numbers.insert(key, Known { state, dirty: true }).is_some_and(|was| was.dirty);
        if !was_dirty {
            self.dirty.push(key);
        }
    }

    /// The number's row has gone.
    pub(super) fn forget(&mut self, key: NumberKey) {
        self.numbers.remove(&key);
    }

    /// Writes what this commit says; part of its transaction.
    pub(super) fn append(&mut self, sql: &Connection) -> rusqlite::Result<()> {
        if !self.fresh.is_empty() {
            sql.prepare_cached("INSERT INTO tail (entries) VALUES (?1)")?.execute([&self.fresh])?;
            self.fresh.clear();
        }
        Ok(())
    }

    /// How many entries wait to be folded.
    pub(super) fn len(&self) -> usize {
        self.seen.len() + self.dirty.len()
    }

    /// Folds everything into the tables; part of a transaction.
    pub(super) fn fold(&mut self, sql: &Connection) -> rusqlite::Result<()> {
        let mut seen: Vec<_> = self.seen.drain().collect();
        seen.sort_unstable();
        let mut insert = sql.prepare_cached(
            "INSERT INTO seen (time, fingerprint, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        for ((time, fingerprint), at) in seen {
            insert.execute((time, fingerprint, at))?;
        }
        self.dirty.sort_unstable();
        for key in self.dirty.drain(..) {
            if let Some(known) = self.numbers.get_mut(&key).filter(|known| known.dirty) {
                numbers::update(sql, key, &known.state)?;
                known.dirty = false;
            }
        }
        if self.numbers.len() > NUMBERS {
            self.numbers.clear();
            self.keys.clear();
        }
        self.fresh.clear();
        sql.prepare_cached("DELETE FROM tail")?.execute([])?;
        Ok(())
    }
}

/// Makes the row of a number that is new.
pub(super) fn add_number(
    tail: &mut Tail,
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
    state: NumberState,
) -> rusqlite::Result<NumberKey> {
    let key = numbers::insert(sql, account, subject, &state)?;
    tail.keys.entry(account).or_default().insert(subject.clone(), key);
    tail.numbers.insert(key, Known { state, dirty: false });
    Ok(key)
}
