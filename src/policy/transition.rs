//! A number's state and what is said of it: whether that is news, what it says
//! in full, and what is known afterwards (contract.md 5.1 and 5.5).
//!
//! Four speak of a number: its own notifications (and what the account
//! publishes), a `business_capability_update` of its business account, readings
//! of the source of truth, and a person. Whatever they say goes through
//! `learning`: a thing that is known changes only by what is said for a time
//! that is not earlier, so nothing late, repeated or overtaken makes it
//! regress. The first kind is here; the others, which make events that no
//! notification said, are in `derived`. What these told is remembered for a
//! while: the number's own notification may follow, and must not tell it again.

mod derived;
mod learning;

use std::time::Duration;

use crate::model::change::{Change, Detail, Quality};
use crate::model::id::Position;
use crate::model::number::{Changed, LATEST_KEPT, Latest, LearnedBy, NumberState, Stale, What};
use crate::model::time::Timestamp;
use crate::model::word::Word;
pub use derived::{
    Brought, ByHand, DerivedEvent, Learned, brought, by_capability, by_hand, by_reading, left, retired,
};
use learning::Learning;

/// Within this span the latest value, stamped anew, is a resend; and a
/// notification that says what a derived event told.
pub const RESEND_SECONDS: i64 = 8 * 24 * 3600;

/// A time that lies further ahead is taken for this: a bogus one must not keep
/// what is said later from counting for ever.
const AHEAD: Duration = Duration::from_hours(24);

/// How old what a reading says may be: copies at Meta that lag, clocks that differ.
/// What was said for a time since then is newer.
const LAG: Duration = Duration::from_secs(30);

/// Under which circumstances something is said.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// When it arrived.
    pub now: Timestamp,
    /// For which time it is said.
    pub at: Timestamp,
    /// The position that the next event will have.
    pub position: Position,
    /// By what it is learned.
    pub by: LearnedBy,
    /// Whether limits may be filled in; what Meta sent is never altered.
    pub fill: bool,
    /// Whether another business account speaks than the one that it belongs to.
    pub elsewhere: bool,
}

impl Terms {
    /// Those of a reading that was asked for at this time.
    #[must_use]
    pub fn of_reading(self) -> Self {
        Self { at: self.at.minus(LAG), ..self }
    }

    /// The time that it counts for.
    fn counted(&self) -> Timestamp {
        self.at.min(self.now.plus(AHEAD))
    }
}

/// What a change means for its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// What is known already, said again: no event, but a note at the one at this
    /// position. What else changed by it, if anything.
    Resent(NumberState, Position, Vec<Changed>),
    /// An event, and what is known after it.
    News(News),
}

/// An event to be, and what is known after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What is known then.
    pub state: NumberState,
    /// What it says in full.
    pub detail: Detail,
    /// What changed by it.
    pub changed: Vec<Changed>,
    /// What it tells although something newer is known.
    pub stale: Stale,
}

/// Whether the number belongs to the business account that speaks from now on:
/// one that is late does not take it back. What follows counts that as a change.
pub fn moves(state: &NumberState, terms: &Terms) -> bool {
    terms.elsewhere && terms.counted() >= state.placed.max(state.not_before)
}

/// For when it is said whose the number is, once somebody has spoken who named it.
fn placed(state: &NumberState, terms: &Terms) -> Timestamp {
    let at = terms.counted();
    if at >= state.placed.max(state.not_before) { at } else { state.placed }
}

/// Holds `change` against what is known of its number.
pub fn transition(state: &NumberState, change: &Change, terms: &Terms) -> Transition {
    let time = change.time.unwrap_or_else(|| terms.at.seconds());
    let at = terms.counted();
    let own = change.subject.digits().is_some();
    let quality = match &change.detail {
        Detail::Quality(quality) if own => Some(quality),
        Detail::Quality(_) | Detail::Capability(_) | Detail::Other { .. } => None,
    };
    // Without a time it can't be told from a change back; what a derived event told
    // it may still repeat.
    let timed = change.time.is_some() || terms.by == LearnedBy::Notification;
    if own && timed && !begins_anew(state, quality, terms) {
        let latest = resent(state, change, time)
            .filter(|_| change.time.is_some() && quality.is_none_or(|said| holds(state, said, at)));
        let told = || quality.and_then(|said| already_told(state, said, time, at));
        if let Some(event) = latest.or_else(told) {
            let said_again = said_again(state, quality, terms);
            return Transition::Resent(
                NumberState { latest: latest_after(state, change, time, event), ..said_again.0 },
                event,
                said_again.1,
            );
        }
    }
    Transition::News(news(state, change, quality, time, terms))
}

/// What is known after it is said again: that confirms it, and what else is said
/// and nobody knew is learned.
fn said_again(state: &NumberState, quality: Option<&Quality>, terms: &Terms) -> (NumberState, Vec<Changed>) {
    let mut learning = Learning::new(state, terms.by, terms.counted());
    for (what, value) in quality.into_iter().flat_map(said) {
        let limit = state.value(What::Limit).filter(|_| what == What::PortfolioLimit);
        // The limit that is known, in other words: the portfolio's has become this.
        if limit.is_some_and(|limit| What::Limit.same(limit, &value)) {
            learning.say(what, value, None);
        } else {
            learning.repeat(what, &value);
        }
    }
    let Learning { state: mut next, changed, .. } = learning;
    next.placed = placed(state, terms);
    if state.retired && revives(state, quality, terms) {
        (next.retired, next.not_before) = (false, Timestamp::default());
    }
    if !changed.is_empty() || next.retired != state.retired || moves(state, terms) {
        next.revision += 1;
        next.changed_at = terms.now;
    }
    (next, changed)
}

/// Whether it shows that a number that was retired is in use again.
fn revives(state: &NumberState, quality: Option<&Quality>, terms: &Terms) -> bool {
    quality.is_some() && terms.counted() >= state.not_before
}

/// Whether a number that was retired is introduced once more.
fn begins_anew(state: &NumberState, quality: Option<&Quality>, terms: &Terms) -> bool {
    let introduced = quality.is_some_and(|quality| quality.event == "ONBOARDING");
    introduced && state.retired && revives(state, quality, terms)
}

fn news(state: &NumberState, change: &Change, quality: Option<&Quality>, time: i64, terms: &Terms) -> News {
    if state.retired && revives(state, quality, terms) {
        let mut back = NumberState { retired: false, ..state.clone() };
        if begins_anew(state, quality, terms) {
            back.known.clear();
        } else {
            back.not_before = Timestamp::default();
        }
        return news(&back, change, quality, time, terms);
    }
    let mut learning = Learning::new(state, terms.by, terms.counted());
    if let Some(quality) = quality {
        for (what, value) in said(quality) {
            learning.say(what, value, Some(terms.position));
        }
    }
    let detail = match &change.detail {
        Detail::Quality(quality) if terms.fill => Detail::Quality(filled(state, quality, terms.counted())),
        detail @ (Detail::Quality(_) | Detail::Capability(_) | Detail::Other { .. }) => detail.clone(),
    };
    let Learning { state: next, changed, stale, .. } = learning;
    let state = NumberState {
        sequence: state.sequence + 1,
        revision: state.revision + i64::from(moves(state, terms)),
        changed_at: terms.now,
        placed: placed(state, terms),
        latest: latest_after(state, change, time, terms.position),
        ..next
    };
    News { state, detail, changed, stale }
}

/// The position of the event that `change` repeats, if it is the latest value
/// of its field, stamped anew.
fn resent(state: &NumberState, change: &Change, time: i64) -> Option<Position> {
    let latest = state.latest.iter().find(|latest| latest.field == change.field.as_str())?;
    let age = time.saturating_sub(latest.time);
    let again = latest.fingerprint == change.fingerprint && age > 0 && age <= RESEND_SECONDS;
    again.then_some(latest.event)
}

/// Whether the change would make nothing different: something else may have
/// been learned in between, and then it is news again, unless that is newer.
fn holds(state: &NumberState, quality: &Quality, at: Timestamp) -> bool {
    let Some((what, value)) = subject_matter(quality) else { return true };
    state.known(what).is_none_or(|known| known.confirmed > at || what.same(&known.value, &value))
}

/// The derived event that told already what the number's own notification says
/// now.
fn already_told(state: &NumberState, quality: &Quality, time: i64, at: Timestamp) -> Option<Position> {
    if state.told.is_empty() {
        return None;
    }
    let matter = subject_matter(quality);
    let onboarding = quality.event == "ONBOARDING";
    if matter.is_none() && !onboarding {
        return None;
    }
    let near = |since: Timestamp| time.abs_diff(since.seconds()) <= RESEND_SECONDS.unsigned_abs();
    let told = state.told.iter().rev().find(|told| {
        let same = match (&matter, told.what) {
            (Some((what, value)), Some(told_of)) => *what == told_of && what.same(&told.value, value),
            (None, None) => onboarding,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same && near(told.since) && told.until.is_none_or(|until| at < until)
    })?;
    // What it says besides must not be news either; a portfolio's limit that is the
    // one said is the same in other words.
    let limit = limit_said(quality).map(Word::new);
    let mut besides = said(quality).filter(|(what, _)| Some(*what) != told.what);
    let known = besides.all(|(what, value)| {
        let in_other_words =
            what == What::PortfolioLimit && limit.as_ref().is_some_and(|it| what.same(it, &value));
        let known = state.known(what);
        in_other_words || known.is_none_or(|known| known.confirmed > at || what.same(&known.value, &value))
    });
    known.then_some(told.event)
}

/// What a change is about in the first place, and how that is.
fn subject_matter(quality: &Quality) -> Option<(What, Word)> {
    match quality.event.as_str() {
        "UPGRADE" | "DOWNGRADE" => limit_said(quality).map(|limit| (What::Limit, Word::new(limit))),
        "FLAGGED" | "UNFLAGGED" => Some((What::Flagged, Word::new(&quality.event))),
        "THROUGHPUT_UPGRADE" => Some((What::Throughput, Word::new("HIGH"))),
        "THROUGHPUT_DOWNGRADE" => Some((What::Throughput, Word::new("STANDARD"))),
        _ => None,
    }
}

/// All that a change says of its number. On throughput changes `current_limit`
/// is the throughput level, not the messaging limit (seed, *meta object
/// description*).
fn said(quality: &Quality) -> impl Iterator<Item = (What, Word)> {
    let limit = limit_said(quality).map(|limit| (What::Limit, Word::new(limit)));
    let portfolio = quality.max_daily_conversations_per_business.as_deref();
    let portfolio = portfolio.map(|limit| (What::PortfolioLimit, Word::new(limit)));
    let other = subject_matter(quality).filter(|(what, _)| *what != What::Limit);
    limit.into_iter().chain(portfolio).chain(other)
}

/// The messaging limit that a change says.
fn limit_said(quality: &Quality) -> Option<&str> {
    let said = quality.current_limit.as_ref().or(quality.max_daily_conversations_per_business.as_ref());
    said.filter(|_| !speaks_of_throughput(quality)).map(String::as_str)
}

fn latest_after(state: &NumberState, change: &Change, time: i64, event: Position) -> Vec<Latest> {
    let field = Word::new(&change.field);
    let mut latest = Vec::with_capacity(state.latest.len() + 1);
    latest.extend(state.latest.iter().filter(|latest| latest.field != field).cloned());
    latest.push(Latest { field, fingerprint: change.fingerprint, time, event });
    let surplus = latest.len().saturating_sub(LATEST_KEPT);
    latest.drain(..surplus);
    latest
}

/// What is known and the change leaves out; the limit that is known is the old
/// one only if the change says a new one, and is not late.
fn filled(state: &NumberState, quality: &Quality, at: Timestamp) -> Quality {
    let mut filled = quality.clone();
    if filled.current_limit.is_none() {
        filled.current_limit.clone_from(&quality.max_daily_conversations_per_business);
    }
    let known = state.known(What::Limit);
    let speaks_of_limit = matches!(quality.event.as_str(), "UPGRADE" | "DOWNGRADE");
    if let (None, true, Some(known), Some(new)) =
        (&filled.old_limit, speaks_of_limit, known, &filled.current_limit)
    {
        let is_old = known.confirmed <= at && !What::Limit.same(&known.value, &Word::new(new));
        filled.old_limit = is_old.then(|| known.value.as_str().to_owned());
    }
    if filled.current_limit.is_none() && !speaks_of_limit && !speaks_of_throughput(quality) {
        filled.current_limit = known.map(|known| known.value.as_str().to_owned());
    }
    filled
}

fn speaks_of_throughput(quality: &Quality) -> bool {
    quality.event.starts_with("THROUGHPUT")
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
