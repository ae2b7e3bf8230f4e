//! What is under way, lane by lane, and which webhooks have nothing waiting.
//!
//! A delivery that is accepted into a free lane, handed over and delivered is
//! the common case, and these answer its questions without a look into an index:
//! is the lane free, does the lease still hold, does anything follow? There are
//! no more entries than places in the handover. Like everything the writer
//! remembers this is read from the store again after a rollback; leases do not
//! outlive a process.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension};

use super::maps::{Map, Set};
use crate::model::delivery::Lane;
use crate::model::id::{AccountKey, DeliveryId, NumberKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::queue::Lease;

/// A leased head of its lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) delivery: DeliveryId,
    pub(super) account: AccountKey,
    pub(super) lease: Lease,
    /// Whether another delivery of the lane may wait behind it.
    pub(super) followed: bool,
}

/// All leases, and the webhooks without anything waiting.
#[derive(Default)]
pub(super) struct Leases {
    held: Map<Lane, Held>,
    /// How many of each webhook.
    counts: Map<WebhookKey, usize>,
    /// In the order they were given, which is that of their ends; some have gone.
    ending: VecDeque<(Timestamp, Lane, i64)>,
    /// Webhooks all of whose pending deliveries are leased.
    quiet: Set<WebhookKey>,
}

impl Leases {
    /// The leases as they are on the disk; nothing is known to be quiet.
    pub(super) fn read(sql: &Connection) -> rusqlite::Result<Self> {
        let mut select = sql.prepare_cached(
            "SELECT webhook, number, id, account, lease, due_at FROM deliveries INDEXED BY deliveries_leased \
             WHERE lease <> 0 ORDER BY lease",
        )?;
        let mut rows = select.query([])?;
        let mut leases = Self::default();
        while let Some(row) = rows.next()? {
            let lane = Lane { webhook: WebhookKey(row.get(0)?), number: NumberKey(row.get(1)?) };
            let until = row.get::<_, Option<i64>>(5)?.map(Timestamp::from_ms).unwrap_or_default();
            let lease = Lease { token: row.get(4)?, until };
            let (delivery, account) = (DeliveryId(row.get(2)?), AccountKey(row.get(3)?));
            leases.give(lane, Held { delivery, account, lease, followed: true });
        }
        Ok(leases)
    }

    /// What of the lane is under way.
    pub(super) fn of(&self, lane: Lane) -> Option<&Held> {
        self.held.get(&lane)
    }

    /// A lease is given.
    pub(super) fn give(&mut self, lane: Lane, held: Held) {
        self.ending.push_back((held.lease.until, lane, held.lease.token));
        if self.held.insert(lane, held).is_none() {
            *self.counts.entry(lane.webhook).or_default() += 1;
        }
    }

    /// A lease ends, if it is the one that holds.
    pub(super) fn end(&mut self, lane: Lane, token: i64) -> Option<Held> {
        let held = *self.held.get(&lane).filter(|held| held.lease.token == token)?;
        self.held.remove(&lane);
        if let Some(count) = self.counts.get_mut(&lane.webhook) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&lane.webhook);
            }
        }
        // No more is remembered than twice what holds.
        if self.ending.len() > 2 * self.held.len() + 64 {
            let all = &self.held;
            self.ending.retain(|(_, lane, token)| holds(all, *lane, *token));
        }
        Some(held)
    }

    /// When a lease on a delivery of the webhook may run out at the earliest: that
    /// is the earliest end of any.
    pub(super) fn next_end(&mut self, webhook: WebhookKey) -> Option<Timestamp> {
        if !self.counts.contains_key(&webhook) {
            return None;
        }
        while let Some((until, lane, token)) = self.ending.front() {
            if holds(&self.held, *lane, *token) {
                return Some(*until);
            }
            self.ending.pop_front();
        }
        None
    }

    /// A delivery of the lane waits from now on.
    pub(super) fn note_waiting(&mut self, lane: Lane) {
        self.quiet.remove(&lane.webhook);
        if let Some(held) = self.held.get_mut(&lane) {
            held.followed = true;
        }
    }

    /// Ends one lease that has run out by `now`; call until there is none.
    pub(super) fn run_out(&mut self, now: Timestamp) -> Option<(Lane, Held)> {
        while self.ending.front().is_some_and(|(until, ..)| *until <= now) {
            let (_, lane, token) = self.ending.pop_front()?;
            if let Some(held) = self.end(lane, token) {
                return Some((lane, held));
            }
        }
        None
    }

    /// The leases on a webhook's deliveries.
    pub(super) fn of_webhook(&self, webhook: WebhookKey) -> Vec<(Lane, Held)> {
        let of_it = self.held.iter().filter(|(lane, _)| lane.webhook == webhook);
        let mut leases: Vec<_> = of_it.map(|(lane, held)| (*lane, *held)).collect();
        leases.sort_unstable_by_key(|(_, held)| held.delivery);
        leases
    }

    /// Whether nothing of the lane is pending.
    pub(super) fn is_free(
        &mut self,
        sql: &Connection,
        account: AccountKey,
        lane: Lane,
    ) -> rusqlite::Result<bool> {
        if self.held.contains_key(&lane) {
            return Ok(false);
        }
        if self.quiet.contains(&lane.webhook) {
            return Ok(true);
        }
        if next_waiting(sql, account, lane)?.is_some() {
            return Ok(false);
        }
        let waits = sql
            .prepare_cached(
                "SELECT 1 FROM deliveries INDEXED BY deliveries_pending \
                 WHERE account = ?1 AND webhook = ?2 AND state = 0 AND lease = 0 LIMIT 1",
            )?
            .exists((account.0, lane.webhook.0))?;
        if !waits {
            self.quiet.insert(lane.webhook);
        }
        Ok(true)
    }
}

fn holds(held: &Map<Lane, Held>, lane: Lane, token: i64) -> bool {
    held.get(&lane).is_some_and(|held| held.lease.token == token)
}

/// The oldest of the lane's deliveries that wait.
pub(super) fn next_waiting(
    sql: &Connection,
    account: AccountKey,
    lane: Lane,
) -> rusqlite::Result<Option<DeliveryId>> {
    sql.prepare_cached(
        "SELECT id FROM deliveries INDEXED BY deliveries_pending \
         WHERE account = ?1 AND webhook = ?2 AND number = ?3 AND state = 0 AND lease = 0 ORDER BY id LIMIT 1",
    )?
    .query_row((account.0, lane.webhook.0, lane.number.0), |row| row.get(0).map(DeliveryId))
    .optional()
}
