//! A node and what surrounds it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::dispatch;
use bellwether::env::{Clock, Entropy, Env, Fault, Faults, Weakness};
use bellwether::intake::App;
use bellwether::model::attempt::OutcomeClass;
use bellwether::model::time::Timestamp;
use bellwether::node::{Keeping, Node, Parts, Paused, Phase, Settings};
use bellwether::policy::address::Rules;
use bellwether::policy::retry::Schedule;
use bellwether::policy::signature::MetaKey;
use bellwether::reconcile;
use bellwether::secrets::Vault;
use bellwether::store::sqlite::{Mode, Options, Sqlite};
use bellwether::store::{Handover, Store};
use bellwether::telemetry::Metrics;
use bellwether::transport::{Answer, Inquirer, Inquiry, Transport, Unanswered};
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::ServiceExt;

use super::receivers::{Receiver, Receivers};
use crate::support::forks;

pub(crate) const ACCOUNT: &str = "0f88f5c4-fae7-4dcf-8ff2-b2990133edea";
pub(crate) const WABA: &str = "102290129340398";
pub(crate) const OPERATOR: &str = "operator-key-for-tests";
pub(crate) const APP_SECRET: &str = "4f2a-app-secret";
/// The app's secret before it was rotated.
pub(crate) const PREVIOUS_SECRET: &str = "9c1d-previous-secret";
/// The secret of another app, named `second`.
pub(crate) const SECOND_SECRET: &str = "77e0-second-secret";
pub(crate) const VERIFY_TOKEN: &str = "verify token";

/// 2025-06-01T00:00:00Z: when most worlds begin.
pub(crate) const EPOCH_MS: i64 = 1_748_736_000_000;

/// How a world differs from the usual one.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) receivers: Receivers,
    pub(crate) max_in_flight: usize,
    /// Attempts that begin in a second.
    pub(crate) attempts_per_s: usize,
    pub(crate) per_webhook: usize,
    pub(crate) loaded: usize,
    pub(crate) paused: bool,
    /// When an event that has not arrived is late.
    pub(crate) late_after: Option<Duration>,
    pub(crate) snapshot_on_enable: bool,
    /// What the world's clock shows at first.
    pub(crate) epoch: Timestamp,
    /// The waits between attempts.
    pub(crate) waits: [Duration; 4],
    /// The way out, if it is not to the world's own receivers.
    pub(crate) transport: Option<Arc<dyn Transport>>,
    /// The way to the Graph API; the world has none of its own.
    pub(crate) inquirer: Arc<dyn Inquirer>,
    /// How it is asked.
    pub(crate) reconcile: reconcile::Options,
    /// Where deliveries may go.
    pub(crate) rules: Rules,
    /// Writes that may wait for the writer.
    pub(crate) queue: usize,
    /// Threads only in real time: paused time does not wait for them.
    pub(crate) mode: Mode,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            seed: 1,
            faults: Faults::none(),
            receivers: Receivers::default(),
            max_in_flight: 64,
            attempts_per_s: 0,
            per_webhook: 8,
            loaded: 256,
            paused: false,
            late_after: None,
            snapshot_on_enable: false,
            epoch: Timestamp::from_ms(EPOCH_MS),
            waits: [1, 10, 30, 90].map(Duration::from_secs),
            transport: None,
            inquirer: Arc::new(Nowhere),
            reconcile: reconcile::Options {
                base_url: "https://graph.example.com".to_owned(),
                version: "v23.0".to_owned(),
                token_for_all: None,
                every: Duration::from_hours(6),
                at_once: 2,
                page_timeout: Duration::from_secs(20),
                flags: true,
                fill_limits: true,
            },
            rules: Rules::default(),
            queue: 1_000,
            mode: Mode::Inline,
        }
    }
}

/// A network without a way to the Graph API.
struct Nowhere;

impl Inquirer for Nowhere {
    fn inquire(&self, _: Inquiry) -> Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + '_>> {
        let note = "the name has no address".to_owned();
        Box::pin(std::future::ready(Err(Unanswered { class: OutcomeClass::Dns, note })))
    }
}

/// Runs a story in a world of its own, on paused time.
pub(crate) fn simulate<F: Future<Output = ()>>(story: impl FnOnce(World) -> F) {
    simulate_with(Terms::default(), story);
}

/// Runs a story in a world on these terms.
pub(crate) fn simulate_with<F: Future>(terms: Terms, story: impl FnOnce(World) -> F) -> F::Output {
    simulate_unregistered(terms, |world| async move {
        world.register().await;
        story(world).await
    })
}

/// Runs a story in a world in which nothing is registered.
pub(crate) fn simulate_unregistered<F: Future>(terms: Terms, story: impl FnOnce(World) -> F) -> F::Output {
    // A writer in a thread of its own lives in real time.
    let paused = terms.mode == Mode::Inline;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    runtime.block_on(played(terms, story))
}

/// Plays a story in a new world on whatever runtime and time there is.
pub(crate) async fn played<F: Future>(terms: Terms, story: impl FnOnce(World) -> F) -> F::Output {
    let mut world = World::new(terms);
    world.start().await;
    story(world).await
}

pub(crate) struct World {
    pub(crate) terms: Terms,
    pub(crate) env: Env,
    directory: tempdir::TempDir,
    node: Option<Node>,
    handover: Option<Arc<Handover>>,
    store: Option<Arc<dyn Store>>,
    notified: i64,
    /// How often the node vanished.
    pub(crate) crashes: usize,
    /// How often it stood still.
    pub(crate) pauses: usize,
    /// When a node started or stood still, and how many attempts there were by then.
    interruptions: Vec<(usize, Instant)>,
    /// When a node started by a clock that had leapt ahead.
    leaps: Vec<Instant>,
    /// Which node is the one alive; the others' writers can't commit any more.
    alive: Arc<AtomicUsize>,
}

impl World {
    fn new(terms: Terms) -> Self {
        let env = Env {
            clock: Clock::virtual_from(terms.epoch),
            entropy: Entropy::seeded(terms.seed),
            faults: terms.faults.clone(),
        };
        Self {
            terms,
            env,
            directory: tempdir::TempDir::new(),
            node: None,
            handover: None,
            store: None,
            notified: 0,
            crashes: 0,
            pauses: 0,
            interruptions: Vec::new(),
            leaps: Vec::new(),
            alive: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }

    /// Starts a node on the world's store.
    pub(crate) async fn start(&mut self) {
        self.store = None;
        self.interruptions.push((self.terms.receivers.count(), Instant::now()));
        self.env.clock.rest(false);
        let reckoned = self.env.clock.now();
        self.env.clock.set();
        if self.env.clock.now() > reckoned {
            self.leaps.push(Instant::now());
        }
        let faults = self.faults_of_a_life();
        let handover = Arc::new(Handover::new(self.terms.loaded, 2 * self.terms.per_webhook));
        self.handover = Some(Arc::clone(&handover));
        let options =
            Options { path: self.path(), lease_ms: 70_000, queue: self.terms.queue, mode: self.terms.mode };
        let metrics = Metrics::new();
        let mut copied = 0;
        let opened = loop {
            let now = self.env.clock.now();
            match Sqlite::open(&options, Arc::clone(&handover), faults.clone(), metrics.clone(), now) {
                Err(error) if forks::is_in_use(&error) => {
                    self.wait_for_the_lock(&mut copied).await;
                }
                opened => break opened,
            }
        };
        let store: Arc<dyn Store> = Arc::new(opened.unwrap());
        let parts = Parts {
            env: self.env.clone(),
            store: Arc::clone(&store),
            handover,
            transport: self.transport(),
            inquirer: Arc::clone(&self.terms.inquirer),
            vault: Vault::new(&[7; 32]),
            metrics,
            writes_waiting: Arc::new(|| 0),
        };
        self.store = Some(store);
        self.node = Some(Node::start(&self.settings(), &parts));
    }

    /// The last node's writer ends when it notices: that is a matter of the world's
    /// time. But a process that another test starts has copies of all that is open
    /// here, until it runs its program, the lock among them: then the world's time
    /// stands still, or the same seed would not give the same run.
    async fn wait_for_the_lock(&self, copied: &mut u32) {
        let lock = self.directory.path().join("store.db.lock");
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let ours = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|it| it == lock);
        if ours {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            *copied += 1;
            assert!(*copied < 10_000, "somebody keeps the lock");
            forks::let_others_run();
        }
    }

    /// What breaks for the node that starts now: once it has crashed, everything.
    fn faults_of_a_life(&self) -> Faults {
        let life = self.alive.fetch_add(1, Ordering::Relaxed) + 1;
        let alive = Arc::clone(&self.alive);
        let lives = move || alive.load(Ordering::Relaxed) == life;
        let (faults, stalls, still_lives) = (self.env.faults.clone(), self.env.faults.clone(), lives.clone());
        let mortal =
            Faults::planned(move |point| if lives() { faults.at(point) } else { Some(Fault::Error) })
                .stalling(move || stalls.stall().filter(|_| still_lives()));
        let weaknesses = Weakness::ALL.into_iter().filter(|weakness| self.env.faults.weakens(*weakness));
        weaknesses.fold(mortal, Faults::weakened)
    }

    fn transport(&self) -> Arc<dyn Transport> {
        self.terms.transport.clone().unwrap_or_else(|| Arc::new(self.terms.receivers.clone()))
    }

    fn settings(&self) -> Settings {
        let keys = vec![MetaKey::new(APP_SECRET), MetaKey::new(PREVIOUS_SECRET)];
        let app = App { keys, verify_token: Some(VERIFY_TOKEN.into()) };
        let second = App { keys: vec![MetaKey::new(SECOND_SECRET)], verify_token: None };
        Settings {
            apps: HashMap::from([("main".to_owned(), app), ("second".to_owned(), second)]),
            operator_key: Some(SecretString::from(OPERATOR)),
            fill_limits: true,
            derive: true,
            snapshot_on_enable: self.terms.snapshot_on_enable,
            keeping: Keeping::new(Duration::from_hours(30 * 24), Duration::from_hours(72)),
            body_timeout: Duration::from_secs(20),
            rules: watch::channel(Arc::new(self.terms.rules.clone())).1,
            paused: self.terms.paused.then_some(Paused::Configured),
            late_after: self.terms.late_after,
            dispatch: dispatch::Options {
                schedule: Schedule::new(self.terms.waits.to_vec()),
                attempt_timeout: Duration::from_secs(10),
                max_in_flight: self.terms.max_in_flight,
                max_in_flight_per_webhook: self.terms.per_webhook,
                attempts_per_s: self.terms.attempts_per_s,
            },
            reconcile: self.terms.reconcile.clone(),
        }
    }

    /// Registers the samples' account and business account, with one webhook.
    pub(crate) async fn register(&self) {
        let account = format!("/v1/accounts/{ACCOUNT}");
        self.put(&account, json!({"name": "Shop", "chatApps": true})).await;
        self.put(&format!("/v1/business-accounts/{WABA}"), json!({"accountId": ACCOUNT})).await;
    }

    async fn put(&self, path: &str, body: Value) {
        let (status, answer) = self.call("PUT", path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
    }

    /// Says in what phase the node is.
    pub(crate) fn phase(&self) -> watch::Sender<Phase> {
        self.node.as_ref().unwrap().phase()
    }

    pub(crate) fn router(&self) -> Router {
        self.node.as_ref().unwrap().router.clone()
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    pub(crate) fn handover(&self) -> Arc<Handover> {
        Arc::clone(self.handover.as_ref().unwrap())
    }

    /// Calls the API as the operator.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        call(self.router(), method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    /// A receiver of all of the account's events.
    pub(crate) async fn receiver(&self, name: &str) -> Receiver {
        let url = format!("https://{name}.example.com/hook");
        // One account has one webhook of `*`; each further one gets its own name.
        let scope = if name == "shop" { "*".to_owned() } else { name.to_owned() };
        let webhooks = json!([{"subAccountId": scope, "url": url, "type": "CABM"}]);
        let (status, answer) =
            self.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        self.terms.receivers.at(&url)
    }

    /// The webhooks' ids, by their URLs.
    pub(crate) async fn webhook_ids(&self) -> BTreeMap<String, String> {
        let webhooks = self.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let webhooks = webhooks["items"].as_array().unwrap();
        webhooks.iter().map(|webhook| (text(&webhook["url"]), text(&webhook["webhookId"]))).collect()
    }

    /// Which events the webhook of that URL gets of those that wait.
    pub(crate) async fn set_delivery(&self, url: &str, mode: &str) {
        let id = &self.webhook_ids().await[url];
        let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{id}");
        let (status, answer) = self.call("PATCH", &path, json!({"delivery": mode})).await;
        assert_eq!((status, &answer["delivery"]), (StatusCode::OK, &json!(mode)), "{answer}");
    }

    /// Posts a signed body as Meta does.
    pub(crate) async fn post_signed(&self, body: &[u8]) -> (StatusCode, Value) {
        post_signed(self.router(), body.to_vec()).await
    }

    /// Notifies of one change, a second after the last one said to have happened.
    pub(crate) async fn notify(&mut self, change: Value) {
        self.notified += 1;
        let body = notification(EPOCH_MS / 1000 + self.notified, &[change]);
        let (status, answer) = self.post_signed(&body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// The world's time, forward by so much.
    pub(crate) async fn advance(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// The process stands still for so long, as a stopped one does: then all
    /// that was to happen meanwhile happens at once.
    pub(crate) async fn pause(&mut self, span: Duration) {
        self.pauses += 1;
        self.interruptions.push((self.terms.receivers.count(), Instant::now()));
        tokio::time::advance(span).await;
    }

    /// Whether a node started or stood still after one attempt and before another.
    pub(crate) fn interrupted(&self, one: usize, other: usize) -> bool {
        self.interruptions.iter().any(|(attempts, _)| (one + 1..=other).contains(attempts))
    }

    /// Whether a node started or stood still after an attempt began, until then.
    pub(crate) fn interrupted_until(&self, nth: usize, until: Instant) -> bool {
        self.interruptions.iter().any(|(attempts, at)| *attempts > nth && *at <= until)
    }

    /// Whether a node started then by a clock that had leapt ahead: what is due by
    /// the clock is due too early.
    pub(crate) fn leapt_between(&self, from: Instant, until: Instant) -> bool {
        self.leaps.iter().any(|at| (from..=until).contains(at))
    }

    /// Waits until nothing is pending; at most an hour of the world's time.
    pub(crate) async fn quiesce(&self) {
        assert!(self.quiesces_within(Duration::from_hours(1)).await, "something is still pending");
    }

    /// Whether nothing is pending any more before so much of the world's time
    /// has passed.
    pub(crate) async fn quiesces_within(&self, span: Duration) -> bool {
        let began = Instant::now();
        loop {
            if self.deliveries("status=pending&limit=1").await.is_empty() {
                return true;
            }
            if began.elapsed() >= span {
                return false;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub(crate) async fn deliveries(&self, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/v1/accounts/{ACCOUNT}/deliveries?{query}")).await;
        page["items"].as_array().unwrap().clone()
    }

    /// The node vanishes as in a crash, at whatever it awaits, and starts anew.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.crashes += 1;
        self.alive.fetch_add(1, Ordering::Relaxed);
        if let Some(node) = self.node.take() {
            node.crash().await;
        }
        self.start().await;
    }

    /// The node ends as on SIGTERM and starts anew.
    pub(crate) async fn restart_cleanly(&mut self) {
        if let Some(node) = self.node.take() {
            node.phase().send_replace(Phase::Draining);
            node.ended().await;
        }
        self.start().await;
    }
}

pub(crate) async fn call(router: Router, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {OPERATOR}"))
        .body(Body::from(text))
        .unwrap();
    answer(router, request).await
}

pub(crate) async fn post_signed(router: Router, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::builder()
        .method("POST")
        .uri("/ingest/meta/main")
        .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
        .body(Body::from(body))
        .unwrap();
    answer(router, request).await
}

pub(crate) async fn answer(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    (status, value)
}

/// A notification of quality changes of the samples' business account.
pub(crate) fn notification(time: i64, values: &[Value]) -> Vec<u8> {
    notification_of(WABA, time, values)
}

/// A notification of quality changes of one business account.
pub(crate) fn notification_of(business_account: &str, time: i64, values: &[Value]) -> Vec<u8> {
    let changes: Vec<Value> =
        values.iter().map(|value| json!({"field": "phone_number_quality_update", "value": value})).collect();
    json!({"object": "whatsapp_business_account", "entry": [{"id": business_account, "time": time, "changes": changes}]})
        .to_string()
        .into_bytes()
}

/// The value of an upgrade of number `n`.
pub(crate) fn upgrade(n: u64, limit: &str) -> Value {
    json!({"display_phone_number": format!("1555000{n:04}"), "event": "UPGRADE", "current_limit": limit})
}

/// A directory that goes with the test.
pub(crate) mod tempdir {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU64, Ordering};

    pub(crate) struct TempDir(PathBuf);

    static MADE: AtomicU64 = AtomicU64::new(0);

    impl TempDir {
        pub(crate) fn new() -> Self {
            // Memory, where there is such a file system: durability against a
            // power cut is no matter of these tests.
            let shm = Path::new("/dev/shm");
            let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("bellwether-test-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
