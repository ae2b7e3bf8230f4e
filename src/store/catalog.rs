//! The control plane: what operators and account owners configure and look at.
//!
//! Listing goes newest first for events and deliveries, by id elsewhere. A page
//! says where the next one begins; it may be shorter than asked for, even
//! empty, and still have a next one, because a filter that matches little must
//! not make one call scan everything.

pub mod numbers;

use tokio::sync::watch;

use super::Reply;
use super::journal::{Follow, Followed};
use crate::model::account::{Account, ApiKey, BusinessAccount};
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::Derived;
use crate::model::id::{
    AccountId, BusinessAccountId, DeliveryId, EventId, Position, SubAccountId, WebhookId, WebhookKey,
};
use crate::model::number::{Stale, Subject};
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryMode, Scope, Webhook, WebhookType};
pub use numbers::{
    Entered, HistoryPlace, HistoryQuery, HistoryRow, NumberEntry, NumberPlace, NumberQuery, NumberRow,
    NumberSort, Refusal,
};

/// The control plane.
pub trait Catalog: Send + Sync + 'static {
    /// Registers or changes an account (all but `created_at`, which stays);
    /// says whether it is new. What waited may be routable now.
    fn put_account(&self, account: Account) -> Reply<bool>;
    /// One account.
    fn account(&self, id: AccountId) -> Reply<Option<Account>>;
    /// Accounts by id, after `after`.
    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Reply<Page<Account, AccountId>>;
    /// Removes an account, its webhooks and keys, and cancels what is pending
    /// (as [`Catalog::delete_webhooks`] does). Its events age out unseen.
    /// `NotFound`, or `Conflict` while business accounts are registered to it.
    fn delete_account(&self, id: AccountId, now: Timestamp) -> Reply<()>;

    /// Registers or moves a business account; says whether it is new. What
    /// waited may be routable now, and what is known of its numbers goes along.
    /// `NotFound` if there is no such account.
    fn put_business_account(&self, business_account: BusinessAccount, now: Timestamp) -> Reply<bool>;
    /// One business account.
    fn business_account(&self, id: BusinessAccountId) -> Reply<Option<BusinessAccount>>;
    /// Business accounts by id, after `after`; `unreconciled`: only those whose last
    /// reading from the Graph API failed.
    fn business_accounts(
        &self,
        after: Option<BusinessAccountId>,
        limit: usize,
        unreconciled: bool,
    ) -> Reply<Page<BusinessAccount, BusinessAccountId>>;
    /// Unregisters a business account: its changes wait unrouted from now on.
    /// `NotFound` if it is not registered.
    fn delete_business_account(&self, id: BusinessAccountId) -> Reply<()>;
    /// The sub-accounts that the account's business accounts name.
    fn sub_accounts(&self, account: AccountId) -> Reply<Vec<SubAccountId>>;

    /// Keeps a key by the hash of its text. `Conflict` if its id is taken,
    /// `NotFound` if there is no such account.
    fn put_key(&self, key: ApiKey, hash: [u8; 32]) -> Reply<()>;
    /// The key of that id, and its hash.
    fn key(&self, id: String) -> Reply<Option<(ApiKey, [u8; 32])>>;
    /// Keys by id, after `after`.
    fn keys(&self, after: Option<String>, limit: usize) -> Reply<Page<ApiKey, String>>;
    /// Forgets a key. `NotFound` if there is none.
    fn delete_key(&self, id: String) -> Reply<()>;

    /// The account's webhooks, oldest first.
    fn webhooks(&self, account: AccountId) -> Reply<Vec<Webhook>>;
    /// One webhook by the store's key; `None` once deleted.
    fn webhook(&self, key: WebhookKey) -> Reply<Option<Webhook>>;
    /// Creates or replaces webhooks by (account, scope, type), all or none; one
    /// that is replaced keeps its `created_at`. `Conflict` if one of these
    /// identities has another id by now, or an id is taken; `Limit` beyond
    /// [`WEBHOOKS_PER_ACCOUNT`]; `NotFound` if there is no such account.
    fn put_webhooks(&self, webhooks: Vec<Webhook>) -> Reply<()> {
        self.configure(webhooks, None)
    }
    /// The same. With `snapshot`, random bits, each that begins to get events by
    /// it (new, or enabled again) is told how the numbers stand, as by
    /// [`Catalog::put_snapshot`]. One that is replaced keeps its `delivery`.
    fn configure(&self, webhooks: Vec<Webhook>, snapshot: Option<u64>) -> Reply<()>;
    /// Sets which events an account's webhook gets of those that wait; `None` if
    /// there is no such webhook.
    fn set_delivery(
        &self,
        account: AccountId,
        webhook: WebhookId,
        delivery: DeliveryMode,
        now: Timestamp,
    ) -> Reply<Option<Webhook>>;
    /// Begins to tell a webhook how each number in its scope stands, by events
    /// for it alone; anew, if that is under way. `random`: bits for their ids.
    /// False if there is no such webhook, or nothing is sent to it.
    fn put_snapshot(&self, account: AccountId, webhook: WebhookId, random: u64) -> Reply<bool>;
    /// Takes each snapshot at most `step` numbers further; says whether any is
    /// still under way.
    fn advance_snapshots(&self, step: usize, now: Timestamp) -> Reply<bool>;
    /// Deletes webhooks, all or none, and cancels what is pending for them: a
    /// few thousand deliveries at once, the rest in [`Catalog::tidy`]'s steps.
    /// `NotFound` if one is not there: its index is the message.
    fn delete_webhooks(
        &self,
        account: AccountId,
        identities: Vec<(Scope, WebhookType)>,
        now: Timestamp,
    ) -> Reply<()>;
    /// How deliveries to a webhook fare; all zero if there is no such webhook.
    fn health(&self, account: AccountId, webhook: WebhookId) -> Reply<Health>;

    /// What has not arrived at a webhook, by number, after `after`: nothing if
    /// there is no such webhook.
    fn undelivered(
        &self,
        account: AccountId,
        webhook: WebhookId,
        after: Option<i64>,
        limit: usize,
    ) -> Reply<Page<Undelivered, i64>>;
    /// One step of looking, in all accounts, for the oldest event that has not
    /// arrived; of about `step` lanes.
    fn sweep_undelivered(&self, from: SweepPlace, step: usize) -> Reply<Sweep>;

    /// Events of an account.
    fn events(&self, query: EventQuery) -> Reply<Page<EventRow, Position>>;
    /// One event of an account and its deliveries.
    fn event(&self, account: AccountId, id: EventId) -> Reply<Option<(EventRow, Vec<Delivery>)>>;
    /// Numbers of an account, as far as they are known.
    fn numbers(&self, query: NumberQuery) -> Reply<Page<NumberRow, NumberPlace>>;
    /// One number; `None` if it is not known or was retired.
    fn number(&self, account: AccountId, number: Subject) -> Reply<Option<NumberRow>>;
    /// What changed of a number, newest first; `None` if it was never known.
    fn history(&self, query: HistoryQuery) -> Reply<Option<Page<HistoryRow, HistoryPlace>>>;
    /// Enters a number by hand, or what is known of it.
    fn put_number(&self, entry: NumberEntry) -> Reply<Entered>;
    /// Retires a number by hand; false if it is not known.
    fn delete_number(&self, account: AccountId, number: Subject, now: Timestamp) -> Reply<bool>;

    /// Deliveries of an account.
    fn deliveries(&self, query: DeliveryQuery) -> Reply<Page<Delivery, DeliveryId>>;
    /// One delivery of an account with every attempt.
    fn delivery(&self, account: AccountId, id: DeliveryId) -> Reply<Option<(Delivery, Vec<Attempt>)>>;

    /// One step along the journal; `None` if there is no such account (any more).
    fn follow(&self, follow: Follow) -> Reply<Option<Followed>>;
    /// Changes whenever the journal has more to tell.
    fn told(&self) -> watch::Receiver<i64>;

    /// Makes settled deliveries pending again, due at `now` or behind their
    /// lane's head, with a fresh round of attempts; says what became of each.
    fn replay(&self, account: AccountId, deliveries: Vec<DeliveryId>, now: Timestamp)
    -> Reply<Vec<Replayed>>;
    /// Keeps a bulk replay, and counts what it will replay: what matches and has
    /// settled by `created_at`. Without a state that is exhausted and canceled
    /// ones; never pending ones, nor those of deleted webhooks. `matched`,
    /// `replayed` and `state` are filled in. `NotFound` if there is no such
    /// account, `Conflict` if the id is taken.
    fn put_replay(&self, replay: Replay) -> Reply<Replay>;
    /// How many deliveries a bulk replay of that query would take now.
    fn count(&self, query: DeliveryQuery) -> Reply<u64>;
    /// One bulk replay.
    fn bulk_replay(&self, account: AccountId, id: String) -> Reply<Option<Replay>>;
    /// Cancels a bulk replay that still runs; says how it stands now.
    fn cancel_replay(&self, account: AccountId, id: String) -> Reply<Option<Replay>>;
    /// Takes each running bulk replay at most `step` deliveries further, oldest
    /// first, and no faster than it asked for (what was missed is not made up
    /// for beyond one second's worth); says whether any still runs.
    fn advance_replays(&self, step: usize, now: Timestamp) -> Reply<bool>;

    /// Changes that wait for their business account, oldest first, after `after`.
    fn unrouted(&self, after: Option<i64>, limit: usize) -> Reply<Page<UnroutedRow, i64>>;
    /// What could not be read, newest first, before `before`.
    fn unparsed(&self, before: Option<i64>, limit: usize) -> Reply<Page<UnparsedRow, i64>>;

    /// How much of what there is, for the metrics.
    fn totals(&self, now: Timestamp) -> Reply<Totals>;
    /// What was kept to recognise the key that seals secrets, if anything was.
    fn key_check(&self) -> Reply<Option<Vec<u8>>>;
    /// Keeps it; there is none yet.
    fn put_key_check(&self, sealed: Vec<u8>) -> Reply<()>;

    /// Answers if the store can be read and written.
    fn ping(&self) -> Reply<()>;
    /// Does one small step of the store's own housekeeping, of about `step`
    /// rows; says whether more is left.
    fn tidy(&self, step: usize) -> Reply<bool>;
}

/// So many webhooks an account may have (contract.md 5.12).
pub const WEBHOOKS_PER_ACCOUNT: usize = 10_000;

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins: pass it as `after` or `before`.
    pub next: Option<C>,
}

/// Which events.
#[derive(Debug, Clone)]
pub struct EventQuery {
    /// Of which account.
    pub account: AccountId,
    /// About which number.
    pub number: Option<Subject>,
    /// Of which type.
    pub event_type: Option<String>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
    /// Accepted before.
    pub until: Option<Timestamp>,
    /// Before this position.
    pub before: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// An event as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its sequence within account and number.
    pub sequence: i64,
    /// The number's digits, if it is about one.
    pub phone_number: Option<String>,
    /// The app it came through; `None` if it was published here.
    pub app: Option<String>,
    /// How often Meta sent it again with a later time.
    pub resends: u32,
    /// Whether it is a test event.
    pub test: bool,
    /// Why there is such an event, if no notification said it.
    pub derived: Option<Derived>,
    /// What it tells although something newer was known when it was accepted.
    pub stale: Stale,
    /// Whether it tells how a number stands, because someone asked.
    pub snapshot: bool,
    /// The exact bytes that are sent, JSON.
    pub body: Vec<u8>,
}

/// Which deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryQuery {
    /// Of which account.
    pub account: AccountId,
    /// Standing where.
    pub state: Option<DeliveryState>,
    /// To which webhook.
    pub webhook: Option<WebhookId>,
    /// Of which number.
    pub number: Option<Subject>,
    /// Whose event was accepted at or after.
    pub since: Option<Timestamp>,
    /// Whose event was accepted before.
    pub until: Option<Timestamp>,
    /// Before this delivery.
    pub before: Option<DeliveryId>,
    /// At most so many.
    pub limit: usize,
}

/// What became of a delivery that was to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It is pending again.
    Revived,
    /// It is pending anyway and stays as it is.
    AlreadyPending,
    /// Its webhook was deleted: there is nowhere to send it.
    WebhookDeleted,
    /// The account has no such delivery.
    Unknown,
}

/// How deliveries to a webhook fare, over its last 100 that were attempted (as
/// far as they are found among the account's recent ones).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Deliveries waiting.
    pub pending: u64,
    /// Of the last 100 attempted ones, how many were delivered.
    pub delivered: u64,
    /// Of the last 100 attempted ones, how many are exhausted.
    pub exhausted: u64,
    /// When one of these was last delivered.
    pub last_delivered_at: Option<Timestamp>,
    /// The last failed attempt of these.
    pub last_failure: Option<Attempt>,
}

/// What has not arrived of a number at a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The oldest delivery that is pending or exhausted.
    pub delivery: Delivery,
    /// The sequence of its event.
    pub sequence: i64,
    /// Its last attempt that failed.
    pub last_failure: Option<Attempt>,
    /// The sequence of the number's last event that was delivered, as far as one
    /// is found among the newest and among those right before this one.
    pub acknowledged: Option<i64>,
}

/// Where a step of a sweep begins; the default: at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepPlace {
    /// Whether what waits is through, and what is exhausted follows.
    pub exhausted: bool,
    /// Behind this lane.
    pub account: i64,
    /// Its webhook.
    pub webhook: i64,
    /// Its number.
    pub number: i64,
}

/// What a step of a sweep found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// When the oldest undelivered event that was met was accepted, by account.
    pub oldest: Vec<(AccountId, Timestamp)>,
    /// Where the next step begins; `None`: through.
    pub next: Option<SweepPlace>,
}

/// A bulk replay.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its id.
    pub id: String,
    /// What it replays (`before` and `limit` are not used).
    pub query: DeliveryQuery,
    /// At most so many deliveries a second.
    pub per_second: u32,
    /// How many match.
    pub matched: u64,
    /// How many were replayed so far.
    pub replayed: u64,
    /// Whether an exhausted delivery is superseded instead, if a newer one of its
    /// lane stands for it that was delivered, is pending or is replayed as well.
    pub skip_superseded: bool,
    /// How many were superseded so far.
    pub superseded: u64,
    /// Where it stands.
    pub state: ReplayState,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// Where a bulk replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayState {
    /// Under way.
    Running,
    /// Through.
    Completed,
    /// Stopped by its owner.
    Canceled,
}

impl ReplayState {
    /// All states, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Running, Self::Completed, Self::Canceled];

    /// The state's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }
}

/// A change that waits for its business account, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnroutedRow {
    /// Its row.
    pub row: i64,
    /// `entry[].id`.
    pub business_account: String,
    /// The app it came through.
    pub app: String,
    /// The field.
    pub field: String,
    /// `entry[].time`, in seconds.
    pub time: Option<i64>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The value, JSON as it came.
    pub raw: String,
}

/// Something that could not be read, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnparsedRow {
    /// Its row.
    pub row: i64,
    /// The app it came through.
    pub app: String,
    /// The business account, if that much could be read.
    pub business_account: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What is wrong with it.
    pub reason: String,
    /// Its bytes as they came.
    pub raw: Vec<u8>,
}

/// How much of what there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Deliveries by state, in the order of [`DeliveryState::ALL`].
    pub deliveries: [u64; 5],
    /// Changes waiting for their business account.
    pub unrouted: u64,
    /// How long the oldest due delivery has been due, in milliseconds.
    pub oldest_due_ms: i64,
}
