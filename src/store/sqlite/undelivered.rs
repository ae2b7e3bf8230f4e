//! What has not arrived: of each lane the oldest delivery that is pending or
//! exhausted. Both stand in indexes by lane, so each lane costs a few looks,
//! however much waits behind. Test events are nobody's loss and are passed over.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row};

use super::deliveries::last_failure;
use super::listing::{self, VISITS};
use super::rows::{self, account_key, page, unreadable, webhook_key};
use crate::model::id::{AccountId, AccountKey, DeliveryId, NumberKey, Position, WebhookId, WebhookKey};
use crate::model::time::Timestamp;
use crate::store::Error;
use crate::store::catalog::{Page, Sweep, SweepPlace, Undelivered};

/// Events of a number looked at for the last one that was acknowledged, from the
/// newest on, and again from the oldest undelivered one back.
const LOOKS: usize = 200;

/// Events past the listing's watermark that are looked at: twice what it leaves.
const TAIL: i64 = 10_000;

/// A page of numbers with what has not arrived of them; nothing if the account
/// has no such webhook.
pub(super) fn undelivered(
    sql: &Connection,
    (account, webhook): (AccountId, WebhookId),
    after: Option<i64>,
    limit: usize,
) -> Result<Page<Undelivered, i64>, Error> {
    let nothing = Page { items: Vec::new(), next: None };
    let Some(account) = account_key(sql, account)? else { return Ok(nothing) };
    let Some(webhook) = webhook_key(sql, account, webhook)? else { return Ok(nothing) };
    let (under_way, tail) = (under_way(sql, webhook)?, tail(sql)?);
    let mut found: Vec<(i64, Undelivered)> = Vec::new();
    let (mut number, mut unread) = (after.unwrap_or(i64::MIN), None);
    for visits in 1.. {
        let Some((next, oldest)) = next_number(sql, (account, webhook, number), &under_way)? else { break };
        if let Some(item) = about(sql, account, webhook, oldest, &tail)? {
            found.push((next, item));
        }
        number = next;
        if found.len() > limit.max(1) {
            break;
        }
        if visits == VISITS {
            unread = Some(number);
            break;
        }
    }
    let page = page(found, limit, unread, |(number, _)| *number);
    Ok(Page { items: page.items.into_iter().map(|(_, item)| item).collect(), next: page.next })
}

/// The oldest delivery under way in each lane of a webhook.
fn under_way(sql: &Connection, webhook: WebhookKey) -> rusqlite::Result<BTreeMap<i64, i64>> {
    let mut select = sql.prepare_cached(
        "SELECT number, min(id) FROM deliveries INDEXED BY deliveries_leased \
         WHERE lease <> 0 AND webhook = ?1 GROUP BY number",
    )?;
    select.query_map([webhook.0], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The next number with something undelivered, and the oldest of that.
fn next_number(
    sql: &Connection,
    (account, webhook, after): (AccountKey, WebhookKey, i64),
    under_way: &BTreeMap<i64, i64>,
) -> rusqlite::Result<Option<(i64, i64)>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let lane = (account.0, webhook.0, after);
    let waiting: Option<(i64, i64)> = sql
        .prepare_cached(
            "SELECT number, id FROM deliveries INDEXED BY deliveries_pending WHERE account = ?1 \
             AND webhook = ?2 AND number > ?3 AND state = 0 AND lease = 0 ORDER BY number, id LIMIT 1",
        )?
        .query_row(lane, read)
        .optional()?;
    let exhausted = sql
        .prepare_cached(
            "SELECT number, id FROM deliveries INDEXED BY deliveries_exhausted WHERE account = ?1 \
             AND webhook = ?2 AND number > ?3 AND state = 2 ORDER BY number, id LIMIT 1",
        )?
        .query_row(lane, read)
        .optional()?;
    let leased = after.checked_add(1).and_then(|from| under_way.range(from..).next());
    // The least number, and of that one the least id.
    Ok([waiting, exhausted, leased.map(|(number, id)| (*number, *id))].into_iter().flatten().min())
}

fn about(
    sql: &Connection,
    account: AccountKey,
    webhook: WebhookKey,
    oldest: i64,
    tail: &HashMap<i64, Vec<Position>>,
) -> Result<Option<Undelivered>, Error> {
    let oldest = DeliveryId(oldest);
    let Some(delivery) = rows::delivery(sql, account, oldest)? else { return Ok(None) };
    let (sequence, number, test): (i64, i64, bool) = sql
        .prepare_cached("SELECT sequence, number, test FROM events WHERE position = ?1")?
        .query_row([oldest.position()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if test {
        return Ok(None);
    }
    let last_failure = last_failure(sql, oldest)?;
    let number = NumberKey(number);
    let newest = positions(sql, number, tail, Position::MAX)?;
    let before = positions(sql, number, tail, oldest.position())?;
    let acknowledged = newest
        .into_iter()
        .chain(before)
        .find_map(|at| acknowledged(sql, webhook, at).transpose())
        .transpose()?;
    Ok(Some(Undelivered { delivery, sequence, last_failure, acknowledged }))
}

/// The sequence of the event at a position, if the webhook has acknowledged it.
fn acknowledged(sql: &Connection, webhook: WebhookKey, at: Position) -> rusqlite::Result<Option<i64>> {
    let ids = (DeliveryId::new(at, 0).0, DeliveryId::new(at + 1, 0).0);
    sql.prepare_cached(
        "SELECT (SELECT sequence FROM events WHERE position = ?1) FROM deliveries \
         WHERE id >= ?2 AND id < ?3 AND webhook = ?4 AND state = 1",
    )?
    .query_row((at, ids.0, ids.1, webhook.0), |row| row.get(0))
    .optional()
    .map(Option::flatten)
}

/// Where events past the listing's watermark stand, by number, newest first.
fn tail(sql: &Connection) -> rusqlite::Result<HashMap<i64, Vec<Position>>> {
    let mut tail: HashMap<i64, Vec<Position>> = HashMap::new();
    listing::tail(sql, "position, number", TAIL, |row| {
        tail.entry(row.get(1)?).or_default().push(row.get(0)?);
        Ok(())
    })?;
    Ok(tail)
}

/// Events of a number before a position, newest first.
fn positions(
    sql: &Connection,
    number: NumberKey,
    tail: &HashMap<i64, Vec<Position>>,
    before: Position,
) -> rusqlite::Result<Vec<Position>> {
    let recent = tail.get(&number.0).into_iter().flatten().copied().filter(|at| *at < before);
    let mut positions: Vec<_> = recent.take(LOOKS).collect();
    let mut select = sql.prepare_cached(
        "SELECT position FROM events_by_number WHERE number = ?1 AND position < ?2 \
         ORDER BY position DESC LIMIT ?3",
    )?;
    let left = i64::try_from(LOOKS - positions.len()).unwrap_or(0);
    for at in select.query_map((number.0, before, left), |row| row.get(0))? {
        positions.push(at?);
    }
    Ok(positions)
}

/// One step of looking through all lanes for the oldest undelivered event of each
/// account: what is under way, then what waits, then what is exhausted.
pub(super) fn sweep(sql: &Connection, from: SweepPlace, step: usize) -> Result<Sweep, Error> {
    let mut sweeping = Sweeping { sql, oldest: BTreeMap::new() };
    let mut place = from;
    if place == SweepPlace::default() {
        sweeping.under_way()?;
    }
    let mut next = None;
    for visits in 1.. {
        let Some((lane, id)) = next_lane(sql, place)? else {
            if place.exhausted {
                break;
            }
            place = SweepPlace { exhausted: true, ..SweepPlace::default() };
            continue;
        };
        place = lane;
        if sweeping.is_there(lane.webhook)? {
            sweeping.meet(AccountKey(lane.account), DeliveryId(id))?;
        } else {
            // What is left of a deleted webhook is nobody's loss any more.
            place.number = i64::MAX;
        }
        if visits >= step {
            next = Some(place);
            break;
        }
    }
    Ok(Sweep { oldest: sweeping.by_id()?, next })
}

/// The lane behind a place, and its oldest delivery of that kind.
fn next_lane(sql: &Connection, place: SweepPlace) -> rusqlite::Result<Option<(SweepPlace, i64)>> {
    let mut select = sql.prepare_cached(if place.exhausted {
        "SELECT account, webhook, number, id FROM deliveries INDEXED BY deliveries_exhausted \
         WHERE (account, webhook, number) > (?1, ?2, ?3) AND state = 2 \
         ORDER BY account, webhook, number, id LIMIT 1"
    } else {
        "SELECT account, webhook, number, id FROM deliveries INDEXED BY deliveries_pending \
         WHERE (account, webhook, number) > (?1, ?2, ?3) AND state = 0 AND lease = 0 \
         ORDER BY account, webhook, number, id LIMIT 1"
    })?;
    select
        .query_row((place.account, place.webhook, place.number), |row| {
            let (account, webhook, number) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((SweepPlace { exhausted: place.exhausted, account, webhook, number }, row.get(3)?))
        })
        .optional()
}

struct Sweeping<'a> {
    sql: &'a Connection,
    oldest: BTreeMap<AccountKey, Timestamp>,
}

impl Sweeping<'_> {
    fn under_way(&mut self) -> Result<(), Error> {
        let mut select = self.sql.prepare_cached(
            "SELECT account, min(id) FROM deliveries INDEXED BY deliveries_leased WHERE lease <> 0 GROUP BY account",
        )?;
        let found: Vec<(i64, i64)> =
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        found.into_iter().try_for_each(|(account, id)| self.meet(AccountKey(account), DeliveryId(id)))
    }

    fn is_there(&self, webhook: i64) -> rusqlite::Result<bool> {
        self.sql
            .prepare_cached("SELECT 1 FROM webhooks WHERE key = ?1 AND deleted_at IS NULL")?
            .exists([webhook])
    }

    fn meet(&mut self, account: AccountKey, id: DeliveryId) -> Result<(), Error> {
        let mut select =
            self.sql.prepare_cached("SELECT accepted_at FROM events WHERE position = ?1 AND test = 0")?;
        let accepted = select.query_row([id.position()], |row| rows::instant(row, 0)).optional()?;
        if let Some(accepted) = accepted {
            let oldest = self.oldest.entry(account).or_insert(accepted);
            *oldest = accepted.min(*oldest);
        }
        Ok(())
    }

    /// By the accounts' own ids. One that is deleted has none.
    fn by_id(self) -> Result<Vec<(AccountId, Timestamp)>, Error> {
        let mut select = self.sql.prepare_cached("SELECT id FROM accounts WHERE key = ?1")?;
        let mut all = Vec::new();
        for (account, oldest) in self.oldest {
            let id: Option<String> = select.query_row([account.0], |row| row.get(0)).optional()?;
            if let Some(id) = id {
                all.push((id.parse().map_err(|_| Error::from(unreadable(0)))?, oldest));
            }
        }
        Ok(all)
    }
}
