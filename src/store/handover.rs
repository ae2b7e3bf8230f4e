//! Where the store and the dispatcher meet: leased deliveries on their way out,
//! and the news of what else is due.
//!
//! Memory is bounded thrice: `capacity` deliveries in all, [`BODIES_HELD_BYTES`]
//! of their bodies, `per_webhook` deliveries of each webhook, counted from the reservation before the commit until the attempt
//! has settled. A webhook that hangs with 100,000 waiting holds its own few
//! places and nobody else's. All else is one instant per webhook: when it is
//! next due. Losing any of this costs nothing but a look into the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::queue::Claimed;
use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;

/// While bodies in memory add up to this, no place is taken.
pub const BODIES_HELD_BYTES: usize = 64 << 20;

/// The meeting place. One per node.
pub struct Handover {
    capacity: usize,
    per_webhook: usize,
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Default)]
struct Inner {
    open: bool,
    places: usize,
    /// Bytes of the bodies in these places.
    bytes: usize,
    places_of: HashMap<WebhookKey, usize>,
    ready: VecDeque<Claimed>,
    due: BTreeMap<WebhookKey, Timestamp>,
    changed: BTreeSet<WebhookKey>,
    freed: Vec<WebhookKey>,
    /// Webhooks, and whether any at all, whose stored deliveries wait for a place.
    waiting: BTreeSet<WebhookKey>,
    anyone_waits: bool,
}

/// What the dispatcher takes away.
#[derive(Default)]
pub struct News {
    /// Leased deliveries, in the order of their commits.
    pub ready: VecDeque<Claimed>,
    /// Webhooks with deliveries in the store that are due at that instant.
    pub due: BTreeMap<WebhookKey, Timestamp>,
    /// Webhooks whose configuration changed.
    pub changed: BTreeSet<WebhookKey>,
    /// Webhooks of which a place was given back unused, once for each place.
    pub freed: Vec<WebhookKey>,
}

/// How many more deliveries fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Of the webhook.
    pub own: usize,
    /// Of anyone.
    pub all: usize,
}

impl Handover {
    /// A handover with room for `capacity` deliveries, `per_webhook` of each
    /// webhook. It takes none before [`Handover::open`].
    pub fn new(capacity: usize, per_webhook: usize) -> Self {
        Self { capacity, per_webhook, inner: Mutex::default(), news: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A dispatcher is there: deliveries may be handed over.
    pub fn open(&self) {
        self.inner().open = true;
    }

    /// The dispatcher is leaving: what is accepted from now on stays due in the
    /// store.
    pub fn close(&self) {
        self.inner().open = false;
    }

    /// Takes a place for a delivery that has just become ready, if there is one
    /// and nothing stored waits for it: what came first goes first.
    pub fn reserve_new(&self, webhook: WebhookKey) -> bool {
        let mut inner = self.inner();
        if inner.anyone_waits || inner.waiting.contains(&webhook) {
            return false;
        }
        self.take_place(&mut inner, webhook)
    }

    /// Takes a place for a stored delivery of `webhook`; false if there is none.
    pub fn reserve(&self, webhook: WebhookKey) -> bool {
        let mut inner = self.inner();
        self.take_place(&mut inner, webhook)
    }

    fn take_place(&self, inner: &mut Inner, webhook: WebhookKey) -> bool {
        let taken = inner.places_of.get(&webhook).copied().unwrap_or(0);
        if !inner.open || self.left(inner) == 0 || taken >= self.per_webhook {
            return false;
        }
        inner.places += 1;
        inner.places_of.insert(webhook, taken + 1);
        true
    }

    /// How many more deliveries fit, whosever they are.
    fn left(&self, inner: &Inner) -> usize {
        if inner.bytes < BODIES_HELD_BYTES { self.capacity.saturating_sub(inner.places) } else { 0 }
    }

    /// Bytes of a body are in memory from now on, in a place that was taken.
    pub fn hold(&self, bytes: usize) {
        self.inner().bytes += bytes;
    }

    /// Bytes of bodies have gone.
    pub fn let_go(&self, bytes: usize) {
        let mut inner = self.inner();
        inner.bytes = inner.bytes.saturating_sub(bytes);
    }

    /// Says that stored deliveries of `webhook` wait for one of its own places,
    /// or no longer.
    pub fn set_waiting(&self, webhook: WebhookKey, waits: bool) {
        let mut inner = self.inner();
        if waits {
            inner.waiting.insert(webhook);
        } else {
            inner.waiting.remove(&webhook);
        }
    }

    /// Says that stored deliveries wait for any place, or no longer.
    pub fn set_anyone_waits(&self, waits: bool) {
        self.inner().anyone_waits = waits;
    }

    /// Gives back a place that was never used: its delivery was not committed.
    /// That is news, because someone may be waiting for it.
    pub fn give_back(&self, webhook: WebhookKey) {
        let mut inner = self.inner();
        Self::leave_place(&mut inner, webhook);
        inner.freed.push(webhook);
        drop(inner);
        self.news.notify_one();
    }

    /// Frees the place of a delivery whose attempt is over, and its body's bytes.
    pub fn free(&self, webhook: WebhookKey, bytes: usize) {
        let mut inner = self.inner();
        inner.bytes = inner.bytes.saturating_sub(bytes);
        Self::leave_place(&mut inner, webhook);
    }

    fn leave_place(inner: &mut Inner, webhook: WebhookKey) {
        let left = inner.places_of.get(&webhook).copied().unwrap_or(0);
        debug_assert!(left > 0, "a place is freed once");
        inner.places = inner.places.saturating_sub(1);
        if left <= 1 {
            inner.places_of.remove(&webhook);
        } else {
            inner.places_of.insert(webhook, left - 1);
        }
    }

    /// How many more deliveries of `webhook` fit.
    pub fn room(&self, webhook: WebhookKey) -> Room {
        let inner = self.inner();
        let taken = inner.places_of.get(&webhook).copied().unwrap_or(0);
        Room { own: self.per_webhook.saturating_sub(taken), all: self.left(&inner) }
    }

    /// How many places are left for anyone.
    pub fn free_places(&self) -> usize {
        self.left(&self.inner())
    }

    /// How many places are taken, and how many there are.
    pub fn depth(&self) -> (usize, usize) {
        (self.inner().places, self.capacity)
    }

    /// Hands committed deliveries over; each has its place already.
    pub fn hand_over(&self, claimed: Vec<Claimed>) {
        if !claimed.is_empty() {
            self.inner().ready.extend(claimed);
            self.news.notify_one();
        }
    }

    /// Says that the store holds something of `webhook`, due at `at`.
    pub fn note_due(&self, webhook: WebhookKey, at: Timestamp) {
        let mut inner = self.inner();
        let earliest = inner.due.entry(webhook).or_insert(at);
        *earliest = at.min(*earliest);
        drop(inner);
        self.news.notify_one();
    }

    /// Says that `webhook` was configured anew, enabled, disabled or deleted.
    pub fn note_changed(&self, webhook: WebhookKey) {
        self.inner().changed.insert(webhook);
        self.news.notify_one();
    }

    /// Takes what there is.
    pub fn take(&self) -> News {
        let mut inner = self.inner();
        News {
            ready: std::mem::take(&mut inner.ready),
            due: std::mem::take(&mut inner.due),
            changed: std::mem::take(&mut inner.changed),
            freed: std::mem::take(&mut inner.freed),
        }
    }

    /// Waits for news. Level-triggered: news from before the call counts.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOK: WebhookKey = WebhookKey(1);

    #[test]
    fn no_place_is_taken_while_the_bodies_in_memory_are_as_large_as_they_may_be() {
        let handover = Handover::new(9, 9);
        handover.open();
        assert!(handover.reserve(HOOK));
        handover.hold(BODIES_HELD_BYTES);
        assert!(!handover.reserve(HOOK) && !handover.reserve_new(HOOK));
        assert_eq!((handover.free_places(), handover.room(HOOK)), (0, Room { own: 8, all: 0 }));
        handover.free(HOOK, 1);
        assert_eq!(handover.room(HOOK), Room { own: 9, all: 9 });
        assert!(handover.reserve(HOOK));
    }

    #[test]
    fn what_does_not_become_durable_takes_no_memory() {
        let handover = Handover::new(9, 9);
        handover.open();
        assert!(handover.reserve(HOOK));
        handover.hold(BODIES_HELD_BYTES);
        handover.let_go(BODIES_HELD_BYTES);
        handover.give_back(HOOK);
        assert_eq!((handover.free_places(), handover.take().freed.len()), (9, 1));
    }
}
