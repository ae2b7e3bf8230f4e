//! When the store has something for which webhook: one instant per webhook,
//! however long its backlog. Nothing here wakes before the earliest of them.
//!
//! A webhook that is due and finds no place waits here: for a place of its own,
//! or, if it has some left, in line for any. Accounts go round in that line, and
//! within an account whoever waited longest is first; an account that may take
//! no place of the free ones is passed over and keeps its turn. Places that are
//! free at once are shared by as many; and what is new does not overtake what
//! its account has in line ([`Handover::reserve_new`]): so nobody is passed over
//! by their own, nor held up by others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::rounds::Rounds;
use crate::model::id::{AccountKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::policy::shares::may_take;
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
    /// Due, with places of its own left.
    line: Rounds,
    in_line: HashSet<WebhookKey>,
    /// Nobody in line may take a place, and nothing has changed since that was seen.
    stands_still: bool,
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
            line: Rounds::default(),
            in_line: HashSet::new(),
            stands_still: false,
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
    /// of the free places; the others wait until a place is [`Timetable::freed`].
    /// To be asked again after that, and when what was taken out was claimed.
    pub(super) fn due(&mut self, now: Timestamp, limit: usize) -> Vec<Want> {
        self.line_up(now);
        if self.line.is_empty() || self.stands_still {
            return Vec::new();
        }
        let mut sharing = Sharing::of(&self.handover);
        let mut takers = Vec::new();
        while takers.len() < limit
            && let Some((account, webhook)) = self.line.next(|account| sharing.allows(account))
        {
            self.in_line.remove(&webhook);
            if !self.line.has(account) {
                self.handover.set_in_line(account, false);
            }
            let own = self.handover.room(webhook);
            if own == 0 {
                self.crowd(webhook);
            } else {
                sharing.take(account);
                takers.push(Taker { account, own, want: Want { webhook, room: 1 } });
            }
        }
        self.stands_still = takers.is_empty();
        sharing.share_the_rest(&mut takers, self.in_line.len());
        takers.into_iter().map(|taker| taker.want).collect()
    }

    /// Whoever is due by `now` stands in line.
    fn line_up(&mut self, now: Timestamp) {
        while let Some(&(at, order, webhook)) = self.by_time.first()
            && at <= now
        {
            self.by_time.remove(&(at, order, webhook));
            self.at.remove(&webhook);
            if self.handover.room(webhook) == 0 {
                self.crowd(webhook);
            } else {
                self.stand_in_line(webhook);
            }
        }
    }

    fn crowd(&mut self, webhook: WebhookKey) {
        self.crowded.insert(webhook);
        self.handover.set_crowded(webhook, true);
    }

    fn stand_in_line(&mut self, webhook: WebhookKey) {
        let account = self.handover.account_of(webhook);
        self.in_line.insert(webhook);
        if self.line.push(account, webhook) {
            self.handover.set_in_line(account, true);
        }
        self.stands_still = false;
    }

    /// A place of `webhook` got free: if it waited for that, it stands in line,
    /// and the line may move.
    pub(super) fn freed(&mut self, webhook: WebhookKey) {
        if self.crowded.remove(&webhook) {
            self.handover.set_crowded(webhook, false);
            self.stand_in_line(webhook);
        }
        self.stands_still = false;
    }
}

/// Who is to be claimed for.
struct Taker {
    account: AccountKey,
    /// How many places of its own the webhook has left.
    own: usize,
    want: Want,
}

/// The free places, while it is said who may take how many: they are taken when
/// that is claimed.
struct Sharing {
    handover: Arc<Handover>,
    free: usize,
    /// What accounts would have by then; none, where they may take none.
    held: HashMap<AccountKey, Option<usize>>,
}

impl Sharing {
    fn of(handover: &Arc<Handover>) -> Self {
        Self { handover: Arc::clone(handover), free: handover.free_places(), held: HashMap::new() }
    }

    fn held(&mut self, account: AccountKey) -> &mut Option<usize> {
        self.held.entry(account).or_insert_with(|| self.handover.places_of(account))
    }

    fn allows(&mut self, account: AccountKey) -> bool {
        let free = self.free;
        free > 0 && self.held(account).is_some_and(|held| may_take(held, free))
    }

    fn take(&mut self, account: AccountKey) {
        self.free -= 1;
        if let Some(held) = self.held(account) {
            *held += 1;
        }
    }

    /// Goes round until nobody may take more; a place stays for each that still
    /// stands in line.
    fn share_the_rest(&mut self, takers: &mut [Taker], in_line: usize) {
        let mut more = true;
        while std::mem::take(&mut more) {
            for Taker { account, own, want } in &mut *takers {
                if want.room < *own && self.free > in_line && self.allows(*account) {
                    self.take(*account);
                    want.room += 1;
                    more = true;
                }
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

    /// With room for so many; each of these is a webhook of an account of its own,
    /// but those from 10 on are 10's.
    fn table(capacity: usize, per_webhook: usize) -> (Timetable, Arc<Handover>) {
        let handover = Arc::new(Handover::new(capacity, per_webhook));
        (1..20).for_each(|key| handover.note_account(WebhookKey(key), AccountKey(key.min(10))));
        handover.open();
        (Timetable::new(Arc::clone(&handover)), handover)
    }

    fn due(table: &mut Timetable, ms: i64) -> Vec<(i64, usize)> {
        table.due(at(ms), 9).into_iter().map(|want| (want.webhook.0, want.room)).collect()
    }

    #[test]
    fn the_earliest_instant_of_a_webhook_counts() {
        let (mut table, _) = table(10, 5);
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
        table.freed(WebhookKey(1));
        assert_eq!(due(&mut table, 30), [(1, 1)]);
    }

    #[test]
    fn each_free_place_goes_to_whoever_waited_longest_whatever_their_keys() {
        let (mut table, handover) = table(1, 1);
        assert!(handover.reserve(WebhookKey(7)));
        let mut holder = 7;
        for key in [5, 1, 3] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        for expected in [5, 1, 3] {
            table.freed(WebhookKey(holder));
            assert_eq!(due(&mut table, 20), [], "it was taken meanwhile: nobody loses their turn");
            handover.free(WebhookKey(holder), 0);
            table.freed(WebhookKey(holder));
            assert_eq!(due(&mut table, 20), [(expected, 1)]);
            assert!(handover.reserve(WebhookKey(expected)));
            holder = expected;
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
        table.freed(WebhookKey(7));
        assert_eq!(due(&mut table, 20), [(5, 1)], "which turns out to have nothing");
        assert_eq!(due(&mut table, 20), [(1, 1)]);
    }

    #[test]
    fn places_that_are_free_at_once_are_shared_by_those_who_waited_in_their_order() {
        let (mut table, handover) = table(8, 4);
        let held = |keys: [i64; 4]| keys.map(|key| assert!(handover.reserve(WebhookKey(key))));
        held([11, 12, 13, 14]);
        for key in [19, 11, 13, 12, 18] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), [], "their account has its half");
        for key in [11, 12, 13, 14] {
            handover.free(WebhookKey(key), 0);
            table.freed(WebhookKey(key));
        }
        table.note(WebhookKey(14), at(15));
        assert_eq!(due(&mut table, 20), [(19, 1), (11, 1), (13, 1), (12, 1)], "one each, and no latecomer");
        held([19, 11, 13, 12]);
        for (freed, expected) in [(19, 18), (11, 14)] {
            handover.free(WebhookKey(freed), 0);
            table.freed(WebhookKey(freed));
            assert_eq!(due(&mut table, 30), [(expected, 1)]);
            assert!(handover.reserve(WebhookKey(expected)));
        }
    }

    #[test]
    fn who_has_more_places_left_than_others_wait_for_gets_them_by_turns() {
        let (mut table, _) = table(16, 3);
        for key in [11, 12, 5] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), [(11, 3), (5, 3), (12, 3)]);
        let (mut table, _) = self::table(16, 9);
        (1..9).for_each(|key| table.note(WebhookKey(key + 10), at(10)));
        let wants = table.due(at(10), 4);
        assert_eq!(wants.iter().map(|want| want.room).collect::<Vec<_>>(), [2; 4], "not all is theirs");
    }

    #[test]
    fn accounts_go_round_however_many_webhooks_one_has_in_line() {
        let (mut table, handover) = table(4, 4);
        for key in [1, 2, 3, 4] {
            assert!(handover.reserve(WebhookKey(key)));
        }
        for key in [11, 12, 13, 5] {
            table.note(WebhookKey(key), at(10));
        }
        assert_eq!(due(&mut table, 10), []);
        for (freed, expected) in [(1, vec![(11, 1)]), (2, vec![(5, 1)]), (3, vec![])] {
            handover.free(WebhookKey(freed), 0);
            table.freed(WebhookKey(freed));
            assert_eq!(due(&mut table, 20), expected, "the last place is nobody's who has one");
            for (key, _) in expected {
                assert!(handover.reserve(WebhookKey(key)));
            }
        }
        handover.free(WebhookKey(4), 0);
        table.freed(WebhookKey(4));
        assert_eq!(due(&mut table, 30), [(12, 1)]);
    }
}
