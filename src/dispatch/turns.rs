//! Whose turn it is: accounts with something ready take turns, and within an
//! account its webhooks do.

use std::collections::{BTreeMap, VecDeque};

use super::rounds::Rounds;
use crate::model::id::{AccountKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::policy::shares::Shares;
use crate::store::queue::Claimed;

/// What waits in memory, by webhook, and the order of turns.
pub(super) struct Turns {
    per_webhook: usize,
    /// Attempts, and whose are under way.
    attempts: Shares,
    webhooks: BTreeMap<WebhookKey, Queue>,
    /// Webhooks with something ready and an attempt of their own to spare, each once.
    rounds: Rounds,
}

struct Queue {
    account: AccountKey,
    ready: VecDeque<Claimed>,
    in_flight: usize,
    in_rounds: bool,
}

impl Turns {
    /// Turns with at most `attempts` at once, shared by accounts, and at most
    /// `per_webhook` to each webhook.
    pub(super) fn new(attempts: usize, per_webhook: usize) -> Self {
        let attempts = Shares::new(attempts);
        Self { per_webhook, attempts, webhooks: BTreeMap::new(), rounds: Rounds::default() }
    }

    /// A leased delivery waits for its turn.
    pub(super) fn push(&mut self, account: AccountKey, claimed: Claimed) {
        let webhook = claimed.lane.webhook;
        let queue = self.webhooks.entry(webhook).or_insert_with(|| Queue {
            account,
            ready: VecDeque::new(),
            in_flight: 0,
            in_rounds: false,
        });
        queue.ready.push_back(claimed);
        self.line_up(webhook);
    }

    /// The next to be attempted; none, if nobody who has something may.
    pub(super) fn next(&mut self) -> Option<Claimed> {
        while self.attempts.free() > 0 {
            let (account, webhook) = self.rounds.next(|account| self.attempts.allow(account))?;
            let Some(queue) = self.webhooks.get_mut(&webhook) else { continue };
            queue.in_rounds = false;
            let Some(claimed) = queue.ready.pop_front() else {
                self.forget_if_idle(webhook);
                continue;
            };
            queue.in_flight += 1;
            self.attempts.take(account, 1);
            self.line_up(webhook);
            return Some(claimed);
        }
        None
    }

    /// Whether anything waits for its turn, and there is room for an attempt.
    pub(super) fn has_ready(&self) -> bool {
        self.attempts.free() > 0 && !self.rounds.is_empty()
    }

    /// An attempt to `webhook` ended.
    pub(super) fn done(&mut self, webhook: WebhookKey) {
        let Some(queue) = self.webhooks.get_mut(&webhook) else { return };
        queue.in_flight -= 1;
        self.attempts.leave(queue.account, 1);
        self.forget_if_idle(webhook);
        self.line_up(webhook);
    }

    fn forget_if_idle(&mut self, webhook: WebhookKey) {
        let idle = |queue: &Queue| queue.in_flight == 0 && queue.ready.is_empty() && !queue.in_rounds;
        if self.webhooks.get(&webhook).is_some_and(idle) {
            self.webhooks.remove(&webhook);
        }
    }

    /// Takes out what waits under a lease that ends by `until`.
    pub(super) fn take_ending(&mut self, until: Timestamp) -> Vec<Claimed> {
        let mut taken = Vec::new();
        for queue in self.webhooks.values_mut() {
            let (ending, staying) =
                queue.ready.drain(..).partition::<VecDeque<_>, _>(|claimed| claimed.lease.until <= until);
            queue.ready = staying;
            taken.extend(ending);
        }
        // Whoever has nothing left keeps its turn and is passed over.
        taken
    }

    /// Takes out all that waits.
    pub(super) fn drain(&mut self) -> Vec<Claimed> {
        self.rounds = Rounds::default();
        std::mem::take(&mut self.webhooks).into_values().flat_map(|queue| queue.ready).collect()
    }

    fn line_up(&mut self, webhook: WebhookKey) {
        let Some(queue) = self.webhooks.get_mut(&webhook) else { return };
        if !queue.in_rounds && !queue.ready.is_empty() && queue.in_flight < self.per_webhook {
            queue.in_rounds = true;
            self.rounds.push(queue.account, webhook);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Lane;
    use crate::model::id::{DeliveryId, EventId, NumberKey};
    use crate::model::number::Stale;
    use crate::store::queue::Lease;

    fn claimed(webhook: i64, number: i64) -> Claimed {
        Claimed {
            delivery: DeliveryId(number),
            lease: Lease { token: 1, until: Timestamp::default() },
            lane: Lane { webhook: WebhookKey(webhook), number: NumberKey(number) },
            event: EventId::new(Timestamp::default(), number, 0),
            sequence: 1,
            attempts: 0,
            attempts_before: 0,
            test: false,
            derived: None,
            stale: Stale::default(),
            snapshot: false,
            body: (*b"{}").into(),
        }
    }

    /// The account of a webhook: 12 is one of account 1.
    fn push(turns: &mut Turns, claimed: Claimed) {
        turns.push(AccountKey(claimed.lane.webhook.0 / 10), claimed);
    }

    fn turn(turns: &mut Turns) -> Option<i64> {
        turns.next().map(|claimed| claimed.lane.webhook.0)
    }

    fn all(turns: &mut Turns) -> Vec<i64> {
        std::iter::from_fn(|| turn(turns)).collect()
    }

    #[test]
    fn a_webhook_with_one_event_waits_for_one_attempt_of_the_other_not_for_its_backlog() {
        let mut turns = Turns::new(99, 8);
        (0..100).for_each(|number| push(&mut turns, claimed(1, number)));
        push(&mut turns, claimed(2, 500));
        assert_eq!([turn(&mut turns), turn(&mut turns), turn(&mut turns)], [Some(1), Some(2), Some(1)]);
    }

    #[test]
    fn what_waits_under_a_lease_about_to_end_is_taken_out_and_no_turn_is_lost() {
        let mut turns = Turns::new(99, 8);
        let until = |ms: i64, claimed: Claimed| {
            let until = Timestamp::from_ms(ms);
            Claimed { lease: Lease { token: 1, until }, ..claimed }
        };
        push(&mut turns, until(10, claimed(1, 1)));
        push(&mut turns, until(10, claimed(2, 2)));
        push(&mut turns, until(11, claimed(2, 3)));
        push(&mut turns, until(12, claimed(3, 4)));
        let taken = turns.take_ending(Timestamp::from_ms(10));
        assert_eq!(taken.iter().map(|claimed| claimed.delivery.0).collect::<Vec<_>>(), [1, 2]);
        push(&mut turns, until(13, claimed(1, 5)));
        assert_eq!([(); 4].map(|()| turn(&mut turns)), [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn a_webhook_has_at_most_its_share_under_way() {
        let mut turns = Turns::new(99, 2);
        (0..5).for_each(|number| push(&mut turns, claimed(1, number)));
        assert_eq!([turn(&mut turns), turn(&mut turns), turn(&mut turns)], [Some(1), Some(1), None]);
        turns.done(WebhookKey(1));
        assert_eq!([turn(&mut turns), turn(&mut turns)], [Some(1), None]);
        assert_eq!(turns.drain().len(), 2);
    }

    #[test]
    fn an_account_with_many_webhooks_gets_no_more_turns_than_one_with_a_single_one() {
        let mut turns = Turns::new(99, 8);
        for webhook in [11, 12, 13, 21] {
            (0..2).for_each(|number| push(&mut turns, claimed(webhook, number)));
        }
        assert_eq!(all(&mut turns), [11, 21, 12, 21, 13, 11, 12, 13]);
    }

    #[test]
    fn whoever_has_as_many_attempts_as_are_free_waits_and_a_newcomer_does_not() {
        let mut turns = Turns::new(6, 8);
        for webhook in 11..20 {
            push(&mut turns, claimed(webhook, 1));
        }
        assert_eq!(all(&mut turns), [11, 12, 13]);
        push(&mut turns, claimed(21, 1));
        push(&mut turns, claimed(31, 1));
        assert_eq!(all(&mut turns), [21, 31]);
        turns.done(WebhookKey(11));
        turns.done(WebhookKey(21));
        assert_eq!(all(&mut turns), [14], "two stay free for others");
        turns.done(WebhookKey(31));
        turns.done(WebhookKey(12));
        turns.done(WebhookKey(13));
        turns.done(WebhookKey(14));
        assert_eq!(all(&mut turns), [15, 16, 17], "nothing was counted twice");
    }
}
