//! Learning: the one way in which what is known of a number changes.

use super::RESEND_SECONDS;
use crate::model::id::Position;
use crate::model::number::{Changed, Known, LearnedBy, NumberState, Stale, TOLD_KEPT, Told, What};
use crate::model::time::Timestamp;
use crate::model::word::Word;

/// What is known, while somebody speaks.
pub(super) struct Learning {
    pub(super) state: NumberState,
    pub(super) changed: Vec<Changed>,
    pub(super) stale: Stale,
    by: LearnedBy,
    /// For which time it is said.
    at: Timestamp,
}

impl Learning {
    /// Begins from `state`, but for its latest changes: who needs these brings
    /// them along.
    pub(super) fn new(state: &NumberState, by: LearnedBy, at: Timestamp) -> Self {
        let NumberState { sequence, revision, changed_at, retired, not_before, placed, .. } = *state;
        let (known, told, latest) = (state.known.clone(), state.told.clone(), Vec::new());
        let state =
            NumberState { sequence, revision, changed_at, retired, not_before, placed, known, told, latest };
        Self { state, changed: Vec::new(), stale: Stale::default(), by, at }
    }

    /// The number is introduced: what was known before it was retired is nothing.
    pub(super) fn begin_anew(&mut self) {
        self.state.retired = false;
        self.state.known.clear();
    }

    /// `what` is said to be `value`; `event`: the event that tells it. Whether
    /// that is so from now on.
    pub(super) fn say(&mut self, what: What, value: Word, event: Option<Position>) -> bool {
        let (by, at) = (self.by, self.at);
        let fresh = Known { what, value, since: at, confirmed: at, by, event };
        let Some(known) = self.state.known.iter_mut().find(|known| known.what == what) else {
            // Introduced anew since, it need not be so any more.
            if at < self.state.not_before && !self.state.retired {
                self.stale.insert(what);
                return false;
            }
            self.changed.push(Changed { what, from: None, to: fresh.value.clone() });
            self.state.known.push(fresh);
            return true;
        };
        if what.same(&known.value, &fresh.value) {
            known.confirmed = known.confirmed.max(at);
            known.event = known.event.or(event);
            return true;
        }
        if known.confirmed > at {
            self.stale.insert(what);
            return false;
        }
        let overtaken = self.state.told.iter_mut().filter(|told| told.what == Some(what));
        overtaken.for_each(|told| told.until = told.until.or(Some(at)));
        let from = std::mem::replace(known, fresh);
        self.changed.push(Changed { what, from: Some(from.value), to: known.value.clone() });
        true
    }

    /// The same of what is only said again: it confirms what is so, tells what
    /// nobody knew, and changes nothing.
    pub(super) fn repeat(&mut self, what: What, value: &Word) {
        let known = self.state.known(what);
        if known.is_none_or(|known| what.same(&known.value, value)) {
            self.say(what, value.clone(), None);
        }
    }

    /// Whether `what` would change if it were said to be `value` now, and from
    /// what; `None` also if it is not known, or something newer is.
    pub(super) fn differs(&self, what: What, value: &Word) -> Option<&Word> {
        let known = self.state.known(what)?;
        (known.confirmed <= self.at && !what.same(&known.value, value)).then_some(&known.value)
    }

    /// A derived event told this; the number's own notification may follow.
    pub(super) fn tell(&mut self, what: Option<What>, value: Word, event: Position) {
        let (told, at) = (&mut self.state.told, self.at);
        told.retain(|told| at.seconds().saturating_sub(told.since.seconds()) <= RESEND_SECONDS);
        told.push(Told { what, value, since: at, until: None, event });
        let surplus = told.len().saturating_sub(TOLD_KEPT);
        told.drain(..surplus);
    }
}
