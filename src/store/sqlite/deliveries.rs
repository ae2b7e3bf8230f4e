//! Finding deliveries: for listings, for a webhook's health, for bulk replays.
//!
//! What is pending or ended badly stands in partial indexes; anything else is
//! found by walking the account's (or number's) events. Nothing looks at more
//! rows than it was allowed.

use std::ops::{ControlFlow, Range};

use rusqlite::{Connection, OptionalExtension, Row};

use super::listing::{self, Of, Order, VISITS};
use super::rows::{self, account_key, number_key, page, unreadable, webhook_key};
use crate::model::attempt::{Attempt, OutcomeClass};
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::id::{AccountId, AccountKey, DeliveryId, NumberKey, WebhookId, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::catalog::{DeliveryQuery, Health, Page};

/// Health speaks of so many deliveries.
const HEALTH_WINDOW: u64 = 100;

/// A [`DeliveryQuery`] in the store's own keys.
pub(super) struct Filter {
    pub(super) account: AccountKey,
    pub(super) state: Option<DeliveryState>,
    pub(super) webhook: Option<WebhookKey>,
    pub(super) number: Option<NumberKey>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Filter {
    /// `None` if it names an account, webhook or number that is not there, so
    /// that nothing can match.
    pub(super) fn of(sql: &Connection, query: &DeliveryQuery) -> rusqlite::Result<Option<Self>> {
        let Some(account) = account_key(sql, query.account)? else { return Ok(None) };
        let webhook = match query.webhook {
            Some(id) => Some(webhook_key(sql, account, id)?),
            None => None,
        };
        let number = match &query.number {
            Some(subject) => Some(number_key(sql, account, subject)?),
            None => None,
        };
        if webhook == Some(None) || number == Some(None) {
            return Ok(None);
        }
        let (since, until) = (query.since, query.until);
        Ok(Some(Self {
            account,
            state: query.state,
            webhook: webhook.flatten(),
            number: number.flatten(),
            since,
            until,
        }))
    }

    /// The ids outside which nothing matches.
    pub(super) fn ids(&self, sql: &Connection) -> rusqlite::Result<Range<i64>> {
        let positions = listing::positions(sql, self.since, self.until)?;
        Ok(DeliveryId::new(positions.start, 0).0..DeliveryId::new(positions.end, 0).0)
    }

    /// Whether what was accepted then is meant.
    pub(super) fn is_in_time(&self, accepted_at: Timestamp) -> bool {
        self.since.is_none_or(|since| accepted_at >= since)
            && self.until.is_none_or(|until| accepted_at < until)
    }

    /// Whether the delivery is meant, but for its time.
    pub(super) fn takes(&self, met: &Met) -> bool {
        self.state.is_none_or(|state| state == met.state)
            && self.webhook.is_none_or(|webhook| webhook == met.webhook)
            && self.number.is_none_or(|number| number == met.number)
    }
}

/// A delivery met on a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    pub(super) id: DeliveryId,
    pub(super) state: DeliveryState,
    pub(super) webhook: WebhookKey,
    pub(super) number: NumberKey,
}

fn met(row: &Row<'_>) -> rusqlite::Result<Met> {
    Ok(Met {
        id: DeliveryId(row.get(0)?),
        state: DeliveryState::from_code(row.get(1)?).ok_or_else(|| unreadable(1))?,
        webhook: WebhookKey(row.get(2)?),
        number: NumberKey(row.get(3)?),
    })
}

/// A walk over deliveries: those that the filter takes are visited in order
/// until a visit breaks.
pub(super) struct Walk<'a> {
    pub(super) sql: &'a Connection,
    pub(super) filter: &'a Filter,
    pub(super) order: Order,
    pub(super) ids: Range<i64>,
    /// At most so many rows are looked at.
    pub(super) visits: usize,
}

type Visit<'a> = dyn FnMut(Met) -> Result<ControlFlow<()>, Error> + 'a;

impl Walk<'_> {
    /// Goes. Says where it ended if that is because of the number of visits:
    /// the id of the last delivery looked at, or one between it and the next.
    pub(super) fn go(self, visit: &mut Visit<'_>) -> Result<Option<DeliveryId>, Error> {
        if self.ids.is_empty() {
            return Ok(None);
        }
        match self.filter.state {
            Some(
                state @ (DeliveryState::Exhausted | DeliveryState::Canceled | DeliveryState::Superseded),
            ) => self.by_state(state, visit),
            Some(DeliveryState::Pending) => match self.pending()? {
                Some(few) => each(few, visit),
                None => self.by_event(visit),
            },
            Some(DeliveryState::Delivered) | None => self.by_event(visit),
        }
    }

    /// Along the index of what ended, and not well.
    fn by_state(&self, state: DeliveryState, visit: &mut Visit<'_>) -> Result<Option<DeliveryId>, Error> {
        let mut select = self.sql.prepare_cached(&format!(
            "SELECT id, state, webhook, number FROM deliveries INDEXED BY deliveries_ended \
             WHERE account = ?1 AND state = ?2 AND state >= 2 AND id >= ?3 AND id < ?4 ORDER BY id {}",
            self.order.keyword()
        ))?;
        let mut rows = select.query((self.filter.account.0, state.code(), self.ids.start, self.ids.end))?;
        let mut left = self.visits;
        while let Some(row) = rows.next()? {
            let met = met(row)?;
            left = left.saturating_sub(1);
            if self.filter.takes(&met) && visit(met)?.is_break() {
                return Ok(None);
            }
            if left == 0 {
                return Ok(Some(met.id));
            }
        }
        Ok(None)
    }

    /// What is pending, sorted, unless it is more than the visits allow. Then
    /// there is a backlog, and recent events are the way to find it.
    fn pending(&self) -> Result<Option<Vec<Met>>, Error> {
        let webhook = if self.filter.webhook.is_some() { "AND webhook = ?2" } else { "AND ?2 IS NULL" };
        let mut select = self.sql.prepare_cached(&format!(
            "SELECT id, state, webhook, number FROM deliveries INDEXED BY deliveries_leased \
             WHERE lease <> 0 AND account = ?1 {webhook} UNION ALL \
             SELECT id, state, webhook, number FROM deliveries INDEXED BY deliveries_pending \
             WHERE account = ?1 AND state = 0 AND lease = 0 {webhook} LIMIT ?3"
        ))?;
        let allowed = i64::try_from(self.visits).unwrap_or(i64::MAX).saturating_add(1);
        let mut all: Vec<Met> = select
            .query_map((self.filter.account.0, self.filter.webhook.map(|key| key.0), allowed), met)?
            .collect::<rusqlite::Result<_>>()?;
        if all.len() > self.visits {
            return Ok(None);
        }
        all.retain(|met| self.ids.contains(&met.id.0) && self.filter.takes(met));
        all.sort_unstable_by_key(|met| met.id);
        if self.order == Order::NewestFirst {
            all.reverse();
        }
        Ok(Some(all))
    }

    /// Along the events.
    fn by_event(&self, visit: &mut Visit<'_>) -> Result<Option<DeliveryId>, Error> {
        let of = self.filter.number.map_or(Of::Account(self.filter.account), Of::Number);
        let positions = DeliveryId(self.ids.start).position()..DeliveryId(self.ids.end - 1).position() + 1;
        let mut left = self.visits;
        let mut ended = None;
        let spent = listing::walk(self.sql, of, self.order, positions, self.visits, &mut |position| {
            for met in self.of_event(position, left)? {
                left = left.saturating_sub(1);
                if self.filter.takes(&met) && visit(met)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                if left == 0 {
                    ended = Some(met.id);
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let between = |position| match self.order {
            Order::NewestFirst => DeliveryId::new(position, 0),
            Order::OldestFirst => DeliveryId(DeliveryId::new(position + 1, 0).0 - 1),
        };
        Ok(ended.or(spent.map(between)))
    }

    fn of_event(&self, position: i64, limit: usize) -> Result<Vec<Met>, Error> {
        let start = self.ids.start.max(DeliveryId::new(position, 0).0);
        let end = self.ids.end.min(DeliveryId::new(position + 1, 0).0);
        let mut select = self.sql.prepare_cached(&format!(
            "SELECT id, state, webhook, number FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id {} LIMIT ?3",
            self.order.keyword()
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(select.query_map((start, end, limit), met)?.collect::<rusqlite::Result<_>>()?)
    }
}

fn each(found: Vec<Met>, visit: &mut Visit<'_>) -> Result<Option<DeliveryId>, Error> {
    for met in found {
        if visit(met)?.is_break() {
            break;
        }
    }
    Ok(None)
}

pub(super) fn deliveries(
    sql: &Connection,
    query: &DeliveryQuery,
) -> Result<Page<Delivery, DeliveryId>, Error> {
    let Some(filter) = Filter::of(sql, query)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let mut ids = filter.ids(sql)?;
    ids.end = query.before.map_or(ids.end, |before| ids.end.min(before.0));
    let limit = query.limit.max(1);
    let mut items: Vec<Delivery> = Vec::new();
    let walk = Walk { sql, filter: &filter, order: Order::NewestFirst, ids, visits: VISITS };
    let unread = walk.go(&mut |met| {
        let found = rows::delivery(sql, filter.account, met.id)?;
        items.extend(found.filter(|delivery| filter.is_in_time(delivery.created_at)));
        Ok(if items.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(page(items, limit, unread, |delivery| delivery.id))
}

pub(super) fn delivery(
    sql: &Connection,
    account: AccountId,
    id: DeliveryId,
) -> Result<Option<(Delivery, Vec<Attempt>)>, Error> {
    let Some(account) = account_key(sql, account)? else { return Ok(None) };
    let Some(delivery) = rows::delivery(sql, account, id)? else { return Ok(None) };
    let mut select = sql.prepare_cached(
        "SELECT number, started_at, duration_ms, class, status, note, answer, next_at FROM attempts \
         WHERE delivery = ?1 ORDER BY number",
    )?;
    let mut attempts: Vec<Attempt> =
        select.query_map([id.0], |row| rows::attempt(row, 0))?.collect::<rusqlite::Result<_>>()?;
    let last = delivery.last.as_ref();
    attempts
        .extend(last.filter(|last| attempts.last().is_none_or(|kept| kept.number < last.number)).cloned());
    Ok(Some((delivery, attempts)))
}

/// All deliveries of the account's event at `position`.
pub(super) fn of_event(sql: &Connection, account: AccountKey, position: i64) -> Result<Vec<Delivery>, Error> {
    let mut select =
        sql.prepare_cached("SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
    let ids = (DeliveryId::new(position, 0).0, DeliveryId::new(position + 1, 0).0);
    let ids: Vec<i64> = select.query_map(ids, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in ids {
        deliveries.extend(rows::delivery(sql, account, DeliveryId(id))?);
    }
    Ok(deliveries)
}

pub(super) fn health(sql: &Connection, account: AccountId, webhook: WebhookId) -> Result<Health, Error> {
    let query = DeliveryQuery {
        account,
        state: None,
        webhook: Some(webhook),
        number: None,
        since: None,
        until: None,
        before: None,
        limit: 0,
    };
    let Some(filter) = Filter::of(sql, &query)? else { return Ok(Health::default()) };
    let pending: i64 = sql
        .prepare_cached(
            "SELECT (SELECT count(*) FROM deliveries INDEXED BY deliveries_leased \
                     WHERE lease <> 0 AND account = ?1 AND webhook = ?2) \
                  + (SELECT count(*) FROM deliveries INDEXED BY deliveries_pending \
                     WHERE account = ?1 AND webhook = ?2 AND state = 0 AND lease = 0)",
        )?
        .query_row((filter.account.0, filter.webhook.map(|key| key.0)), |row| row.get(0))?;
    let mut health = Health { pending: u64::try_from(pending).unwrap_or(0), ..Health::default() };
    let mut attempted = 0;
    let ids = filter.ids(sql)?;
    let walk = Walk { sql, filter: &filter, order: Order::NewestFirst, ids, visits: VISITS };
    walk.go(&mut |met| {
        let found = rows::delivery(sql, filter.account, met.id)?;
        if let Some(delivery) = found.filter(|delivery| delivery.attempts > 0) {
            attempted += 1;
            take_in(sql, &mut health, &delivery)?;
        }
        Ok(if attempted < HEALTH_WINDOW { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(health)
}

/// Adds one attempted delivery to a webhook's health.
fn take_in(sql: &Connection, health: &mut Health, delivery: &Delivery) -> Result<(), Error> {
    health.delivered += u64::from(delivery.state == DeliveryState::Delivered);
    health.exhausted += u64::from(delivery.state == DeliveryState::Exhausted);
    if let Some(last) = delivery.last.as_ref().filter(|last| last.class == OutcomeClass::Success) {
        let ended = Timestamp::from_ms(last.started_at.ms().saturating_add(last.duration_ms));
        health.last_delivered_at = health.last_delivered_at.max(Some(ended));
    }
    if let Some(failure) = last_failure(sql, delivery.id)?
        && health.last_failure.as_ref().is_none_or(|known| known.started_at < failure.started_at)
    {
        health.last_failure = Some(failure);
    }
    Ok(())
}

/// The last attempt of a delivery that failed. An interrupted one is our own
/// failure, not the receiver's.
pub(super) fn last_failure(sql: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Attempt>> {
    let mut select = sql.prepare_cached(
        "SELECT number, started_at, duration_ms, class, status, note, answer, next_at FROM attempts \
         WHERE delivery = ?1 AND class NOT IN (?2, ?3) ORDER BY number DESC LIMIT 1",
    )?;
    let not_failed = (OutcomeClass::Success.code(), OutcomeClass::Interrupted.code());
    select.query_row((id.0, not_failed.0, not_failed.1), |row| rows::attempt(row, 0)).optional()
}
