//! Replaying: settled deliveries become pending again, one by one or in bulk.
//!
//! A replayed delivery takes its place in its lane by age, but never gets in
//! the way of an attempt: a head that is under way, or between two attempts,
//! keeps its turn, and the replayed one follows.
//!
//! A bulk replay may leave out what a newer delivery stands for (`newer`): that
//! becomes superseded instead.

mod newer;

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::deliveries::{Filter, Met, Walk};
use super::journal::Entry;
use super::listing::Order;
use super::rows::{account_key, instant, known_account, parsed, unreadable};
use super::supersede::mark;
use super::writer::Turn;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::id::{AccountId, AccountKey, DeliveryId, NumberKey, Position, WebhookKey};
use crate::model::number::Subject;
use crate::model::time::Timestamp;
use crate::store::catalog::{DeliveryQuery, Replay, ReplayState, Replayed};
use crate::store::{Error, ErrorKind};

pub(super) fn replay(
    turn: &mut Turn<'_>,
    account: AccountId,
    deliveries: &[DeliveryId],
    now: Timestamp,
) -> Result<Vec<Replayed>, Error> {
    let Some(account) = account_key(turn.sql, account)? else {
        return Ok(vec![Replayed::Unknown; deliveries.len()]);
    };
    deliveries.iter().map(|id| replay_one(turn, account, *id, now)).collect()
}

fn replay_one(
    turn: &mut Turn<'_>,
    account: AccountKey,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Replayed, Error> {
    let found = turn
        .sql
        .prepare_cached(
            "SELECT d.state, d.webhook, d.number, w.deleted_at IS NOT NULL \
             FROM deliveries d JOIN webhooks w ON w.key = d.webhook WHERE d.id = ?1 AND d.account = ?2",
        )?
        .query_row((id.0, account.0), |row| {
            let state = DeliveryState::from_code(row.get(0)?).ok_or_else(|| unreadable(0))?;
            let met = Met { id, state, webhook: WebhookKey(row.get(1)?), number: NumberKey(row.get(2)?) };
            Ok((met, row.get::<_, bool>(3)?))
        })
        .optional()?;
    Ok(match found {
        None => Replayed::Unknown,
        Some((_, true)) => Replayed::WebhookDeleted,
        Some((met, false)) if met.state == DeliveryState::Pending => Replayed::AlreadyPending,
        Some((met, false)) => {
            revive(turn, account, met, now)?;
            Replayed::Revived
        }
    })
}

/// Makes a settled delivery pending, in its place of its lane.
fn revive(turn: &mut Turn<'_>, account: AccountKey, met: Met, now: Timestamp) -> rusqlite::Result<()> {
    let lane = Lane { webhook: met.webhook, number: met.number };
    // What is under way keeps its turn.
    let due = turn.memory.leases.of(lane).is_none() && takes_the_lead(turn.sql, account, met)?;
    turn.memory.leases.note_waiting(lane);
    let sql = turn.sql;
    sql.prepare_cached(
        "INSERT INTO attempts (delivery, number, started_at, duration_ms, class, status, note, answer, next_at) \
         SELECT id, attempts, started_at, coalesce(duration_ms, 0), 0, status, NULL, coalesce(answer, x''), NULL \
         FROM deliveries WHERE id = ?1 AND started_at IS NOT NULL",
    )?
    .execute([met.id.0])?;
    let attempts = sql
        .prepare_cached(
            "UPDATE deliveries SET state = 0, due_at = ?2, lease = 0, attempts_before = attempts, \
             started_at = NULL, duration_ms = NULL, status = NULL, answer = NULL, superseded_by = NULL \
         WHERE id = ?1 RETURNING attempts",
        )?
        .query_row((met.id.0, due.then_some(now.ms())), |row| row.get(0))?;
    let (delivery, state) = (met.id, DeliveryState::Pending);
    turn.tell(now, Entry::Delivery { account, delivery, state, attempts });
    turn.count(met.state, -1);
    turn.count(DeliveryState::Pending, 1);
    if due {
        turn.note_due(met.webhook, now);
    }
    Ok(())
}

/// Whether a delivery about to be pending becomes its lane's head; a younger
/// head that had no attempt in this round makes way. If the lane's oldest is
/// not the head, then the head is a younger one that keeps its turn.
fn takes_the_lead(sql: &Connection, account: AccountKey, met: Met) -> rusqlite::Result<bool> {
    let oldest = sql
        .prepare_cached(
            "SELECT id, due_at IS NOT NULL AND attempts = attempts_before \
             FROM deliveries INDEXED BY deliveries_pending \
             WHERE account = ?1 AND webhook = ?2 AND number = ?3 AND state = 0 AND lease = 0 \
             ORDER BY id LIMIT 1",
        )?
        .query_row((account.0, met.webhook.0, met.number.0), |row| {
            Ok((DeliveryId(row.get(0)?), row.get::<_, bool>(1)?))
        })
        .optional()?;
    match oldest {
        None => Ok(true),
        Some((head, true)) if met.id < head => {
            sql.prepare_cached("UPDATE deliveries SET due_at = NULL WHERE id = ?1")?.execute([head.0])?;
            Ok(true)
        }
        Some(_) => Ok(false),
    }
}

/// Bulk replays of one account that may run at once: together they are as fast
/// as so many may be.
const REPLAYS_AT_ONCE: i64 = 4;

/// What a bulk replay takes, as kept.
#[derive(Serialize, Deserialize)]
struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

fn write_terms(query: &DeliveryQuery) -> String {
    let terms = Terms {
        state: query.state.map(|state| state.as_str().to_owned()),
        webhook: query.webhook.map(|id| id.to_string()),
        number: query.number.as_ref().map(|subject| subject.as_str().to_owned()),
        since: query.since.map(Timestamp::ms),
        until: query.until.map(Timestamp::ms),
    };
    serde_json::to_string(&terms).expect("strings and numbers always serialise")
}

fn read_terms(account: AccountId, text: &str) -> Option<DeliveryQuery> {
    let terms: Terms = serde_json::from_str(text).ok()?;
    Some(DeliveryQuery {
        account,
        state: terms.state.and_then(|name| DeliveryState::parse(&name)),
        webhook: terms.webhook.and_then(|id| id.parse().ok()),
        number: terms.number.map(|text| Subject::stored(&text)),
        since: terms.since.map(Timestamp::from_ms),
        until: terms.until.map(Timestamp::from_ms),
        before: None,
        limit: 0,
    })
}

/// The filter of what a bulk replay of `query` takes. Canceled ones belong to
/// deleted webhooks and can't be replayed, so no state means exhausted.
fn filter(sql: &Connection, query: &DeliveryQuery) -> rusqlite::Result<Option<Filter>> {
    let filter = Filter::of(sql, query)?;
    let filter =
        filter.map(|filter| Filter { state: filter.state.or(Some(DeliveryState::Exhausted)), ..filter });
    Ok(filter.filter(|filter| filter.state.is_some_and(|state| REPLAYABLE.contains(&state))))
}

/// What a bulk replay may take.
const REPLAYABLE: [DeliveryState; 3] =
    [DeliveryState::Exhausted, DeliveryState::Superseded, DeliveryState::Delivered];

/// Whether a bulk replay asked for at `by` takes the delivery: it had settled by
/// then, and its webhook is still there.
fn takes(sql: &Connection, filter: &Filter, id: DeliveryId, by: Timestamp) -> rusqlite::Result<bool> {
    sql.prepare_cached(
        "SELECT e.accepted_at, w.deleted_at IS NULL AND \
                max(coalesce(d.started_at + d.duration_ms, a.started_at + a.duration_ms, 0), \
                    coalesce(s.accepted_at, 0)) <= ?3 \
         FROM deliveries d JOIN webhooks w ON w.key = d.webhook JOIN events e ON e.position = ?2 \
         LEFT JOIN events s ON s.position = d.superseded_by \
         LEFT JOIN attempts a ON a.delivery = d.id AND a.number = d.attempts WHERE d.id = ?1",
    )?
    .query_row((id.0, id.position(), by.ms()), |row| Ok(filter.is_in_time(instant(row, 0)?) && row.get(1)?))
    .optional()
    .map(|taken| taken.unwrap_or(false))
}

/// How many a bulk replay asked for at `by` would take.
pub(super) fn count(sql: &Connection, query: &DeliveryQuery, by: Timestamp) -> Result<u64, Error> {
    let Some(filter) = filter(sql, query)? else { return Ok(0) };
    let ids = filter.ids(sql)?;
    let mut matched = 0;
    let walk = Walk { sql, filter: &filter, order: Order::OldestFirst, ids, visits: usize::MAX };
    walk.go(&mut |met| {
        matched += u64::from(takes(sql, &filter, met.id, by)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(matched)
}

pub(super) fn put_replay(turn: &mut Turn<'_>, replay: Replay, matched: u64) -> Result<Replay, Error> {
    let account = known_account(turn.sql, replay.query.account)?;
    let running: i64 = turn
        .sql
        .prepare_cached("SELECT count(*) FROM replays WHERE state = 0 AND account = ?1")?
        .query_row([account.0], |row| row.get(0))?;
    if running >= REPLAYS_AT_ONCE {
        let what = format!(
            "{running} replays of this account are running, which is the limit; wait for one, or cancel it"
        );
        return Err(Error::new(ErrorKind::Limit, what));
    }
    let inserted = turn
        .sql
        .prepare_cached(
            "INSERT INTO replays (id, account, query, per_second, matched, replayed, cursor, paced_at, state, \
             created_at, skip) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, 0, ?6, ?7) ON CONFLICT (id) DO NOTHING",
        )?
        .execute((
            &replay.id,
            account.0,
            write_terms(&replay.query),
            replay.per_second,
            i64::try_from(matched).unwrap_or(i64::MAX),
            replay.created_at.ms(),
            replay.skip_superseded,
        ))?;
    if inserted == 0 {
        return Err(Error::new(ErrorKind::Conflict, format!("there is a replay {} already", replay.id)));
    }
    Ok(Replay { matched, replayed: 0, superseded: 0, state: ReplayState::Running, ..replay })
}

/// A bulk replay with what only the store knows of it.
struct Kept {
    replay: Replay,
    cursor: i64,
    paced_at: i64,
}

fn read_kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let account: AccountId = parsed(row, 0, |text| text.parse().ok())?;
    let count = |column: usize| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    let code = usize::try_from(row.get::<_, i64>(6)?).map_err(|_| unreadable(6))?;
    let replay = Replay {
        id: row.get(1)?,
        query: parsed(row, 2, |text| read_terms(account, text))?,
        per_second: row.get(3)?,
        matched: count(4)?,
        replayed: count(5)?,
        state: ReplayState::ALL.get(code).copied().ok_or_else(|| unreadable(6))?,
        created_at: instant(row, 7)?,
        skip_superseded: row.get(10)?,
        superseded: count(11)?,
    };
    Ok(Kept { replay, cursor: row.get(8)?, paced_at: row.get(9)? })
}

fn kept(sql: &Connection, id: &str) -> rusqlite::Result<Option<Kept>> {
    sql.prepare_cached(
        "SELECT a.id, r.id, r.query, r.per_second, r.matched, r.replayed, r.state, r.created_at, r.cursor, r.paced_at, \
                r.skip, r.superseded \
         FROM replays r JOIN accounts a ON a.key = r.account WHERE r.id = ?1",
    )?
    .query_row([id], read_kept)
    .optional()
}

pub(super) fn bulk_replay(sql: &Connection, account: AccountId, id: &str) -> Result<Option<Replay>, Error> {
    let found = kept(sql, id)?.map(|kept| kept.replay);
    Ok(found.filter(|replay| replay.query.account == account))
}

pub(super) fn cancel_replay(
    turn: &mut Turn<'_>,
    account: AccountId,
    id: &str,
) -> Result<Option<Replay>, Error> {
    if bulk_replay(turn.sql, account, id)?.is_some() {
        turn.sql.prepare_cached("UPDATE replays SET state = 2 WHERE id = ?1 AND state = 0")?.execute([id])?;
    }
    bulk_replay(turn.sql, account, id)
}

/// The bulk replays under way.
pub(super) fn running(sql: &Connection) -> Result<Vec<String>, Error> {
    let mut select = sql.prepare_cached("SELECT id FROM replays WHERE state = 0 ORDER BY id")?;
    Ok(select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Takes one bulk replay further, looking at `step` deliveries at most; says
/// whether it still runs.
pub(super) fn advance(turn: &mut Turn<'_>, id: &str, step: usize, now: Timestamp) -> Result<bool, Error> {
    let Some(kept) = kept(turn.sql, id)?.filter(|kept| kept.replay.state == ReplayState::Running) else {
        return Ok(false);
    };
    let pace = Pace::of(&kept, now);
    let room = step.min(pace.allows);
    if room == 0 {
        return Ok(true);
    }
    let (found, cursor) = next(turn.sql, &kept, step, room)?;
    let account = known_account(turn.sql, kept.replay.query.account)?;
    let stood_for = newer::standing_for(turn.sql, &kept.replay, &found)?;
    for met in &found {
        match stood_for.get(&met.id) {
            Some(by) => supersede(turn, account, *met, *by, now)?,
            None => revive(turn, account, *met, now)?,
        }
    }
    let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
    turn.sql
        .prepare_cached(
            "UPDATE replays SET replayed = replayed + ?2, cursor = ?3, paced_at = ?4, state = ?5, \
             superseded = superseded + ?6 WHERE id = ?1",
        )?
        .execute((
            id,
            count(found.len() - stood_for.len()),
            cursor.unwrap_or(kept.cursor),
            pace.after(found.len()),
            i64::from(cursor.is_none()),
            count(stood_for.len()),
        ))?;
    Ok(cursor.is_some())
}

/// Marks a settled delivery superseded.
fn supersede(
    turn: &mut Turn<'_>,
    account: AccountKey,
    met: Met,
    by: Position,
    now: Timestamp,
) -> rusqlite::Result<()> {
    if let Some(attempts) = mark(turn.sql, met.id, by)? {
        let (delivery, state) = (met.id, DeliveryState::Superseded);
        turn.tell(now, Entry::Delivery { account, delivery, state, attempts });
    }
    turn.count(met.state, -1);
    turn.count(DeliveryState::Pending, 1);
    turn.count_settled(DeliveryState::Superseded);
    Ok(())
}

/// The next deliveries to replay, at most `room`, and the last id looked at;
/// `None` once the end is reached.
fn next(sql: &Connection, kept: &Kept, step: usize, room: usize) -> Result<(Vec<Met>, Option<i64>), Error> {
    let replay = &kept.replay;
    let mut found = Vec::new();
    let Some(filter) = filter(sql, &replay.query)? else { return Ok((found, None)) };
    let mut ids = filter.ids(sql)?;
    ids.start = ids.start.max(kept.cursor + 1);
    let walk = Walk { sql, filter: &filter, order: Order::OldestFirst, ids, visits: step };
    let unread = walk.go(&mut |met| {
        if takes(sql, &filter, met.id, replay.created_at)? {
            found.push(met);
        }
        Ok(if found.len() < room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let full = found.last().filter(|_| found.len() >= room).map(|met| met.id);
    let cursor = full.or(unread).map(|id| id.0);
    Ok((found, cursor))
}

/// How fast a bulk replay may go. What a pause left unused is lost but for one
/// second's worth, so that a receiver never gets more than asked for.
struct Pace {
    from: i64,
    per_second: i64,
    allows: usize,
}

impl Pace {
    fn of(kept: &Kept, now: Timestamp) -> Self {
        let per_second = i64::from(kept.replay.per_second.max(1));
        let from = kept.paced_at.clamp(now.ms() - 1000, now.ms());
        let allows = (now.ms() - from) * per_second / 1000;
        Self { from, per_second, allows: usize::try_from(allows).unwrap_or(0) }
    }

    /// Up to when the pace is used up, after so many more.
    fn after(&self, replayed: usize) -> i64 {
        let replayed = i64::try_from(replayed).unwrap_or(0);
        self.from + (replayed * 1000 + self.per_second - 1) / self.per_second
    }
}
