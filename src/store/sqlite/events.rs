//! Keeping an event and what it owes.

use std::sync::Arc;

use super::bytes::changes;
use super::journal::Entry;
use super::leases::Held;
use super::numbers;
use super::routes::Route;
use super::sums;
use super::supersede;
use super::writer::Turn;
use crate::model::change::{Change, Detail};
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::event::{Derived, Envelope, body, event_type};
use crate::model::id::{AccountKey, BusinessAccountId, DeliveryId, EventId, NumberKey, Position};
use crate::model::number::{Changed, LearnedBy, NumberState, Stale};
use crate::model::time::Timestamp;
use crate::policy::supersede::{Tells, tells};
use crate::policy::transition::{News, Terms, Transition, moves, transition};
use crate::store::queue::Claimed;

/// What an event is made of besides its change.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) now: Timestamp,
    /// When what it tells happened.
    pub(super) timestamp: Timestamp,
    pub(super) app: Option<&'a str>,
    pub(super) random: u32,
    pub(super) kind: Kind,
    pub(super) fill_limits: bool,
}

impl Origin<'_> {
    /// Under which circumstances `by` speaks; the next event is at `position`.
    /// Meta says times in whole seconds: whoever speaks later within the same one is
    /// not held to be late.
    pub(super) fn terms(&self, by: LearnedBy, position: Position, elsewhere: bool) -> Terms {
        let (now, at, fill) = (self.now, self.timestamp.whole_seconds(), self.fill_limits);
        Terms { now, at, position, by, fill, elsewhere }
    }
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A change, whoever told it.
    Change,
    /// A sample that an account asked for.
    Test,
    /// How a number stands.
    Snapshot,
}

/// Keeps the event that `change` makes and a delivery for each of the route's
/// webhooks; `None` if it is a resend, which is noted at the event it repeats.
pub(super) fn keep_event(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    change: &Change,
    route: &Route,
) -> rusqlite::Result<Option<EventId>> {
    let (account, subject) = (route.account, &change.subject);
    let business_account = change.business_account.as_str();
    let position = turn.memory.last_position + 1;
    let unknown = NumberState::default();
    let known = turn.memory.tail.number(turn.sql, account, subject)?;
    let (key, state) = known.as_ref().map_or((None, &unknown), |known| (Some(known.key), &*known.state));
    let elsewhere = known.as_ref().is_some_and(|known| known.is_elsewhere(subject, business_account));
    let by = if origin.app.is_some() { LearnedBy::Notification } else { LearnedBy::Published };
    let terms = origin.terms(by, position, elsewhere);
    if let Some(key) = key.filter(|_| moves(state, &terms)) {
        turn.memory.tail.move_to(turn.sql, key, business_account)?;
    }
    let news = match transition(state, change, &terms) {
        Transition::Resent(next, event, changed) => {
            // Only what is known can come again.
            if let Some(key) = key {
                let untold = next.revision != state.revision;
                numbers::observe(turn, account, key, position - 1, (origin.now, by), (&changed, untold))?;
                turn.memory.tail.put(key, next);
            }
            let mut note =
                turn.sql.prepare_cached("UPDATE events SET resends = resends + 1 WHERE position = ?1")?;
            note.execute([event])?;
            return Ok(None);
        }
        Transition::News(news) => news,
    };
    let News { state: next, detail, changed, stale } = news;
    let tells = tells(&detail, stale);
    let sequence = next.sequence;
    let number = match key {
        Some(key) => {
            turn.memory.tail.put(key, next);
            key
        }
        None => turn.memory.tail.add(turn.sql, account, subject, business_account, next)?,
    };
    let content =
        Content { number, sequence, detail: &detail, changed: &changed, stale, derived: None, tells };
    keep(turn, origin, &change.business_account, &content, route).map(Some)
}

/// Random bits for the event that is the `nth` made with these.
pub(super) fn bits(random: u64, nth: u64) -> u32 {
    let mixed = random.wrapping_add(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    u32::try_from(mixed >> 32).unwrap_or(0)
}

/// What an event tells, and where it stands among those of its number.
pub(super) struct Content<'a> {
    pub(super) number: NumberKey,
    pub(super) sequence: i64,
    pub(super) detail: &'a Detail,
    pub(super) changed: &'a [Changed],
    pub(super) stale: Stale,
    pub(super) derived: Option<Derived>,
    pub(super) tells: Option<Tells>,
}

/// Keeps an event at the next position, and what it owes.
pub(super) fn keep(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    business_account: &BusinessAccountId,
    content: &Content<'_>,
    route: &Route,
) -> rusqlite::Result<EventId> {
    let position = turn.memory.last_position + 1;
    let id = EventId::new(origin.now, position, origin.random);
    let envelope = Envelope { id, timestamp: origin.timestamp, business_account, account: route.account_id };
    let body: Arc<[u8]> = body(envelope, content.detail).into();
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO events (position, accepted_at, random, account, number, sequence, type, app, test, resends, \
                             body, changed, derived, tells, snapshot, sum) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    insert.execute((
        position,
        origin.now.ms(),
        origin.random,
        route.account.0,
        content.number.0,
        content.sequence,
        event_type(content.detail),
        origin.app,
        origin.kind == Kind::Test,
        &*body,
        changes(content.changed, content.stale),
        content.derived.map(Derived::code),
        content.tells.map(Tells::code),
        (origin.kind == Kind::Snapshot).then_some(true),
        sums::of(&body),
    ))?;
    drop(insert);
    turn.memory.last_position = position;
    turn.tell(origin.now, Entry::Event { account: route.account, position });
    let Content { number, sequence, stale, derived, tells, .. } = *content;
    let event = Owed { id, position, account: route.account, number, sequence, stale, derived, tells, body };
    owe(turn, origin, &event, route)?;
    Ok(id)
}

/// An event about to be owed.
struct Owed {
    id: EventId,
    position: i64,
    account: AccountKey,
    number: NumberKey,
    sequence: i64,
    stale: Stale,
    derived: Option<Derived>,
    tells: Option<Tells>,
    body: Arc<[u8]>,
}

/// Keeps a delivery for each webhook. The head of a free lane goes straight to
/// the dispatcher if it has room, else it is due at once; the others wait.
fn owe(turn: &mut Turn<'_>, origin: &Origin<'_>, event: &Owed, route: &Route) -> rusqlite::Result<()> {
    for (ordinal, &webhook) in (0..).zip(&route.webhooks) {
        let lane = Lane { webhook, number: event.number };
        let delivery = DeliveryId::new(event.position, ordinal);
        let head = takes_the_head(turn, origin.now, event, route, (delivery, lane))?;
        let mut token = 0;
        let mut due_at = head.then_some(origin.now);
        if head && turn.reserve_new(webhook) {
            let lease = turn.lease(origin.now);
            (token, due_at) = (lease.token, Some(lease.until));
            let account = event.account;
            turn.memory.leases.give(lane, Held { delivery, account, lease, followed: false });
            turn.hand_over(Claimed {
                delivery,
                lease,
                lane,
                event: event.id,
                sequence: event.sequence,
                attempts: 0,
                attempts_before: 0,
                test: origin.kind == Kind::Test,
                derived: event.derived,
                stale: event.stale,
                snapshot: origin.kind == Kind::Snapshot,
                body: Arc::clone(&event.body),
            });
        } else {
            turn.memory.leases.note_waiting(lane);
            if head {
                turn.note_due(webhook, origin.now);
            }
        }
        let mut insert = turn.sql.prepare_cached(
            "INSERT INTO deliveries (id, account, webhook, number, state, due_at, lease, attempts, attempts_before) \
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 0, 0)",
        )?;
        let due_ms = due_at.map(Timestamp::ms);
        insert.execute((delivery.0, event.account.0, webhook.0, event.number.0, due_ms, token))?;
        drop(insert);
        turn.count(DeliveryState::Pending, 1);
    }
    Ok(())
}

/// Whether nothing of the lane is pending, or nothing any more: for a webhook
/// that wants the latest only, the event stands for what waits and is of its kind.
fn takes_the_head(
    turn: &mut Turn<'_>,
    now: Timestamp,
    event: &Owed,
    route: &Route,
    (delivery, lane): (DeliveryId, Lane),
) -> rusqlite::Result<bool> {
    if turn.memory.leases.is_free(turn.sql, event.account, lane)? {
        return Ok(true);
    }
    match event.tells {
        Some(tells) if route.latest.contains(&lane.webhook) => {
            supersede::by_new(turn, event.account, lane, (delivery, tells), now)
        }
        _ => Ok(false),
    }
}
