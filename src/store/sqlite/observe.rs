//! Readings of the source of truth, held against what is known. One that breaks
//! off and comes again finds known what it said before.

use super::derived::{Number, keep_learned};
use super::events::{Kind, Origin, bits};
use super::routes::{Route, find_route};
use super::writer::Turn;
use crate::model::event::Derived;
use crate::model::number::{LearnedBy, NumberState, Subject};
use crate::model::reading::{NumberReading, Reading};
use crate::policy::transition::{by_reading, moves};
use crate::store::queue::{Observation, Observed};

/// The status of a number where it is in use: in one business account at a time.
const CONNECTED: &str = "CONNECTED";

/// Takes a reading, or some numbers of one; see [`crate::store::Queue::observe`].
pub(super) fn observe(turn: &mut Turn<'_>, observation: &Observation) -> rusqlite::Result<Option<Observed>> {
    let route = find_route(turn, observation.reading.business_account.as_str())?;
    let Some(route) = route.filter(|route| route.configured) else { return Ok(None) };
    let mut observed = Observed::default();
    for number in &observation.reading.numbers {
        let Some(subject) = Subject::number(&number.display_phone_number) else { continue };
        observed.numbers += 1;
        let (learned, events) = take(turn, observation, number, &subject, &route)?;
        observed.learned += u64::from(learned);
        observed.events += events;
    }
    Ok(Some(observed))
}

/// One number; whether it was unknown, and how many events followed.
fn take(
    turn: &mut Turn<'_>,
    observation: &Observation,
    reading: &NumberReading,
    subject: &Subject,
    route: &Route,
) -> rusqlite::Result<(bool, u64)> {
    let Observation { now, reading: Reading { business_account, at, .. }, flags, fill_limits, random } =
        observation;
    let origin = Origin {
        now: *now,
        timestamp: *at,
        app: None,
        random: bits(*random, 0),
        kind: Kind::Change,
        fill_limits: *fill_limits,
    };
    let by = LearnedBy::Reconciliation;
    let known = turn.memory.tail.number(turn.sql, route.account, subject)?;
    // A number that moved is listed by the business account that it left, too.
    let whose = business_account.as_str();
    let elsewhere = known.as_ref().is_some_and(|known| known.is_elsewhere(subject, whose));
    let before = known.as_ref().map(|known| &*known.state);
    let status = reading.status.as_deref();
    let gone = before.is_none_or(|state| state.retired) && reading.is_gone();
    if gone || elsewhere && status != Some(CONNECTED) {
        return Ok((false, 0));
    }
    let digits = subject.digits().unwrap_or_default();
    let terms = origin.terms(by, turn.memory.last_position + 1, elsewhere).of_reading();
    let learned = by_reading(before, digits, reading, *flags, &terms);
    let unknown = before.is_none_or(|state| state.retired) && !learned.state.retired;
    let key = match &known {
        Some(known) => {
            if moves(&known.state, &terms) {
                turn.memory.tail.move_to(turn.sql, known.key, whose)?;
            }
            known.key
        }
        None => turn.memory.tail.add(turn.sql, route.account, subject, whose, NumberState::default())?,
    };
    let nothing = NumberState::default();
    let number = Number { key, state: before.unwrap_or(&nothing), business_account };
    let events = keep_learned(turn, &origin, &number, learned, (by, Some(Derived::Reconciliation)), route)?;
    Ok((unknown, events))
}
