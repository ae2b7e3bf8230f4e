//! Snapshots: a webhook is told how each number in its scope stands.
//!
//! Each number's events go into its lane like any other, to this webhook alone,
//! in the transaction that reads the number: so they come after what was
//! accepted before and before what is accepted later. A snapshot changes nothing
//! of the number: its events carry the sequence at which it stands. It goes a
//! step at a time in the order of the numbers, and the place it has reached is
//! kept with each step, so that it goes on after a crash and tells of none twice.

use rusqlite::{Connection, OptionalExtension};

use super::events::{Content, Kind, Origin, bits, keep};
use super::numbers::NumberRow;
use super::publish::target;
use super::routes::{Route, find_route};
use super::rows::account_key;
use super::writer::Turn;
use crate::model::id::{AccountId, AccountKey, BusinessAccountId, WebhookId, WebhookKey};
use crate::model::number::{Stale, Subject};
use crate::model::time::Timestamp;
use crate::policy::snapshot::standing;
use crate::policy::supersede::tells;
use crate::store::Error;

/// Begins one; says whether anything is sent to such a webhook.
pub(super) fn put_snapshot(
    turn: &mut Turn<'_>,
    account: AccountId,
    webhook: WebhookId,
    random: u64,
) -> Result<bool, Error> {
    let Some(account) = account_key(turn.sql, account)? else { return Ok(false) };
    let Some(key) = target(turn, account, webhook)? else { return Ok(false) };
    begin(turn.sql, key, random)?;
    Ok(true)
}

/// Begins one, anew if it is under way.
pub(super) fn begin(sql: &Connection, webhook: WebhookKey, random: u64) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "INSERT INTO snapshots (webhook, cursor, random) VALUES (?1, '', ?2) \
         ON CONFLICT (webhook) DO UPDATE SET cursor = '', random = ?2",
    )?
    .execute((webhook.0, random.cast_signed()))?;
    Ok(())
}

/// Whom they are for.
pub(super) fn under_way(sql: &Connection) -> rusqlite::Result<Vec<WebhookKey>> {
    let mut select = sql.prepare_cached("SELECT webhook FROM snapshots ORDER BY webhook")?;
    select.query_map([], |row| row.get(0).map(WebhookKey))?.collect()
}

/// Tells of at most `step` further numbers; says whether more may follow. One
/// for a webhook that gets nothing any more ends.
pub(super) fn advance(
    turn: &mut Turn<'_>,
    webhook: WebhookKey,
    step: usize,
    now: Timestamp,
) -> Result<bool, Error> {
    let found = turn
        .sql
        .prepare_cached(
            "SELECT s.cursor, s.random, w.account FROM snapshots s JOIN webhooks w ON w.key = s.webhook \
             WHERE s.webhook = ?1 AND w.enabled = 1 AND w.deleted_at IS NULL",
        )?
        .query_row([webhook.0], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, AccountKey(row.get(2)?)))
        })
        .optional()?;
    let mut last = None;
    if let Some((cursor, random, account)) = found {
        let numbers = numbers(turn.sql, account, &cursor, step)?;
        for number in &numbers {
            tell(turn, webhook, account, number, random.cast_unsigned(), now)?;
        }
        last = numbers.last().filter(|_| numbers.len() >= step).cloned();
    }
    match &last {
        Some(last) => {
            let mut update =
                turn.sql.prepare_cached("UPDATE snapshots SET cursor = ?2 WHERE webhook = ?1")?;
            update.execute((webhook.0, last.as_str()))?
        }
        None => turn.sql.prepare_cached("DELETE FROM snapshots WHERE webhook = ?1")?.execute([webhook.0])?,
    };
    Ok(last.is_some())
}

/// The account's numbers behind `after`. Other subjects' texts begin with a
/// letter, which is behind all digits.
fn numbers(
    sql: &Connection,
    account: AccountKey,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Subject>> {
    let mut select = sql.prepare_cached(
        "SELECT subject FROM numbers INDEXED BY numbers_by_subject \
         WHERE account = ?1 AND subject > ?2 AND subject < ':' ORDER BY subject LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows =
        select.query_map((account.0, after, limit), |row| Ok(Subject::stored(row.get_ref(0)?.as_str()?)))?;
    rows.collect()
}

/// Keeps the events that say how the number stands, if the webhook would get its
/// changes.
fn tell(
    turn: &mut Turn<'_>,
    webhook: WebhookKey,
    account: AccountKey,
    subject: &Subject,
    random: u64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(row) = turn.memory.tail.look_up(turn.sql, account, subject)? else { return Ok(()) };
    let NumberRow { key: number, business_account, state } = row;
    let business_account = business_account.and_then(|id| id.parse::<BusinessAccountId>().ok());
    let Some(business_account) = business_account.filter(|_| !state.retired) else { return Ok(()) };
    let route = find_route(turn, business_account.as_str())?;
    let gets =
        |route: &Route| route.account == account && route.configured && route.webhooks.contains(&webhook);
    let Some(route) = route.filter(|route| gets(route)) else { return Ok(()) };
    let alone = Route { webhooks: vec![webhook], ..(*route).clone() };
    for told in standing(&state, subject.as_str()) {
        let position = turn.memory.last_position.cast_unsigned() + 1;
        let timestamp = told.since.unwrap_or(now);
        let origin = Origin {
            now,
            timestamp,
            app: None,
            random: bits(random, position),
            kind: Kind::Snapshot,
            fill_limits: false,
        };
        let content = Content {
            number,
            sequence: state.sequence,
            detail: &told.detail,
            changed: &[],
            stale: Stale::default(),
            derived: None,
            tells: tells(&told.detail, Stale::default()),
        };
        keep(turn, &origin, &business_account, &content, &alone)?;
    }
    Ok(())
}
