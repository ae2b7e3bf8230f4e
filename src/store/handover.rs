//! Where the store and the dispatcher meet: leased deliveries on their way out,
//! and the news of what else is due.
//!
//! Memory is bounded thrice: `capacity` deliveries in all, [`BODIES_HELD_BYTES`]
//! of their bodies, `per_webhook` deliveries of each webhook, counted from the
//! reservation before the commit until the attempt has settled. Accounts share places and bytes ([`crate::policy::shares`]), so
//! that one whose every webhook hangs leaves as much free as it has. A webhook
//! that hangs with 100,000 waiting holds its own few places and nobody else's.
//! All else is one instant per webhook: when it is next due; and whose it is,
//! which never changes. Losing any of this costs nothing but a look into the store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::queue::Claimed;
use crate::model::id::{AccountKey, WebhookKey};
use crate::model::time::Timestamp;
use crate::policy::shares::{Shares, may_take};

/// While bodies in memory add up to this, no place is taken; nor by an account
/// whose bodies are as large as what is left.
pub const BODIES_HELD_BYTES: usize = 64 << 20;

/// The meeting place. One per node.
pub struct Handover {
    capacity: usize,
    per_webhook: usize,
    inner: Mutex<Inner>,
    news: Notify,
}

struct Inner {
    open: bool,
    places: Shares,
    /// Bytes of the bodies in these places.
    bytes: Shares,
    places_of: HashMap<WebhookKey, Places>,
    /// Whose each webhook is.
    accounts: HashMap<WebhookKey, AccountKey>,
    ready: VecDeque<Claimed>,
    due: BTreeMap<WebhookKey, Timestamp>,
    changed: BTreeSet<WebhookKey>,
    freed: Vec<WebhookKey>,
    /// Webhooks whose stored deliveries wait for a place of their own.
    crowded: HashSet<WebhookKey>,
    /// Accounts whose stored deliveries stand in line for any place.
    in_line: HashSet<AccountKey>,
    /// How many of these have no place at all.
    empty_handed: usize,
}

/// The places that a webhook has, and in whose share they count.
struct Places {
    account: AccountKey,
    taken: usize,
}

impl Inner {
    fn new(capacity: usize) -> Self {
        Self {
            open: false,
            places: Shares::new(capacity),
            bytes: Shares::new(BODIES_HELD_BYTES),
            places_of: HashMap::new(),
            accounts: HashMap::new(),
            ready: VecDeque::new(),
            due: BTreeMap::new(),
            changed: BTreeSet::new(),
            freed: Vec::new(),
            crowded: HashSet::new(),
            in_line: HashSet::new(),
            empty_handed: 0,
        }
    }

    /// Whose the webhook is. All that nobody told of count as one account's, so
    /// that they harm no other.
    fn account_of(&self, webhook: WebhookKey) -> AccountKey {
        self.accounts.get(&webhook).copied().unwrap_or(AccountKey(0))
    }

    /// How many more deliveries fit, whosever they are.
    fn free(&self) -> usize {
        if self.bytes.free() > 0 { self.places.free() } else { 0 }
    }

    /// Does something to an account's places or its standing in line, and counts
    /// whether it stands there with nothing.
    fn shift(&mut self, account: AccountKey, change: impl FnOnce(&mut Self)) {
        let before = self.is_empty_handed(account);
        change(self);
        match (before, self.is_empty_handed(account)) {
            (false, true) => self.empty_handed += 1,
            (true, false) => self.empty_handed -= 1,
            _ => {}
        }
    }

    fn is_empty_handed(&self, account: AccountKey) -> bool {
        !self.in_line.is_empty() && self.in_line.contains(&account) && self.places.held(account) == 0
    }
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

impl Handover {
    /// A handover with room for `capacity` deliveries, which accounts share, and
    /// for `per_webhook` of each webhook. It takes none before [`Handover::open`].
    pub fn new(capacity: usize, per_webhook: usize) -> Self {
        Self { capacity, per_webhook, inner: Mutex::new(Inner::new(capacity)), news: Notify::new() }
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

    /// Says whose `webhook` is: all there are at a start, and each that is made.
    pub fn note_account(&self, webhook: WebhookKey, account: AccountKey) {
        self.inner().accounts.insert(webhook, account);
    }

    /// Whose `webhook` is.
    pub fn account_of(&self, webhook: WebhookKey) -> AccountKey {
        self.inner().account_of(webhook)
    }

    /// Takes a place for a delivery that has just become ready, if its account's
    /// share has one and nothing stored of the account waits for it: what came
    /// first goes first. Others' lines do not count, but for those in them who
    /// have nothing yet: each will find a place.
    pub fn reserve_new(&self, webhook: WebhookKey) -> bool {
        let mut inner = self.inner();
        let account = inner.account_of(webhook);
        if inner.crowded.contains(&webhook) || inner.in_line.contains(&account) {
            return false;
        }
        let for_others = inner.empty_handed;
        if for_others > 0 && !may_take(inner.places.held(account), inner.free().saturating_sub(for_others)) {
            return false;
        }
        self.take_place(&mut inner, account, webhook)
    }

    /// Takes a place for a stored delivery of `webhook`; false if there is none.
    pub fn reserve(&self, webhook: WebhookKey) -> bool {
        let mut inner = self.inner();
        let account = inner.account_of(webhook);
        self.take_place(&mut inner, account, webhook)
    }

    fn take_place(&self, inner: &mut Inner, account: AccountKey, webhook: WebhookKey) -> bool {
        if !inner.open || !inner.places.allow(account) || !inner.bytes.allow(account) {
            return false;
        }
        let places = inner.places_of.entry(webhook).or_insert(Places { account, taken: 0 });
        if places.taken >= self.per_webhook {
            return false;
        }
        places.taken += 1;
        inner.shift(account, |inner| inner.places.take(account, 1));
        true
    }

    /// Bytes of a body are in memory from now on, in a place of `webhook`.
    pub fn hold(&self, webhook: WebhookKey, bytes: usize) {
        let mut inner = self.inner();
        let account = inner.account_of(webhook);
        inner.bytes.take(account, bytes);
    }

    /// Bytes of a body of `webhook` have gone.
    pub fn let_go(&self, webhook: WebhookKey, bytes: usize) {
        let mut inner = self.inner();
        let account = inner.account_of(webhook);
        inner.bytes.leave(account, bytes);
    }

    /// Says that stored deliveries of `webhook` wait for one of its own places,
    /// or no longer.
    pub fn set_crowded(&self, webhook: WebhookKey, waits: bool) {
        let mut inner = self.inner();
        if waits {
            inner.crowded.insert(webhook);
        } else {
            inner.crowded.remove(&webhook);
        }
    }

    /// Says that stored deliveries of `account` stand in line for a place of its
    /// share, or no longer.
    pub fn set_in_line(&self, account: AccountKey, stands: bool) {
        self.inner().shift(account, |inner| {
            if stands {
                inner.in_line.insert(account);
            } else {
                inner.in_line.remove(&account);
            }
        });
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
        let account = Self::leave_place(&mut inner, webhook);
        inner.bytes.leave(account, bytes);
    }

    /// Whose share the place was in.
    fn leave_place(inner: &mut Inner, webhook: WebhookKey) -> AccountKey {
        let Some(places) = inner.places_of.get_mut(&webhook) else {
            debug_assert!(false, "a place is freed once");
            return inner.account_of(webhook);
        };
        places.taken -= 1;
        let (account, left) = (places.account, places.taken);
        if left == 0 {
            inner.places_of.remove(&webhook);
        }
        inner.shift(account, |inner| inner.places.leave(account, 1));
        account
    }

    /// How many more deliveries of `webhook` fit, as far as its own places go.
    pub fn room(&self, webhook: WebhookKey) -> usize {
        let inner = self.inner();
        let taken = inner.places_of.get(&webhook).map_or(0, |places| places.taken);
        self.per_webhook.saturating_sub(taken)
    }

    /// How many places the account has; `None`, if it may take no other, however
    /// many are free, since its bodies are as large as they may be.
    pub fn places_of(&self, account: AccountKey) -> Option<usize> {
        let inner = self.inner();
        inner.bytes.allow(account).then(|| inner.places.held(account))
    }

    /// How many places are free, whoever may take them.
    pub fn free_places(&self) -> usize {
        self.inner().free()
    }

    /// How many places are taken, and how many there are.
    pub fn depth(&self) -> (usize, usize) {
        (self.inner().places.taken(), self.capacity)
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
    const OTHER: WebhookKey = WebhookKey(2);

    /// One in which each of these is a webhook of an account of its own.
    fn handover(capacity: usize, per_webhook: usize) -> Handover {
        let handover = Handover::new(capacity, per_webhook);
        (1..=9).for_each(|key| handover.note_account(WebhookKey(key), AccountKey(key)));
        handover.open();
        handover
    }

    fn grab(handover: &Handover, webhook: WebhookKey) -> usize {
        (0..1_000).take_while(|_| handover.reserve_new(webhook)).count()
    }

    #[test]
    fn no_place_is_taken_while_the_bodies_in_memory_are_as_large_as_they_may_be() {
        let handover = handover(9, 9);
        assert!(handover.reserve(HOOK));
        handover.hold(HOOK, BODIES_HELD_BYTES);
        assert!(!handover.reserve(OTHER) && !handover.reserve_new(OTHER));
        assert_eq!((handover.free_places(), handover.room(HOOK)), (0, 8));
        handover.free(HOOK, 1);
        assert_eq!((handover.free_places(), handover.room(HOOK)), (9, 9));
        assert!(handover.reserve(OTHER));
    }

    #[test]
    fn what_does_not_become_durable_takes_no_memory() {
        let handover = handover(9, 9);
        assert!(handover.reserve(HOOK));
        handover.hold(HOOK, BODIES_HELD_BYTES);
        handover.let_go(HOOK, BODIES_HELD_BYTES);
        handover.give_back(HOOK);
        assert_eq!((handover.free_places(), handover.take().freed.len()), (9, 1));
    }

    #[test]
    fn an_account_whose_bodies_fill_half_of_the_memory_leaves_the_other_half() {
        let handover = handover(9, 9);
        assert!(handover.reserve(HOOK));
        handover.hold(HOOK, BODIES_HELD_BYTES / 2);
        assert!(!handover.reserve(HOOK) && handover.places_of(AccountKey(1)).is_none());
        assert_eq!(grab(&handover, OTHER), 4);
        handover.let_go(HOOK, BODIES_HELD_BYTES / 2);
        assert!(handover.reserve(HOOK));
    }

    #[test]
    fn what_is_new_overtakes_nothing_of_its_own_account_and_waits_for_no_other() {
        let handover = handover(8, 8);
        assert_eq!(grab(&handover, HOOK), 4);
        handover.set_in_line(AccountKey(1), true);
        handover.free(HOOK, 0);
        assert!(!handover.reserve_new(HOOK), "its own stored ones go first");
        assert!(handover.reserve_new(OTHER), "another's do not");
        handover.set_in_line(AccountKey(1), false);
        assert!(handover.reserve_new(HOOK));
    }

    #[test]
    fn places_stay_for_those_who_stand_in_line_with_nothing() {
        let handover = handover(4, 4);
        assert_eq!(grab(&handover, HOOK), 2);
        for account in [3, 4] {
            handover.set_in_line(AccountKey(account), true);
        }
        assert!(!handover.reserve_new(OTHER), "both free places are theirs");
        assert!(handover.reserve(WebhookKey(3)) && !handover.reserve_new(OTHER));
        assert!(handover.reserve(WebhookKey(4)));
        handover.free(HOOK, 0);
        assert!(handover.reserve_new(OTHER), "they have what they waited for");
        handover.free(WebhookKey(3), 0);
        assert!(!handover.reserve_new(WebhookKey(5)), "now it has nothing again");
        handover.set_in_line(AccountKey(3), false);
        assert!(handover.reserve_new(WebhookKey(5)));
    }
}
