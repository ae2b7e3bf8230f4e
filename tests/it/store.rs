//! The store's contract: what every store must do, told through the port. The
//! backend is made in one place, [`Bench::open`].

mod accept;
mod commit;
mod control;
mod deliveries;
mod interrupted;
mod journal;
mod lease;
mod listing;
mod moves;
mod numbers;
mod opening;
mod publish;
mod reconciliations;
mod replays;
mod retention;
mod snapshots;
mod supersede;
mod undelivered;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::env::{Fault, Faults, Point};
use bellwether::model::account::{Account, BusinessAccount};
use bellwether::model::attempt::{Attempt, Outcome, OutcomeClass};
use bellwether::model::change::{Change, Detail, QUALITY_FIELD, Quality};
use bellwether::model::delivery::{Delivery, DeliveryState};
use bellwether::model::id::{AccountId, DeliveryId, WebhookId};
use bellwether::model::number::Subject;
use bellwether::model::time::Timestamp;
use bellwether::model::webhook::{Authorization, DeliveryMode, Scope, Webhook, WebhookType};
use bellwether::store::catalog::{DeliveryQuery, EventQuery, EventRow};
use bellwether::store::queue::{Batch, Claimed, Item, Receipt, Settled, Settlement, Want};
use bellwether::store::sqlite::{Mode, Options, Sqlite};
use bellwether::store::{Error, Handover, Store};
use bellwether::telemetry::Metrics;
use uuid::Uuid;

use crate::support::forks::opened;

/// The account that most tests are about.
const ACME: u128 = 0xacce;
/// Its business account.
const WABA: &str = "102290129340398";

/// How long a lease lasts.
const LEASE_MS: i64 = 60_000;

/// A directory of its own, removed in the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bellwether-store-{}-{count}", std::process::id());
        let home = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&home).unwrap();
        Self(home)
    }

    fn database(&self) -> PathBuf {
        self.0.join("store.db")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store in a directory of its own.
struct Bench {
    store: Arc<dyn Store>,
    handover: Arc<Handover>,
    breaks: Arc<Mutex<Option<Point>>>,
    home: Home,
}

impl Bench {
    /// An empty store.
    fn new() -> Self {
        Self::with_room(10_000, 10_000)
    }

    /// An empty store before a handover of that room.
    fn with_room(capacity: usize, per_webhook: usize) -> Self {
        Self::open(Home::new(), Arc::new(Handover::new(capacity, per_webhook)), 0)
    }

    fn open(home: Home, handover: Arc<Handover>, ms: i64) -> Self {
        let breaks = Arc::new(Mutex::new(None));
        let planned = Arc::clone(&breaks);
        let faults = Faults::planned(move |point| {
            planned.lock().unwrap().take_if(|planned| *planned == point).map(|_| Fault::Error)
        });
        let store = opened(|| open(&home.database(), &handover, faults.clone(), ms)).unwrap();
        Self { store: Arc::new(store), handover, breaks, home }
    }

    /// Ends the store without a word, and opens it again at `ms`.
    async fn reopened(self, ms: i64) -> Self {
        drop(self.store);
        // The writer's task sees that nobody is left, and ends.
        tokio::task::yield_now().await;
        Self::open(self.home, Arc::new(Handover::new(10_000, 10_000)), ms)
    }

    /// Has the next commit break at `point`, once.
    fn break_once(&self, point: Point) {
        *self.breaks.lock().unwrap() = Some(point);
    }

    /// Runs SQL behind the store's back.
    fn meddle(&self, sql: &str) {
        rusqlite::Connection::open(self.home.database()).unwrap().execute_batch(sql).unwrap();
    }

    /// How many places of the handover are taken.
    fn places(&self) -> usize {
        self.handover.depth().0
    }

    /// What was handed over meanwhile.
    fn ready(&self) -> Vec<Claimed> {
        self.handover.take().ready.into()
    }

    /// A store that knows an account, its business account and, with `*` for
    /// business-management updates, webhook 1.
    async fn with_webhook() -> Self {
        Self::new().and_webhook().await
    }

    async fn and_webhook(self) -> Self {
        let bench = self.and_account().await;
        bench.store.put_webhooks(vec![webhook(1, "*")]).await.unwrap();
        bench
    }

    /// A store that knows an account and its business account.
    async fn with_account() -> Self {
        Self::new().and_account().await
    }

    async fn and_account(self) -> Self {
        assert!(self.store.put_account(account(ACME)).await.unwrap());
        assert!(self.store.put_business_account(business_account(WABA), at(0)).await.unwrap());
        self
    }

    /// Accepts changes at `ms`.
    async fn accept(&self, ms: i64, changes: Vec<Change>) -> Receipt {
        self.store.accept(batch(ms, changes.into_iter().map(Item::Change))).await.unwrap()
    }

    /// Accepts one change of each number, each at its own millisecond from `ms`.
    async fn accept_each(&self, ms: i64, numbers: &[&str]) {
        for (ms, number) in (ms..).zip(numbers) {
            let receipt = self.accept(ms, vec![change(number, ms)]).await;
            assert_eq!((receipt.accepted, receipt.unrouted), (1, 0), "{number}");
        }
    }

    /// Leases what is due to the account's webhooks.
    async fn claim(&self, ms: i64) -> Vec<Claimed> {
        self.handover.open();
        let due = self.store.schedule().await.unwrap();
        let wants = due.into_keys().map(|webhook| Want { webhook, room: 10_000 }).collect();
        self.store.claim(wants, at(ms)).await.unwrap();
        self.handover.close();
        self.ready()
    }

    /// Settles an attempt made at `ms`.
    async fn settle(&self, claimed: &Claimed, ms: i64, state: DeliveryState) -> Settled {
        let outcome = match state {
            DeliveryState::Delivered => Outcome::answered(204, b"thanks".to_vec()),
            DeliveryState::Pending
            | DeliveryState::Exhausted
            | DeliveryState::Canceled
            | DeliveryState::Superseded => Outcome::answered(500, b"sorry".to_vec()),
        };
        let next_at = (state == DeliveryState::Pending).then(|| at(ms + 1_000));
        let settlement = Settlement {
            delivery: claimed.delivery,
            lane: claimed.lane,
            lease: claimed.lease,
            attempt: attempt(claimed.attempts + 1, ms, &outcome, next_at),
            state,
            now: at(ms),
        };
        let settled = self.store.settle(settlement).await.unwrap();
        self.handover.free(claimed.lane.webhook, claimed.body.len());
        settled
    }

    /// Claims all that is due and settles it as `state`, lane by lane, until
    /// nothing is due; says what was settled in which order.
    async fn settle_all(&self, ms: i64, state: DeliveryState) -> Vec<DeliveryId> {
        let mut settled = Vec::new();
        loop {
            let claimed = self.claim(ms).await;
            if claimed.is_empty() {
                return settled;
            }
            for claimed in claimed {
                assert_eq!(self.settle(&claimed, ms, state).await, Settled::Recorded);
                settled.push(claimed.delivery);
            }
        }
    }

    /// The account's events, oldest first.
    async fn events(&self) -> Vec<EventRow> {
        let page = self.store.events(events_of(ACME)).await.unwrap();
        assert_eq!(page.next, None);
        page.items.into_iter().rev().collect()
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Vec<Delivery> {
        let page = self.store.deliveries(query).await.unwrap();
        assert_eq!(page.next, None);
        page.items
    }
}

fn open(path: &Path, handover: &Arc<Handover>, faults: Faults, ms: i64) -> Result<Sqlite, Error> {
    let options = Options { path: path.to_owned(), lease_ms: LEASE_MS, queue: 1_000, mode: Mode::Inline };
    Sqlite::open(&options, Arc::clone(handover), faults, Metrics::new(), at(ms))
}

/// `ms` after the story begins.
fn at(ms: i64) -> Timestamp {
    Timestamp::parse("2026-10-01T00:00:00Z").unwrap().plus(Duration::from_millis(ms.cast_unsigned()))
}

fn batch(ms: i64, items: impl IntoIterator<Item = Item>) -> Batch {
    let items = items.into_iter().collect();
    Batch { now: at(ms), app: "meta".to_owned(), items, random: 7, fill_limits: true, derive: true }
}

fn account_id(number: u128) -> AccountId {
    AccountId::new(Uuid::from_u128(number))
}

fn account(number: u128) -> Account {
    Account { id: account_id(number), name: "Acme".into(), chat_apps: true, created_at: at(0) }
}

fn business_account(id: &str) -> BusinessAccount {
    let account = account_id(ACME);
    BusinessAccount { id: id.parse().unwrap(), account, sub_account: None, created_at: at(0) }
}

fn webhook_id(number: u128) -> WebhookId {
    WebhookId::new(Uuid::from_u128(number))
}

fn webhook(number: u128, scope: &str) -> Webhook {
    Webhook {
        id: webhook_id(number),
        account: account_id(ACME),
        scope: scope.parse().unwrap(),
        kind: WebhookType::Cabm,
        url: "https://receiver.example/events".into(),
        enabled: true,
        delivery: DeliveryMode::All,
        authorization: Authorization::None,
        secret: vec![1, 2, 3],
        previous_secret: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn identity(scope: &str) -> (Scope, WebhookType) {
    (scope.parse().unwrap(), WebhookType::Cabm)
}

/// A change of `number` that differs from those of other `version`s.
fn change(number: &str, version: i64) -> Change {
    change_of(WABA, number, version)
}

fn change_of(business_account: &str, number: &str, version: i64) -> Change {
    let quality = Quality {
        display_phone_number: number.into(),
        event: "ONBOARDING".into(),
        current_limit: Some(format!("TIER_{version}")),
        ..Quality::default()
    };
    let subject = Subject::number(number).unwrap();
    let mut fingerprint = [0; 16];
    fingerprint[..8].copy_from_slice(&version.to_be_bytes());
    fingerprint[8..].copy_from_slice(&number.parse::<u64>().unwrap().to_be_bytes());
    Change {
        business_account: business_account.parse().unwrap(),
        time: Some(1_748_454_394),
        field: QUALITY_FIELD.into(),
        subject,
        fingerprint,
        detail: Detail::Quality(quality),
        raw: format!("{{\"version\":{version}}}"),
    }
}

/// A change of another type than the others.
fn template_change(version: i64) -> Change {
    let detail = Detail::Other { event_type: "template_status_update".into(), details: "{}".into() };
    Change { subject: Subject::business_account(WABA), detail, ..change("1", version) }
}

fn attempt(number: u32, ms: i64, outcome: &Outcome, next_at: Option<Timestamp>) -> Attempt {
    Attempt {
        number,
        started_at: at(ms),
        duration_ms: 0,
        class: outcome.class,
        status: outcome.status,
        note: None,
        answer: outcome.answer.clone(),
        next_at,
    }
}

fn events_of(number: u128) -> EventQuery {
    EventQuery {
        account: account_id(number),
        number: None,
        event_type: None,
        since: None,
        until: None,
        before: None,
        limit: 100,
    }
}

fn deliveries_in(state: Option<DeliveryState>) -> DeliveryQuery {
    DeliveryQuery {
        account: account_id(ACME),
        state,
        webhook: None,
        number: None,
        since: None,
        until: None,
        before: None,
        limit: 100,
    }
}

fn is_success(attempt: &Attempt) -> bool {
    attempt.class == OutcomeClass::Success
}
