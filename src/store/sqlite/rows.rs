//! From rows to the model, and from public ids to the store's own keys.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use super::bytes::read_changes;
use super::sums;
use crate::model::attempt::{Attempt, OutcomeClass};
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::Derived;
use crate::model::id::{AccountId, AccountKey, DeliveryId, EventId, NumberKey, WebhookId, WebhookKey};
use crate::model::number::{Changed, Stale, Subject};
use crate::model::time::Timestamp;
use crate::store::catalog::{EventRow, Page};
use crate::store::{Error, ErrorKind};

/// What is in `column` can't be what this program wrote there.
pub(super) fn unreadable(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "not a value this program writes".into())
}

/// The text in `column`, read by `parse`.
pub(super) fn parsed<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(row.get_ref(column)?.as_str()?).ok_or_else(|| unreadable(column))
}

/// The instant in `column`.
pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_ms)
}

pub(super) fn account_key(sql: &Connection, id: AccountId) -> rusqlite::Result<Option<AccountKey>> {
    let mut select = sql.prepare_cached("SELECT key FROM accounts WHERE id = ?1")?;
    select.query_row([id.to_string()], |row| row.get(0).map(AccountKey)).optional()
}

/// The account's key, or `NotFound`.
pub(super) fn known_account(sql: &Connection, id: AccountId) -> Result<AccountKey, Error> {
    let missing = || Error::new(ErrorKind::NotFound, format!("there is no account {id}; register it first"));
    account_key(sql, id)?.ok_or_else(missing)
}

/// The key of the account's webhook of that id, deleted or not.
pub(super) fn webhook_key(
    sql: &Connection,
    account: AccountKey,
    id: WebhookId,
) -> rusqlite::Result<Option<WebhookKey>> {
    let mut select = sql.prepare_cached("SELECT key FROM webhooks WHERE id = ?1 AND account = ?2")?;
    select.query_row((id.to_string(), account.0), |row| row.get(0).map(WebhookKey)).optional()
}

pub(super) fn number_key(
    sql: &Connection,
    account: AccountKey,
    subject: &Subject,
) -> rusqlite::Result<Option<NumberKey>> {
    let mut select = sql.prepare_cached("SELECT key FROM numbers WHERE account = ?1 AND subject = ?2")?;
    select.query_row((account.0, subject.as_str()), |row| row.get(0).map(NumberKey)).optional()
}

/// A page of what was read with room for one more than `limit`. `unread`: where
/// reading stopped for another reason than having enough.
pub(super) fn page<T, C>(
    mut items: Vec<T>,
    limit: usize,
    unread: Option<C>,
    cursor: impl Fn(&T) -> C,
) -> Page<T, C> {
    let limit = limit.max(1);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(cursor) } else { unread };
    Page { items, next }
}

/// A page ends early once what was sent to us by others makes it so long: a row
/// may be as large as a notification, and several copies of a page are made on
/// its way out.
pub(super) const PAGE_BYTES: usize = 2 << 20;

/// Reads `rows` until they have [`PAGE_BYTES`] bytes; whether that ended it.
pub(super) fn within_bytes<T>(
    rows: impl Iterator<Item = rusqlite::Result<T>>,
    bytes: impl Fn(&T) -> usize,
) -> rusqlite::Result<(Vec<T>, bool)> {
    let (mut items, mut read) = (Vec::new(), 0);
    for item in rows {
        let item = item?;
        read += bytes(&item);
        items.push(item);
        if read >= PAGE_BYTES {
            return Ok((items, true));
        }
    }
    Ok((items, false))
}

/// The statement's limit that [`page`] wants.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit.max(1)).unwrap_or(i64::MAX).saturating_add(1)
}

fn digits(subject: &str) -> Option<String> {
    Subject::stored(subject).digits().map(str::to_owned)
}

/// The digits of a number of the account, if it is one and is known.
pub(super) fn digits_of(
    sql: &Connection,
    account: AccountKey,
    number: NumberKey,
) -> rusqlite::Result<Option<String>> {
    let mut select = sql.prepare_cached("SELECT subject FROM numbers WHERE key = ?1 AND account = ?2")?;
    let found =
        select.query_row((number.0, account.0), |row| Ok(digits(row.get_ref(0)?.as_str()?))).optional()?;
    Ok(found.flatten())
}

/// The event of `account` at `position`.
pub(super) fn event(
    sql: &Connection,
    account: AccountKey,
    position: i64,
) -> rusqlite::Result<Option<(EventRow, String)>> {
    let mut select = sql.prepare_cached(
        "SELECT e.accepted_at, e.random, e.sequence, n.subject, e.app, e.resends, e.test, e.body, e.type, \
                e.derived, e.changed, e.snapshot, e.sum \
         FROM events e JOIN numbers n ON n.key = e.number WHERE e.position = ?1 AND e.account = ?2",
    )?;
    let read = |row: &Row<'_>| {
        let accepted_at = instant(row, 0)?;
        let event = EventRow {
            id: EventId::new(accepted_at, position, row.get(1)?),
            accepted_at,
            sequence: row.get(2)?,
            phone_number: digits(row.get_ref(3)?.as_str()?),
            app: row.get(4)?,
            resends: row.get(5)?,
            test: row.get(6)?,
            derived: row.get::<_, Option<i64>>(9)?.and_then(Derived::from_code),
            stale: changes(row, 10)?.1,
            snapshot: row.get::<_, Option<bool>>(11)?.unwrap_or(false),
            body: row.get(7)?,
        };
        sums::check(&event.body, row.get(12)?)?;
        Ok((event, row.get(8)?))
    };
    select.query_row((position, account.0), read).optional()
}

/// A number that the store keeps under a name of its own, if it does.
pub(super) fn fact(sql: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut select = sql.prepare_cached("SELECT value FROM facts WHERE name = ?1")?;
    select.query_row([name], |row| row.get(0)).optional()
}

/// What changed, and what was told late.
pub(super) fn changes(row: &Row<'_>, column: usize) -> rusqlite::Result<(Vec<Changed>, Stale)> {
    read_changes(row.get_ref(column)?.as_blob_or_null()?).ok_or_else(|| unreadable(column))
}

/// An attempt from eight columns, the first of them at `at`.
pub(super) fn attempt(row: &Row<'_>, at: usize) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        number: row.get(at)?,
        started_at: instant(row, at + 1)?,
        duration_ms: row.get(at + 2)?,
        class: OutcomeClass::from_code(row.get(at + 3)?).ok_or_else(|| unreadable(at + 3))?,
        status: row.get(at + 4)?,
        note: row.get(at + 5)?,
        answer: row.get(at + 6)?,
        next_at: row.get::<_, Option<i64>>(at + 7)?.map(Timestamp::from_ms),
    })
}

/// The delivery of that id, if it is the account's.
pub(super) fn delivery(
    sql: &Connection,
    account: AccountKey,
    id: DeliveryId,
) -> rusqlite::Result<Option<Delivery>> {
    let mut select = sql.prepare_cached(
        "SELECT d.state, d.due_at, d.lease, d.attempts, e.accepted_at, e.random, e.type, n.subject, w.id, \
                d.started_at, d.duration_ms, d.status, d.answer, \
                a.number, a.started_at, a.duration_ms, a.class, a.status, a.note, a.answer, a.next_at, \
                s.position, s.accepted_at, s.random \
         FROM deliveries d JOIN events e ON e.position = ?3 JOIN numbers n ON n.key = d.number \
         JOIN webhooks w ON w.key = d.webhook LEFT JOIN events s ON s.position = d.superseded_by \
         LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts \
         WHERE d.id = ?1 AND d.account = ?2",
    )?;
    let read = |row: &Row<'_>| {
        let state = DeliveryState::from_code(row.get(0)?).ok_or_else(|| unreadable(0))?;
        let due_at: Option<i64> = row.get(1)?;
        let leased = row.get::<_, i64>(2)? != 0;
        let created_at = instant(row, 4)?;
        let failed = row.get::<_, Option<u32>>(13)?.map(|_| attempt(row, 13)).transpose()?;
        Ok(Delivery {
            id,
            event: EventId::new(created_at, id.position(), row.get(5)?),
            event_type: row.get(6)?,
            phone_number: digits(row.get_ref(7)?.as_str()?),
            webhook: parsed(row, 8, |text| text.parse::<WebhookId>().ok())?,
            state,
            attempts: row.get(3)?,
            created_at,
            next_at: due_at.filter(|_| state == DeliveryState::Pending && !leased).map(Timestamp::from_ms),
            last: success(row, 9, row.get(3)?)?.or(failed),
            superseded_by: match row.get(21)? {
                Some(by) => Some(EventId::new(instant(row, 22)?, by, row.get(23)?)),
                None => None,
            },
        })
    };
    select.query_row((id.0, account.0, id.position()), read).optional()
}

/// The attempt that delivered, kept in the delivery's own row: four columns from
/// `at` on, empty while there was none.
fn success(row: &Row<'_>, at: usize, number: u32) -> rusqlite::Result<Option<Attempt>> {
    let Some(started_at) = row.get::<_, Option<i64>>(at)? else { return Ok(None) };
    Ok(Some(Attempt {
        number,
        started_at: Timestamp::from_ms(started_at),
        duration_ms: row.get::<_, Option<i64>>(at + 1)?.unwrap_or(0),
        class: OutcomeClass::Success,
        status: row.get(at + 2)?,
        note: None,
        answer: row.get::<_, Option<Vec<u8>>>(at + 3)?.unwrap_or_default(),
        next_at: None,
    }))
}
