//! Superseding: in a lane of a webhook that wants the latest only, what waits
//! and a newer event stands for is not sent (again).
//!
//! It happens in the transaction that makes it true: when a newer event is kept,
//! and when one that was under way begins to wait, because it failed, was
//! interrupted or was given back. What is under way is let end. The common event
//! finds its lane free and asks nothing of this; a lane is looked at only where
//! something waits in it.

use rusqlite::{Connection, OptionalExtension};

use super::journal::Entry;
use super::leases::next_waiting;
use super::settle::promote;
use super::writer::Turn;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::id::{AccountKey, DELIVERIES_PER_EVENT, DeliveryId, Position, WebhookKey};
use crate::model::time::Timestamp;
use crate::policy::supersede::{Tells, superseded};

/// So many of a lane's oldest waiting deliveries are looked at at a time: a
/// backlog of before the webhook wanted the latest only must not hold the writer
/// up. What is left is looked at the next time.
const LOOKED_AT: i64 = 500;

/// Whether the webhook wants the latest only.
pub(super) fn wants_latest(sql: &Connection, webhook: WebhookKey) -> rusqlite::Result<bool> {
    sql.prepare_cached("SELECT 1 FROM webhooks WHERE key = ?1 AND latest = 1")?.exists([webhook.0])
}

/// A delivery that waits in its lane.
struct Waiting {
    id: DeliveryId,
    /// Whether it is the one that is attempted next.
    head: bool,
    tells: Option<Tells>,
}

/// A delivery that was superseded, after so many attempts.
pub(super) struct Gone {
    delivery: DeliveryId,
    attempts: u32,
}

impl Gone {
    /// What the journal tells of it.
    pub(super) fn entry(&self, account: AccountKey) -> Entry {
        let Self { delivery, attempts } = *self;
        Entry::Delivery { account, delivery, state: DeliveryState::Superseded, attempts }
    }
}

/// What became of a lane.
#[derive(Default)]
pub(super) struct Thinned {
    /// What stands for the delivery that was given.
    pub(super) by: Option<Position>,
    /// The others that were superseded.
    pub(super) gone: Vec<Gone>,
    /// Whether the head was among them.
    pub(super) head_gone: bool,
    /// Whether any of the others still waits.
    pub(super) left: bool,
}

/// Supersedes what waits in the lane and what is given of it: a new one, or one
/// that was under way until now.
pub(super) fn thin(
    sql: &Connection,
    account: AccountKey,
    lane: Lane,
    (given, tells): (DeliveryId, Option<Tells>),
) -> rusqlite::Result<Thinned> {
    let mut all = waiting(sql, account, lane, given)?;
    let mut thinned = Thinned::default();
    if all.is_empty() {
        return Ok(thinned);
    }
    let at = all.partition_point(|waiting| waiting.id < given);
    all.insert(at, Waiting { id: given, head: false, tells });
    let told: Vec<_> = all.iter().map(|waiting| (waiting.id.position(), waiting.tells)).collect();
    for (waiting, by) in all.iter().zip(superseded(&told)) {
        let attempts = match by {
            Some(by) => mark(sql, waiting.id, by)?,
            None => None,
        };
        if waiting.id == given {
            thinned.by = by;
        } else {
            thinned.gone.extend(attempts.map(|attempts| Gone { delivery: waiting.id, attempts }));
            thinned.head_gone |= by.is_some() && waiting.head;
            thinned.left |= by.is_none();
        }
    }
    // Beyond those looked at.
    let more = || next_waiting(sql, account, lane).map(|next| next.is_some_and(|next| next != given));
    thinned.left = thinned.left || more()?;
    Ok(thinned)
}

/// The oldest of the lane's deliveries that wait, but for one.
fn waiting(
    sql: &Connection,
    account: AccountKey,
    lane: Lane,
    but: DeliveryId,
) -> rusqlite::Result<Vec<Waiting>> {
    let mut select = sql.prepare_cached(
        "SELECT d.id, d.due_at IS NOT NULL, e.tells FROM deliveries d INDEXED BY deliveries_pending \
         LEFT JOIN events e ON e.position = d.id / ?6 \
         WHERE d.account = ?1 AND d.webhook = ?2 AND d.number = ?3 AND d.state = 0 AND d.lease = 0 \
         AND d.id <> ?4 ORDER BY d.id LIMIT ?5",
    )?;
    let values = (account.0, lane.webhook.0, lane.number.0, but.0, LOOKED_AT, DELIVERIES_PER_EVENT);
    let rows = select.query_map(values, |row| {
        let tells: Option<i64> = row.get(2)?;
        Ok(Waiting {
            id: DeliveryId(row.get(0)?),
            head: row.get(1)?,
            tells: tells.and_then(Tells::from_code),
        })
    })?;
    rows.collect()
}

/// Marks a delivery superseded by the event at `by`. Its attempts stay: how many
/// they are, if it was there.
pub(super) fn mark(sql: &Connection, id: DeliveryId, by: Position) -> rusqlite::Result<Option<u32>> {
    sql.prepare_cached(
        "UPDATE deliveries SET state = 4, due_at = NULL, lease = 0, superseded_by = ?2 WHERE id = ?1 \
         RETURNING attempts",
    )?
    .query_row((id.0, by), |row| row.get(0))
    .optional()
}

/// A newer delivery is about to be kept in a lane that is not free. Supersedes
/// what waits there; says whether the lane is free now.
pub(super) fn by_new(
    turn: &mut Turn<'_>,
    account: AccountKey,
    lane: Lane,
    (delivery, tells): (DeliveryId, Tells),
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let held = turn.memory.leases.of(lane).copied();
    if held.is_some_and(|held| !held.followed) {
        return Ok(false);
    }
    let thinned = thin(turn.sql, account, lane, (delivery, Some(tells)))?;
    tell(turn, account, &thinned, now);
    if held.is_none() && thinned.head_gone && thinned.left {
        promote(turn, account, lane, now)?;
    }
    Ok(held.is_none() && !thinned.left)
}

/// A delivery that was under way has ended without success. If its webhook wants
/// the latest only, supersedes what waits in its lane, and maybe itself: says by
/// which event.
pub(super) fn by_waiting(
    turn: &mut Turn<'_>,
    account: AccountKey,
    lane: Lane,
    delivery: DeliveryId,
    now: Timestamp,
) -> rusqlite::Result<Option<Position>> {
    if !wants_latest(turn.sql, lane.webhook)? {
        return Ok(None);
    }
    let given = (delivery, told(turn.sql, delivery)?);
    let thinned = thin(turn.sql, account, lane, given)?;
    tell(turn, account, &thinned, now);
    Ok(thinned.by)
}

fn tell(turn: &mut Turn<'_>, account: AccountKey, thinned: &Thinned, now: Timestamp) {
    for gone in &thinned.gone {
        turn.tell(now, gone.entry(account));
        turn.count_settled(DeliveryState::Superseded);
    }
}

/// What the delivery's event tells.
pub(super) fn told(sql: &Connection, delivery: DeliveryId) -> rusqlite::Result<Option<Tells>> {
    let code: Option<i64> = sql
        .prepare_cached("SELECT tells FROM events WHERE position = ?1")?
        .query_row([delivery.position()], |row| row.get(0))?;
    Ok(code.and_then(Tells::from_code))
}
