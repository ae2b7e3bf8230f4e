//! One node, wired from its parts: used by the binary with the real ones and
//! by every simulation with scripted ones. There is no other wiring.

mod descriptors;
mod janitor;
mod lateness;
pub mod process;
pub mod reload;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use secrecy::SecretString;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::api::ingest::{self, Ingest};
use crate::api::{self, UrlRefusal};
use crate::dashboard;
use crate::dispatch::{self, Dispatcher, Means};
use crate::env::Env;
use crate::intake::{App, Intake};
use crate::policy::address::Rules;
use crate::reconcile::{self, Reconciler};
use crate::secrets::Vault;
use crate::store::{Handover, Store};
use crate::telemetry::{Depths, Metrics};
use crate::transport::{Inquirer, Transport};
use janitor::Janitor;
use lateness::{Late, Lateness};

pub use crate::dispatch::Phase;
pub use janitor::Keeping;

/// How a node behaves.
#[derive(Clone)]
pub struct Settings {
    /// The Meta apps by name.
    pub apps: HashMap<String, App>,
    /// The operator's key from the configuration.
    pub operator_key: Option<SecretString>,
    /// Whether limits that Meta leaves out are filled in.
    pub fill_limits: bool,
    /// Whether events are derived from capability updates.
    pub derive: bool,
    /// Whether a webhook that is created, or enabled again, is told how the numbers
    /// stand.
    pub snapshot_on_enable: bool,
    /// How long things are kept.
    pub keeping: Keeping,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Where deliveries may go, now and whenever it changes.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// Why no delivery is attempted, if so: the store keeps what is owed.
    pub paused: Option<Paused>,
    /// When an event that has not arrived is late; `None`: none ever is.
    pub late_after: Option<Duration>,
    /// How deliveries are attempted.
    pub dispatch: dispatch::Options,
    /// How the Graph API is asked.
    pub reconcile: reconcile::Options,
}

/// Why no delivery is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// The configuration says so.
    Configured,
    /// The store is a copy that has not taken the original's place.
    Copy,
}

impl Paused {
    /// Why, in a few words.
    fn why(self) -> &'static str {
        match self {
            Self::Configured => "delivery.paused",
            Self::Copy => "the store is a copy, and `bellwether resume` has not been said",
        }
    }

    /// What to do so that there are deliveries again.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Configured => "set delivery.paused to false and restart",
            Self::Copy => {
                "the store is a copy that `bellwether backup` made; if it is to take the original's place, \
                 stop the server, run `bellwether resume`, and start again"
            }
        }
    }
}

/// What a node is made of.
#[derive(Clone)]
pub struct Parts {
    /// Time, chance, faults.
    pub env: Env,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Where the store and the dispatcher meet.
    pub handover: Arc<Handover>,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// The way out to the Graph API.
    pub inquirer: Arc<dyn Inquirer>,
    /// Seals secrets.
    pub vault: Vault,
    /// Counts.
    pub metrics: Metrics,
    /// How many writes wait in the store.
    pub writes_waiting: Arc<dyn Fn() -> usize + Send + Sync>,
}

/// A node at work.
pub struct Node {
    /// All it serves.
    pub router: Router,
    phase: watch::Sender<Phase>,
    tasks: JoinSet<()>,
}

impl Node {
    /// Starts the dispatcher, the janitor and the reconciler on the current runtime. Serving
    /// [`Node::router`] is up to the caller.
    pub fn start(settings: &Settings, parts: &Parts) -> Self {
        let (phase, watched) = watch::channel(Phase::Running);
        let Parts { env, store, metrics, .. } = parts;
        let errand = Arc::new(Notify::new());
        let to_read = Arc::new(Notify::new());
        let intake = Arc::new(Intake::new(
            settings.apps.clone(),
            Arc::clone(store),
            env.clone(),
            metrics.clone(),
            (settings.fill_limits, settings.derive),
            Arc::clone(&errand),
        ));
        let means = Means {
            store: Arc::clone(store),
            handover: Arc::clone(&parts.handover),
            transport: Arc::clone(&parts.transport),
            vault: parts.vault.clone(),
            env: env.clone(),
            metrics: metrics.clone(),
        };
        let dispatcher = Dispatcher::new(means, settings.dispatch.clone());
        let in_flight = dispatcher.in_flight();
        let janitor = Janitor {
            intake: Arc::clone(&intake),
            store: Arc::clone(store),
            clock: env.clock.clone(),
            keeping: settings.keeping,
            errand: Arc::clone(&errand),
        };
        let mut tasks = JoinSet::new();
        metrics.paused(settings.paused.is_some());
        // Without its dispatcher the handover stays closed, so all stays due.
        if settings.paused.is_none() {
            tasks.spawn(dispatcher.run(watched.clone()));
            tasks.spawn(while_running(reconciler(settings, parts, &to_read).run(), watched.clone()));
        }
        tasks.spawn(janitor.run(watched.clone()));
        let (found, late) = watch::channel(Late::default());
        let lateness = Lateness {
            store: Arc::clone(store),
            clock: env.clock.clone(),
            metrics: metrics.clone(),
            threshold: settings.late_after,
            found,
        };
        tasks.spawn(lateness.run(watched.clone()));
        let readiness = readiness(settings, parts, watched.clone(), late);
        let errands = move || {
            errand.notify_one();
            to_read.notify_one();
        };
        let setup = setup(settings, parts, (in_flight, readiness), Arc::new(errands), watched);
        let ingest = Ingest { intake, body_timeout: settings.body_timeout, metrics: metrics.clone() };
        let router = api::router(api::App::new(setup), ingest::router(ingest)).merge(dashboard::router());
        Self { router, phase, tasks }
    }

    /// A handle to say what phase the node is in.
    pub fn phase(&self) -> watch::Sender<Phase> {
        self.phase.clone()
    }

    /// Waits until one of its tasks has ended, which none does by itself while
    /// the node runs: without it nothing would be delivered, or nothing tidied.
    pub async fn broken(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a part of the node ended abruptly");
        }
    }

    /// Waits until the node's tasks have ended: after `phase` said so.
    pub async fn ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Ends at once, as a crash would: nothing is given back.
    pub async fn crash(mut self) {
        self.tasks.shutdown().await;
    }
}

fn reconciler(settings: &Settings, parts: &Parts, wake: &Arc<Notify>) -> Reconciler {
    let means = reconcile::Means {
        store: Arc::clone(&parts.store),
        inquirer: Arc::clone(&parts.inquirer),
        vault: parts.vault.clone(),
        env: parts.env.clone(),
        metrics: parts.metrics.clone(),
    };
    Reconciler::new(means, settings.reconcile.clone(), Arc::clone(wake))
}

/// Does `work` until the node is to end; then it is dropped where it stands.
async fn while_running(work: impl Future<Output = ()>, mut phase: watch::Receiver<Phase>) {
    let ending = async {
        while *phase.borrow_and_update() == Phase::Running {
            if phase.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = ending => {}
        () = work => {}
    }
}

fn setup(
    settings: &Settings,
    parts: &Parts,
    (in_flight, readiness): (watch::Receiver<usize>, api::Hook<Result<String, String>>),
    errand: Arc<dyn Fn() + Send + Sync>,
    phase: watch::Receiver<Phase>,
) -> api::Setup {
    let rules = settings.rules.clone();
    let store = Arc::clone(&parts.store);
    let (env, metrics) = (parts.env.clone(), parts.metrics.clone());
    let (handover, writes_waiting) = (Arc::clone(&parts.handover), Arc::clone(&parts.writes_waiting));
    api::Setup {
        store: Arc::clone(&parts.store),
        vault: parts.vault.clone(),
        env: parts.env.clone(),
        judge: Arc::new(move |url| match rules.borrow().judge_url(url) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_insecure_protocol() => Err(UrlRefusal::Insecure(refusal.to_string())),
            Err(refusal) => Err(UrlRefusal::Forbidden(refusal.to_string())),
        }),
        operator_key: settings.operator_key.clone(),
        errand,
        metrics: Arc::new(move || {
            let (store, metrics, now) = (Arc::clone(&store), metrics.clone(), env.clock.now());
            let dispatch = handover.depth().0;
            let depths = Depths { writer: writes_waiting(), dispatch, in_flight: *in_flight.borrow() };
            Box::pin(async move {
                let totals = store.totals(now).await;
                metrics.scrape(totals.as_ref().ok(), depths)
            })
        }),
        readiness,
        stopping: Arc::new(move || {
            let mut phase = phase.clone();
            // An error: the node is gone.
            Box::pin(async move { drop(phase.wait_for(|phase| *phase != Phase::Running).await) })
        }),
        fill_limits: settings.fill_limits,
        reading: api::Reading {
            token_for_all: settings.reconcile.token_for_all.is_some(),
            paused: settings.paused.is_some(),
        },
        snapshot_on_enable: settings.snapshot_on_enable,
        apps: apps(&settings.apps),
        limits: api::Limits { body_deadline: settings.body_timeout, ..api::Limits::default() },
    }
}

/// What operators are told of the apps, by name.
fn apps(apps: &HashMap<String, App>) -> Vec<api::MetaApp> {
    let told = |(name, app): (&String, &App)| api::MetaApp {
        name: name.clone(),
        secrets: app.keys.len(),
        handshake: app.verify_token.is_some(),
    };
    let mut all: Vec<_> = apps.iter().map(told).collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Whether the node can serve, and a word about what it can't do or what waits.
fn readiness(
    settings: &Settings,
    parts: &Parts,
    phase: watch::Receiver<Phase>,
    late: watch::Receiver<Late>,
) -> api::Hook<Result<String, String>> {
    let (store, threshold) = (Arc::clone(&parts.store), settings.late_after);
    let ready_to = settings.paused.map_or_else(
        || "ready".to_owned(),
        |paused| format!("ready; deliveries are paused ({})", paused.why()),
    );
    Arc::new(move || {
        let (store, running) = (Arc::clone(&store), *phase.borrow() == Phase::Running);
        let late = threshold.and_then(|threshold| late.borrow().told(threshold));
        let ready_to = ready_to.clone();
        Box::pin(async move {
            if !running {
                return Err("shutting down".to_owned());
            }
            store.ping().await.map_err(|error| format!("the store does not answer: {error}"))?;
            Ok(match late {
                Some(late) => format!("{ready_to}; {late}"),
                None => ready_to,
            })
        })
    })
}
