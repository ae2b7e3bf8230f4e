//! Leasing what is due, giving leases up, and voiding those of earlier runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::interrupt;
use super::journal::{Entries, Entry, Journal};
use super::leases::Held;
use super::rows;
use super::settle::promote;
use super::sums;
use super::supersede;
use super::writer::Turn;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::event::Derived;
use crate::model::id::{AccountKey, DeliveryId, EventId, NumberKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::queue::{Claimed, Lease, Want};

/// Leases up to `want.room` due heads of a webhook's lanes and hands them over;
/// says when the webhook is next due. A disabled or deleted webhook has nothing
/// due: what is owed to it is held.
pub(super) fn claim(
    turn: &mut Turn<'_>,
    want: Want,
    now: Timestamp,
) -> rusqlite::Result<(WebhookKey, Option<Timestamp>)> {
    run_out(turn, now)?;
    if !is_enabled(turn, want.webhook)? {
        return Ok((want.webhook, None));
    }
    for delivery in due(turn, want, now)? {
        if !turn.reserve(want.webhook) {
            break;
        }
        lease_out(turn, delivery, now)?;
    }
    Ok((want.webhook, next_due(turn, want.webhook)?))
}

/// Ends the leases that have run out: what they held was interrupted.
fn run_out(turn: &mut Turn<'_>, now: Timestamp) -> rusqlite::Result<()> {
    while let Some((lane, held)) = turn.memory.leases.run_out(now) {
        interrupt::in_this_run(turn, held.delivery, lane, now)?;
    }
    Ok(())
}

/// Whether anything may go to the webhook.
pub(super) fn is_enabled(turn: &Turn<'_>, webhook: WebhookKey) -> rusqlite::Result<bool> {
    let mut select = turn
        .sql
        .prepare_cached("SELECT 1 FROM webhooks WHERE key = ?1 AND enabled = 1 AND deleted_at IS NULL")?;
    select.exists([webhook.0])
}

/// What may be leased.
fn due(turn: &Turn<'_>, want: Want, now: Timestamp) -> rusqlite::Result<Vec<DeliveryId>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT id FROM deliveries INDEXED BY deliveries_due \
         WHERE webhook = ?1 AND state = 0 AND lease = 0 AND due_at IS NOT NULL AND due_at <= ?2 \
         ORDER BY due_at LIMIT ?3",
    )?;
    let limit = i64::try_from(want.room).unwrap_or(i64::MAX);
    let rows = select.query_map((want.webhook.0, now.ms(), limit), |row| row.get(0).map(DeliveryId))?;
    rows.collect()
}

/// When a webhook is next due: what waits, or what is under way and might not be
/// recorded.
pub(super) fn next_due(turn: &mut Turn<'_>, webhook: WebhookKey) -> rusqlite::Result<Option<Timestamp>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT min(due_at) FROM deliveries INDEXED BY deliveries_due \
         WHERE webhook = ?1 AND state = 0 AND lease = 0 AND due_at IS NOT NULL",
    )?;
    let waits: Option<i64> = select.query_row([webhook.0], |row| row.get(0))?;
    let ends = turn.memory.leases.next_end(webhook);
    Ok(waits.map(Timestamp::from_ms).into_iter().chain(ends).min())
}

/// Leases a pending delivery and hands it over; its place is reserved.
pub(super) fn lease_out(turn: &mut Turn<'_>, delivery: DeliveryId, now: Timestamp) -> rusqlite::Result<()> {
    let lease = turn.lease(now);
    let mut update = turn.sql.prepare_cached(
        "UPDATE deliveries SET due_at = ?2, lease = ?3 WHERE id = ?1 \
         RETURNING webhook, number, attempts, attempts_before, account",
    )?;
    let (lane, attempts, attempts_before, account) =
        update.query_row((delivery.0, lease.until.ms(), lease.token), |row| {
            let lane = Lane { webhook: WebhookKey(row.get(0)?), number: NumberKey(row.get(1)?) };
            Ok((lane, row.get(2)?, row.get(3)?, AccountKey(row.get(4)?)))
        })?;
    drop(update);
    turn.memory.leases.give(lane, Held { delivery, account, lease, followed: true });
    let mut select = turn.sql.prepare_cached(
        "SELECT accepted_at, random, sequence, test, body, derived, changed, snapshot, sum FROM events WHERE position = ?1",
    )?;
    let position = delivery.position();
    let claimed = select.query_row([position], |row| {
        let accepted_at = Timestamp::from_ms(row.get(0)?);
        let body: Arc<[u8]> = row.get_ref(4)?.as_blob()?.into();
        sums::check(&body, row.get(8)?)?;
        Ok(Claimed {
            delivery,
            lease,
            lane,
            event: EventId::new(accepted_at, position, row.get(1)?),
            sequence: row.get(2)?,
            attempts,
            attempts_before,
            test: row.get(3)?,
            derived: row.get::<_, Option<i64>>(5)?.and_then(Derived::from_code),
            stale: rows::changes(row, 6)?.1,
            snapshot: row.get::<_, Option<bool>>(7)?.unwrap_or(false),
            body,
        })
    })?;
    drop(select);
    turn.hand_over(claimed);
    Ok(())
}

/// A lease given up unused: the delivery is due at `now`.
pub(super) fn release(
    turn: &mut Turn<'_>,
    (delivery, lease): &(DeliveryId, Lease),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut update = turn.sql.prepare_cached(
        "UPDATE deliveries SET due_at = ?3, lease = 0 WHERE id = ?1 AND lease = ?2 AND state = 0 \
         RETURNING webhook, number, account, attempts",
    )?;
    let found = update
        .query_row((delivery.0, lease.token, now.ms()), |row| {
            let lane = Lane { webhook: WebhookKey(row.get(0)?), number: NumberKey(row.get(1)?) };
            Ok((lane, AccountKey(row.get(2)?), row.get(3)?))
        })
        .optional()?;
    drop(update);
    let Some((lane, account, attempts)) = found else { return Ok(()) };
    let held = turn.memory.leases.end(lane, lease.token);
    if held.is_none_or(|held| held.followed)
        && supersede::by_waiting(turn, account, lane, *delivery, now)?.is_some()
    {
        let (delivery, state) = (*delivery, DeliveryState::Superseded);
        turn.tell(now, Entry::Delivery { account, delivery, state, attempts });
        turn.count_settled(state);
        return promote(turn, account, lane, now);
    }
    turn.memory.leases.note_waiting(lane);
    turn.note_due(lane.webhook, now);
    Ok(())
}

/// When each webhook with something pending is next due: one look at the
/// index's first entry per webhook, however long the backlog, and what is leased.
pub(super) fn schedule(sql: &Connection) -> rusqlite::Result<BTreeMap<WebhookKey, Timestamp>> {
    let mut next = sql.prepare_cached(
        "SELECT webhook, due_at FROM deliveries INDEXED BY deliveries_due \
         WHERE webhook > ?1 AND state = 0 AND lease = 0 AND due_at IS NOT NULL ORDER BY webhook, due_at LIMIT 1",
    )?;
    let mut schedule = BTreeMap::new();
    let mut after = i64::MIN;
    while let Some((webhook, due_at)) =
        next.query_row([after], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?
    {
        schedule.insert(WebhookKey(webhook), Timestamp::from_ms(due_at));
        after = webhook;
    }
    drop(next);
    let mut leased = sql.prepare_cached(
        "SELECT webhook, due_at FROM deliveries INDEXED BY deliveries_leased WHERE lease <> 0",
    )?;
    let mut rows = leased.query([])?;
    while let Some(row) = rows.next()? {
        let ends = Timestamp::from_ms(row.get(1)?);
        let earliest = schedule.entry(WebhookKey(row.get(0)?)).or_insert(ends);
        *earliest = ends.min(*earliest);
    }
    Ok(schedule)
}

/// Ends the leases of earlier runs: what they held was interrupted.
pub(super) fn void_leases(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let leased: Vec<i64> = sql
        .prepare("SELECT id FROM deliveries INDEXED BY deliveries_leased WHERE lease <> 0")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut entries = Entries::default();
    for id in &leased {
        interrupt::at_start(&sql, DeliveryId(*id), now, &mut entries)?;
    }
    Journal::read(&sql)?.write(&sql, &entries)?;
    sql.commit()?;
    if !leased.is_empty() {
        tracing::info!(deliveries = leased.len(), "picked up what an earlier run had under way");
    }
    Ok(())
}
