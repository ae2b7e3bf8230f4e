//! A clock that shows less than it did when the last run ended: what is due
//! was reckoned by the old one and would wait for the new one to catch up, for
//! hours or for ever. So at the start each delivery that is due too late by its
//! own record is due after its own wait, counted from now.

use rusqlite::Connection;

use crate::model::time::Timestamp;

/// When the attempt ended whose retry is due; what is no retry was due at once.
const RECKONED_FROM: &str = "coalesce((SELECT started_at + duration_ms FROM attempts \
     WHERE delivery = deliveries.id AND number = deliveries.attempts AND next_at = due_at), due_at)";

/// Brings back what was reckoned from an instant that has not come yet.
pub(super) fn bring_back(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let brought = connection.execute(
        &format!(
            "UPDATE deliveries INDEXED BY deliveries_due SET due_at = ?1 + max(0, due_at - {RECKONED_FROM}) \
             WHERE state = 0 AND due_at IS NOT NULL AND due_at > ?1 AND {RECKONED_FROM} > ?1"
        ),
        [now.ms()],
    )?;
    if brought > 0 {
        tracing::warn!(
            deliveries = brought,
            "the clock has gone back since the last run; what would have waited for it is due in time"
        );
    }
    Ok(())
}
