//! The rows of numbers. The writer reads and writes them through the tail.

use rusqlite::{Connection, OptionalExtension};

use super::tail::{read_latest, write_latest};
use crate::model::id::{AccountKey, NumberKey};
use crate::model::number::{Latest, NumberState, Subject};
use crate::model::time::Timestamp;

/// The row of a subject.
pub(super) fn find(
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
) -> rusqlite::Result<Option<(NumberKey, NumberState)>> {
    let mut select = sql.prepare_cached(
        "SELECT key, sequence, limit_value, limit_since, latest FROM numbers \
         WHERE account = ?1 AND subject = ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let limit: Option<String> = row.get(2)?;
        let since: Option<i64> = row.get(3)?;
        let state = NumberState {
            sequence: row.get(1)?,
            limit: limit.zip(since.map(Timestamp::from_ms)),
            latest: read_latest(row.get_ref(4)?.as_blob()?),
        };
        Ok((NumberKey(row.get(0)?), state))
    };
    select.query_row((account.0, subject.as_str()), read).optional()
}

/// A new row; the subject has none.
pub(super) fn insert(
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
    state: &NumberState,
) -> rusqlite::Result<NumberKey> {
    let limit = state.limit.as_ref();
    sql.prepare_cached(
        "INSERT INTO numbers (account, subject, sequence, limit_value, limit_since, latest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .insert((
        account.0,
        subject.as_str(),
        state.sequence,
        limit.map(|(value, _)| value),
        limit.map(|(_, since)| since.ms()),
        encoded(&state.latest),
    ))
    .map(NumberKey)
}

/// Brings a row up to date, if it is still there.
pub(super) fn update(sql: &Connection, key: NumberKey, state: &NumberState) -> rusqlite::Result<()> {
    let limit = state.limit.as_ref();
    sql.prepare_cached(
        "UPDATE numbers SET sequence = ?2, limit_value = ?3, limit_since = ?4, latest = ?5 WHERE key = ?1",
    )?
    .execute((
        key.0,
        state.sequence,
        limit.map(|(value, _)| value),
        limit.map(|(_, since)| since.ms()),
        encoded(&state.latest),
    ))?;
    Ok(())
}

fn encoded(latest: &[Latest]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(latest.len() * 64);
    write_latest(&mut bytes, latest);
    bytes
}
