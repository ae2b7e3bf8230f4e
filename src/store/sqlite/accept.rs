//! Accepting: what becomes of each item of a notification, in the writer's
//! transaction.

use std::sync::Arc;

use super::Sqlite;
use super::derived;
use super::events::{Kind, Origin, bits, keep_event};
use super::routes::{Route, find_route};
use super::writer::Turn;
use crate::model::change::{Change, Detail};
use crate::model::time::Timestamp;
use crate::store::Reply;
use crate::store::queue::{Batch, Item, Receipt, Unparsed};

/// So many numbers hear of the capability updates of a notification in its own
/// transaction; beyond that the janitor takes them further.
const HEARERS: usize = 200;

impl Sqlite {
    pub(super) fn accept_batch(&self, batch: Batch) -> Reply<Receipt> {
        self.write(move |turn| {
            let mut receipt = Receipt::default();
            let mut hearers = HEARERS;
            for (at, item) in batch.items.iter().enumerate() {
                take(turn, &batch, (at, item), &mut receipt, &mut hearers)?;
            }
            Ok(receipt)
        })
    }
}

fn take(
    turn: &mut Turn<'_>,
    batch: &Batch,
    (at, item): (usize, &Item),
    receipt: &mut Receipt,
    hearers: &mut usize,
) -> rusqlite::Result<()> {
    match item {
        Item::Unparsed(unparsed)
            if turn.memory.tail.seen(turn.sql, unparsed.time, &unparsed.fingerprint, batch.now)? =>
        {
            receipt.duplicate += 1;
        }
        Item::Unparsed(unparsed) => {
            keep_unparsed(turn, batch, unparsed)?;
            receipt.unparsed += 1;
        }
        Item::Change(change)
            if turn.memory.tail.seen(turn.sql, change.time, &change.fingerprint, batch.now)? =>
        {
            receipt.duplicate += 1;
        }
        Item::Change(change) => match routable(turn, change)? {
            Some(route) if !route.waiting => {
                accept_change(turn, batch, (at, change, batch.now), &route, receipt, hearers)?;
            }
            _ => {
                keep_unrouted(turn, batch, change)?;
                receipt.unrouted += 1;
            }
        },
        Item::Waiting { row, received_at, read: Ok(change) } => {
            if let Some(route) = routable(turn, change)?
                && take_from_unrouted(turn, *row)?
            {
                accept_change(turn, batch, (at, change, *received_at), &route, receipt, hearers)?;
            }
        }
        Item::Waiting { row, read: Err(unparsed), .. } => {
            if take_from_unrouted(turn, *row)? {
                keep_unparsed(turn, batch, unparsed)?;
                receipt.unparsed += 1;
            }
        }
    }
    Ok(())
}

fn keep_unparsed(turn: &Turn<'_>, batch: &Batch, unparsed: &Unparsed) -> rusqlite::Result<()> {
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO unparsed (app, business_account, time, received_at, reason, raw) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let Unparsed { business_account, time, reason, raw, .. } = unparsed;
    insert.execute((&batch.app, business_account, time, batch.now.ms(), reason, raw))?;
    Ok(())
}

fn keep_unrouted(turn: &mut Turn<'_>, batch: &Batch, change: &Change) -> rusqlite::Result<()> {
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO unrouted (business_account, app, field, time, received_at, raw) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let id = change.business_account.as_str();
    insert.execute((id, &batch.app, &change.field, change.time, batch.now.ms(), &change.raw))?;
    turn.count_unrouted(1);
    Ok(())
}

fn take_from_unrouted(turn: &mut Turn<'_>, row: i64) -> rusqlite::Result<bool> {
    let there = turn.sql.prepare_cached("DELETE FROM unrouted WHERE row = ?1")?.execute([row])? == 1;
    if there {
        turn.count_unrouted(-1);
    }
    Ok(there)
}

/// Where the change goes, if its business account belongs to a configured account.
fn routable(turn: &mut Turn<'_>, change: &Change) -> rusqlite::Result<Option<Arc<Route>>> {
    let route = find_route(turn, change.business_account.as_str())?;
    Ok(route.filter(|route| route.configured))
}

fn accept_change(
    turn: &mut Turn<'_>,
    batch: &Batch,
    (at, change, received_at): (usize, &Change, Timestamp),
    route: &Route,
    receipt: &mut Receipt,
    hearers: &mut usize,
) -> rusqlite::Result<()> {
    let origin = Origin {
        now: batch.now,
        timestamp: change.time.and_then(Timestamp::from_seconds).unwrap_or(received_at),
        app: Some(&batch.app),
        random: bits(batch.random, at as u64),
        kind: Kind::Change,
        fill_limits: batch.fill_limits,
    };
    match keep_event(turn, &origin, change, route)? {
        Some(_) => receipt.accepted += 1,
        None => receipt.resent += 1,
    }
    if let Detail::Capability(capability) = &change.detail {
        let heard = derived::spread(turn, &origin, (change, capability), batch.derive, route, hearers)?;
        receipt.derived += heard.events;
        receipt.underived += u64::from(heard.unfinished);
    }
    Ok(())
}
