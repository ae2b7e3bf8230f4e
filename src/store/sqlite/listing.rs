//! Which events an account or a number has, in order.
//!
//! An index over (account, position) kept by the hot path would touch a page per
//! account with every commit. So `events_by_account` and `events_by_number` are
//! written behind a watermark, `facts.listed`: whole batches of events at a
//! time, sorted, so that neighbours share a page. Events past the watermark, the
//! tail, are found by scanning it. A tail grows to one batch before it moves;
//! should nobody move it, listing becomes slow and stays right.

use std::ops::{ControlFlow, Range};

use rusqlite::{Connection, OptionalExtension, Row};

use crate::model::id::{AccountKey, NumberKey, Position};
use crate::model::time::Timestamp;
use crate::store::Error;

/// Events or deliveries that one query looks at, at most; then its page ends
/// short.
pub(super) const VISITS: usize = 5_000;

/// So many rows of others can be passed in the tail for the price of a visit.
const PASSED_PER_VISIT: usize = 10;

/// The clock may have stepped back by so much between two events; a listing by
/// time looks that much further around.
const CLOCK_STEP_MS: i64 = 10 * 60 * 1000;

/// Whose events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Account(AccountKey),
    Number(NumberKey),
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    /// As in SQL.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

/// Moves the watermark over the next `step` positions, if there are that many:
/// fewer are cheap to scan, and cheaper to move later. Says whether as many
/// again are left.
pub(super) fn extend(sql: &Connection, step: usize) -> rusqlite::Result<bool> {
    let step = i64::try_from(step.max(1)).unwrap_or(i64::MAX);
    let listed = listed(sql)?;
    let last: Position = sql
        .prepare_cached("SELECT coalesce(max(position), 0) FROM events")?
        .query_row([], |row| row.get(0))?;
    if last - listed < step {
        return Ok(false);
    }
    let end = listed + step;
    let tail = (listed, end);
    sql.prepare_cached(
        "INSERT INTO events_by_account (account, position) SELECT account, position FROM events \
         WHERE position > ?1 AND position <= ?2 ORDER BY account, position",
    )?
    .execute(tail)?;
    sql.prepare_cached(
        "INSERT INTO events_by_number (number, position) SELECT number, position FROM events \
         WHERE position > ?1 AND position <= ?2 ORDER BY number, position",
    )?
    .execute(tail)?;
    sql.prepare_cached("UPDATE facts SET value = ?1 WHERE name = 'listed'")?.execute([end])?;
    Ok(last - end >= step)
}

fn listed(sql: &Connection) -> rusqlite::Result<Position> {
    sql.prepare_cached("SELECT value FROM facts WHERE name = 'listed'")?.query_row([], |row| row.get(0))
}

/// Reads `columns` of the events past the watermark, newest first, `looks` of them at
/// most: for who looks for several numbers at once.
pub(super) fn tail(
    sql: &Connection,
    columns: &str,
    looks: i64,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut select = sql.prepare_cached(&format!(
        "SELECT {columns} FROM events WHERE position > ?1 ORDER BY position DESC LIMIT ?2"
    ))?;
    let mut rows = select.query((listed(sql)?, looks))?;
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    Ok(())
}

/// What a walk does at a position.
pub(super) type Visit<'a> = dyn FnMut(Position) -> Result<ControlFlow<()>, Error> + 'a;

/// Visits the positions of an account's or number's events within `range`,
/// until one breaks or `visits` are used up. Only in the latter case it says
/// where: the last position looked at. A position may be of an event that was
/// removed meanwhile.
pub(super) fn walk(
    sql: &Connection,
    of: Of,
    order: Order,
    range: Range<Position>,
    visits: usize,
    visit: &mut Visit<'_>,
) -> Result<Option<Position>, Error> {
    let mut steps = visits.saturating_mul(PASSED_PER_VISIT);
    let unlisted = listed(sql)? + 1;
    let index = Section { of, order, indexed: true, range: range.start..range.end.min(unlisted) };
    let tail = Section { of, order, indexed: false, range: range.start.max(unlisted)..range.end };
    let sections = match order {
        Order::NewestFirst => [tail, index],
        Order::OldestFirst => [index, tail],
    };
    for section in sections {
        match section.walk(sql, &mut steps, visit)? {
            End::Through => {}
            End::Broken => return Ok(None),
            End::Spent(at) => return Ok(Some(at)),
        }
    }
    Ok(None)
}

/// Positions on one side of the watermark.
struct Section {
    of: Of,
    order: Order,
    indexed: bool,
    range: Range<Position>,
}

enum End {
    Through,
    Broken,
    Spent(Position),
}

impl Section {
    /// Gives each position in the range, and whether it is one of those wanted.
    fn statement(&self) -> String {
        let column = match self.of {
            Of::Account(_) => "account",
            Of::Number(_) => "number",
        };
        let (table, wanted) = if self.indexed {
            (format!("events_by_{column}"), format!("{column} = ?1 AND"))
        } else {
            ("events".to_owned(), String::new())
        };
        let order = self.order.keyword();
        format!(
            "SELECT position, {column} = ?1 FROM {table} \
             WHERE {wanted} position >= ?2 AND position < ?3 ORDER BY position {order}"
        )
    }

    fn walk(&self, sql: &Connection, steps: &mut usize, visit: &mut Visit<'_>) -> Result<End, Error> {
        if self.range.is_empty() {
            return Ok(End::Through);
        }
        let key = match self.of {
            Of::Account(AccountKey(key)) | Of::Number(NumberKey(key)) => key,
        };
        let mut select = sql.prepare_cached(&self.statement())?;
        let mut rows = select.query((key, self.range.start, self.range.end))?;
        while let Some(row) = rows.next()? {
            let position: Position = row.get(0)?;
            let ours: bool = row.get(1)?;
            *steps = steps.saturating_sub(if ours { PASSED_PER_VISIT } else { 1 });
            if ours && visit(position)?.is_break() {
                return Ok(End::Broken);
            }
            if *steps == 0 {
                return Ok(End::Spent(position));
            }
        }
        Ok(End::Through)
    }
}

/// The positions outside which no event was accepted from `since` on and before
/// `until`. Positions grow with time but for steps back of the clock, so what is
/// inside is still to be compared.
pub(super) fn positions(
    sql: &Connection,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> rusqlite::Result<Range<Position>> {
    let start = match since {
        Some(since) => first_from(sql, since.ms().saturating_sub(CLOCK_STEP_MS))?,
        None => 0,
    };
    let end = match until {
        Some(until) => first_from(sql, until.ms().saturating_add(CLOCK_STEP_MS))?,
        None => last(sql)? + 1,
    };
    Ok(start..end)
}

fn last(sql: &Connection) -> rusqlite::Result<Position> {
    sql.prepare_cached("SELECT coalesce(max(position), 0) FROM events")?.query_row([], |row| row.get(0))
}

/// The first position of an event accepted at `at` or later, one past the last
/// if there is none: halving, over positions some of which are gone.
fn first_from(sql: &Connection, at: i64) -> rusqlite::Result<Position> {
    let mut probe = sql.prepare_cached(
        "SELECT position, accepted_at FROM events WHERE position >= ?1 ORDER BY position LIMIT 1",
    )?;
    let mut read = |from: Position| probe.query_row([from], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    let first: Option<(Position, i64)> = read(0)?;
    let (mut low, mut high) = (first.map_or(0, |(position, _)| position), last(sql)? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match read(middle)? {
            Some((position, accepted_at)) if accepted_at < at => low = position + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
