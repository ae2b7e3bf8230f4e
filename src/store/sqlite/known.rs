//! Looking at what is known of numbers.
//!
//! Rows are late, so each is looked up in the overlay. That is why filters and
//! orders are no business of SQL: by their digits numbers are walked along the
//! index, as far as a page needs; in any other order all of the account's are
//! looked at, and the first of them kept.

use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::listing::VISITS;
use super::numbers;
use super::overlay::Inside;
use super::rows::{account_key, instant, page};
use crate::model::id::{AccountId, EventId, Position};
use crate::model::limit::Step;
use crate::model::number::{NumberState, Subject, What};
use crate::model::time::Timestamp;
use crate::model::word::Word;
use crate::store::Error;
use crate::store::catalog::{NumberPlace, NumberQuery, NumberRow, NumberSort, Page};

/// Numbers of an account behind some digits, by their digits.
const BEHIND: &str = "SELECT key, business_account, state, sequence, limit_value, limit_since, latest, subject \
     FROM numbers WHERE account = ?1 AND subject > ?2 AND subject < ':' ORDER BY subject";

pub(super) fn numbers(
    sql: &Connection,
    inside: &Inside,
    query: &NumberQuery,
) -> Result<Page<NumberRow, NumberPlace>, Error> {
    let nothing = Page { items: Vec::new(), next: None };
    let Some(account) = account_key(sql, query.account)? else { return Ok(nothing) };
    let by_digits = query.sort == NumberSort::Number;
    let from = query.after.as_ref().filter(|_| by_digits).map_or("/", |place| place.digits.as_str());
    let (most, mut visits) = (query.limit.max(1) + 1, 0);
    let mut first: BinaryHeap<Placed> = BinaryHeap::new();
    let mut unread = None;
    let mut select = sql.prepare_cached(BEHIND)?;
    let mut rows = select.query((account.0, from))?;
    while let Some(row) = rows.next()? {
        visits += 1;
        let number = read(row, inside)?;
        let place = place(&number, query.sort);
        let last_looked_at = NumberPlace { rank: 0, digits: number.digits.clone() };
        let behind = query.after.as_ref().is_none_or(|after| place > *after);
        if behind && is_wanted(&number, query) {
            first.push(Placed { place, number });
            if first.len() > most {
                first.pop();
            }
        }
        if by_digits && (first.len() == most || visits == VISITS) {
            unread = (visits == VISITS).then_some(last_looked_at);
            break;
        }
    }
    drop(rows);
    let mut items = Vec::with_capacity(first.len());
    for Placed { mut number, .. } in first.into_sorted_vec() {
        number.events = events_of(sql, &number.state)?;
        items.push(number);
    }
    Ok(page(items, query.limit, unread, |number| place(number, query.sort)))
}

/// A number in an order.
struct Placed {
    place: NumberPlace,
    number: NumberRow,
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Placed {}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

fn read(row: &Row<'_>, inside: &Inside) -> rusqlite::Result<NumberRow> {
    let numbers::NumberRow { key, business_account, state } = numbers::read(row)?;
    Ok(NumberRow {
        digits: row.get(7)?,
        business_account: business_account.map(String::from),
        state: inside.newest(key, state),
        events: Vec::new(),
    })
}

fn place(number: &NumberRow, sort: NumberSort) -> NumberPlace {
    let state = &number.state;
    let changed = state.changed_at.ms().unsigned_abs();
    let limit = || state.value(What::Limit).map_or(0, |limit| Step::of(limit.as_str()).rank());
    let rank = match sort {
        NumberSort::Number => 0,
        NumberSort::Changed => changed,
        NumberSort::ChangedDown => u64::MAX - changed,
        NumberSort::Limit => limit(),
        NumberSort::LimitDown => u64::MAX - limit(),
    };
    NumberPlace { rank, digits: number.digits.clone() }
}

fn is_wanted(number: &NumberRow, query: &NumberQuery) -> bool {
    let state = &number.state;
    let is = |what: What, wanted: &Option<String>| {
        wanted
            .as_ref()
            .is_none_or(|wanted| state.value(what).is_some_and(|value| what.same(value, &Word::new(wanted))))
    };
    let flagged = state.value(What::Flagged).is_some_and(|value| *value == "FLAGGED");
    let whose = query.business_account.as_ref();
    let digits = query.digits.as_ref();
    !state.retired
        && digits.is_none_or(|digits| number.digits.contains(digits.as_str()))
        && is(What::Limit, &query.messaging_limit)
        && is(What::Throughput, &query.throughput)
        && is(What::Rating, &query.rating)
        && query.flagged.is_none_or(|wanted| wanted == flagged)
        && query.changed_since.is_none_or(|since| state.changed_at >= since)
        && whose.is_none_or(|whose| number.business_account.as_deref() == Some(whose.as_str()))
}

/// The events that told what is known, as far as they are still there.
fn events_of(sql: &Connection, state: &NumberState) -> rusqlite::Result<Vec<(What, EventId)>> {
    let mut events = Vec::new();
    for known in &state.known {
        if let Some(position) = known.event
            && let Some((_, id)) = event_id(sql, position)?
        {
            events.push((known.what, id));
        }
    }
    Ok(events)
}

fn event_id(sql: &Connection, position: Position) -> rusqlite::Result<Option<(Timestamp, EventId)>> {
    let mut select = sql.prepare_cached("SELECT accepted_at, random FROM events WHERE position = ?1")?;
    let read = |row: &Row<'_>| {
        let at = instant(row, 0)?;
        Ok((at, EventId::new(at, position, row.get(1)?)))
    };
    select.query_row([position], read).optional()
}

pub(super) fn number(
    sql: &Connection,
    inside: &Inside,
    account: AccountId,
    subject: &Subject,
) -> Result<Option<NumberRow>, Error> {
    let Some(account) = account_key(sql, account)? else { return Ok(None) };
    let Some(row) = numbers::find(sql, account, subject)? else { return Ok(None) };
    let seen = (row.state.sequence, row.state.revision);
    let state = inside.newest(row.key, row.state);
    if state.retired {
        return Ok(None);
    }
    let whose = if seen == (state.sequence, state.revision) {
        row.business_account
    } else {
        // Where the number is stands in its row, which may have been read before that
        // was said which the overlay knows: an ETag must not name more than is shown.
        numbers::find(sql, account, subject)?.and_then(|row| row.business_account)
    };
    let events = events_of(sql, &state)?;
    let (digits, business_account) = (subject.as_str().to_owned(), whose.map(String::from));
    Ok(Some(NumberRow { digits, business_account, state, events }))
}
