//! Accepting: from a notification's changes to events and what they owe, in
//! the writer's transaction.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::Sqlite;
use super::writer::{ROUTES, Turn};
use crate::model::change::Change;
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::event::{Envelope, body, event_type};
use crate::model::id::{AccountId, AccountKey, DeliveryId, EventId, NumberKey, SubAccountId, WebhookKey};
use crate::model::number::{Latest, NumberState, Subject};
use crate::model::time::Timestamp;
use crate::policy::routing::{Candidate, route};
use crate::policy::transition::{Transition, transition};
use crate::store::Reply;
use crate::store::queue::{Batch, Claimed, Item, Receipt, Unparsed};

/// Where the changes of a business account go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) account: AccountKey,
    pub(super) account_id: AccountId,
    /// Whether the account is configured for Chat Apps.
    pub(super) configured: bool,
    /// Whether earlier changes still wait unrouted.
    pub(super) waiting: bool,
    pub(super) webhooks: Vec<WebhookKey>,
}

/// What an event is made of besides its change.
pub(super) struct Origin<'a> {
    pub(super) now: Timestamp,
    /// When what it tells happened.
    pub(super) timestamp: Timestamp,
    pub(super) app: Option<&'a str>,
    pub(super) random: u32,
    pub(super) test: bool,
    pub(super) fill_limits: bool,
}

impl Sqlite {
    pub(super) fn accept_batch(&self, batch: Batch) -> Reply<Receipt> {
        self.write(move |turn| {
            let mut receipt = Receipt::default();
            for (at, item) in batch.items.iter().enumerate() {
                take(turn, &batch, at, item, &mut receipt)?;
            }
            Ok(receipt)
        })
    }
}

fn take(
    turn: &mut Turn<'_>,
    batch: &Batch,
    at: usize,
    item: &Item,
    receipt: &mut Receipt,
) -> rusqlite::Result<()> {
    match item {
        Item::Unparsed(unparsed) if seen(turn, unparsed.time, &unparsed.fingerprint, batch.now)? => {
            receipt.duplicate += 1;
        }
        Item::Unparsed(unparsed) => {
            keep_unparsed(turn, batch, unparsed)?;
            receipt.unparsed += 1;
        }
        Item::Change(change) if seen(turn, change.time, &change.fingerprint, batch.now)? => {
            receipt.duplicate += 1;
        }
        Item::Change(change) => match routable(turn, change)? {
            Some(route) if !route.waiting => accept_change(turn, batch, at, change, &route, receipt)?,
            _ => {
                keep_unrouted(turn, batch, change)?;
                receipt.unrouted += 1;
            }
        },
        Item::Waiting(row, Ok(change)) => {
            if let Some(route) = routable(turn, change)?
                && take_from_unrouted(turn, *row)?
            {
                accept_change(turn, batch, at, change, &route, receipt)?;
            }
        }
        Item::Waiting(row, Err(unparsed)) => {
            if take_from_unrouted(turn, *row)? {
                keep_unparsed(turn, batch, unparsed)?;
                receipt.unparsed += 1;
            }
        }
    }
    Ok(())
}

/// Whether the key was seen before; remembers it if not.
fn seen(
    turn: &Turn<'_>,
    time: Option<i64>,
    fingerprint: &[u8; 16],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO seen (time, fingerprint, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    Ok(insert.execute((time.unwrap_or(0), fingerprint, now.ms()))? == 0)
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

/// The route of a business account, remembered until anything is configured.
pub(super) fn find_route(
    turn: &mut Turn<'_>,
    business_account: &str,
) -> rusqlite::Result<Option<Arc<Route>>> {
    if let Some(route) = turn.memory.routes.get(business_account) {
        return Ok(route.clone());
    }
    let route = read_route(turn, business_account)?.map(Arc::new);
    if turn.memory.routes.len() >= ROUTES {
        turn.memory.routes.clear();
    }
    turn.memory.routes.insert(business_account.to_owned(), route.clone());
    Ok(route)
}

fn read_route(turn: &Turn<'_>, business_account: &str) -> rusqlite::Result<Option<Route>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT a.key, a.id, a.chat_apps, b.waiting, b.sub_account \
         FROM business_accounts b JOIN accounts a ON a.key = b.account WHERE b.id = ?1",
    )?;
    let found = select
        .query_row([business_account], |row| {
            let account_id: String = row.get(1)?;
            let sub_account: Option<String> = row.get(4)?;
            let route = Route {
                account: AccountKey(row.get(0)?),
                account_id: account_id.parse().expect("account ids are stored as UUIDs"),
                configured: row.get(2)?,
                waiting: row.get(3)?,
                webhooks: Vec::new(),
            };
            Ok((route, sub_account))
        })
        .optional()?;
    let Some((mut account_route, sub_account)) = found else { return Ok(None) };
    let sub_account: Option<SubAccountId> = sub_account.and_then(|id| id.parse().ok());
    let candidates = candidates(turn, account_route.account)?;
    account_route.webhooks = route(&candidates, sub_account.as_ref()).collect();
    Ok(Some(account_route))
}

fn candidates(turn: &Turn<'_>, account: AccountKey) -> rusqlite::Result<Vec<Candidate>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT key, sub_account, type, enabled FROM webhooks \
         WHERE account = ?1 AND deleted_at IS NULL ORDER BY key",
    )?;
    let rows = select.query_map([account.0], |row| {
        let (scope, kind): (String, String) = (row.get(1)?, row.get(2)?);
        Ok(Candidate {
            key: WebhookKey(row.get(0)?),
            scope: scope.parse().expect("scopes are stored as checked"),
            kind: crate::model::webhook::WebhookType::parse(&kind).expect("types are stored as checked"),
            enabled: row.get(3)?,
        })
    })?;
    rows.collect()
}

fn accept_change(
    turn: &mut Turn<'_>,
    batch: &Batch,
    at: usize,
    change: &Change,
    route: &Route,
    receipt: &mut Receipt,
) -> rusqlite::Result<()> {
    let mixed = batch.random.wrapping_add((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let origin = Origin {
        now: batch.now,
        timestamp: change.time.and_then(Timestamp::from_seconds).unwrap_or(batch.now),
        app: Some(&batch.app),
        random: u32::try_from(mixed >> 32).unwrap_or(0),
        test: false,
        fill_limits: batch.fill_limits,
    };
    match keep_event(turn, &origin, change, &change.subject, route)? {
        Some(_) => receipt.accepted += 1,
        None => receipt.resent += 1,
    }
    Ok(())
}

/// Keeps the event that `change` makes and a delivery for each of the route's
/// webhooks; `None` if it is a resend, which is noted at the event it repeats.
pub(super) fn keep_event(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    change: &Change,
    subject: &Subject,
    route: &Route,
) -> rusqlite::Result<Option<EventId>> {
    let state = number_state(turn, route.account, subject)?;
    let position = turn.memory.last_position + 1;
    let (next, detail) = match transition(&state, change, origin.now, position, origin.fill_limits) {
        Transition::Resent(next, event) => {
            put_number(turn, route.account, subject, &next)?;
            let mut note =
                turn.sql.prepare_cached("UPDATE events SET resends = resends + 1 WHERE position = ?1")?;
            note.execute([event])?;
            return Ok(None);
        }
        Transition::News(next, detail) => (next, detail),
    };
    let id = EventId::new(origin.now, position, origin.random);
    let number = put_number(turn, route.account, subject, &next)?;
    let envelope = Envelope {
        id,
        timestamp: origin.timestamp,
        business_account: &change.business_account,
        account: route.account_id,
    };
    let body: Arc<[u8]> = body(envelope, &detail).into();
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO events (position, accepted_at, random, account, number, sequence, type, app, test, resends, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10)",
    )?;
    insert.execute((
        position,
        origin.now.ms(),
        origin.random,
        route.account.0,
        number.0,
        next.sequence,
        event_type(&detail),
        origin.app,
        origin.test,
        &*body,
    ))?;
    drop(insert);
    turn.memory.last_position = position;
    let event = Owed { id, position, account: route.account, number, sequence: next.sequence, body };
    owe(turn, origin, &event, &route.webhooks)?;
    Ok(Some(id))
}

/// An event about to be owed.
struct Owed {
    id: EventId,
    position: i64,
    account: AccountKey,
    number: NumberKey,
    sequence: i64,
    body: Arc<[u8]>,
}

/// Keeps a delivery for each webhook. The head of a free lane goes straight to
/// the dispatcher if it has room, else it is due at once; the others wait.
fn owe(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    event: &Owed,
    webhooks: &[WebhookKey],
) -> rusqlite::Result<()> {
    for (ordinal, &webhook) in (0..).zip(webhooks) {
        let lane = Lane { webhook, number: event.number };
        let delivery = DeliveryId::new(event.position, ordinal);
        let head = !lane_is_taken(turn, event.account, lane)?;
        let mut token = 0;
        let mut due_at = head.then_some(origin.now);
        if head && turn.reserve(webhook) {
            let lease = turn.lease(origin.now);
            (token, due_at) = (lease.token, Some(lease.until));
            turn.hand_over(Claimed {
                delivery,
                lease,
                lane,
                event: event.id,
                sequence: event.sequence,
                attempts: 0,
                attempts_before: 0,
                test: origin.test,
                body: Arc::clone(&event.body),
            });
        } else if head {
            turn.note_due(webhook, origin.now);
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

fn lane_is_taken(turn: &Turn<'_>, account: AccountKey, lane: Lane) -> rusqlite::Result<bool> {
    let mut select = turn.sql.prepare_cached(
        "SELECT 1 FROM deliveries WHERE account = ?1 AND webhook = ?2 AND number = ?3 AND state = 0 LIMIT 1",
    )?;
    select.exists((account.0, lane.webhook.0, lane.number.0))
}

/// What is known of a subject.
fn number_state(turn: &Turn<'_>, account: AccountKey, subject: &Subject) -> rusqlite::Result<NumberState> {
    let mut select = turn.sql.prepare_cached(
        "SELECT sequence, limit_value, limit_since, latest FROM numbers \
         WHERE account = ?1 AND subject = ?2",
    )?;
    let found = select.query_row((account.0, subject.as_str()), |row| {
        let limit: Option<String> = row.get(1)?;
        let since: Option<i64> = row.get(2)?;
        Ok(NumberState {
            sequence: row.get(0)?,
            limit: limit.zip(since.map(Timestamp::from_ms)),
            latest: decode_latest(row.get_ref(3)?.as_blob()?),
        })
    });
    Ok(found.optional()?.unwrap_or_default())
}

fn put_number(
    turn: &Turn<'_>,
    account: AccountKey,
    subject: &Subject,
    state: &NumberState,
) -> rusqlite::Result<NumberKey> {
    let mut upsert = turn.sql.prepare_cached(
        "INSERT INTO numbers (account, subject, sequence, limit_value, limit_since, latest) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (account, subject) DO UPDATE SET \
         sequence = ?3, limit_value = ?4, limit_since = ?5, latest = ?6 \
         RETURNING key",
    )?;
    let limit = state.limit.as_ref();
    upsert.query_row(
        (
            account.0,
            subject.as_str(),
            state.sequence,
            limit.map(|(value, _)| value),
            limit.map(|(_, since)| since.ms()),
            encode_latest(&state.latest),
        ),
        |row| row.get(0).map(NumberKey),
    )
}

/// The last changes as one value: for each, the field's length and name, the
/// fingerprint, then the time and the event's position in eight bytes each.
fn encode_latest(latest: &[Latest]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(latest.len() * 64);
    for Latest { field, fingerprint, time, event } in latest {
        let name = &field.as_bytes()[..field.len().min(usize::from(u8::MAX))];
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(fingerprint);
        bytes.extend_from_slice(&time.to_be_bytes());
        bytes.extend_from_slice(&event.to_be_bytes());
    }
    bytes
}

fn decode_latest(mut bytes: &[u8]) -> Vec<Latest> {
    let mut latest = Vec::new();
    while let Some((&length, rest)) = bytes.split_first()
        && let Some((name, rest)) = rest.split_at_checked(usize::from(length))
        && let Some((fingerprint, rest)) = rest.split_first_chunk::<16>()
        && let Some((time, rest)) = rest.split_first_chunk::<8>()
        && let Some((event, rest)) = rest.split_first_chunk::<8>()
    {
        let field = String::from_utf8_lossy(name).into_owned();
        let (time, event) = (i64::from_be_bytes(*time), i64::from_be_bytes(*event));
        latest.push(Latest { field, fingerprint: *fingerprint, time, event });
        bytes = rest;
    }
    latest
}
