//! Looking at events, at what waits or could not be read, and at the whole.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row};

use super::deliveries;
use super::listing::{self, Of, Order, VISITS};
use super::rows::{self, PAGE_BYTES, account_key, instant, number_key, one_more, page, within_bytes};
use crate::model::delivery::Delivery;
use crate::model::id::{AccountId, EventId, Position};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::catalog::{EventQuery, EventRow, Page, Totals, UnparsedRow, UnroutedRow};

pub(super) fn events(sql: &Connection, query: &EventQuery) -> Result<Page<EventRow, Position>, Error> {
    let nothing = Page { items: Vec::new(), next: None };
    let Some(account) = account_key(sql, query.account)? else { return Ok(nothing) };
    let of = match &query.number {
        None => Of::Account(account),
        Some(subject) => match number_key(sql, account, subject)? {
            Some(number) => Of::Number(number),
            None => return Ok(nothing),
        },
    };
    let mut range = listing::positions(sql, query.since, query.until)?;
    range.end = query.before.map_or(range.end, |before| range.end.min(before));
    let limit = query.limit.max(1);
    let (mut items, mut read) = (Vec::<EventRow>::new(), 0);
    let unread = listing::walk(sql, of, Order::NewestFirst, range, VISITS, &mut |position| {
        if let Some((event, kind)) = rows::event(sql, account, position)?
            && query.since.is_none_or(|since| event.accepted_at >= since)
            && query.until.is_none_or(|until| event.accepted_at < until)
            && query.event_type.as_ref().is_none_or(|wanted| *wanted == kind)
        {
            read += event.body.len();
            items.push(event);
        }
        Ok(if items.len() > limit || read >= PAGE_BYTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    let cut = items.last().filter(|_| read >= PAGE_BYTES).map(|event| event.id.position());
    Ok(page(items, limit, unread.or(cut), |event| event.id.position()))
}

pub(super) fn event(
    sql: &Connection,
    account: AccountId,
    id: EventId,
) -> Result<Option<(EventRow, Vec<Delivery>)>, Error> {
    let Some(account) = account_key(sql, account)? else { return Ok(None) };
    let found = rows::event(sql, account, id.position())?;
    let Some((event, _)) = found.filter(|(event, _)| event.id == id) else { return Ok(None) };
    let deliveries = deliveries::of_event(sql, account, id.position())?;
    Ok(Some((event, deliveries)))
}

pub(super) fn unrouted(
    sql: &Connection,
    after: Option<i64>,
    limit: usize,
) -> Result<Page<UnroutedRow, i64>, Error> {
    let mut select = sql.prepare_cached(
        "SELECT row, business_account, app, field, time, received_at, raw FROM unrouted \
         WHERE row > ?1 ORDER BY row LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| {
        Ok(UnroutedRow {
            row: row.get(0)?,
            business_account: row.get(1)?,
            app: row.get(2)?,
            field: row.get(3)?,
            time: row.get(4)?,
            received_at: instant(row, 5)?,
            raw: row.get(6)?,
        })
    };
    let rows = select.query_map((after.unwrap_or(0), one_more(limit)), read)?;
    let (items, cut) = within_bytes(rows, |waiting: &UnroutedRow| waiting.raw.len())?;
    let unread = items.last().filter(|_| cut).map(|waiting| waiting.row);
    Ok(page(items, limit, unread, |waiting| waiting.row))
}

pub(super) fn unparsed(
    sql: &Connection,
    before: Option<i64>,
    limit: usize,
) -> Result<Page<UnparsedRow, i64>, Error> {
    let mut select = sql.prepare_cached(
        "SELECT row, app, business_account, received_at, reason, raw FROM unparsed \
         WHERE row < ?1 ORDER BY row DESC LIMIT ?2",
    )?;
    let read = |row: &Row<'_>| {
        Ok(UnparsedRow {
            row: row.get(0)?,
            app: row.get(1)?,
            business_account: row.get(2)?,
            received_at: instant(row, 3)?,
            reason: row.get(4)?,
            raw: row.get(5)?,
        })
    };
    let rows = select.query_map((before.unwrap_or(i64::MAX), one_more(limit)), read)?;
    let (items, cut) = within_bytes(rows, |unparsed: &UnparsedRow| unparsed.raw.len())?;
    let unread = items.last().filter(|_| cut).map(|unparsed| unparsed.row);
    Ok(page(items, limit, unread, |unparsed| unparsed.row))
}

pub(super) fn totals(sql: &Connection, now: Timestamp) -> Result<Totals, Error> {
    let mut fact = sql.prepare_cached("SELECT value FROM facts WHERE name = ?1")?;
    let mut count = |name: &str| -> rusqlite::Result<u64> {
        let value: i64 = fact.query_row([name], |row| row.get(0))?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    Ok(Totals {
        deliveries: [
            count("deliveries_0")?,
            count("deliveries_1")?,
            count("deliveries_2")?,
            count("deliveries_3")?,
            count("deliveries_4")?,
        ],
        unrouted: count("unrouted")?,
        oldest_due_ms: oldest_due(sql, now)?.map_or(0, |due| now.ms() - due),
    })
}

/// Since when the longest overdue delivery is due. Those under way are not
/// overdue, nor those held because their webhook is disabled. The index is led
/// by the webhook: one look at each webhook that has something due.
fn oldest_due(sql: &Connection, now: Timestamp) -> rusqlite::Result<Option<i64>> {
    sql.prepare_cached(
        "WITH RECURSIVE waiting (webhook) AS ( \
             SELECT (SELECT webhook FROM deliveries INDEXED BY deliveries_due \
                     WHERE state = 0 AND lease = 0 AND due_at IS NOT NULL ORDER BY webhook LIMIT 1) \
             UNION ALL \
             SELECT (SELECT d.webhook FROM deliveries d INDEXED BY deliveries_due \
                     WHERE d.state = 0 AND d.lease = 0 AND d.due_at IS NOT NULL \
                       AND d.webhook > waiting.webhook \
                     ORDER BY d.webhook LIMIT 1) \
             FROM waiting WHERE waiting.webhook IS NOT NULL) \
         SELECT min((SELECT d.due_at FROM deliveries d INDEXED BY deliveries_due \
                     WHERE d.webhook = waiting.webhook AND d.state = 0 AND d.due_at IS NOT NULL \
                       AND d.due_at <= ?1 AND d.lease = 0 ORDER BY d.due_at LIMIT 1)) \
         FROM waiting JOIN webhooks w ON w.key = waiting.webhook AND w.enabled = 1",
    )?
    .query_row([now.ms()], |row| row.get(0))
}

/// Writes something that changes nothing.
pub(super) fn ping_by_writing(sql: &Connection) -> Result<(), Error> {
    sql.prepare_cached("UPDATE facts SET value = value WHERE name = 'opened'")?.execute([])?;
    Ok(())
}

pub(super) fn ping_by_reading(sql: &Connection) -> Result<(), Error> {
    sql.prepare_cached("SELECT value FROM facts WHERE name = 'opened'")?
        .query_row([], |row| row.get::<_, i64>(0))?;
    Ok(())
}

/// What was kept to recognise the sealing key.
pub(super) fn key_check(sql: &Connection) -> rusqlite::Result<Option<Vec<u8>>> {
    sql.query_row("SELECT sealed FROM key_check", [], |row| row.get(0)).optional()
}
