//! One group's transaction as its jobs see it, and what its commit sets off.

use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use crate::model::delivery::DeliveryState;
use crate::model::id::{AccountKey, Position, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::Handover;
use crate::store::queue::{Claimed, Lease};
use crate::store::sqlite::journal::{Entries, Entry, Journal};
use crate::store::sqlite::leases::Leases;
use crate::store::sqlite::maps::Map;
use crate::store::sqlite::overlay;
use crate::store::sqlite::routes::Route;
use crate::store::sqlite::tail::Tail;

/// Routes remembered; beyond that they are forgotten and read again.
pub(in crate::store::sqlite) const ROUTES: usize = 50_000;

/// What the writer remembers between commits.
pub(in crate::store::sqlite) struct Memory {
    pub(in crate::store::sqlite) routes: Map<String, Option<Arc<Route>>>,
    pub(in crate::store::sqlite) last_position: Position,
    pub(in crate::store::sqlite) tail: Tail,
    pub(in crate::store::sqlite) leases: Leases,
    pub(super) journal: Journal,
    last_token: i64,
}

impl Memory {
    /// What the store says; `opened`: how often it was opened, so that no lease's
    /// token is ever given again.
    pub(super) fn read(sql: &Connection, opened: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            routes: Map::default(),
            last_position: last_position(sql)?,
            tail: Tail::read(sql)?,
            leases: Leases::read(sql)?,
            journal: Journal::read(sql)?,
            last_token: opened << 40,
        })
    }

    /// Forgets what a rollback has undone. Tokens are never given twice.
    pub(super) fn read_again(&mut self, sql: &Connection) -> rusqlite::Result<()> {
        *self = Self { last_token: self.last_token, ..Self::read(sql, 0)? };
        Ok(())
    }
}

/// One group's transaction, and what becomes of it once it is durable.
pub(in crate::store::sqlite) struct Turn<'a> {
    pub(in crate::store::sqlite) sql: &'a Transaction<'a>,
    pub(in crate::store::sqlite) memory: &'a mut Memory,
    pub(super) handover: &'a Handover,
    lease_ms: i64,
    pub(super) effects: Effects,
}

/// What a commit sets off.
#[derive(Default)]
pub(super) struct Effects {
    /// A place for each delivery that is handed over.
    places: Vec<WebhookKey>,
    pub(super) ready: Vec<Claimed>,
    pub(super) due: Vec<(WebhookKey, Timestamp)>,
    pub(super) changed: Vec<WebhookKey>,
    counts: [i64; 5],
    unrouted: i64,
    pub(super) settled: Vec<DeliveryState>,
    pub(super) entries: Entries,
    /// The journal's last row with this commit.
    pub(super) journaled: i64,
    /// What is known of numbers, and which rows were written: for readers.
    pub(super) numbers: (Vec<overlay::Current>, Vec<overlay::Current>),
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        sql: &'a Transaction<'a>,
        memory: &'a mut Memory,
        handover: &'a Handover,
        lease_ms: i64,
    ) -> Self {
        Self { sql, memory, handover, lease_ms, effects: Effects::default() }
    }

    /// A fresh lease from `now` on.
    pub(in crate::store::sqlite) fn lease(&mut self, now: Timestamp) -> Lease {
        self.memory.last_token += 1;
        let until = Timestamp::from_ms(now.ms() + self.lease_ms);
        Lease { token: self.memory.last_token, until }
    }

    /// Takes a place in the handover for a stored delivery, to be filled by
    /// [`Turn::hand_over`]; false if there is none. It is given back if this does
    /// not become durable.
    pub(in crate::store::sqlite) fn reserve(&mut self, webhook: WebhookKey) -> bool {
        let there = self.handover.reserve(webhook);
        self.keep_place(webhook, there)
    }

    /// The same for a delivery that has just become ready: it does not overtake
    /// what is stored.
    pub(in crate::store::sqlite) fn reserve_new(&mut self, webhook: WebhookKey) -> bool {
        let there = self.handover.reserve_new(webhook);
        self.keep_place(webhook, there)
    }

    fn keep_place(&mut self, webhook: WebhookKey, there: bool) -> bool {
        if there {
            self.effects.places.push(webhook);
        }
        there
    }

    /// Goes to the dispatcher once this is durable; its place is reserved.
    pub(in crate::store::sqlite) fn hand_over(&mut self, claimed: Claimed) {
        self.handover.hold(claimed.lane.webhook, claimed.body.len());
        self.effects.ready.push(claimed);
    }

    /// The dispatcher learns that `webhook` has something due at `at`.
    pub(in crate::store::sqlite) fn note_due(&mut self, webhook: WebhookKey, at: Timestamp) {
        self.effects.due.push((webhook, at));
    }

    /// A new webhook of the account: whose it is is known from now on. Should this
    /// not become durable, whichever webhook gets the key is told of in its turn.
    pub(in crate::store::sqlite) fn note_made(&mut self, webhook: WebhookKey, account: AccountKey) {
        self.handover.note_account(webhook, account);
        self.note_changed(webhook);
    }

    /// The dispatcher learns that `webhook` is configured anew; routes are read
    /// again.
    pub(in crate::store::sqlite) fn note_changed(&mut self, webhook: WebhookKey) {
        self.effects.changed.push(webhook);
        self.memory.routes.clear();
    }

    /// Routes are read again.
    pub(in crate::store::sqlite) fn forget_routes(&mut self) {
        self.memory.routes.clear();
    }

    /// So many deliveries came into `state` (or left it, below 0).
    pub(in crate::store::sqlite) fn count(&mut self, state: DeliveryState, change: i64) {
        self.effects.counts[usize::try_from(state.code()).unwrap_or(0)] += change;
    }

    /// A delivery left pending for `state`.
    pub(in crate::store::sqlite) fn count_settled(&mut self, state: DeliveryState) {
        self.count(DeliveryState::Pending, -1);
        self.count(state, 1);
        self.effects.settled.push(state);
    }

    /// The journal tells of it, with this commit.
    pub(in crate::store::sqlite) fn tell(&mut self, now: Timestamp, entry: Entry) {
        self.effects.entries.add(now.ms(), entry);
    }

    /// So many changes more (or fewer) wait unrouted.
    pub(in crate::store::sqlite) fn count_unrouted(&mut self, change: i64) {
        self.effects.unrouted += change;
    }
}

impl Effects {
    /// Gives the places back of what does not become durable.
    pub(super) fn give_back(&self, handover: &Handover) {
        for claimed in &self.ready {
            handover.let_go(claimed.lane.webhook, claimed.body.len());
        }
        self.places.iter().for_each(|webhook| handover.give_back(*webhook));
    }

    pub(super) fn add(&mut self, other: Self) {
        self.places.extend(other.places);
        self.ready.extend(other.ready);
        self.due.extend(other.due);
        self.changed.extend(other.changed);
        self.settled.extend(other.settled);
        self.entries.append(&other.entries);
        self.unrouted += other.unrouted;
        for (sum, change) in self.counts.iter_mut().zip(other.counts) {
            *sum += change;
        }
    }

    /// Adds what the group changed to the counts.
    pub(super) fn count(&self, sql: &Transaction<'_>) -> rusqlite::Result<()> {
        const NAMES: [&str; 5] =
            ["deliveries_0", "deliveries_1", "deliveries_2", "deliveries_3", "deliveries_4"];
        let changes = NAMES.into_iter().zip(self.counts).chain([("unrouted", self.unrouted)]);
        let mut update = sql.prepare_cached("UPDATE facts SET value = value + ?2 WHERE name = ?1")?;
        for (name, change) in changes.filter(|(_, change)| *change != 0) {
            update.execute((name, change))?;
        }
        Ok(())
    }
}

fn last_position(connection: &Connection) -> rusqlite::Result<Position> {
    connection.query_row(
        "SELECT max((SELECT value FROM facts WHERE name = 'last_position'), \
                    coalesce((SELECT max(position) FROM events), 0))",
        [],
        |row| row.get(0),
    )
}
