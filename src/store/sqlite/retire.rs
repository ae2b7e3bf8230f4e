//! Retention: what is old goes, in steps small enough to share the writer.

use super::journal;
use super::writer::Turn;
use crate::model::delivery::DeliveryState;
use crate::model::id::{DELIVERIES_PER_EVENT, NumberKey, Position};
use crate::store::queue::Retention;

/// Entries of the tail that a step folds, for each row that it may remove.
const FOLDS: usize = 4;

/// Events that a step looks at, for each that it may remove.
const LOOKS: usize = 10;

/// One step over events behind `retention.after`, and over the rest; says where
/// the next step begins. An event with something pending stays.
pub(super) fn retire(turn: &mut Turn<'_>, retention: Retention) -> rusqlite::Result<Option<Position>> {
    // Keys age in their table only. Those that this round does not find there
    // have another one.
    if retention.after == 0 {
        turn.memory.tail.begin_to_fold();
    }
    turn.memory.tail.fold_some(turn.sql, FOLDS * retention.step)?;
    let (old, next) = old_events(turn, retention)?;
    for &position in &old {
        retire_event(turn, position)?;
    }
    let rest = retire_rest(turn, retention)? || turn.memory.tail.is_folding();
    let last = old.last().copied().unwrap_or(retention.after);
    Ok(next.or(rest.then_some(last)))
}

/// What is old; where to go on, if the step was full.
fn old_events(turn: &Turn<'_>, retention: Retention) -> rusqlite::Result<(Vec<Position>, Option<Position>)> {
    let mut select = turn
        .sql
        .prepare_cached("SELECT position, accepted_at FROM events WHERE position > ?1 ORDER BY position")?;
    let mut rows = select.query([retention.after])?;
    let mut old = Vec::new();
    let mut looks = retention.step.saturating_mul(LOOKS);
    while let Some(row) = rows.next()? {
        let (position, accepted_at): (Position, i64) = (row.get(0)?, row.get(1)?);
        let from_ahead = accepted_at > retention.now.ms();
        // Positions are in the order of acceptance: behind a young one all are.
        if accepted_at >= retention.events_before.ms() && !from_ahead {
            return Ok((old, None));
        }
        if !from_ahead {
            old.push(position);
        }
        looks -= 1;
        if looks == 0 || old.len() == retention.step {
            return Ok((old, Some(position)));
        }
    }
    Ok((old, None))
}

fn retire_event(turn: &mut Turn<'_>, position: Position) -> rusqlite::Result<()> {
    let (first, last) = (position * DELIVERIES_PER_EVENT, (position + 1) * DELIVERIES_PER_EVENT - 1);
    let mut select = turn.sql.prepare_cached("SELECT state FROM deliveries WHERE id BETWEEN ?1 AND ?2")?;
    let states =
        select.query_map((first, last), |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    drop(select);
    if states.contains(&DeliveryState::Pending.code()) {
        return Ok(());
    }
    for state in states.into_iter().filter_map(DeliveryState::from_code) {
        turn.count(state, -1);
    }
    let sql = turn.sql;
    sql.prepare_cached("DELETE FROM attempts WHERE delivery BETWEEN ?1 AND ?2")?.execute((first, last))?;
    sql.prepare_cached("DELETE FROM deliveries WHERE id BETWEEN ?1 AND ?2")?.execute((first, last))?;
    sql.prepare_cached("UPDATE facts SET value = max(value, ?1) WHERE name = 'last_position'")?
        .execute([position])?;
    let (account, number, test): (i64, i64, bool) = sql
        .prepare_cached("DELETE FROM events WHERE position = ?1 RETURNING account, number, test")?
        .query_row([position], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if test {
        // A test event has a number of its own.
        sql.prepare_cached("DELETE FROM numbers WHERE key = ?1")?.execute([number])?;
        turn.memory.tail.forget(NumberKey(number));
    }
    sql.prepare_cached("DELETE FROM events_by_account WHERE account = ?1 AND position = ?2")?
        .execute((account, position))?;
    sql.prepare_cached("DELETE FROM events_by_number WHERE number = ?1 AND position = ?2")?
        .execute((number, position))?;
    Ok(())
}

/// Keys, unparsed, unrouted, observations, finished bulk replays and the journal;
/// says whether a table had a full step to remove.
fn retire_rest(turn: &mut Turn<'_>, retention: Retention) -> rusqlite::Result<bool> {
    let step = i64::try_from(retention.step).unwrap_or(i64::MAX);
    let (events_before, keys_before) = (retention.events_before.ms(), retention.keys_before.ms());
    let sql = turn.sql;
    let seen = sql
        .prepare_cached(
            "DELETE FROM seen WHERE (time, fingerprint) IN \
             (SELECT time, fingerprint FROM seen WHERE time < ?1 / 1000 AND at < ?1 LIMIT ?2)",
        )?
        .execute((keys_before, step))?;
    let keys = sql
        .prepare_cached(
            "DELETE FROM idempotency_keys WHERE (account, key) IN \
             (SELECT account, key FROM idempotency_keys WHERE at < ?1 LIMIT ?2)",
        )?
        .execute((keys_before, step))?;
    let unparsed = sql
        .prepare_cached(
            "DELETE FROM unparsed WHERE row IN \
             (SELECT row FROM (SELECT row, received_at FROM unparsed ORDER BY row LIMIT ?2) \
              WHERE received_at < ?1)",
        )?
        .execute((events_before, step))?;
    let unrouted = sql
        .prepare_cached(
            "DELETE FROM unrouted WHERE row IN \
             (SELECT row FROM (SELECT row, received_at FROM unrouted ORDER BY row LIMIT ?2) \
              WHERE received_at < ?1)",
        )?
        .execute((events_before, step))?;
    let observations = sql
        .prepare_cached(
            "DELETE FROM observations WHERE (number, after, ordinal) IN \
             (SELECT number, after, ordinal FROM observations WHERE at < ?1 LIMIT ?2)",
        )?
        .execute((events_before, step))?;
    sql.prepare_cached("DELETE FROM replays WHERE state <> 0 AND created_at < ?1")?
        .execute([events_before])?;
    turn.count_unrouted(-i64::try_from(unrouted).unwrap_or(0));
    // What it names must not go before it.
    let journal_before = retention.journal_before.max(retention.events_before);
    let journal = journal::retire(sql, journal_before.ms(), step)?;
    Ok(journal || [seen, keys, unparsed, unrouted, observations].contains(&retention.step))
}
