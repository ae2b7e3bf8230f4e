//! A store that was written at a later time than now: the clock stepped back
//! while nobody ran. What waits would wait for the old time to come again.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::model::time::Timestamp;

/// Moves what waits back by as much as the clock went back, as far as the last
/// event tells.
pub(super) fn make_up(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let last: Option<i64> = sql
        .query_row("SELECT accepted_at FROM events ORDER BY position DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let ahead_ms = last.unwrap_or(0) - now.ms();
    if ahead_ms <= 0 {
        return Ok(());
    }
    let moved = sql.execute(
        "UPDATE deliveries INDEXED BY deliveries_due SET due_at = max(?2, due_at - ?1) \
         WHERE state = 0 AND due_at IS NOT NULL AND due_at > ?2",
        (ahead_ms, now.ms()),
    )?;
    sql.execute("UPDATE replays SET paced_at = min(paced_at, ?1) WHERE state = 0", [now.ms()])?;
    sql.commit()?;
    let seconds = ahead_ms / 1_000;
    tracing::warn!(
        seconds,
        deliveries = moved,
        "the clock is behind the store's last event; what waits was moved"
    );
    Ok(())
}
