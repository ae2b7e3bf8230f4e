//! What is known of a number: read before a change, written after it.

use rusqlite::OptionalExtension;

use super::writer::Turn;
use crate::model::id::{AccountKey, NumberKey};
use crate::model::number::{Latest, NumberState, Subject};
use crate::model::time::Timestamp;

/// What is known of a subject.
pub(super) fn number_state(
    turn: &Turn<'_>,
    account: AccountKey,
    subject: &Subject,
) -> rusqlite::Result<NumberState> {
    let mut select = turn.sql.prepare_cached(
        "SELECT sequence, limit_value, limit_since, latest FROM numbers \
         WHERE account = ?1 AND subject = ?2",
    )?;
    let found = select.query_row((account.0, subject.as_str()), |row| {
        let limit: Option<String> = row.get(1)?;
        let since: Option<i64> = row.get(2)?;
        Ok(NumberState {
            sequence: row.get(0)?,
            limit: limit.zip(since.map(Timestamp::from_ms)),
            latest: decode_latest(row.get_ref(3)?.as_blob()?),
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

pub(super) fn put_number(
    turn: &Turn<'_>,
    account: AccountKey,
    subject: &Subject,
    state: &NumberState,
) -> rusqlite::Result<NumberKey> {
    let mut upsert = turn.sql.prepare_cached(
        "INSERT INTO numbers (account, subject, sequence, limit_value, limit_since, latest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account, subject) DO UPDATE SET \
         sequence = ?3, limit_value = ?4, limit_since = ?5, latest = ?6 \
         RETURNING key",
    )?;
    let limit = state.limit.as_ref();
    upsert.query_row(
        (
            account.0,
            subject.as_str(),
            state.sequence,
            limit.map(|(value, _)| value),
            limit.map(|(_, since)| since.ms()),
            encode_latest(&state.latest),
        ),
        |row| row.get(0).map(NumberKey),
    )
}

/// The last changes as one value: for each, the field's length and name, the
/// fingerprint, then the time and the event's position in eight bytes each.
fn encode_latest(latest: &[Latest]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(latest.len() * 64);
    for Latest { field, fingerprint, time, event } in latest {
        let name = &field.as_bytes()[..field.len().min(usize::from(u8::MAX))];
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(fingerprint);
        bytes.extend_from_slice(&time.to_be_bytes());
        bytes.extend_from_slice(&event.to_be_bytes());
    }
    bytes
}

fn decode_latest(mut bytes: &[u8]) -> Vec<Latest> {
    let mut latest = Vec::new();
    while let Some((&length, rest)) = bytes.split_first()
        && let Some((name, rest)) = rest.split_at_checked(usize::from(length))
        && let Some((fingerprint, rest)) = rest.split_first_chunk::<16>()
        && let Some((time, rest)) = rest.split_first_chunk::<8>()
        && let Some((event, rest)) = rest.split_first_chunk::<8>()
    {
        let field = String::from_utf8_lossy(name).into_owned();
        let (time, event) = (i64::from_be_bytes(*time), i64::from_be_bytes(*event));
        latest.push(Latest { field, fingerprint: *fingerprint, time, event });
        bytes = rest;
    }
    latest
}
