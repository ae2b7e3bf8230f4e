//! When the store has something for which webhook: one instant per webhook,
//! however long its backlog. Nothing here wakes before the earliest of them.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;

/// When each webhook is next due, and which are due but had no room.
#[derive(Default)]
pub(super) struct Timetable {
    by_time: BTreeSet<(Timestamp, WebhookKey)>,
    at: HashMap<WebhookKey, Timestamp>,
    crowded: VecDeque<WebhookKey>,
    is_crowded: HashSet<WebhookKey>,
}

/// So many crowded webhooks are looked at when a place gets free.
const LOOK: usize = 8;

impl Timetable {
    /// `webhook` has something due at `at`.
    pub(super) fn note(&mut self, webhook: WebhookKey, at: Timestamp) {
        if self.is_crowded.contains(&webhook) {
            return;
        }
        match self.at.get(&webhook) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                self.by_time.remove(&(*later, webhook));
            }
            None => {}
        }
        self.at.insert(webhook, at);
        self.by_time.insert((at, webhook));
    }

    /// When something is next due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out up to `limit` webhooks that are due by `now`, with their room;
    /// those without room wait for [`Timetable::freed`].
    pub(super) fn due(
        &mut self,
        now: Timestamp,
        limit: usize,
        room: impl Fn(WebhookKey) -> usize,
    ) -> Vec<(WebhookKey, usize)> {
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(&(at, webhook)) = self.by_time.first()
            && at <= now
        {
            self.by_time.remove(&(at, webhook));
            self.at.remove(&webhook);
            match room(webhook) {
                0 => {
                    self.is_crowded.insert(webhook);
                    self.crowded.push_back(webhook);
                }
                room => due.push((webhook, room)),
            }
        }
        due
    }

    /// A place of `webhook` got free: it and the longest waiting of the crowded
    /// ones are due again.
    pub(super) fn freed(&mut self, webhook: WebhookKey, now: Timestamp) {
        if self.is_crowded.remove(&webhook) {
            self.note(webhook, now);
        }
        for _ in 0..LOOK.min(self.crowded.len()) {
            let Some(webhook) = self.crowded.pop_front() else { break };
            if self.is_crowded.remove(&webhook) {
                self.note(webhook, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[test]
    fn the_earliest_instant_of_a_webhook_counts() {
        let mut table = Timetable::default();
        table.note(WebhookKey(1), at(50));
        table.note(WebhookKey(1), at(20));
        table.note(WebhookKey(1), at(90));
        assert_eq!(table.next(), Some(at(20)));
        assert_eq!(table.due(at(19), 9, |_| 5), []);
        assert_eq!(table.due(at(20), 9, |_| 5), [(WebhookKey(1), 5)]);
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_crowded_webhook_wakes_nobody_until_a_place_gets_free() {
        let mut table = Timetable::default();
        table.note(WebhookKey(1), at(10));
        assert_eq!(table.due(at(10), 9, |_| 0), []);
        table.note(WebhookKey(1), at(11));
        assert_eq!(table.next(), None);
        table.freed(WebhookKey(1), at(30));
        assert_eq!(table.due(at(30), 9, |_| 1), [(WebhookKey(1), 1)]);
    }
}
