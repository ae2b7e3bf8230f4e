//! A number's history: the events that changed something, what was learned in
//! between without one, and who refused it a higher limit.
//!
//! A refusal names the number only if Meta shows it; mostly it is about the whole
//! business account, so those of the number's are looked through as well.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::listing::{self, Of, Order, VISITS};
use super::numbers;
use super::rows::{account_key, changes, instant, number_key, page, unreadable};
use crate::model::event::Derived;
use crate::model::id::{AccountKey, EventId, NumberKey, Position};
use crate::model::number::{LearnedBy, Subject};
use crate::store::Error;
use crate::store::catalog::{HistoryPlace, HistoryQuery, HistoryRow, Page, Refusal};

pub(super) fn history(
    sql: &Connection,
    query: &HistoryQuery,
) -> Result<Option<Page<HistoryRow, HistoryPlace>>, Error> {
    let Some(account) = account_key(sql, query.account)? else { return Ok(None) };
    let Some(number) = numbers::find(sql, account, &query.number)? else { return Ok(None) };
    let whose = match &number.business_account {
        Some(id) => number_key(sql, account, &Subject::business_account(id))?,
        None => None,
    };
    let limit = query.limit.max(1);
    let before = query.before.unwrap_or(HistoryPlace(Position::MAX, 0));
    // Events before the place; one at its own position only behind an observation.
    let end = if before.1 > 0 { before.0.saturating_add(1) } else { before.0 };
    let mut items: Vec<HistoryRow> = Vec::new();
    // As far back as all events were looked at: what lies further is for the next page.
    let (mut far, mut unread) = (0, None);
    for subject in [Some(number.key), whose].into_iter().flatten() {
        let before = items.len();
        let spent = listing::walk(sql, Of::Number(subject), Order::NewestFirst, 0..end, VISITS, &mut |at| {
            items.extend(told(sql, account, at)?);
            Ok(if items.len() - before > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let full = items.last().filter(|_| items.len() - before > limit).map(|row| row.place.0);
        far = far.max(spent.or(full).unwrap_or(0));
        unread = unread.max(spent);
    }
    items.retain(|row| row.place.0 >= far);
    items.extend(observed(sql, number.key, before, far, limit + 1)?);
    items.sort_by_key(|row| Reverse(row.place));
    let unread = unread.map(|_| HistoryPlace(far, 0));
    Ok(Some(page(items, limit, unread, |row| row.place)))
}

/// What the event at `position` changed or refused, if anything.
fn told(sql: &Connection, account: AccountKey, position: Position) -> Result<Option<HistoryRow>, Error> {
    let mut select = sql.prepare_cached(
        "SELECT accepted_at, random, app, derived, changed, type FROM events \
         WHERE position = ?1 AND account = ?2 AND (changed IS NOT NULL OR type = 'account_alerts')",
    )?;
    let read = |row: &Row<'_>| {
        let at = instant(row, 0)?;
        let by = match row.get::<_, Option<i64>>(3)?.and_then(Derived::from_code) {
            Some(Derived::Capability) => LearnedBy::Capability,
            Some(Derived::Reconciliation) => LearnedBy::Reconciliation,
            None if row.get_ref(2)?.as_str_or_null()?.is_none() => LearnedBy::Published,
            None => LearnedBy::Notification,
        };
        let event = Some(EventId::new(at, position, row.get(1)?));
        let (changed, _) = changes(row, 4)?;
        let refusal =
            if row.get_ref(5)?.as_str()? == "account_alerts" { refusal(sql, position)? } else { None };
        Ok(HistoryRow { place: HistoryPlace(position, 0), at, by, event, changed, refusal })
    };
    let row = select.query_row((position, account.0), read).optional()?;
    // One that only told what was stale changed nothing.
    Ok(row.filter(|row| !row.changed.is_empty() || row.refusal.is_some()))
}

/// What an alert says, if it refuses a higher limit or puts it off. Meta has it in
/// `alert_info`, and had it beside the entity.
fn refusal(sql: &Connection, position: Position) -> rusqlite::Result<Option<Refusal>> {
    let mut select = sql.prepare_cached(
        "SELECT info ->> 'alert_type' AS kind, info ->> 'alert_severity', info ->> 'alert_status', \
                info ->> 'alert_description' \
         FROM (SELECT iif(json_type(value, '$.alert_info') = 'object', value -> 'alert_info', value) AS info FROM \
               (SELECT CAST(body AS TEXT) -> '$.eventDetails.rawEvent.value' AS value FROM events \
                WHERE position = ?1 AND json_valid(CAST(body AS TEXT)))) \
         WHERE kind LIKE 'INCREASED_CAPABILITIES_ELIGIBILITY%'",
    )?;
    let read = |row: &Row<'_>| {
        let kind = text(row, 0)?.unwrap_or_default();
        let (severity, status, description) = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
        Ok(Refusal { kind, severity, status, description })
    };
    select.query_row([position], read).optional()
}

/// What somebody else's JSON says there, as far as it is text: it may say anything,
/// and is no damage.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    })
}

fn observed(
    sql: &Connection,
    number: NumberKey,
    before: HistoryPlace,
    far: Position,
    limit: usize,
) -> rusqlite::Result<Vec<HistoryRow>> {
    let mut select = sql.prepare_cached(
        "SELECT after, ordinal, at, by, changed FROM observations \
         WHERE number = ?1 AND after >= ?2 AND (after, ordinal) < (?3, ?4) \
         ORDER BY after DESC, ordinal DESC LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map((number.0, far, before.0, before.1, limit), |row| {
        let (changed, _) = changes(row, 4)?;
        Ok(HistoryRow {
            place: HistoryPlace(row.get(0)?, row.get(1)?),
            at: instant(row, 2)?,
            by: LearnedBy::from_code(row.get(3)?).ok_or_else(|| unreadable(3))?,
            event: None,
            changed,
            refusal: None,
        })
    })?;
    rows.collect()
}
