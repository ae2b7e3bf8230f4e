//! The overlay: what is known of numbers whose rows are late.
//!
//! A commit leaves the state of its numbers in the tail; their rows follow with
//! a fold, maybe much later. Whoever reads rows looks each up here, too. A
//! state comes in when its commit is durable and leaves once a durable fold has
//! written it. A reader may have begun before that fold, and still see the row
//! as it was: so a state that leaves stays until everybody is gone who was
//! inside when it left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::maps::Map;
use crate::model::id::NumberKey;
use crate::model::number::NumberState;

/// A number, and what is known of it.
pub(super) type Current = (NumberKey, Arc<NumberState>);

/// What is known of numbers whose rows are late. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Overlay(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    states: Map<NumberKey, Arc<NumberState>>,
    /// Counts the times that states left.
    time: u64,
    /// When those inside entered, and how many.
    inside: BTreeMap<u64, usize>,
    /// What has left, and when.
    left: VecDeque<(u64, NumberKey, Arc<NumberState>)>,
}

impl Overlay {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit is durable: what it told, and what it wrote into rows.
    pub(super) fn catch_up(&self, told: Vec<Current>, written: Vec<Current>) {
        if told.is_empty() && written.is_empty() {
            return;
        }
        let mut inner = self.inner();
        inner.states.extend(told);
        if !written.is_empty() {
            inner.time += 1;
            let time = inner.time;
            inner.left.extend(written.into_iter().map(|(key, state)| (time, key, state)));
            inner.sweep();
        }
    }

    /// To be held from before a query until its rows were looked up.
    pub(super) fn enter(&self) -> Inside {
        let mut inner = self.inner();
        let time = inner.time;
        *inner.inside.entry(time).or_default() += 1;
        Inside { overlay: self.clone(), time }
    }
}

impl Inner {
    /// Removes what left before all those inside entered, unless it has become
    /// something else since.
    fn sweep(&mut self) {
        let first = self.inside.keys().next().copied().unwrap_or(u64::MAX);
        while let Some((_, key, written)) = self.left.pop_front_if(|(time, ..)| *time <= first) {
            if self.states.get(&key).is_some_and(|state| Arc::ptr_eq(state, &written) || *state == written) {
                self.states.remove(&key);
            }
        }
    }
}

/// Somebody who reads rows and looks them up here.
pub(super) struct Inside {
    overlay: Overlay,
    time: u64,
}

impl Inside {
    /// What is known of a number whose row says `row`.
    pub(super) fn newest(&self, key: NumberKey, row: NumberState) -> Arc<NumberState> {
        let inner = self.overlay.inner();
        // The row may be newer: then its commit is only just durable.
        let newer =
            |state: &&Arc<NumberState>| (state.sequence, state.revision) >= (row.sequence, row.revision);
        inner.states.get(&key).filter(newer).map_or_else(|| Arc::new(row), Arc::clone)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut inner = self.overlay.inner();
        if let Some(count) = inner.inside.get_mut(&self.time) {
            *count -= 1;
            if *count == 0 {
                inner.inside.remove(&self.time);
            }
        }
        inner.sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NumberKey = NumberKey(1);

    fn state(sequence: i64) -> Arc<NumberState> {
        Arc::new(NumberState { sequence, ..NumberState::default() })
    }

    fn row(sequence: i64) -> NumberState {
        NumberState { sequence, ..NumberState::default() }
    }

    #[test]
    fn a_state_is_here_from_its_commit_until_its_row_has_it() {
        let overlay = Overlay::default();
        let third = state(3);
        overlay.catch_up(vec![(KEY, Arc::clone(&third))], vec![]);
        assert_eq!(overlay.enter().newest(KEY, row(1)).sequence, 3);
        overlay.catch_up(vec![], vec![(KEY, third)]);
        assert_eq!(overlay.enter().newest(KEY, row(3)).sequence, 3);
        assert!(overlay.inner().states.is_empty() && overlay.inner().left.is_empty());
    }

    #[test]
    fn whoever_began_before_the_row_was_written_still_sees_what_it_is_to_say() {
        let overlay = Overlay::default();
        let third = state(3);
        overlay.catch_up(vec![(KEY, Arc::clone(&third))], vec![]);
        let (early, other) = (overlay.enter(), overlay.enter());
        overlay.catch_up(vec![], vec![(KEY, third)]);
        let late = overlay.enter();
        drop(other);
        assert_eq!(early.newest(KEY, row(1)).sequence, 3);
        drop(early);
        assert!(overlay.inner().states.is_empty(), "whoever came later reads the row");
        assert_eq!(late.newest(KEY, row(3)).sequence, 3);
        drop(late);
        assert!(overlay.inner().inside.is_empty());
    }

    #[test]
    fn what_has_changed_since_its_row_was_written_stays() {
        let overlay = Overlay::default();
        overlay.catch_up(vec![(KEY, state(4))], vec![(KEY, state(3))]);
        assert_eq!(overlay.enter().newest(KEY, row(3)).sequence, 4);
        // As read again after a rollback: another copy of the same.
        overlay.catch_up(vec![], vec![(KEY, state(4))]);
        assert!(overlay.inner().states.is_empty());
    }
}
