//! Settling: an attempt's outcome, and whose turn it is next in the lane.

use super::claim::{is_enabled, lease_out};
use super::journal::Entry;
use super::leases::next_waiting;
use super::supersede;
use super::writer::Turn;
use crate::model::attempt::Attempt;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::id::AccountKey;
use crate::model::time::Timestamp;
use crate::store::queue::{Settled, Settlement};

/// Records the attempt if the lease still holds. A first success costs one
/// small row update; a failure adds a row of its own.
pub(super) fn settle(turn: &mut Turn<'_>, settlement: &Settlement) -> rusqlite::Result<Settled> {
    let held = turn.memory.leases.end(settlement.lane, settlement.lease.token);
    let Some(held) = held.filter(|held| held.delivery == settlement.delivery) else {
        return Ok(Settled::Stale);
    };
    // The row has the last word on whether the lease holds.
    if update(turn, settlement)? == 0 {
        return Ok(Settled::Stale);
    }
    let mut state = settlement.state;
    if state != DeliveryState::Delivered {
        let Settlement { lane, delivery, now, .. } = *settlement;
        if held.followed && supersede::by_waiting(turn, held.account, lane, delivery, now)?.is_some() {
            state = DeliveryState::Superseded;
        }
        keep_attempt(turn, settlement, state)?;
    }
    let (account, delivery, attempts) = (held.account, settlement.delivery, settlement.attempt.number);
    turn.tell(settlement.now, Entry::Delivery { account, delivery, state, attempts });
    if state == DeliveryState::Pending {
        turn.memory.leases.note_waiting(settlement.lane);
        turn.note_due(settlement.lane.webhook, due_next(settlement));
    } else {
        turn.count_settled(state);
        if held.followed {
            promote(turn, held.account, settlement.lane, settlement.now)?;
        }
    }
    Ok(Settled::Recorded)
}

/// When a delivery that is still pending is due. One without a time would never
/// be found again.
fn due_next(settlement: &Settlement) -> Timestamp {
    settlement.attempt.next_at.unwrap_or(settlement.now)
}

/// Changes the delivery's row, if the lease holds; how many rows that were.
fn update(turn: &Turn<'_>, settlement: &Settlement) -> rusqlite::Result<usize> {
    let Settlement { delivery, lease, attempt, state, .. } = settlement;
    if *state == DeliveryState::Delivered {
        let mut update = turn.sql.prepare_cached(
            "UPDATE deliveries SET state = 1, due_at = NULL, lease = 0, attempts = ?3, \
             started_at = ?4, duration_ms = ?5, status = ?6, answer = ?7 \
             WHERE id = ?1 AND lease = ?2 AND state = 0",
        )?;
        let answer = (!attempt.answer.is_empty()).then_some(&attempt.answer);
        let Attempt { number, started_at, duration_ms, status, .. } = attempt;
        let values = (delivery.0, lease.token, number, started_at.ms(), duration_ms, status, answer);
        return update.execute(values);
    }
    let mut update = turn.sql.prepare_cached(
        "UPDATE deliveries SET state = ?3, due_at = ?4, lease = 0, attempts = ?5 \
         WHERE id = ?1 AND lease = ?2 AND state = 0",
    )?;
    let due_at = (*state == DeliveryState::Pending).then(|| due_next(settlement).ms());
    update.execute((delivery.0, lease.token, state.code(), due_at, attempt.number))
}

/// Adds an attempt to a delivery's history. Only a delivery that is still
/// pending has a next one.
fn keep_attempt(
    turn: &Turn<'_>,
    Settlement { delivery, attempt, .. }: &Settlement,
    state: DeliveryState,
) -> rusqlite::Result<()> {
    let next_at = attempt.next_at.filter(|_| state == DeliveryState::Pending);
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO attempts (delivery, number, started_at, duration_ms, class, status, note, answer, next_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute((
        delivery.0,
        attempt.number,
        attempt.started_at.ms(),
        attempt.duration_ms,
        attempt.class.code(),
        attempt.status,
        &attempt.note,
        &attempt.answer,
        next_at.map(Timestamp::ms),
    ))?;
    Ok(())
}

/// The lane's head has gone: the next in line takes its place, and goes out at
/// once if the dispatcher has room. A disabled webhook's is held, as a claim
/// would hold it.
pub(super) fn promote(
    turn: &mut Turn<'_>,
    account: AccountKey,
    lane: Lane,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(next) = next_waiting(turn.sql, account, lane)? else { return Ok(()) };
    if is_enabled(turn, lane.webhook)? && turn.reserve_new(lane.webhook) {
        return lease_out(turn, next, now);
    }
    turn.sql
        .prepare_cached("UPDATE deliveries SET due_at = ?2 WHERE id = ?1")?
        .execute((next.0, now.ms()))?;
    turn.note_due(lane.webhook, now);
    Ok(())
}
