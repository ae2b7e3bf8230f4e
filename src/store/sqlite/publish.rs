//! Events that do not come from Meta, and changes that waited.

use rusqlite::OptionalExtension;

use super::events::{Kind, Origin, bits, keep_event};
use super::routes::{Route, find_route};
use super::rows::{instant, within_bytes};
use super::writer::Turn;
use crate::model::change::Change;
use crate::model::id::{AccountKey, EventId, WebhookId, WebhookKey};
use crate::model::number::Subject;
use crate::store::queue::{Audience, Publication, Published, Waiting};

/// Keeps a published event, once per idempotency key.
pub(super) fn publish(turn: &mut Turn<'_>, publication: &Publication) -> rusqlite::Result<Published> {
    let found = account(turn, publication)?;
    let Some((account, configured)) = found else {
        return Ok(Published::UnknownBusinessAccount);
    };
    if let Some(before) = published_before(turn, account, publication)? {
        return Ok(before);
    }
    if !configured {
        return Ok(Published::NotConfigured);
    }
    let route = match publication.audience {
        Audience::Test(webhook) => {
            let Some(key) = target(turn, account, webhook)? else {
                return Ok(Published::UnknownWebhook);
            };
            Route {
                account,
                account_id: publication.account,
                configured,
                waiting: false,
                webhooks: vec![key],
                latest: Vec::new(),
            }
        }
        Audience::Routed => {
            let route = find_route(turn, publication.change.business_account.as_str())?;
            let Some(route) = route.filter(|route| route.account == account) else {
                return Ok(Published::UnknownBusinessAccount);
            };
            (*route).clone()
        }
    };
    let origin = Origin {
        now: publication.now,
        timestamp: publication.timestamp.unwrap_or(publication.now),
        app: None,
        random: bits(publication.random, 0),
        kind: match publication.audience {
            Audience::Test(_) => Kind::Test,
            Audience::Routed => Kind::Change,
        },
        fill_limits: publication.fill_limits,
    };
    // What an account publishes is news, even the latest value again.
    let mut change = Change { time: None, ..publication.change.clone() };
    if origin.kind == Kind::Test {
        change.subject = Subject::test(publication.random);
    }
    let id = keep_event(turn, &origin, &change, &route)?.expect("a change without a time is never a resend");
    remember(turn, account, publication, id)?;
    Ok(Published::Accepted(id))
}

fn account(turn: &Turn<'_>, publication: &Publication) -> rusqlite::Result<Option<(AccountKey, bool)>> {
    let mut select = turn.sql.prepare_cached("SELECT key, chat_apps FROM accounts WHERE id = ?1")?;
    let id = publication.account.to_string();
    select.query_row([id], |row| Ok((AccountKey(row.get(0)?), row.get(1)?))).optional()
}

fn published_before(
    turn: &Turn<'_>,
    account: AccountKey,
    publication: &Publication,
) -> rusqlite::Result<Option<Published>> {
    let Some((key, request)) = &publication.idempotency else { return Ok(None) };
    let mut select = turn
        .sql
        .prepare_cached("SELECT request, event_id FROM idempotency_keys WHERE account = ?1 AND key = ?2")?;
    let found: Option<([u8; 16], String)> =
        select.query_row((account.0, key), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.map(|(before, id)| match id.parse() {
        Ok(id) if before == *request => Published::Repeated(id),
        _ => Published::KeyReused,
    }))
}

fn remember(
    turn: &Turn<'_>,
    account: AccountKey,
    publication: &Publication,
    id: EventId,
) -> rusqlite::Result<()> {
    let Some((key, request)) = &publication.idempotency else { return Ok(()) };
    let mut insert = turn.sql.prepare_cached(
        "INSERT INTO idempotency_keys (account, key, request, event_id, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute((account.0, key, request, id.to_string(), publication.now.ms()))?;
    Ok(())
}

/// The account's webhook of that id, if anything is sent to it.
pub(super) fn target(
    turn: &Turn<'_>,
    account: AccountKey,
    webhook: WebhookId,
) -> rusqlite::Result<Option<WebhookKey>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT key FROM webhooks WHERE id = ?1 AND account = ?2 AND type = 'CABM' AND enabled = 1 \
         AND deleted_at IS NULL",
    )?;
    select.query_row((webhook.to_string(), account.0), |row| row.get(0).map(WebhookKey)).optional()
}

/// Unrouted changes of one business account that can be routed now, oldest
/// first. One none of whose changes waits any more takes new ones directly from
/// then on.
pub(super) fn waiting(turn: &mut Turn<'_>, limit: usize) -> rusqlite::Result<Vec<Waiting>> {
    let freed = turn
        .sql
        .prepare_cached(
            "UPDATE business_accounts SET waiting = 0 WHERE waiting = 1 AND NOT EXISTS \
             (SELECT 1 FROM unrouted u WHERE u.business_account = business_accounts.id)",
        )?
        .execute([])?;
    if freed > 0 {
        turn.forget_routes();
    }
    let first: Option<String> = turn
        .sql
        .prepare_cached(
            "SELECT b.id FROM business_accounts b INDEXED BY business_accounts_waiting \
             CROSS JOIN accounts a ON a.key = b.account AND a.chat_apps = 1 WHERE b.waiting = 1 LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(business_account) = first else { return Ok(Vec::new()) };
    let mut select = turn.sql.prepare_cached(
        "SELECT row, app, business_account, time, received_at, field, raw FROM unrouted \
         WHERE business_account = ?1 ORDER BY row LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select.query_map((business_account, limit), |row| {
        Ok(Waiting {
            row: row.get(0)?,
            app: row.get(1)?,
            business_account: row.get(2)?,
            time: row.get(3)?,
            received_at: instant(row, 4)?,
            field: row.get(5)?,
            raw: row.get(6)?,
        })
    })?;
    // What is left is asked for next.
    within_bytes(rows, |waiting: &Waiting| waiting.raw.len()).map(|(items, _)| items)
}
