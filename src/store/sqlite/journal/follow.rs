//! Following the journal: from a place on, what concerns one account, with what
//! the entries only name. A step looks at a bounded part of it.

use rusqlite::{Connection, OptionalExtension};

use super::entry::{self, Entry};
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::id::{AccountId, AccountKey, DeliveryId, NumberKey, WebhookKey};
use crate::model::number::Subject;
use crate::store::Error;
use crate::store::journal::{Follow, Followed, News, Place};
use crate::store::sqlite::known;
use crate::store::sqlite::overlay::Inside;
use crate::store::sqlite::rows::{self, account_key, number_key, webhook_key};

/// Items of a step, and bytes of event bodies after which it ends.
const ITEMS: usize = 200;
const BODIES_BYTES: usize = 128 * 1024;

/// Bytes of the journal that a step looks at, whoever they concern.
const LOOKED_AT_BYTES: usize = 256 * 1024;

/// One step, over rows up to `durable`; `None` if there is no such account.
pub(in crate::store::sqlite) fn follow(
    sql: &Connection,
    inside: &Inside,
    follow: &Follow,
    durable: i64,
) -> Result<Option<Followed>, Error> {
    let Some(account) = account_key(sql, follow.account)? else { return Ok(None) };
    let Some(after) = follow.after else {
        let next = end(sql, durable)?;
        return Ok(Some(Followed { items: Vec::new(), next, more: false }));
    };
    let mut step = Step {
        sql,
        inside,
        owner: follow.account,
        account,
        wanted: Wanted::of(sql, account, follow)?,
        followed: Followed { items: Vec::new(), next: after, more: false },
        bodies: 0,
    };
    if !is_known(sql, after, durable)? {
        step.followed.next = beginning(sql)?;
        step.tell(News::Gap);
    }
    step.go(durable)?;
    Ok(Some(step.followed))
}

/// The place behind all that is durable.
fn end(sql: &Connection, durable: i64) -> Result<Place, Error> {
    let mut select = sql.prepare_cached("SELECT at, entries FROM journal WHERE row = ?1")?;
    let found = select
        .query_row([durable], |row| {
            let passed = entry::read(row.get_ref(1)?.as_blob()?).count();
            Ok(Place { row: durable, passed: u32::try_from(passed).unwrap_or(u32::MAX), at: row.get(0)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The place before all that is there.
fn beginning(sql: &Connection) -> Result<Place, Error> {
    let mut select = sql.prepare_cached("SELECT row, at FROM journal ORDER BY row LIMIT 1")?;
    let first =
        select.query_row([], |row| Ok(Place { row: row.get(0)?, passed: 0, at: row.get(1)? })).optional()?;
    Ok(first.unwrap_or_default())
}

/// Whether the journal holds all that follows a place.
fn is_known(sql: &Connection, place: Place, durable: i64) -> Result<bool, Error> {
    if place.row == 0 {
        return Ok(beginning(sql)?.row <= 1);
    }
    let mut select = sql.prepare_cached("SELECT 1 FROM journal WHERE row = ?1 AND at = ?2")?;
    Ok(place.row <= durable && select.exists((place.row, place.at))?)
}

/// What of the account is wanted, in the store's own keys.
struct Wanted<'a> {
    number: Only,
    webhook: Only,
    event_type: Option<&'a str>,
}

/// Which of its kind is wanted.
enum Only {
    Any,
    One(i64),
    /// One that is not there (yet).
    Unknown,
}

impl Only {
    fn takes(&self, key: i64) -> bool {
        match self {
            Self::Any => true,
            Self::One(wanted) => *wanted == key,
            Self::Unknown => false,
        }
    }
}

impl<'a> Wanted<'a> {
    /// A number that is not there yet may come: it is looked up with each step.
    fn of(sql: &Connection, account: AccountKey, follow: &'a Follow) -> rusqlite::Result<Self> {
        let number = match &follow.number {
            None => Only::Any,
            Some(subject) => {
                number_key(sql, account, subject)?.map_or(Only::Unknown, |NumberKey(key)| Only::One(key))
            }
        };
        let webhook = match follow.webhook {
            None => Only::Any,
            Some(id) => {
                webhook_key(sql, account, id)?.map_or(Only::Unknown, |WebhookKey(key)| Only::One(key))
            }
        };
        Ok(Self { number, webhook, event_type: follow.event_type.as_deref() })
    }

    fn takes_type(&self, event_type: &str) -> bool {
        self.event_type.is_none_or(|wanted| wanted == event_type)
    }
}

struct Step<'a> {
    sql: &'a Connection,
    inside: &'a Inside,
    owner: AccountId,
    account: AccountKey,
    wanted: Wanted<'a>,
    followed: Followed,
    bodies: usize,
}

impl Step<'_> {
    fn go(&mut self, durable: i64) -> Result<(), Error> {
        let mut select = self.sql.prepare_cached(
            "SELECT row, at, entries FROM journal WHERE row >= ?1 AND row <= ?2 ORDER BY row",
        )?;
        let begun = self.followed.next;
        let mut rows = select.query((begun.row, durable))?;
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            if looked_at >= LOOKED_AT_BYTES {
                self.followed.more = true;
                return Ok(());
            }
            let entries = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            looked_at += entries.len();
            let (number, at) = (row.get(0)?, row.get(1)?);
            let passed = if number == begun.row { begun.passed } else { 0 };
            self.followed.next = Place { row: number, passed, at };
            let mut read = 0;
            for (index, (entry, end)) in (0..).zip(entry::read(entries)) {
                read = end;
                if index < passed {
                    continue;
                }
                if self.followed.items.len() >= ITEMS || self.bodies >= BODIES_BYTES {
                    self.followed.more = true;
                    return Ok(());
                }
                self.followed.next.passed += 1;
                self.pass(entry)?;
            }
            // To pass over what can't be read would be to tell less.
            if read < entries.len() {
                return Err(rows::unreadable(2).into());
            }
        }
        Ok(())
    }

    fn pass(&mut self, entry: Entry) -> Result<(), Error> {
        if entry.account() != self.account {
            return Ok(());
        }
        match entry {
            Entry::Event { position, .. } => self.event(position),
            Entry::Delivery { delivery, state, attempts, .. } => self.delivery(delivery, state, attempts),
            Entry::Number { number, .. } => self.number(number),
        }
    }

    /// What is told is behind the place so far. One gap is enough in a row.
    fn tell(&mut self, news: News) {
        let place = self.followed.next;
        match self.followed.items.last_mut() {
            Some((last, News::Gap)) if news == News::Gap => *last = place,
            _ => self.followed.items.push((place, news)),
        }
    }

    fn event(&mut self, position: i64) -> Result<(), Error> {
        let mut select = self.sql.prepare_cached("SELECT number, type FROM events WHERE position = ?1")?;
        let taken = select
            .query_row([position], |row| {
                Ok(self.wanted.number.takes(row.get(0)?) && self.wanted.takes_type(row.get_ref(1)?.as_str()?))
            })
            .optional()?;
        drop(select);
        match taken {
            Some(false) => {}
            None => self.tell(News::Gap),
            Some(true) => {
                if let Some((event, _)) = rows::event(self.sql, self.account, position)? {
                    self.bodies += event.body.len();
                    self.tell(News::Event(event));
                }
            }
        }
        Ok(())
    }

    fn delivery(&mut self, id: DeliveryId, state: DeliveryState, attempts: u32) -> Result<(), Error> {
        let mut select = self.sql.prepare_cached("SELECT number, webhook FROM deliveries WHERE id = ?1")?;
        let taken = select
            .query_row([id.0], |row| {
                Ok(self.wanted.number.takes(row.get(0)?) && self.wanted.webhook.takes(row.get(1)?))
            })
            .optional()?;
        drop(select);
        match taken {
            Some(false) => {}
            None => self.tell(News::Gap),
            Some(true) => {
                let found = rows::delivery(self.sql, self.account, id)?;
                if let Some(now) = found.filter(|found| self.wanted.takes_type(&found.event_type)) {
                    let then = as_it_stood(self.sql, now, state, attempts)?;
                    self.tell(News::Delivery(then));
                }
            }
        }
        Ok(())
    }

    /// No event tells of it, so who asks for events of a type is not told.
    fn number(&mut self, number: NumberKey) -> Result<(), Error> {
        if !self.wanted.number.takes(number.0) || self.wanted.event_type.is_some() {
            return Ok(());
        }
        if let Some(digits) = rows::digits_of(self.sql, self.account, number)? {
            let now = known::number(self.sql, self.inside, self.owner, &Subject::stored(&digits))?;
            self.tell(now.map_or(News::Retired(digits), |now| News::Number(Box::new(now))));
        }
        Ok(())
    }
}

/// The delivery as it stood in `state` after so many attempts: much may have
/// happened since.
fn as_it_stood(
    sql: &Connection,
    now: Delivery,
    state: DeliveryState,
    attempts: u32,
) -> Result<Delivery, Error> {
    let last = match now.last {
        Some(last) if last.number == attempts => Some(last),
        _ => sql
            .prepare_cached(
                "SELECT number, started_at, duration_ms, class, status, note, answer, next_at FROM attempts \
                 WHERE delivery = ?1 AND number = ?2",
            )?
            .query_row((now.id.0, attempts), |row| rows::attempt(row, 0))
            .optional()?,
    };
    let next_at = last.as_ref().and_then(|last| last.next_at).filter(|_| state == DeliveryState::Pending);
    let superseded_by = now.superseded_by.filter(|_| state == DeliveryState::Superseded);
    Ok(Delivery { state, attempts, next_at, last, superseded_by, ..now })
}
