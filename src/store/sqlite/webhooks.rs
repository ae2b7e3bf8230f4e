//! Webhooks, and what becomes of their deliveries when they change.
//!
//! A disabled webhook keeps its pending deliveries: nobody claims them, and they
//! are due as before once it is enabled. A deleted one has its pending ones
//! canceled, a step at a time: the backlog of a receiver that hung for days must
//! not hold the writer up while intake waits.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::claim::next_due;
use super::journal::Entry;
use super::rows::{account_key, instant, known_account, parsed, webhook_key};
use super::snapshots;
use super::writer::Turn;
use crate::model::delivery::DeliveryState;
use crate::model::id::{AccountId, AccountKey, DeliveryId, WebhookId, WebhookKey};
use crate::model::time::Timestamp;
use crate::model::webhook::{Authorization, DeliveryMode, Scope, Webhook, WebhookType};
use crate::store::catalog::WEBHOOKS_PER_ACCOUNT;
use crate::store::{Error, ErrorKind, Handover};

/// So many deliveries are canceled along with their webhook's deletion.
const CANCELED_AT_ONCE: usize = 5_000;

const WEBHOOK: &str = "SELECT w.id, a.id, w.sub_account, w.type, w.url, w.enabled, w.http_authorization, w.oauth, \
     w.secret, w.previous_secret, w.previous_secret_until, w.created_at, w.updated_at, w.latest \
     FROM webhooks w JOIN accounts a ON a.key = w.account WHERE w.deleted_at IS NULL AND";

fn read_webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let authorization = match (row.get(6)?, row.get(7)?) {
        (Some(header), _) => Authorization::Header(header),
        (None, Some(oauth)) => Authorization::OAuth(oauth),
        (None, None) => Authorization::None,
    };
    let previous: Option<Vec<u8>> = row.get(9)?;
    let until: Option<i64> = row.get(10)?;
    Ok(Webhook {
        id: parsed(row, 0, |text| text.parse().ok())?,
        account: parsed(row, 1, |text| text.parse().ok())?,
        scope: parsed(row, 2, |text| text.parse().ok())?,
        kind: parsed(row, 3, WebhookType::parse)?,
        url: row.get(4)?,
        enabled: row.get(5)?,
        delivery: if row.get(13)? { DeliveryMode::Latest } else { DeliveryMode::All },
        authorization,
        secret: row.get(8)?,
        previous_secret: previous.zip(until.map(Timestamp::from_ms)),
        created_at: instant(row, 11)?,
        updated_at: instant(row, 12)?,
    })
}

pub(super) fn webhooks(sql: &Connection, account: AccountId) -> Result<Vec<Webhook>, Error> {
    let Some(account) = account_key(sql, account)? else { return Ok(Vec::new()) };
    let mut select = sql.prepare_cached(&format!("{WEBHOOK} w.account = ?1 ORDER BY w.key"))?;
    Ok(select.query_map([account.0], read_webhook)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn webhook(sql: &Connection, key: WebhookKey) -> Result<Option<Webhook>, Error> {
    let mut select = sql.prepare_cached(&format!("{WEBHOOK} w.key = ?1"))?;
    Ok(select.query_row([key.0], read_webhook).optional()?)
}

/// Tells the handover whose each webhook is; of those made later it is told then.
pub(super) fn tell_accounts(sql: &Connection, handover: &Handover) -> rusqlite::Result<()> {
    let mut select = sql.prepare("SELECT account, key FROM webhooks")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        handover.note_account(WebhookKey(row.get(1)?), AccountKey(row.get(0)?));
    }
    Ok(())
}

/// `snapshot`: one that begins to get events is told how the numbers stand, the
/// events' ids made with that.
pub(super) fn put_webhooks(
    turn: &mut Turn<'_>,
    webhooks: &[Webhook],
    snapshot: Option<u64>,
) -> Result<(), Error> {
    let mut accounts = BTreeSet::new();
    for webhook in webhooks {
        let account = known_account(turn.sql, webhook.account)?;
        let begins = put(turn, account, webhook)?;
        if let (Some(key), Some(random)) = (begins, snapshot) {
            snapshots::begin(turn.sql, key, random)?;
        }
        accounts.insert(account);
    }
    accounts.into_iter().try_for_each(|account| check_limit(turn.sql, account))
}

fn check_limit(sql: &Connection, account: AccountKey) -> Result<(), Error> {
    let count: i64 = sql
        .prepare_cached("SELECT count(*) FROM webhooks WHERE account = ?1 AND deleted_at IS NULL")?
        .query_row([account.0], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count > WEBHOOKS_PER_ACCOUNT) {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "an account may have {WEBHOOKS_PER_ACCOUNT} webhooks and this would make {count}; delete some first"
            ),
        ));
    }
    Ok(())
}

/// Creates or replaces one; its key, if it begins to get events by that.
fn put(turn: &mut Turn<'_>, account: AccountKey, webhook: &Webhook) -> Result<Option<WebhookKey>, Error> {
    let there = turn
        .sql
        .prepare_cached(
            "SELECT key, id, enabled FROM webhooks \
             WHERE account = ?1 AND sub_account = ?2 AND type = ?3 AND deleted_at IS NULL",
        )?
        .query_row((account.0, webhook.scope.as_str(), webhook.kind.as_str()), |row| {
            Ok((WebhookKey(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let gets = webhook.enabled && webhook.kind == WebhookType::Cabm;
    match there {
        None => {
            let key = insert(turn.sql, account, webhook)?;
            turn.note_made(key, account);
            Ok(gets.then_some(key))
        }
        Some((_, id, _)) if id != webhook.id.to_string() => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the webhook of {} and {} was configured by someone else just now; read it and try again",
                webhook.scope.as_str(),
                webhook.kind.as_str()
            ),
        )),
        Some((key, _, enabled)) => {
            update(turn.sql, key, webhook)?;
            turn.note_changed(key);
            if webhook.enabled && !enabled {
                note_held(turn, key)?;
            }
            Ok((gets && !enabled).then_some(key))
        }
    }
}

/// What it authorises itself with: the header's and OAuth's columns.
fn authorization(webhook: &Webhook) -> (Option<&[u8]>, Option<&[u8]>) {
    match &webhook.authorization {
        Authorization::None => (None, None),
        Authorization::Header(header) => (Some(header), None),
        Authorization::OAuth(oauth) => (None, Some(oauth)),
    }
}

fn insert(sql: &Connection, account: AccountKey, webhook: &Webhook) -> Result<WebhookKey, Error> {
    let (header, oauth) = authorization(webhook);
    let previous = webhook.previous_secret.as_ref();
    let key = sql
        .prepare_cached(
            "INSERT INTO webhooks (id, account, sub_account, type, url, enabled, http_authorization, oauth, secret, \
             previous_secret, previous_secret_until, created_at, updated_at, latest) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
             ON CONFLICT (id) DO NOTHING RETURNING key",
        )?
        .query_row(
            (
                webhook.id.to_string(),
                account.0,
                webhook.scope.as_str(),
                webhook.kind.as_str(),
                &webhook.url,
                webhook.enabled,
                header,
                oauth,
                &webhook.secret,
                previous.map(|(secret, _)| secret),
                previous.map(|(_, until)| until.ms()),
                webhook.created_at.ms(),
                webhook.updated_at.ms(),
                webhook.delivery == DeliveryMode::Latest,
            ),
            |row| row.get(0).map(WebhookKey),
        )
        .optional()?;
    let taken = || {
        Error::new(ErrorKind::Conflict, format!("the webhook id {} was used before; try again", webhook.id))
    };
    key.ok_or_else(taken)
}

/// Changes all but `delivery`, which has a way of its own.
fn update(sql: &Connection, key: WebhookKey, webhook: &Webhook) -> rusqlite::Result<usize> {
    let (header, oauth) = authorization(webhook);
    let previous = webhook.previous_secret.as_ref();
    sql.prepare_cached(
        "UPDATE webhooks SET url = ?2, enabled = ?3, http_authorization = ?4, oauth = ?5, secret = ?6, \
         previous_secret = ?7, previous_secret_until = ?8, updated_at = ?9 WHERE key = ?1",
    )?
    .execute((
        key.0,
        &webhook.url,
        webhook.enabled,
        header,
        oauth,
        &webhook.secret,
        previous.map(|(secret, _)| secret),
        previous.map(|(_, until)| until.ms()),
        webhook.updated_at.ms(),
    ))
}

pub(super) fn set_delivery(
    turn: &mut Turn<'_>,
    account: AccountId,
    id: WebhookId,
    delivery: DeliveryMode,
    now: Timestamp,
) -> Result<Option<Webhook>, Error> {
    let found = match account_key(turn.sql, account)? {
        Some(account) => webhook_key(turn.sql, account, id)?,
        None => None,
    };
    let Some(key) = found else { return Ok(None) };
    turn.sql
        .prepare_cached(
            "UPDATE webhooks SET latest = ?2, updated_at = ?3 WHERE key = ?1 AND deleted_at IS NULL",
        )?
        .execute((key.0, delivery == DeliveryMode::Latest, now.ms()))?;
    turn.note_changed(key);
    webhook(turn.sql, key)
}

/// Tells the dispatcher of what was held while the webhook was disabled.
fn note_held(turn: &mut Turn<'_>, key: WebhookKey) -> rusqlite::Result<()> {
    if let Some(due) = next_due(turn, key)? {
        turn.note_due(key, due);
    }
    Ok(())
}

pub(super) fn delete_webhooks(
    turn: &mut Turn<'_>,
    account: AccountId,
    identities: &[(Scope, WebhookType)],
    now: Timestamp,
) -> Result<(), Error> {
    let account = account_key(turn.sql, account)?;
    for (index, (scope, kind)) in identities.iter().enumerate() {
        let key = match account {
            Some(account) => find(turn.sql, account, scope, *kind)?,
            None => None,
        };
        let key = key.ok_or_else(|| Error::new(ErrorKind::NotFound, index.to_string()))?;
        delete(turn, key, now)?;
    }
    cancel_deleted(turn, CANCELED_AT_ONCE)?;
    Ok(())
}

fn find(
    sql: &Connection,
    account: AccountKey,
    scope: &Scope,
    kind: WebhookType,
) -> rusqlite::Result<Option<WebhookKey>> {
    sql.prepare_cached(
        "SELECT key FROM webhooks WHERE account = ?1 AND sub_account = ?2 AND type = ?3 AND deleted_at IS NULL",
    )?
    .query_row((account.0, scope.as_str(), kind.as_str()), |row| row.get(0).map(WebhookKey))
    .optional()
}

/// Deletes all of an account's webhooks.
pub(super) fn delete_all(turn: &mut Turn<'_>, account: AccountKey, now: Timestamp) -> Result<(), Error> {
    let keys: Vec<i64> = turn
        .sql
        .prepare_cached("SELECT key FROM webhooks WHERE account = ?1 AND deleted_at IS NULL")?
        .query_map([account.0], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    keys.into_iter().try_for_each(|key| delete(turn, WebhookKey(key), now))?;
    cancel_deleted(turn, CANCELED_AT_ONCE)?;
    Ok(())
}

/// The row stays, disabled so that nothing is claimed, and without secrets.
fn delete(turn: &mut Turn<'_>, key: WebhookKey, now: Timestamp) -> rusqlite::Result<()> {
    turn.sql
        .prepare_cached(
            "UPDATE webhooks SET deleted_at = ?2, enabled = 0, canceling = 1, http_authorization = NULL, \
             oauth = NULL, secret = x'', previous_secret = NULL, previous_secret_until = NULL WHERE key = ?1",
        )?
        .execute((key.0, now.ms()))?;
    turn.note_changed(key);
    Ok(())
}

/// Cancels at most `step` pending deliveries of deleted webhooks, leased ones
/// too: an attempt under way then settles in vain. Says whether more are left.
pub(super) fn cancel_deleted(turn: &mut Turn<'_>, step: usize) -> Result<bool, Error> {
    let sql = turn.sql;
    let mut left = step;
    while left > 0 {
        let next = sql
            .prepare_cached("SELECT account, key FROM webhooks WHERE canceling = 1 ORDER BY key LIMIT 1")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let Some((account, webhook)) = next else { return Ok(false) };
        let mut canceled = cancel_waiting(sql, account, webhook, left)?;
        if canceled.len() < left {
            let more = left - canceled.len();
            canceled.extend(cancel_leased(turn, WebhookKey(webhook), more)?);
        }
        for &(delivery, attempts) in &canceled {
            let (account, state) = (AccountKey(account), DeliveryState::Canceled);
            turn.count_settled(state);
            turn.tell(Timestamp::default(), Entry::Delivery { account, delivery, state, attempts });
        }
        if canceled.len() < left {
            sql.prepare_cached("UPDATE webhooks SET canceling = 0 WHERE key = ?1")?.execute([webhook])?;
        }
        left -= canceled.len();
    }
    Ok(true)
}

/// A canceled delivery, and how many attempts were made.
type Canceled = (DeliveryId, u32);

/// Cancels at most `limit` deliveries of a webhook that wait.
fn cancel_waiting(
    sql: &Connection,
    account: i64,
    webhook: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Canceled>> {
    let mut update = sql.prepare_cached(
        "UPDATE deliveries SET state = 3, due_at = NULL WHERE id IN (SELECT id FROM deliveries \
         INDEXED BY deliveries_pending WHERE account = ?1 AND webhook = ?2 AND state = 0 AND lease = 0 \
         LIMIT ?3) RETURNING id, attempts",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    update.query_map((account, webhook, limit), |row| Ok((DeliveryId(row.get(0)?), row.get(1)?)))?.collect()
}

/// Cancels at most `limit` leased deliveries of a webhook.
fn cancel_leased(turn: &mut Turn<'_>, webhook: WebhookKey, limit: usize) -> rusqlite::Result<Vec<Canceled>> {
    let mut update = turn.sql.prepare_cached(
        "UPDATE deliveries SET state = 3, due_at = NULL, lease = 0 WHERE id = ?1 RETURNING attempts",
    )?;
    let mut canceled = Vec::new();
    for (lane, held) in turn.memory.leases.of_webhook(webhook).iter().take(limit) {
        canceled.push((held.delivery, update.query_row([held.delivery.0], |row| row.get(0))?));
        turn.memory.leases.end(*lane, held.lease.token);
    }
    Ok(canceled)
}
