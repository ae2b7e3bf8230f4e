//! Whose turn it is: webhooks with something ready take turns.

use std::collections::{BTreeMap, VecDeque};

use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;
use crate::store::queue::Claimed;

/// What waits in memory, by webhook, and the order of turns.
pub(super) struct Turns {
    per_webhook: usize,
    webhooks: BTreeMap<WebhookKey, Queue>,
    /// Webhooks with something ready and an attempt to spare, each once.
    ring: VecDeque<WebhookKey>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Claimed>,
    in_flight: usize,
    in_ring: bool,
}

impl Turns {
    /// Turns with at most `per_webhook` attempts at once to each webhook.
    pub(super) fn new(per_webhook: usize) -> Self {
        Self { per_webhook, webhooks: BTreeMap::new(), ring: VecDeque::new() }
    }

    /// A leased delivery waits for its turn.
    pub(super) fn push(&mut self, claimed: Claimed) {
        let webhook = claimed.lane.webhook;
        self.webhooks.entry(webhook).or_default().ready.push_back(claimed);
        self.line_up(webhook);
    }

    /// The next to be attempted.
    pub(super) fn next(&mut self) -> Option<Claimed> {
        loop {
            let webhook = self.ring.pop_front()?;
            let Some(queue) = self.webhooks.get_mut(&webhook) else { continue };
            queue.in_ring = false;
            let Some(claimed) = queue.ready.pop_front() else { continue };
            queue.in_flight += 1;
            self.line_up(webhook);
            return Some(claimed);
        }
    }

    /// An attempt to `webhook` ended.
    pub(super) fn done(&mut self, webhook: WebhookKey) {
        if let Some(queue) = self.webhooks.get_mut(&webhook) {
            queue.in_flight -= 1;
            if queue.in_flight == 0 && queue.ready.is_empty() {
                self.webhooks.remove(&webhook);
            }
        }
        self.line_up(webhook);
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
        self.ring.clear();
        std::mem::take(&mut self.webhooks).into_values().flat_map(|queue| queue.ready).collect()
    }

    fn line_up(&mut self, webhook: WebhookKey) {
        let Some(queue) = self.webhooks.get_mut(&webhook) else { return };
        if !queue.in_ring && !queue.ready.is_empty() && queue.in_flight < self.per_webhook {
            queue.in_ring = true;
            self.ring.push_back(webhook);
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

    fn turn(turns: &mut Turns) -> Option<i64> {
        turns.next().map(|claimed| claimed.lane.webhook.0)
    }

    #[test]
    fn a_webhook_with_one_event_waits_for_one_attempt_of_the_other_not_for_its_backlog() {
        let mut turns = Turns::new(8);
        (0..100).for_each(|number| turns.push(claimed(1, number)));
        turns.push(claimed(2, 500));
        assert_eq!([turn(&mut turns), turn(&mut turns), turn(&mut turns)], [Some(1), Some(2), Some(1)]);
    }

    #[test]
    fn what_waits_under_a_lease_about_to_end_is_taken_out_and_no_turn_is_lost() {
        let mut turns = Turns::new(8);
        let until = |ms: i64, claimed: Claimed| {
            let until = Timestamp::from_ms(ms);
            Claimed { lease: Lease { token: 1, until }, ..claimed }
        };
        turns.push(until(10, claimed(1, 1)));
        turns.push(until(10, claimed(2, 2)));
        turns.push(until(11, claimed(2, 3)));
        turns.push(until(12, claimed(3, 4)));
        let taken = turns.take_ending(Timestamp::from_ms(10));
        assert_eq!(taken.iter().map(|claimed| claimed.delivery.0).collect::<Vec<_>>(), [1, 2]);
        turns.push(until(13, claimed(1, 5)));
        assert_eq!([(); 4].map(|()| turn(&mut turns)), [Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn a_webhook_has_at_most_its_share_under_way() {
        let mut turns = Turns::new(2);
        (0..5).for_each(|number| turns.push(claimed(1, number)));
        assert_eq!([turn(&mut turns), turn(&mut turns), turn(&mut turns)], [Some(1), Some(1), None]);
        turns.done(WebhookKey(1));
        assert_eq!([turn(&mut turns), turn(&mut turns)], [Some(1), None]);
        assert_eq!(turns.drain().len(), 2);
    }
}
