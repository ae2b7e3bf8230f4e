//! A clock that shows less than it did when the last run ended: what is due
//! was reckoned by the old one and would wait for the new one to catch up, for
//! hours or for ever. So at the start each delivery that is due too late by its
//! own record is due after its own wait, counted from now. Said of the wait and not
//! of when it was due, this may be repeated: a start soon after another one finds
//! nothing to bring back, and no retry comes early.

use rusqlite::Connection;

use crate::model::time::Timestamp;

/// The wait from the last attempt's end to its retry; what is no retry was due at
/// once.
const WAIT: &str = "coalesce((SELECT max(0, next_at - started_at - duration_ms) FROM attempts \
     WHERE delivery = deliveries.id AND number = deliveries.attempts), 0)";

/// Brings back what was reckoned from an instant that has not come yet.
pub(super) fn bring_back(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let brought = connection.execute(
        &format!(
            "UPDATE deliveries INDEXED BY deliveries_due SET due_at = ?1 + {WAIT} \
             WHERE state = 0 AND lease = 0 AND due_at IS NOT NULL AND due_at > ?1 AND due_at > ?1 + {WAIT}"
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
