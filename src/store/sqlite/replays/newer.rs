//! What a bulk replay that leaves out the superseded does not replay: an
//! exhausted delivery for which a newer one of its lane stands that has arrived,
//! that will (it is pending), or that this very replay takes as well.
//!
//! The events of a number are looked for as listings do: those behind the
//! watermark in their index, the others by one walk over the tail, for all
//! numbers of the step at once. Looking ends at bounds; what is not found by then
//! is replayed, which costs a receiver one event too many and none too few.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};

use super::{filter, takes};
use crate::model::delivery::DeliveryState;
use crate::model::id::{DELIVERIES_PER_EVENT, DeliveryId, NumberKey, Position};
use crate::policy::supersede::Tells;
use crate::store::Error;
use crate::store::catalog::Replay;
use crate::store::sqlite::deliveries::{Filter, Met};
use crate::store::sqlite::listing;
use crate::store::sqlite::rows::unreadable;
use crate::store::sqlite::supersede::told;

/// So many events of the tail are looked at in a step.
const TAIL: i64 = 20_000;

/// So many events of a number, newest first, are looked at in the index.
const INDEXED: i64 = 100;

type Newer = Vec<(Position, Tells)>;

/// The deliveries among `found` that are not to be replayed, and what stands for
/// each; none, unless the replay asks for that.
pub(super) fn standing_for(
    sql: &Connection,
    replay: &Replay,
    found: &[Met],
) -> Result<BTreeMap<DeliveryId, Position>, Error> {
    let mut stood_for = BTreeMap::new();
    let filter = if replay.skip_superseded { filter(sql, &replay.query)? } else { None };
    let Some(filter) = filter.filter(|_| !found.is_empty()) else { return Ok(stood_for) };
    let tail = tail(sql, &found.iter().map(|met| met.number).collect())?;
    for met in found.iter().filter(|met| met.state == DeliveryState::Exhausted) {
        let Some(tells) = told(sql, met.id)? else { continue };
        let mut newer = tail.get(&met.number).cloned().unwrap_or_default();
        newer.extend(indexed(sql, met)?);
        for (position, newer) in newer {
            let stands = position > met.id.position() && newer.stands_for(tells);
            if stands && has_or_gets(sql, &filter, replay, *met, position)? {
                stood_for.insert(met.id, position);
                break;
            }
        }
    }
    Ok(stood_for)
}

/// The events of these numbers that no index has yet, newest first.
fn tail(sql: &Connection, numbers: &BTreeSet<NumberKey>) -> rusqlite::Result<BTreeMap<NumberKey, Newer>> {
    let mut tail: BTreeMap<NumberKey, Newer> = BTreeMap::new();
    listing::tail(sql, "position, number, tells", TAIL, |row| {
        let number = NumberKey(row.get(1)?);
        if numbers.contains(&number)
            && let Some(tells) = row.get::<_, Option<i64>>(2)?.and_then(Tells::from_code)
        {
            tail.entry(number).or_default().push((row.get(0)?, tells));
        }
        Ok(())
    })?;
    Ok(tail)
}

/// The newest events of the delivery's number in the index, newest first.
fn indexed(sql: &Connection, met: &Met) -> rusqlite::Result<Newer> {
    let mut select = sql.prepare_cached(
        "SELECT n.position, e.tells FROM events_by_number n JOIN events e ON e.position = n.position \
         WHERE n.number = ?1 AND n.position > ?2 ORDER BY n.position DESC LIMIT ?3",
    )?;
    let rows = select.query_map((met.number.0, met.id.position(), INDEXED), |row| {
        let tells: Option<i64> = row.get(1)?;
        Ok(tells.and_then(Tells::from_code).map(|tells| (row.get(0), tells)))
    })?;
    let mut newer = Vec::new();
    for row in rows {
        if let Some((position, tells)) = row? {
            newer.push((position?, tells));
        }
    }
    Ok(newer)
}

/// Whether the webhook has the event at `position`, or will get it.
fn has_or_gets(
    sql: &Connection,
    filter: &Filter,
    replay: &Replay,
    met: Met,
    position: Position,
) -> Result<bool, Error> {
    let (first, last) = (position * DELIVERIES_PER_EVENT, (position + 1) * DELIVERIES_PER_EVENT - 1);
    let newer = sql
        .prepare_cached("SELECT id, state FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND webhook = ?3")?
        .query_row((first, last, met.webhook.0), |row| {
            let state = DeliveryState::from_code(row.get(1)?).ok_or_else(|| unreadable(1))?;
            Ok(Met { id: DeliveryId(row.get(0)?), state, ..met })
        })
        .optional()?;
    let Some(newer) = newer else { return Ok(false) };
    Ok(match newer.state {
        DeliveryState::Delivered | DeliveryState::Pending => true,
        DeliveryState::Exhausted => filter.takes(&newer) && takes(sql, filter, newer.id, replay.created_at)?,
        DeliveryState::Canceled | DeliveryState::Superseded => false,
    })
}
