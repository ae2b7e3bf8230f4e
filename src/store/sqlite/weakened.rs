//! The store without one of its mechanisms, for tests that must notice
//! ([`Weakness`]). In a release build nothing here does anything.

use rusqlite::Connection;

use super::writer::Turn;
use crate::env::{Faults, Weakness};
use crate::model::change::Fingerprint;
use crate::model::delivery::DeliveryState;
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
                Item::Waiting(..) => {}
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
