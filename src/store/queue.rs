//! The data plane: from an accepted change to a settled delivery.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reply;
use crate::model::attempt::Attempt;
pub use crate::model::change::Unparsed;
use crate::model::change::{Change, Fingerprint};
use crate::model::delivery::{DeliveryState, Lane};
use crate::model::event::Derived;
use crate::model::id::{AccountId, DeliveryId, EventId, Position, WebhookId, WebhookKey};
use crate::model::number::Stale;
use crate::model::reading::Reading;
use crate::model::time::Timestamp;

/// The data plane. See the module's docs of [`crate::store`] for the rules.
pub trait Queue: Send + Sync + 'static {
    /// Takes a notification whole: deduplicates, routes, numbers and fills each
    /// change, and keeps events with what they owe, or the change as unrouted.
    fn accept(&self, batch: Batch) -> Reply<Receipt>;

    /// Takes an event that the account itself publishes, or a test event.
    fn publish(&self, publication: Publication) -> Reply<Published>;

    /// Leases due heads of lanes, at most `wants[i].room` of each webhook, and
    /// puts them into the handover. Says when each webhook asked for is next
    /// due (`None`: nothing waits).
    fn claim(&self, wants: Vec<Want>, now: Timestamp) -> Reply<Vec<(WebhookKey, Option<Timestamp>)>>;

    /// Records an attempt and what follows from it, if the lease still holds.
    fn settle(&self, settlement: Settlement) -> Reply<Settled>;

    /// Gives up leases unused: the deliveries are due again at `now`.
    fn release(&self, leases: Vec<(DeliveryId, Lease)>, now: Timestamp) -> Reply<()>;

    /// When each webhook with waiting deliveries is next due: what a dispatcher
    /// starts from.
    fn schedule(&self) -> Reply<BTreeMap<WebhookKey, Timestamp>>;

    /// Changes of one business account that waited for it and are routable now,
    /// oldest first, at most `limit`; none, if none of any waits.
    fn waiting(&self, limit: usize) -> Reply<Vec<Waiting>>;

    /// Holds capability updates against numbers that have not heard of them yet,
    /// some of them. Says how many events followed, and whether more is left.
    fn derive(&self, derivation: Derivation) -> Reply<(u64, bool)>;

    /// Takes what the source of truth says of a business account's numbers, in one
    /// transaction with the events that follow: of thousands, a caller gives some
    /// at a time. Repeating it makes no event twice. `None` if the business account
    /// is not registered, or its account not configured.
    fn observe(&self, observation: Observation) -> Reply<Option<Observed>>;

    /// Removes what is older than `retention` says, one small step; says where
    /// the next step begins (`None`: through).
    fn retire(&self, retention: Retention) -> Reply<Option<Position>>;
}

/// The changes of one notification.
#[derive(Debug, Clone)]
pub struct Batch {
    /// When it arrived.
    pub now: Timestamp,
    /// The Meta app it came through.
    pub app: String,
    /// What it holds, in its order.
    pub items: Vec<Item>,
    /// Random bits for event ids.
    pub random: u64,
    /// Whether `currentLimit` and `oldLimit` are filled (contract.md 5.1).
    pub fill_limits: bool,
    /// Whether a capability update becomes an event of each number whose limit it
    /// changes.
    pub derive: bool,
}

/// One item of a notification.
#[derive(Debug, Clone)]
pub enum Item {
    /// A change that is understood.
    Change(Change),
    /// A change from the unrouted ones, to be routed now.
    Waiting {
        /// The row it waits in.
        row: i64,
        /// When it came: one that says no time counts for that.
        received_at: Timestamp,
        /// The change; one that can't be read any more joins the unparsed.
        read: Result<Change, Unparsed>,
    },
    /// Something validly signed that can't be read.
    Unparsed(Unparsed),
}

/// What became of a notification's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt {
    /// New events.
    pub accepted: u64,
    /// Seen before.
    pub duplicate: u64,
    /// The latest value of its number again, stamped anew.
    pub resent: u64,
    /// Waiting for their business account.
    pub unrouted: u64,
    /// Kept raw.
    pub unparsed: u64,
    /// Message traffic: counted by the intake, nothing of it is kept.
    pub ignored: u64,
    /// Events that followed from capability updates, besides.
    pub derived: u64,
    /// Capability updates of which numbers have yet to hear: see
    /// [`Queue::derive`].
    pub underived: u64,
}

/// A reading of the source of truth, to be held against what is known.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When it is handed over.
    pub now: Timestamp,
    /// What was read.
    pub reading: Reading,
    /// Whether a rating that falls to `RED` or returns from it becomes `FLAGGED`
    /// or `UNFLAGGED`.
    pub flags: bool,
    /// Whether limits are filled.
    pub fill_limits: bool,
    /// Random bits for event ids.
    pub random: u64,
}

/// A step with what capability updates left to be derived.
#[derive(Debug, Clone, Copy)]
pub struct Derivation {
    /// At most so many numbers hear.
    pub step: usize,
    /// When.
    pub now: Timestamp,
    /// Whether limits are filled.
    pub fill_limits: bool,
    /// Random bits for event ids.
    pub random: u64,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// Numbers it told of.
    pub numbers: u64,
    /// Of these, unknown before.
    pub learned: u64,
    /// Events that followed.
    pub events: u64,
}

/// An event that does not come from Meta.
#[derive(Debug, Clone)]
pub struct Publication {
    /// When it was handed over.
    pub now: Timestamp,
    /// For whom.
    pub account: AccountId,
    /// What it says; it is always news, so its `time` is not looked at.
    pub change: Change,
    /// When what it tells happened, if said.
    pub timestamp: Option<Timestamp>,
    /// To whom it goes.
    pub audience: Audience,
    /// The caller's idempotency key and the hash of its request.
    pub idempotency: Option<(String, Fingerprint)>,
    /// Random bits for the event's id.
    pub random: u64,
    /// Whether limits are filled.
    pub fill_limits: bool,
}

/// To whom a published event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// To every webhook that routing names.
    Routed,
    /// To this webhook only, marked as a test.
    Test(WebhookId),
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// A new event.
    Accepted(EventId),
    /// The event that the same idempotency key made before.
    Repeated(EventId),
    /// The idempotency key was used for another request.
    KeyReused,
    /// The business account is not registered to this account.
    UnknownBusinessAccount,
    /// The account is not configured for Chat Apps.
    NotConfigured,
    /// There is no such webhook, or it is disabled or not of type CABM.
    UnknownWebhook,
}

/// How many deliveries of a webhook the dispatcher has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Which webhook.
    pub webhook: WebhookKey,
    /// At most so many.
    pub room: usize,
}

/// The right to attempt a delivery, for a while. The token is unique among all
/// leases ever given: a settlement under an older one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which lease.
    pub token: i64,
    /// Until when.
    pub until: Timestamp,
}

/// A leased delivery with all that an attempt needs but the webhook's own
/// configuration.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Under which lease.
    pub lease: Lease,
    /// In which lane.
    pub lane: Lane,
    /// The event's id.
    pub event: EventId,
    /// The event's sequence within its account and number.
    pub sequence: i64,
    /// Attempts made so far.
    pub attempts: u32,
    /// Of these, attempts before the last replay.
    pub attempts_before: u32,
    /// Whether it is a test event.
    pub test: bool,
    /// Why there is such an event, if no notification said it.
    pub derived: Option<Derived>,
    /// What it tells although something newer was known when it was accepted.
    pub stale: Stale,
    /// Whether it tells how a number stands, because someone asked.
    pub snapshot: bool,
    /// The exact bytes to send.
    pub body: Arc<[u8]>,
}

/// An attempt that ended, and where that leaves the delivery.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// In which lane.
    pub lane: Lane,
    /// Under which lease.
    pub lease: Lease,
    /// The attempt; its `next_at` says when the next one is due.
    pub attempt: Attempt,
    /// Where the delivery stands now: pending until `next_at`, or settled.
    pub state: DeliveryState,
    /// When this is recorded.
    pub now: Timestamp,
}

/// What became of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Recorded.
    Recorded,
    /// The lease had gone: nothing was recorded.
    Stale,
}

/// A change that waits for its business account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The row it waits in.
    pub row: i64,
    /// The app it came through.
    pub app: String,
    /// `entry[].id`.
    pub business_account: String,
    /// `entry[].time`, in seconds.
    pub time: Option<i64>,
    /// When it came.
    pub received_at: Timestamp,
    /// The field.
    pub field: String,
    /// The value, JSON as it came.
    pub raw: String,
}

/// What is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What it is by now: what was accepted after this was so under a clock that
    /// was ahead.
    pub now: Timestamp,
    /// Events accepted before this, with nothing pending, go.
    pub events_before: Timestamp,
    /// Events behind this position: where the last step ended.
    pub after: Position,
    /// Deduplication and idempotency keys from before this go.
    pub keys_before: Timestamp,
    /// The journal's rows from before this go, but for the last.
    pub journal_before: Timestamp,
    /// At most so many rows a step.
    pub step: usize,
}
