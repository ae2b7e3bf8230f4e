//! Attempts of which nobody learned what came of them: the lease ended with
//! nothing recorded under it, in this run or in one that was killed.
//!
//! Whether such an attempt was made is unknown, so it is noted as interrupted:
//! that takes nothing from the schedule but lets the attempts' numbers grow. How
//! many there were in a row is read from those notes; [`interruption`] decides.

use rusqlite::Connection;

use super::journal::{Entries, Entry};
use super::settle::promote;
use super::supersede::{self, Thinned};
use super::writer::Turn;
use crate::model::attempt::OutcomeClass;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::id::{AccountKey, DeliveryId, NumberKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::policy::interruption;

const NOTE: &str = "this attempt was due or under way when its lease ended; it may have arrived";

const LAST_NOTE: &str = "interrupted as often in a row as is allowed, so it was set aside to let its number go on; \
     it may have arrived; replay it once it is known what ends our process";

/// A delivery whose attempt was interrupted.
struct Interrupted {
    account: AccountKey,
    lane: Lane,
    /// When it is attempted again; `None`: it is set aside.
    next_at: Option<Timestamp>,
    /// What the journal tells of it.
    entry: Entry,
}

/// Notes the attempt of a lease that ended in this run, and when the delivery is
/// due again. If it is set aside, the next of its lane takes its place.
pub(super) fn in_this_run(
    turn: &mut Turn<'_>,
    delivery: DeliveryId,
    lane: Lane,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Interrupted { account, next_at, entry, .. } = interrupt(turn.sql, delivery, now)?;
    let ended = match (supersede::by_waiting(turn, account, lane, delivery, now)?, next_at) {
        (Some(_), _) => DeliveryState::Superseded,
        (None, None) => DeliveryState::Exhausted,
        (None, Some(at)) => {
            turn.tell(now, entry);
            turn.memory.leases.note_waiting(lane);
            turn.note_due(lane.webhook, at);
            return Ok(());
        }
    };
    turn.tell(now, entry.ended(ended));
    turn.count_settled(ended);
    promote(turn, account, lane, now)
}

/// The same for a lease of an earlier run, before there is a writer: nothing is
/// handed over yet, the dispatcher will ask what is due.
pub(super) fn at_start(
    sql: &Connection,
    delivery: DeliveryId,
    now: Timestamp,
    entries: &mut Entries,
) -> rusqlite::Result<()> {
    let Interrupted { account, lane, next_at, entry } = interrupt(sql, delivery, now)?;
    let thinned = if supersede::wants_latest(sql, lane.webhook)? {
        supersede::thin(sql, account, lane, (delivery, supersede::told(sql, delivery)?))?
    } else {
        Thinned::default()
    };
    let ended = thinned.by.map(|_| DeliveryState::Superseded);
    entries.add(now.ms(), ended.map_or(entry, |ended| entry.ended(ended)));
    thinned.gone.iter().for_each(|gone| entries.add(now.ms(), gone.entry(account)));
    let exhausted = thinned.by.is_none() && next_at.is_none();
    let superseded = thinned.gone.len() + usize::from(thinned.by.is_some());
    let (exhausted, superseded) = (i64::from(exhausted), i64::try_from(superseded).unwrap_or(0));
    if exhausted + superseded > 0 {
        let mut count = sql.prepare_cached("UPDATE facts SET value = value + ?2 WHERE name = ?1")?;
        count.execute(("deliveries_0", -exhausted - superseded))?;
        count.execute(("deliveries_2", exhausted))?;
        count.execute(("deliveries_4", superseded))?;
    }
    if thinned.by.is_none() && next_at.is_some() {
        return Ok(());
    }
    sql.prepare_cached(
        "UPDATE deliveries SET due_at = ?4 WHERE id = (\
            SELECT id FROM deliveries INDEXED BY deliveries_pending \
            WHERE account = ?1 AND webhook = ?2 AND number = ?3 AND state = 0 AND lease = 0 ORDER BY id LIMIT 1)",
    )?
    .execute((account.0, lane.webhook.0, lane.number.0, now.ms()))?;
    Ok(())
}

fn interrupt(sql: &Connection, delivery: DeliveryId, now: Timestamp) -> rusqlite::Result<Interrupted> {
    let in_a_row = in_a_row(sql, delivery)? + 1;
    let next_at = interruption::next_attempt(in_a_row, delivery, now);
    let note = if next_at.is_some() { NOTE } else { LAST_NOTE };
    let next_ms = next_at.map(Timestamp::ms);
    sql.prepare_cached(
        "INSERT INTO attempts (delivery, number, started_at, duration_ms, class, note, answer, next_at) \
         SELECT id, attempts + 1, ?2, 0, ?3, ?4, x'', ?5 FROM deliveries WHERE id = ?1",
    )?
    .execute((delivery.0, now.ms(), OutcomeClass::Interrupted.code(), note, next_ms))?;
    let state = if next_at.is_some() { DeliveryState::Pending } else { DeliveryState::Exhausted };
    if next_at.is_none() {
        tracing::warn!(%delivery, in_a_row, "interrupted again and again, so set aside: kept and replayable");
    }
    sql.prepare_cached(
        "UPDATE deliveries SET state = ?2, due_at = ?3, lease = 0, attempts = attempts + 1, \
         attempts_before = attempts_before + 1 WHERE id = ?1 RETURNING account, webhook, number, attempts",
    )?
    .query_row((delivery.0, state.code(), next_ms), |row| {
        let lane = Lane { webhook: WebhookKey(row.get(1)?), number: NumberKey(row.get(2)?) };
        let (account, attempts) = (AccountKey(row.get(0)?), row.get(3)?);
        let entry = Entry::Delivery { account, delivery, state, attempts };
        Ok(Interrupted { account, lane, next_at, entry })
    })
}

/// How many interrupted attempts the delivery's history ends with. One that set
/// it aside has no next time: a replay begins to count anew behind it.
fn in_a_row(sql: &Connection, delivery: DeliveryId) -> rusqlite::Result<u32> {
    sql.prepare_cached(
        "SELECT count(*) FROM attempts WHERE delivery = ?1 AND number > coalesce((\
            SELECT max(number) FROM attempts WHERE delivery = ?1 AND (class <> ?2 OR next_at IS NULL)), 0)",
    )?
    .query_row((delivery.0, OutcomeClass::Interrupted.code()), |row| row.get(0))
}
