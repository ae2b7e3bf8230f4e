//! The rows of numbers, and what was observed of them without an event. The
//! writer reads and writes what is known of a number through the tail.

use rusqlite::{Connection, OptionalExtension, Row};

use super::bytes::{changes, old_limit, read_latest, read_state, write_state};
use super::journal::Entry;
use super::rows::unreadable;
use super::writer::Turn;
use crate::model::id::{AccountKey, NumberKey, Position};
use crate::model::number::{Changed, LearnedBy, NumberState, Stale, Subject};
use crate::model::time::Timestamp;

/// A number's row.
pub(super) struct NumberRow {
    pub(super) key: NumberKey,
    pub(super) business_account: Option<Box<str>>,
    pub(super) state: NumberState,
}

/// Reads seven columns, those of [`find`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<NumberRow> {
    let state = match row.get_ref(2)?.as_blob_or_null()? {
        None => of_the_second_schema(row)?,
        Some(state) => read_state(state).ok_or_else(|| unreadable(2))?,
    };
    let business_account: Option<String> = row.get(1)?;
    let business_account = business_account.map(String::into_boxed_str);
    Ok(NumberRow { key: NumberKey(row.get(0)?), business_account, state })
}

fn of_the_second_schema(row: &Row<'_>) -> rusqlite::Result<NumberState> {
    let limit: Option<String> = row.get(4)?;
    let since: Option<i64> = row.get(5)?;
    let known = limit.zip(since).map(|(limit, since)| old_limit(&limit, Timestamp::from_ms(since)));
    Ok(NumberState {
        sequence: row.get(3)?,
        known: known.into_iter().collect(),
        latest: read_latest(row.get_ref(6)?.as_blob()?),
        ..NumberState::default()
    })
}

/// The row of a subject.
pub(super) fn find(
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
) -> rusqlite::Result<Option<NumberRow>> {
    let mut select = sql.prepare_cached(
        "SELECT key, business_account, state, sequence, limit_value, limit_since, latest FROM numbers \
         WHERE account = ?1 AND subject = ?2",
    )?;
    select.query_row((account.0, subject.as_str()), read).optional()
}

/// A new row; the subject has none.
pub(super) fn insert(
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
    business_account: &str,
    state: &NumberState,
) -> rusqlite::Result<NumberKey> {
    let whose = subject.digits().map(|_| business_account);
    sql.prepare_cached(
        "INSERT INTO numbers (account, subject, sequence, latest, business_account, state) \
         VALUES (?1, ?2, ?3, x'', ?4, ?5)",
    )?
    .insert((account.0, subject.as_str(), state.sequence, whose, encoded(state)))
    .map(NumberKey)
}

/// Brings a row up to date, if it is still there.
pub(super) fn update(sql: &Connection, key: NumberKey, state: &NumberState) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE numbers SET sequence = ?2, state = ?3 WHERE key = ?1")?.execute((
        key.0,
        state.sequence,
        encoded(state),
    ))?;
    Ok(())
}

/// The number belongs to another business account from now on.
pub(super) fn move_to(sql: &Connection, key: NumberKey, business_account: &str) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE numbers SET business_account = ?2 WHERE key = ?1")?
        .execute((key.0, business_account))?;
    Ok(())
}

/// Numbers of a business account behind `after`, in the order of their keys.
pub(super) fn of_business_account(
    sql: &Connection,
    account: AccountKey,
    business_account: &str,
    after: NumberKey,
    limit: usize,
) -> rusqlite::Result<Vec<(NumberKey, Subject)>> {
    let mut select = sql.prepare_cached(
        "SELECT key, subject FROM numbers \
         WHERE account = ?1 AND business_account = ?2 AND key > ?3 ORDER BY key LIMIT ?4",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| Ok((NumberKey(row.get(0)?), Subject::stored(row.get_ref(1)?.as_str()?)));
    select.query_map((account.0, business_account, after.0, limit), read)?.collect()
}

/// Keeps what changed without an event, after the one at `after`, and tells of it;
/// `untold`: also if none of its values did.
pub(super) fn observe(
    turn: &mut Turn<'_>,
    account: AccountKey,
    key: NumberKey,
    after: Position,
    (at, by): (Timestamp, LearnedBy),
    (changed, untold): (&[Changed], bool),
) -> rusqlite::Result<()> {
    let changed = changes(changed, Stale::default());
    if let Some(changed) = &changed {
        turn.sql
            .prepare_cached(
                "INSERT INTO observations (number, after, ordinal, at, by, changed) VALUES (?1, ?2, 1 + \
         (SELECT coalesce(max(ordinal), 0) FROM observations WHERE number = ?1 AND after = ?2), ?3, ?4, ?5)",
            )?
            .execute((key.0, after, at.ms(), by.code(), changed))?;
    }
    if untold || changed.is_some() {
        turn.tell(at, Entry::Number { account, number: key });
    }
    Ok(())
}

fn encoded(state: &NumberState) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    write_state(&mut bytes, state);
    bytes
}
