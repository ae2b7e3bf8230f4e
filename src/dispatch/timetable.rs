//! When the store has something for which webhook: one instant per webhook,
//! however long its backlog. Nothing here wakes before the earliest of them.
//!
//! A webhook that is due and finds no place waits here: for a place of its own,
//! or, if it has some left, in line for any. Each place that gets free wakes
//! the one who waited longest; places that get free at once are shared by as
//! many; and what is new does not overtake the line ([`Handover::reserve_new`]):
//! so nobody is passed over.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;
use crate::store::Handover;
use crate::store::queue::Want;

/// When each webhook is next due, and which are due and have no place.
pub(super) struct Timetable {
    handover: Arc<Handover>,
    /// In order of time, then of being noted.
    by_time: BTreeSet<(Timestamp, u64, WebhookKey)>,
    at: HashMap<WebhookKey, (Timestamp, u64)>,
    noted: u64,
    /// Without a place of its own left.
    crowded: HashSet<WebhookKey>,
    /// With places of its own left and none of anyone's, longest waiting first.
    line: VecDeque<WebhookKey>,
    in_line: HashSet<WebhookKey>,
    /// Woken by a free place, which someone else may have taken meanwhile.
    called: HashSet<WebhookKey>,
}

impl Timetable {
    /// An empty timetable; places are those of `handover`.
    pub(super) fn new(handover: Arc<Handover>) -> Self {
        Self {
            handover,
            by_time: BTreeSet::new(),
            at: HashMap::new(),
            noted: 0,
            crowded: HashSet::new(),
            line: VecDeque::new(),
            in_line: HashSet::new(),
            called: HashSet::new(),
        }
    }

    /// `webhook` has something due at `at`.
    pub(super) fn note(&mut self, webhook: WebhookKey, at: Timestamp) {
        if self.crowded.contains(&webhook) || self.in_line.contains(&webhook) {
            return;
        }
        match self.at.get(&webhook) {
            Some((earlier, _)) if *earlier <= at => return,
            Some((later, order)) => {
                self.by_time.remove(&(*later, *order, webhook));
            }
            None => {}
        }
        self.noted += 1;
        self.at.insert(webhook, (at, self.noted));
        self.by_time.insert((at, self.noted, webhook));
    }

    /// When something is next due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// Takes out up to `limit` webhooks that are due by `now`, each with its share
    /// of the free places; those without wait for [`Timetable::freed`].
    pub(super) fn due(&mut self, now: Timestamp, limit: usize) -> Vec<Want> {
        let mut wants: Vec<(Want, bool)> = Vec::new();
        while wants.len() < limit
            && let Some(&(at, order, webhook)) = self.by_time.first()
            && at <= now
        {
            self.by_time.remove(&(at, order, webhook));
            self.at.remove(&webhook);
            let called = self.called.remove(&webhook);
            let room = self.handover.room(webhook).own;
            if room == 0 {
                self.crowded.insert(webhook);
                self.handover.set_waiting(webhook, true);
            } else {
                wants.push((Want { webhook, room }, called));
            }
        }
        // Places got free for those who were called: nobody takes them first, and
        // none of them all.
        wants.sort_by_key(|(_, called)| !called);
        let free = self.handover.free_places();
        self.stand_in_line(wants.split_off(wants.len().min(free)));
        let share = (free / wants.len().max(1)).max(1);
        wants.into_iter().map(|(want, _)| Want { room: want.room.min(share), ..want }).collect()
    }

    /// At the end, or, if they were there already and called in vain, in front.
    fn stand_in_line(&mut self, wants: Vec<(Want, bool)>) {
        let (called, others): (Vec<_>, Vec<_>) = wants.into_iter().partition(|(_, called)| *called);
        for (Want { webhook, .. }, _) in called.into_iter().rev() {
            self.in_line.insert(webhook);
            self.line.push_front(webhook);
        }
        for (want, _) in others {
            self.stand_at_the_end(want.webhook);
        }
        self.handover.set_anyone_waits(!self.line.is_empty());
    }

    fn stand_at_the_end(&mut self, webhook: WebhookKey) {
        self.in_line.insert(webhook);
        self.line.push_back(webhook);
        self.handover.set_anyone_waits(true);
    }

    /// A place of `webhook` got free: the longest waiting is due.
    pub(super) fn freed(&mut self, webhook: WebhookKey, now: Timestamp) {
        if self.crowded.remove(&webhook) {
            self.handover.set_waiting(webhook, false);
            self.stand_at_the_end(webhook);
        }
        self.call(1, now);
    }

    /// A claim is over. Places that it left free go to the line: whoever was
    /// called may have had nothing after all.
    pub(super) fn claimed(&mut self, now: Timestamp) {
        self.call(self.handover.free_places(), now);
    }

    fn call(&mut self, places: usize, now: Timestamp) {
        for _ in 0..places {
            let Some(next) = self.line.pop_front() else { break };
            self.in_line.remove(&next);
            self.called.insert(next);
            self.note(next, now);
        }
        if self.line.is_empty() {
            self.handover.set_anyone_waits(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    fn table(capacity: usize, per_webhook: usize) -> (Timetable, Arc<Handover>) {
        let handover = Arc::new(Handover::new(capacity, per_webhook));
        handover.open();
        (Timetable::new(Arc::clone(&handover)), handover)
    }

    fn due(table: &mut Timetable, ms: i64) -> Vec<(i64, usize)> {
        table.due(at(ms), 9).into_iter().map(|want| (want.webhook.0, want.room)).collect()
    }

    #[test]
    fn the_earliest_instant_of_a_webhook_counts() {
        let (mut table, _) = table(5, 5);
        for ms in [50, 20, 90] {
            table.note(WebhookKey(1), at(ms));
        }
        assert_eq!(table.next(), Some(at(20)));
        assert_eq!(due(&mut table, 19), []);
        assert_eq!(due(&mut table, 20), [(1, 5)]);
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_webhook_without_a_place_wakes_nobody_until_one_of_its_own_gets_free() {
        let (mut table, handover) = table(9, 1);
        assert!(handover.reserve(WebhookKey(1)));
        table.note(WebhookKey(1), at(10));
        assert_eq!(due(&mut table, 10), []);
        table.note(WebhookKey(1), at(11));
        assert_eq!(table.next(), None);
        assert!(!handover.reserve_new(WebhookKey(1)), "what is new does not overtake what is stored");
        handover.free(WebhookKey(1), 0);
        table.freed(WebhookKey(1), at(30));
        assert_eq!(due(&mut table, 30), [(1, 1)]);
    }

    #[test]
    fn each_free_place_goes_to_whoever_waited_longest_whatever_their_keys() {
        let (mut table, handover) = table(1, 1);
        assert!(handover.reserve(WebhookKey(7)));
        for key in [5, 1, 3] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        for expected in [5, 1, 3] {
            handover.free(WebhookKey(7), 0);
            table.freed(WebhookKey(7), at(20));
            assert_eq!(due(&mut table, 20), [(expected, 1)]);
            assert!(handover.reserve(WebhookKey(7)), "its attempt, standing in");
            table.note(WebhookKey(expected), at(20));
            assert_eq!(due(&mut table, 20), []);
        }
    }

    #[test]
    fn a_place_that_a_claim_left_free_goes_to_the_next_in_line() {
        let (mut table, handover) = table(1, 1);
        assert!(handover.reserve(WebhookKey(7)));
        for key in [5, 1] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        handover.free(WebhookKey(7), 0);
        table.freed(WebhookKey(7), at(20));
        assert_eq!(due(&mut table, 20), [(5, 1)], "which turns out to have nothing");
        table.claimed(at(20));
        assert_eq!(due(&mut table, 20), [(1, 1)]);
    }

    #[test]
    fn places_that_get_free_at_once_are_shared_by_those_who_waited_in_their_order() {
        let (mut table, handover) = table(4, 4);
        (0..4).for_each(|_| assert!(handover.reserve(WebhookKey(7))));
        for key in [5, 1, 3, 2, 8] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        for _ in 0..4 {
            handover.free(WebhookKey(7), 0);
            table.freed(WebhookKey(7), at(20));
        }
        table.note(WebhookKey(9), at(15));
        assert_eq!(due(&mut table, 20), [(5, 1), (1, 1), (3, 1), (2, 1)], "one each, and no latecomer");
        (0..4).for_each(|_| assert!(handover.reserve(WebhookKey(7))));
        for expected in [8, 9] {
            handover.free(WebhookKey(7), 0);
            table.freed(WebhookKey(7), at(30));
            assert_eq!(due(&mut table, 30), [(expected, 1)]);
            assert!(handover.reserve(WebhookKey(7)));
        }
    }

    #[test]
    fn those_who_were_called_in_vain_keep_their_order() {
        let (mut table, handover) = table(2, 2);
        (0..2).for_each(|_| assert!(handover.reserve(WebhookKey(7))));
        for key in [5, 1, 3] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        (0..2).for_each(|_| table.freed(WebhookKey(7), at(20)));
        assert_eq!(due(&mut table, 20), [], "the places were taken meanwhile");
        for expected in [5, 1, 3] {
            handover.free(WebhookKey(7), 0);
            table.freed(WebhookKey(7), at(30));
            assert_eq!(due(&mut table, 30), [(expected, 1)]);
            assert!(handover.reserve(WebhookKey(7)));
        }
    }

    #[test]
    fn whoever_was_called_and_found_the_place_taken_stays_first() {
        let (mut table, handover) = table(1, 1);
        assert!(handover.reserve(WebhookKey(7)));
        for key in [5, 1] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        table.freed(WebhookKey(7), at(20));
        assert_eq!(due(&mut table, 20), [], "the place was taken meanwhile");
        handover.free(WebhookKey(7), 0);
        table.freed(WebhookKey(7), at(30));
        assert_eq!(due(&mut table, 30), [(5, 1)]);
    }
}
