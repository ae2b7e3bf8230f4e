//! The store without one of its mechanisms, for tests that must notice
//! ([`Weakness`]). In a release build nothing here does anything.

use rusqlite::Connection;

use super::settle::promote;
use super::writer::Turn;
use crate::env::{Faults, Weakness};
use crate::model::change::Fingerprint;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::id::{AccountKey, DELIVERIES_PER_EVENT, NumberKey, WebhookKey};
use crate::store::queue::{Batch, Item, Settlement};

/// Commits are synced, or not.
pub(super) fn connection(faults: &Faults, connection: &Connection) -> rusqlite::Result<()> {
    if faults.weakens(Weakness::SynchronousNormal) {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    Ok(())
}

/// The batch, or one in which nothing can have been seen before.
pub(super) fn batch(faults: &Faults, mut batch: Batch) -> Batch {
    if faults.weakens(Weakness::NoDeduplication) {
        for (at, item) in (0_u64..).zip(&mut batch.items) {
            let mut unique: Fingerprint = [0; 16];
            unique[..8].copy_from_slice(&batch.random.to_be_bytes());
            unique[8..].copy_from_slice(&at.to_be_bytes());
            match item {
                Item::Change(change) => change.fingerprint = unique,
                Item::Unparsed(unparsed) => unparsed.fingerprint = unique,
                Item::Waiting { .. } => {}
            }
        }
    }
    batch
}

/// The settlement; or one under whichever lease the delivery has by now; or one
/// that supersedes what failed.
pub(super) fn settlement(
    faults: &Faults,
    turn: &Turn<'_>,
    mut settlement: Settlement,
) -> rusqlite::Result<Settlement> {
    if faults.weakens(Weakness::NoFencing) {
        let mut select = turn.sql.prepare_cached("SELECT lease FROM deliveries WHERE id = ?1")?;
        settlement.lease.token = select.query_row([settlement.delivery.0], |row| row.get(0))?;
    }
    if faults.weakens(Weakness::SupersedeBlindly) && settlement.state == DeliveryState::Pending {
        settlement.state = DeliveryState::Superseded;
    }
    Ok(settlement)
}

/// What else follows from an exhausted delivery: nothing, or that the event's
/// other deliveries that wait for their turn count as delivered.
pub(super) fn settled(faults: &Faults, turn: &mut Turn<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    if settlement.state != DeliveryState::Exhausted || !faults.weakens(Weakness::ExhaustedForAll) {
        return Ok(());
    }
    let first = settlement.delivery.0 / DELIVERIES_PER_EVENT * DELIVERIES_PER_EVENT;
    let mut update = turn.sql.prepare_cached(
        "UPDATE deliveries SET state = 1, due_at = NULL \
         WHERE id BETWEEN ?1 AND ?2 AND state = 0 AND lease = 0 AND due_at IS NOT NULL \
         RETURNING account, webhook, number",
    )?;
    let over: Vec<(AccountKey, Lane)> = update
        .query_map((first, first + DELIVERIES_PER_EVENT - 1), |row| {
            let lane = Lane { webhook: WebhookKey(row.get(1)?), number: NumberKey(row.get(2)?) };
            Ok((AccountKey(row.get(0)?), lane))
        })?
        .collect::<rusqlite::Result<_>>()?;
    drop(update);
    for (account, lane) in over {
        turn.count_settled(DeliveryState::Delivered);
        promote(turn, account, lane, settlement.now)?;
    }
    Ok(())
}
