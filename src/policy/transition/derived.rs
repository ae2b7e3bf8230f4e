//! What others than the number's own notifications say of it, and the events
//! that follow. Such an event names what it is about as the number's own would,
//! so that whoever receives it need not care where it comes from. What was not
//! known before is learned without one: it is no change.

use std::time::Duration;

use super::learning::Learning;
use super::{Terms, moves, placed};
use crate::model::change::{Capability, QUALITY_FIELD, Quality};
use crate::model::id::Position;
use crate::model::limit::Step;
use crate::model::number::{Changed, LearnedBy, NumberState, What};
use crate::model::reading::NumberReading;
use crate::model::time::Timestamp;
use crate::model::word::Word;

/// An event that no notification said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedEvent {
    /// What it says.
    pub quality: Quality,
    /// What changed by it.
    pub changed: Vec<Changed>,
}

/// What follows from something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// What is known afterwards.
    pub state: NumberState,
    /// The events, in order, at consecutive positions.
    pub events: Vec<DerivedEvent>,
    /// What changed without an event.
    pub quiet: Vec<Changed>,
}

/// What is entered by hand: what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByHand {
    /// Each thing once.
    pub values: Vec<(What, Word)>,
}

/// Somebody speaks of the number that `digits` are.
struct Said<'a> {
    learning: Learning,
    terms: &'a Terms,
    before: &'a NumberState,
    digits: &'a str,
    events: Vec<DerivedEvent>,
}

impl<'a> Said<'a> {
    fn new(before: &'a NumberState, digits: &'a str, terms: &'a Terms) -> Self {
        let learning = Learning::new(before, terms.by, terms.counted());
        Self { learning, terms, before, digits, events: Vec::new() }
    }

    fn position(&self) -> Position {
        self.terms.position + i64::try_from(self.events.len()).unwrap_or(0)
    }

    /// An event, with what has changed since `quiet` changes were there.
    fn event(&mut self, event: &str, limits: [Option<&str>; 3], quiet: usize) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let [current, old, max] = limits.map(owned);
        let quality = Quality {
            display_phone_number: self.digits.to_owned(),
            event: event.to_owned(),
            current_limit: current,
            old_limit: old,
            max_daily_conversations_per_business: max,
        };
        let changed = self.learning.changed.split_off(quiet);
        self.learning.state.sequence += 1;
        self.events.push(DerivedEvent { quality, changed });
    }

    /// The limit is said to be `said`; `of_portfolio`: that of the portfolio. What can't
    /// be compared with other limits neither raises nor lowers one that is known;
    /// after such a one any limit is told as raised, for it has to be told.
    fn limit(&mut self, said: &str, of_portfolio: bool) {
        let step = Step::of(said);
        if matches!(step, Step::Other(_)) && self.before.known(What::Limit).is_some() {
            return;
        }
        let word = Word::new(step.word().unwrap_or(said));
        let position = self.position();
        let quiet = self.learning.changed.len();
        let Some(old) = self.learning.differs(What::Limit, &word).cloned() else {
            // Late, the same, or not known before.
            self.learning.say(What::Limit, word, None);
            return;
        };
        self.learning.say(What::Limit, word.clone(), Some(position));
        self.learning.tell(Some(What::Limit), word.clone(), position);
        let max = of_portfolio && self.learning.say(What::PortfolioLimit, Word::new(said), Some(position));
        let lowers = step < Step::of(old.as_str());
        let old_word = Step::of(old.as_str()).word().unwrap_or(old.as_str());
        let event = if lowers { "DOWNGRADE" } else { "UPGRADE" };
        let max = max.then_some(said);
        self.event(event, [Some(word.as_str()), Some(old_word), max], quiet);
    }

    /// Another thing is said to be `value`, without an event.
    fn quietly(&mut self, what: What, value: Option<&str>) {
        if let Some(value) = value {
            self.learning.say(what, Word::new(value), None);
        }
    }

    /// Another thing has become `value`, which `event` tells.
    fn told(&mut self, what: What, value: &str, event: &str, current: Option<&str>) {
        let (position, quiet) = (self.position(), self.learning.changed.len());
        let value = Word::new(value);
        if self.learning.say(what, value.clone(), Some(position)) {
            self.learning.tell(Some(what), value, position);
            self.event(event, [current, None, None], quiet);
        }
    }

    fn learned(self) -> Learned {
        let (mut state, quiet) = (self.learning.state, self.learning.changed);
        state.latest.clone_from(&self.before.latest);
        let moved = moves(self.before, self.terms);
        if self.terms.by != LearnedBy::Capability {
            state.placed = placed(self.before, self.terms);
        }
        state.revision += i64::from(moved || !quiet.is_empty());
        if moved || !quiet.is_empty() || !self.events.is_empty() {
            state.changed_at = self.terms.now;
        }
        Learned { state, events: self.events, quiet }
    }
}

/// A capability update says the limit of the number. Without `derive` it is
/// learned what the portfolio's limit is, and no more.
pub fn by_capability(
    state: &NumberState,
    digits: &str,
    capability: &Capability,
    derive: bool,
    terms: &Terms,
) -> Learned {
    let mut said = Said::new(state, digits, terms);
    if derive {
        said.limit(&capability.limit, capability.of_portfolio);
    }
    if capability.of_portfolio {
        said.quietly(What::PortfolioLimit, Some(&capability.limit));
    }
    said.learned()
}

/// A reading says how the number is. `flags`: a rating that falls to `RED` or
/// returns from it is told as `FLAGGED` or `UNFLAGGED`.
pub fn by_reading(
    state: Option<&NumberState>,
    digits: &str,
    reading: &NumberReading,
    flags: bool,
    terms: &Terms,
) -> Learned {
    let unknown = NumberState::default();
    let before = state.unwrap_or(&unknown);
    let mut said = Said::new(before, digits, terms);
    if before.retired && terms.counted() < before.not_before {
        // It was read before it was retired.
        return said.learned();
    }
    if reading.is_gone() {
        // It does not say how the number is where it is in use now, if it is.
        said.quietly(What::Status, reading.status.as_deref());
        let mut learned = said.learned();
        learned.state.placed = before.placed;
        return learned;
    }
    if state.is_none_or(|state| state.retired) {
        said.learning.begin_anew();
        said.introduce(reading);
    } else if is_untold(before) {
        said.introduce(reading);
    } else {
        if let Some(limit) = &reading.limit {
            said.limit(limit, reading.of_portfolio);
        }
        said.throughput(reading.throughput.as_deref());
        said.rating(reading.quality_rating.as_deref(), flags);
    }
    if reading.of_portfolio {
        said.quietly(What::PortfolioLimit, reading.limit.as_deref());
    }
    let known = before.known(What::Throughput).is_some();
    let level = reading.throughput.as_deref().filter(|level| !known || *level != "NOT_APPLICABLE");
    said.quietly(What::Throughput, level);
    said.quietly(What::Rating, reading.quality_rating.as_deref());
    said.quietly(What::Status, reading.status.as_deref());
    said.learned()
}

/// Whether all that was ever said of the number was said by others and of other
/// things: nobody has been told that there is this number, or how it stands.
fn is_untold(state: &NumberState) -> bool {
    let by_others = match state.known.as_slice() {
        // What a person has entered changes the revision, if nothing else.
        [] => state.revision == 0,
        known => known.iter().all(|known| known.by == LearnedBy::Capability && known.event.is_none()),
    };
    by_others && state.told.is_empty() && state.latest.iter().all(|latest| latest.field != QUALITY_FIELD)
}

impl Said<'_> {
    /// A number that nobody was told of.
    fn introduce(&mut self, reading: &NumberReading) {
        let (position, limit) = (self.position(), reading.limit.as_deref());
        if let Some(said) = limit {
            self.learning.say(What::Limit, Word::new(Step::of(said).word().unwrap_or(said)), Some(position));
        }
        let of_portfolio = limit.filter(|_| reading.of_portfolio);
        let max = of_portfolio
            .filter(|said| self.learning.say(What::PortfolioLimit, Word::new(said), Some(position)));
        // What a capability update said meanwhile may be newer.
        let word = self.learning.state.value(What::Limit).cloned();
        self.learning.tell(None, word.clone().unwrap_or_else(|| Word::new("ONBOARDING")), position);
        self.event("ONBOARDING", [word.as_ref().map(Word::as_str), None, max], 0);
    }

    /// Only a known level becomes another one; the seed has no event for one that
    /// falls, so that is learned quietly.
    fn throughput(&mut self, said: Option<&str>) {
        let raised = said == Some("HIGH");
        if raised && self.learning.differs(What::Throughput, &Word::new("HIGH")).is_some() {
            self.told(What::Throughput, "HIGH", "THROUGHPUT_UPGRADE", Some("TIER_UNLIMITED"));
        }
    }

    /// Only a known rating falls or returns. `NA` and `UNKNOWN` are no ratings: a
    /// number that was flagged for `RED` stays so until a better one is known.
    fn rating(&mut self, said: Option<&str>, flags: bool) {
        let Some(said) = said.filter(|_| flags) else { return };
        let new = Word::new(said);
        let Some(old) = self.learning.differs(What::Rating, &new) else { return };
        let better = matches!(said, "GREEN" | "YELLOW");
        let flagged = self.before.value(What::Flagged).is_some_and(|flagged| *flagged == "FLAGGED");
        let was_red = *old == "RED" || flagged && flagged_by_reading(self.before);
        if said == "RED" && !flagged {
            self.told(What::Flagged, "FLAGGED", "FLAGGED", self.limit_known().as_deref());
        } else if better && was_red && flagged {
            self.told(What::Flagged, "UNFLAGGED", "UNFLAGGED", self.limit_known().as_deref());
        }
    }

    /// The event always says the limit that is known (contract.md 5.1).
    fn limit_known(&self) -> Option<String> {
        let known = self.learning.state.value(What::Limit).filter(|_| self.terms.fill);
        known.map(|limit| limit.as_str().to_owned())
    }
}

fn flagged_by_reading(state: &NumberState) -> bool {
    state.known(What::Flagged).is_some_and(|known| known.by == LearnedBy::Reconciliation)
}

/// A person enters a number, or what is known of it: that counts whatever was
/// said before. It makes no event.
pub fn by_hand(state: &NumberState, digits: &str, entered: &ByHand, terms: &Terms) -> Learned {
    let last = state.known.iter().map(|known| known.confirmed).max().unwrap_or_default();
    let terms = Terms { at: terms.at.max(last).max(state.not_before).max(state.placed), ..*terms };
    let mut said = Said::new(state, digits, &terms);
    if state.retired {
        said.learning.begin_anew();
    }
    for (what, value) in &entered.values {
        said.learning.say(*what, value.clone(), None);
    }
    let mut learned = said.learned();
    let new = state.retired || state.changed_at == Timestamp::default();
    if new && learned.quiet.is_empty() {
        learned.state.revision += 1;
        learned.state.changed_at = terms.now;
    }
    learned
}

/// A number that a person retired. It may come back, by what is said for a later
/// second: then its sequence goes on, and so does what its receivers were told
/// last, unless it is introduced anew.
pub fn retired(state: &NumberState, now: Timestamp) -> NumberState {
    let not_before = now.whole_seconds().plus(Duration::from_secs(1));
    // What was told before was told: who repeats it late need not tell it again.
    let mut told = state.told.clone();
    for told in &mut told {
        told.until = told.until.or(Some(not_before));
    }
    NumberState {
        revision: state.revision + 1,
        changed_at: now,
        retired: true,
        not_before,
        told,
        ..state.clone()
    }
}

/// A number whose business account goes to another account. It comes back with
/// that, whatever is known of it by then.
pub fn left(state: &NumberState, now: Timestamp) -> NumberState {
    NumberState { not_before: state.not_before, ..retired(state, now) }
}

/// What follows from what was known of a number elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// What is known then.
    pub state: NumberState,
    /// What changed, and how that had been learned.
    pub changed: Vec<(LearnedBy, Changed)>,
    /// Whether it belongs to the business account that came: not if what is known
    /// here was said later.
    pub moved: bool,
}

/// What is known of a number elsewhere is known here, too, from now on: its
/// business account has come with it. What is newer here stays.
pub fn brought(state: &NumberState, from: &NumberState, now: Timestamp) -> Brought {
    let moved = from.placed >= state.placed.max(state.not_before);
    let mut next = state.clone();
    if moved {
        (next.retired, next.not_before, next.placed) = (false, from.not_before, from.placed);
    }
    let mut changed = Vec::new();
    for known in &from.known {
        let mut learning = Learning::new(&next, known.by, known.confirmed);
        learning.say(known.what, known.value.clone(), None);
        let Learning { state: mut learned, changed: new, .. } = learning;
        if let Some(taken) =
            learned.known.iter_mut().find(|taken| taken.what == known.what && !new.is_empty())
        {
            taken.since = known.since;
        }
        next = NumberState { latest: std::mem::take(&mut next.latest), ..learned };
        changed.extend(new.into_iter().map(|new| (known.by, new)));
    }
    if next != *state || state.changed_at == Timestamp::default() {
        next.revision += 1;
        next.changed_at = now;
    }
    Brought { state: next, changed, moved }
}
