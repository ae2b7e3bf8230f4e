//! The tail: deduplication keys and numbers that commits have told of and whose
//! tables do not know yet.
//!
//! A key or a number lies anywhere in its table, so writing it there with every
//! commit costs a page each: logged, synced and copied back. Here a commit
//! appends one row that holds all it has to say of them, and memory holds the
//! same. Once [`FOLD_AT`] entries are there they are folded: written into their
//! tables in the order of their keys, neighbours on one page, a slice with each
//! commit so that none takes long; then the rows are removed. Memory is never
//! the only place: after a crash or a rollback it is read again from the rows
//! and the tables, and what was folded already is folded once more, which
//! changes nothing.

mod record;

use std::sync::Arc;

use rusqlite::Connection;

use super::maps::Map;
use super::numbers;
use super::overlay::Current;
use super::rows::unreadable;
use crate::model::change::Fingerprint;
use crate::model::id::{AccountKey, NumberKey};
use crate::model::number::{NumberState, Subject};
use crate::model::time::Timestamp;
use record::Record;

/// Folded when so many entries are there: enough that neighbours share pages,
/// few enough to be read again in no time.
const FOLD_AT: usize = 32_768;

/// A commit folds as many entries as it adds, and so many more.
const SLICE: usize = 32;

/// Numbers remembered; beyond that, after a fold, they are forgotten and read
/// again.
const NUMBERS: usize = 50_000;

/// A deduplication key: the change's own time (0: it said none) and what it says.
type Key = (i64, Fingerprint);

#[derive(Default)]
struct Known {
    state: Arc<NumberState>,
    /// Whose its row says it is; not known before somebody asks by its subject.
    business_account: Option<Arc<str>>,
    /// Whether it is among the young ones.
    young: bool,
}

impl Known {
    fn of(state: NumberState) -> Self {
        Self { state: Arc::new(state), ..Self::default() }
    }

    fn found(&self, key: NumberKey) -> Found {
        let (state, business_account) = (Arc::clone(&self.state), self.business_account.clone());
        Found { key, state, business_account }
    }
}

/// What is known of a subject.
pub(super) struct Found {
    pub(super) key: NumberKey,
    pub(super) state: Arc<NumberState>,
    business_account: Option<Arc<str>>,
}

impl Found {
    /// Whether the subject is a number that belongs to another business account.
    pub(super) fn is_elsewhere(&self, subject: &Subject, business_account: &str) -> bool {
        self.business_account.as_deref() != Some(business_account) && subject.digits().is_some()
    }
}

/// Keys and numbers in the tail.
#[derive(Default)]
struct Entries {
    seen: Vec<Key>,
    numbers: Vec<NumberKey>,
}

impl Entries {
    fn len(&self) -> usize {
        self.seen.len() + self.numbers.len()
    }
}

/// What is remembered of keys and numbers.
#[derive(Default)]
pub(super) struct Tail {
    /// Keys that are not in the table, and when they came.
    seen: Map<Key, i64>,
    /// The latest time of a key in the table. Meta's times rise, so that mostly a
    /// change is newer than this, and nothing has to be looked up to know it.
    folded_until: i64,
    numbers: Map<NumberKey, Known>,
    keys: Map<AccountKey, Map<Subject, NumberKey>>,
    /// Since the last time folding began.
    young: Entries,
    /// Being folded, the last first.
    old: Entries,
    /// What this commit says, as it will be written.
    fresh: Vec<u8>,
    /// How many entries that is.
    added: usize,
    /// What this commit says of numbers, and what it writes into their rows: for
    /// those who read rows, once it is durable.
    told: Vec<Current>,
    written: Vec<Current>,
    /// The last row, and the last of those being folded.
    last_row: i64,
    old_row: i64,
}

impl Tail {
    /// The tail as it is on the disk.
    pub(super) fn read(sql: &Connection) -> rusqlite::Result<Self> {
        let mut tail = Self::default();
        let mut select = sql.prepare_cached("SELECT entries, row FROM tail ORDER BY row")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let records = record::read(row.get_ref(0)?.as_blob()?).ok_or_else(|| unreadable(0))?;
            for record in records {
                match record {
                    Record::Seen { time, fingerprint, at } => tail.keep_seen((time, fingerprint), at),
                    Record::Number { key, state } => tail.keep_number(key, Arc::new(state)),
                }
            }
            tail.last_row = row.get(1)?;
        }
        let latest = sql.query_row("SELECT max(time) FROM seen", [], |row| row.get::<_, Option<i64>>(0))?;
        tail.folded_until = latest.unwrap_or(i64::MIN);
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
        if key.0 <= self.folded_until {
            let mut select = sql.prepare_cached("SELECT 1 FROM seen WHERE time = ?1 AND fingerprint = ?2")?;
            if select.exists((key.0, fingerprint))? {
                return Ok(true);
            }
        }
        record::write_seen(&mut self.fresh, key.0, fingerprint, now.ms());
        self.keep_seen(key, now.ms());
        self.added += 1;
        Ok(false)
    }

    fn keep_seen(&mut self, key: Key, at: i64) {
        if self.seen.insert(key, at).is_none() {
            self.young.seen.push(key);
        }
    }

    /// What is known of a subject; `None` if it has no row.
    pub(super) fn number(
        &mut self,
        sql: &Connection,
        account: AccountKey,
        subject: &Subject,
    ) -> rusqlite::Result<Option<Found>> {
        let remembered = self.keys.get(&account).and_then(|keys| keys.get(subject));
        if let Some(&key) = remembered
            && let Some(known) = self.numbers.get(&key)
        {
            return Ok(Some(known.found(key)));
        }
        let Some(row) = numbers::find(sql, account, subject)? else { return Ok(None) };
        let numbers::NumberRow { key, business_account, state } = row;
        self.keys.entry(account).or_default().insert(subject.clone(), key);
        // What the tail knows is newer than the table.
        let known = self.numbers.entry(key).or_insert_with(|| Known::of(state));
        known.business_account = business_account.map(Arc::from);
        Ok(Some(known.found(key)))
    }

    /// The same, copied and not remembered: for who goes through many of them.
    pub(super) fn look_up(
        &self,
        sql: &Connection,
        account: AccountKey,
        subject: &Subject,
    ) -> rusqlite::Result<Option<numbers::NumberRow>> {
        let found = numbers::find(sql, account, subject)?;
        Ok(found.map(|row| match self.numbers.get(&row.key) {
            Some(known) => numbers::NumberRow { state: (*known.state).clone(), ..row },
            None => row,
        }))
    }

    /// Makes the row of a number that is new: whoever reads finds its key at once.
    pub(super) fn add(
        &mut self,
        sql: &Connection,
        account: AccountKey,
        subject: &Subject,
        business_account: &str,
        state: NumberState,
    ) -> rusqlite::Result<NumberKey> {
        let key = numbers::insert(sql, account, subject, business_account, &state)?;
        self.keys.entry(account).or_default().insert(subject.clone(), key);
        let whose = Some(business_account.into());
        self.numbers.insert(key, Known { business_account: whose, ..Known::of(state) });
        Ok(key)
    }

    /// A number belongs to that business account from now on. That is rare, so the
    /// row says it at once.
    pub(super) fn move_to(
        &mut self,
        sql: &Connection,
        key: NumberKey,
        business_account: &str,
    ) -> rusqlite::Result<()> {
        if let Some(known) = self.numbers.get_mut(&key) {
            known.business_account = Some(business_account.into());
        }
        numbers::move_to(sql, key, business_account)
    }

    /// Keeps what is known of a number from now on.
    pub(super) fn put(&mut self, key: NumberKey, state: NumberState) {
        record::write_number(&mut self.fresh, key, &state);
        let state = Arc::new(state);
        self.told.push((key, Arc::clone(&state)));
        self.keep_number(key, state);
        self.added += 1;
    }

    fn keep_number(&mut self, key: NumberKey, state: Arc<NumberState>) {
        let known = self.numbers.entry(key).or_default();
        known.state = state;
        if !std::mem::replace(&mut known.young, true) {
            self.young.numbers.push(key);
        }
    }

    /// What the commit said of numbers, and wrote into their rows.
    pub(super) fn take_news(&mut self) -> (Vec<Current>, Vec<Current>) {
        (std::mem::take(&mut self.told), std::mem::take(&mut self.written))
    }

    /// All numbers of the tail: their rows may be late.
    pub(super) fn late(&self) -> Vec<Current> {
        self.numbers.iter().map(|(key, known)| (*key, Arc::clone(&known.state))).collect()
    }

    /// The number's row has gone.
    pub(super) fn forget(&mut self, key: NumberKey) {
        self.numbers.remove(&key);
    }

    /// Writes what this commit says, and folds a slice; part of its transaction.
    pub(super) fn commit(&mut self, sql: &Connection) -> rusqlite::Result<()> {
        self.append(sql)?;
        if self.young.len() >= FOLD_AT {
            self.begin_to_fold();
        }
        let slice = std::mem::take(&mut self.added) + SLICE;
        if self.is_folding() { self.fold_some(sql, slice) } else { Ok(()) }
    }

    /// Whether entries are being folded.
    pub(super) fn is_folding(&self) -> bool {
        self.old.len() > 0
    }

    fn append(&mut self, sql: &Connection) -> rusqlite::Result<()> {
        if !self.fresh.is_empty() {
            let mut insert = sql.prepare_cached("INSERT INTO tail (row, entries) VALUES (?1, ?2)")?;
            self.last_row += 1;
            insert.execute((self.last_row, &self.fresh))?;
            self.fresh.clear();
        }
        Ok(())
    }

    /// What is there by now is folded, if nothing is being folded yet.
    pub(super) fn begin_to_fold(&mut self) {
        if self.is_folding() {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        self.old_row = self.last_row;
        self.old.seen.sort_unstable_by(|one, other| other.cmp(one));
        self.old.numbers.sort_unstable_by(|one, other| other.cmp(one));
        for key in &self.old.numbers {
            if let Some(known) = self.numbers.get_mut(key) {
                known.young = false;
            }
        }
    }

    /// Folds at most `slice` of the old entries, the keys first; removes their rows
    /// once all are through.
    pub(super) fn fold_some(&mut self, sql: &Connection, slice: usize) -> rusqlite::Result<()> {
        let folding = self.is_folding();
        let mut insert = sql.prepare_cached(
            "INSERT INTO seen (time, fingerprint, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        let keys = self.old.seen.len().saturating_sub(slice);
        let slice = slice - (self.old.seen.len() - keys);
        for key in self.old.seen.drain(keys..).rev() {
            if let Some(at) = self.seen.remove(&key) {
                insert.execute((key.0, key.1, at))?;
                self.folded_until = self.folded_until.max(key.0);
            }
        }
        let numbers = self.old.numbers.len().saturating_sub(slice);
        for key in self.old.numbers.drain(numbers..).rev() {
            if let Some(known) = self.numbers.get(&key) {
                numbers::update(sql, key, &known.state)?;
                self.written.push((key, Arc::clone(&known.state)));
            }
        }
        if self.old.len() > 0 {
            return Ok(());
        }
        if folding {
            sql.prepare_cached("DELETE FROM tail WHERE row <= ?1")?.execute([self.old_row])?;
        }
        if self.numbers.len() > NUMBERS {
            self.numbers.retain(|_, known| known.young);
            self.keys.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountKey = AccountKey(1);

    fn database() -> Connection {
        let sql = Connection::open_in_memory().unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0001_spine.sql")).unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0002_tail.sql")).unwrap();
        sql.execute_batch(include_str!("../../../migrations/sqlite/0003_numbers.sql")).unwrap();
        sql
    }

    fn fingerprint(of: i64) -> Fingerprint {
        // Neighbours in time lie far apart.
        std::array::from_fn(|at| {
            of.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()).to_be_bytes()[at % 8]
        })
    }

    /// A change of each of these is taken: whether any was seen before.
    fn take(tail: &mut Tail, sql: &Connection, changes: std::ops::Range<i64>) -> bool {
        let mut any = false;
        for change in changes {
            any |= tail.seen(sql, Some(change / 100), &fingerprint(change), Timestamp::from_ms(1)).unwrap();
            let subject = Subject::stored(&(change % 500).to_string());
            let known = tail.number(sql, ACCOUNT, &subject).unwrap();
            let next = NumberState {
                sequence: known.as_ref().map_or(0, |known| known.state.sequence) + 1,
                ..NumberState::default()
            };
            match known.map(|known| known.key) {
                Some(key) => tail.put(key, next),
                None => drop(tail.add(sql, ACCOUNT, &subject, "1", next).unwrap()),
            }
            if change % 16 == 0 {
                tail.commit(sql).unwrap();
            }
        }
        tail.commit(sql).unwrap();
        any
    }

    fn rows(sql: &Connection, table: &str) -> i64 {
        sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn whatever_is_folded_by_then_every_key_is_known_and_every_number_at_its_latest() {
        const CHANGES: i64 = 60_000;
        let sql = database();
        let mut tail = Tail::default();
        assert!(!take(&mut tail, &sql, 0..CHANGES));
        let folded = rows(&sql, "seen");
        assert!((1..CHANGES).contains(&folded), "{folded}");
        assert!(tail.seen.len() < 2 * FOLD_AT, "no more is remembered than a tail or two");
        // As after a crash in the middle of a fold.
        let mut again = Tail::read(&sql).unwrap();
        for tail in [&mut tail, &mut again] {
            for change in (0..CHANGES).step_by(7) {
                assert!(
                    tail.seen(&sql, Some(change / 100), &fingerprint(change), Timestamp::from_ms(2)).unwrap()
                );
            }
            for subject in ["0", "499"] {
                let known = tail.number(&sql, ACCOUNT, &Subject::stored(subject)).unwrap().unwrap();
                assert_eq!(known.state.sequence, CHANGES / 500);
            }
        }
        while again.is_folding() {
            again.fold_some(&sql, 500).unwrap();
        }
        again.begin_to_fold();
        while again.is_folding() {
            again.fold_some(&sql, 500).unwrap();
        }
        assert_eq!((rows(&sql, "tail"), rows(&sql, "seen"), rows(&sql, "numbers")), (0, CHANGES, 500));
        let latest: i64 = sql.query_row("SELECT min(sequence) FROM numbers", [], |row| row.get(0)).unwrap();
        assert_eq!(latest, CHANGES / 500);
    }
}
