//! What follows from what others than numbers themselves say of them: events
//! that no notification said, and what is learned without one.
//!
//! A `business_capability_update` is held against every number of its business
//! account in its own transaction, as far as a bounded number of them goes. The
//! rest is a row of `capabilities` that the janitor takes further: how far it is
//! moves in the transaction of the events that this makes, so each number hears
//! of it once whatever breaks. While such a row waits, later updates of the
//! business account queue up behind it.

use rusqlite::OptionalExtension;

use super::events::{Content, Kind, Origin, bits, keep};
use super::numbers;
use super::routes::{Route, find_route};
use super::writer::Turn;
use crate::model::change::{Capability, Change, Detail};
use crate::model::event::Derived;
use crate::model::id::{BusinessAccountId, NumberKey};
use crate::model::number::{LearnedBy, NumberState, Stale};
use crate::model::time::Timestamp;
use crate::policy::supersede::tells;
use crate::policy::transition::{Learned, by_capability};
use crate::store::queue::Derivation;

/// How far an update got.
#[derive(Default)]
pub(super) struct Heard {
    /// Events that followed.
    pub(super) events: u64,
    /// Whether numbers are left.
    pub(super) unfinished: bool,
}

/// Holds a capability update against its numbers, `hearers` of them at most.
pub(super) fn spread(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    (change, capability): (&Change, &Capability),
    derive: bool,
    route: &Route,
    hearers: &mut usize,
) -> rusqlite::Result<Heard> {
    let business_account = change.business_account.as_str();
    let queued = turn
        .sql
        .prepare_cached("SELECT 1 FROM capabilities WHERE business_account = ?1")?
        .exists([business_account])?;
    let mut hearing =
        Hearing { business_account: &change.business_account, capability, derive, number: NumberKey(0) };
    let room = if queued { 0 } else { *hearers };
    let (events, through) = hear(turn, origin, &mut hearing, route, room, hearers)?;
    if !through {
        let mut insert = turn.sql.prepare_cached(
            "INSERT INTO capabilities \
             (account, business_account, limit_value, of_portfolio, derive, at, app, number) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        insert.execute((
            route.account.0,
            business_account,
            &capability.limit,
            capability.of_portfolio,
            derive,
            origin.timestamp.ms(),
            origin.app.unwrap_or_default(),
            hearing.number.0,
        ))?;
    }
    Ok(Heard { events, unfinished: !through })
}

/// An update on its way through the numbers.
struct Hearing<'a> {
    business_account: &'a BusinessAccountId,
    capability: &'a Capability,
    derive: bool,
    /// The last number that has heard of it.
    number: NumberKey,
}

/// The next numbers hear of it, `room` at most, which are taken from `hearers`.
/// How many events followed, and whether it is through.
fn hear(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    hearing: &mut Hearing<'_>,
    route: &Route,
    room: usize,
    hearers: &mut usize,
) -> rusqlite::Result<(u64, bool)> {
    let business_account = hearing.business_account.as_str();
    let mut next =
        numbers::of_business_account(turn.sql, route.account, business_account, hearing.number, room + 1)?;
    let through = next.len() <= room;
    next.truncate(room);
    *hearers = hearers.saturating_sub(next.len());
    let mut events = 0;
    for (key, subject) in next {
        hearing.number = key;
        let Some(known) = turn.memory.tail.number(turn.sql, route.account, &subject)? else { continue };
        let state = &known.state;
        let Some(digits) = subject.digits().filter(|_| !state.retired) else { continue };
        let terms = origin.terms(LearnedBy::Capability, turn.memory.last_position + 1, false);
        let learned = by_capability(state, digits, hearing.capability, hearing.derive, &terms);
        let number = Number { key, state, business_account: hearing.business_account };
        events += keep_learned(
            turn,
            origin,
            &number,
            learned,
            (LearnedBy::Capability, Some(Derived::Capability)),
            route,
        )?;
    }
    Ok((events, through))
}

/// A number of which something was learned.
pub(super) struct Number<'a> {
    pub(super) key: NumberKey,
    pub(super) state: &'a NumberState,
    pub(super) business_account: &'a BusinessAccountId,
}

/// Keeps what was learned of a number and the events that follow; says how many.
pub(super) fn keep_learned(
    turn: &mut Turn<'_>,
    origin: &Origin<'_>,
    number: &Number<'_>,
    learned: Learned,
    (by, derived): (LearnedBy, Option<Derived>),
    route: &Route,
) -> rusqlite::Result<u64> {
    let Learned { state, events, quiet } = learned;
    let mut made = 0_u64;
    for (sequence, event) in (number.state.sequence + 1..).zip(events) {
        let detail = Detail::Quality(event.quality);
        let content = Content {
            number: number.key,
            sequence,
            detail: &detail,
            changed: &event.changed,
            stale: Stale::default(),
            derived,
            tells: tells(&detail, Stale::default()),
        };
        keep(turn, &origin.nth(turn.memory.last_position), number.business_account, &content, route)?;
        made += 1;
    }
    let last = turn.memory.last_position;
    let untold = made == 0 && state.revision != number.state.revision;
    numbers::observe(turn, route.account, number.key, last, (origin.now, by), (&quiet, untold))?;
    if state != *number.state {
        turn.memory.tail.put(number.key, state);
    }
    Ok(made)
}

impl Origin<'_> {
    /// The same for one of several events: with random bits of its own.
    fn nth(&self, nth: i64) -> Self {
        Self { random: bits(u64::from(self.random) << 32, nth.cast_unsigned()), ..*self }
    }
}

/// Takes the oldest update that is not through further, by `step` numbers; one of
/// an account that is not configured waits until it is, and one of a business
/// account that is not registered for that. How many events followed, and whether
/// more is left.
pub(super) fn go_on(
    turn: &mut Turn<'_>,
    &Derivation { step, now, fill_limits, random }: &Derivation,
) -> rusqlite::Result<(u64, bool)> {
    let Some(waiting) = oldest(turn)? else { return Ok((0, false)) };
    let business_account = waiting.business_account.parse::<BusinessAccountId>().ok();
    let route = find_route(turn, &waiting.business_account)?;
    let ours = route.filter(|route| route.account.0 == waiting.account);
    let (mut events, mut through) = (0, true);
    if let (Some(route), Some(business_account)) = (ours, &business_account) {
        let origin = Origin {
            now,
            timestamp: waiting.at,
            app: Some(&waiting.app),
            random: bits(random, 0),
            kind: Kind::Change,
            fill_limits,
        };
        let Waiting { capability, derive, number, .. } = &waiting;
        let mut hearing = Hearing { business_account, capability, derive: *derive, number: *number };
        let mut room = step;
        (events, through) = hear(turn, &origin, &mut hearing, &route, step, &mut room)?;
        turn.sql
            .prepare_cached("UPDATE capabilities SET number = ?2 WHERE row = ?1")?
            .execute((waiting.row, hearing.number.0))?;
    }
    if through {
        turn.sql.prepare_cached("DELETE FROM capabilities WHERE row = ?1")?.execute([waiting.row])?;
    }
    let more = !through || oldest(turn)?.is_some();
    Ok((events, more))
}

/// A row of `capabilities`.
struct Waiting {
    row: i64,
    account: i64,
    business_account: String,
    capability: Capability,
    derive: bool,
    at: Timestamp,
    app: String,
    number: NumberKey,
}

fn oldest(turn: &Turn<'_>) -> rusqlite::Result<Option<Waiting>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT c.row, c.account, c.business_account, c.limit_value, c.of_portfolio, c.derive, c.at, c.app, c.number \
         FROM capabilities c CROSS JOIN accounts a ON a.key = c.account AND a.chat_apps = 1 \
         CROSS JOIN business_accounts b ON b.id = c.business_account AND b.account = c.account \
         ORDER BY c.row LIMIT 1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let (limit, of_portfolio) = (row.get(3)?, row.get(4)?);
        Ok(Waiting {
            row: row.get(0)?,
            account: row.get(1)?,
            business_account: row.get(2)?,
            capability: Capability { limit, of_portfolio, details: String::new() },
            derive: row.get(5)?,
            at: Timestamp::from_ms(row.get(6)?),
            app: row.get(7)?,
            number: NumberKey(row.get(8)?),
        })
    };
    select.query_row([], read).optional()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_events_of_one_update_have_random_bits_of_their_own_and_those_of_another_have_others() {
        let of = |random| {
            let (now, timestamp) = (Timestamp::default(), Timestamp::default());
            let origin = Origin { now, timestamp, app: None, random, kind: Kind::Change, fill_limits: true };
            (0..100).map(move |nth| origin.nth(nth).random)
        };
        let all: BTreeSet<u32> = (1..100).flat_map(of).collect();
        assert!(all.len() > 9_890, "{} of 9,900 differ", all.len());
        let far = of(1).zip(of(2)).filter(|(one, other)| one.abs_diff(*other) > 0).count();
        assert_eq!(far, 100, "what is known of one says nothing of the other");
    }
}
