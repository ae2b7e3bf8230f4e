//! A node with the real parts: SQLite, sockets, signals.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::descriptors::Shares;
use super::reload::{Reload, Ways};
use super::{Keeping, Node, Parts, Paused, Phase, Settings};
use crate::config::{self, Config, ConfigError};
use crate::dispatch;
use crate::env::Env;
use crate::intake::App;
use crate::policy::address::Rules;
use crate::policy::signature::MetaKey;
use crate::reconcile;
use crate::secrets::Vault;
use crate::server;
use crate::store::sqlite::{self, Mode, Options, Sqlite};
use crate::store::{self, Catalog, Handover};
use crate::telemetry::Metrics;
use crate::telemetry::logs::Lost;
use crate::transport::http::{self, HttpTransport};
use crate::transport::resolve::Resolver;
use crate::transport::tls;

/// A lease outlives an attempt by this: what waits in memory has it to begin.
const LEASE_SLACK: Duration = Duration::from_mins(1);

/// What the system sends to a process that writes beyond the largest size of a
/// file. Handled, so that the write fails and the process lives.
const SIGXFSZ: i32 = 25;

/// Writes that may wait for the writer.
const WRITES_WAITING: usize = 8_192;

/// Connections that may wait to be accepted, as far as the system allows. Of what
/// comes beyond, the system forgets some without telling who connected.
const WAITING_CONNECTIONS: u32 = 1_024;

/// Why a process does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The configuration, or the key file it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key is not the one that the store's secrets are sealed with.
    #[error(
        "the store's secrets were sealed with another key\nhint: restore the key file that belongs to this store, or name it by secrets.key_file"
    )]
    OtherKey,
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The address can't be listened on.
    #[error(
        "cannot listen on {address}: {source}\nhint: stop what else listens there, or set server.listen to another address"
    )]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The way out can't be set up.
    #[error("deliveries can't be sent: {0}")]
    Transport(String),
    /// The store failed while running.
    #[error(
        "the store failed while running: what reached the disk is unknown\nhint: look at the log and the disk; a fresh start finds out what is durable, and nothing unacknowledged is needed"
    )]
    StoreFailed,
    /// The store was found damaged while running.
    #[error(
        "{0}\nhint: `bellwether check` looks at all of it; keep a copy of its files and restore a backup"
    )]
    StoreDamaged(String),
    /// A task that must run as long as the process does has ended.
    #[error(
        "a part of the server ended that must not; nothing accepted is lost\nhint: start again, it goes on where it was; the log says what ended, please report it"
    )]
    Broken,
    /// Stopping took too long, or a second signal came.
    #[error("stopped before everything under way had ended; the next start picks it up")]
    Aborted,
    /// The runtime, or signals, can't be set up.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// A bound and wired process.
pub struct Process {
    node: Node,
    listener: TcpListener,
    limits: server::Limits,
    metrics: Metrics,
    store: Ends,
    paused: Option<Paused>,
    ways: Ways,
}

impl Process {
    /// Opens the store, binds the listener and starts the node.
    pub async fn open(config: &Config, env: Env) -> Result<Self, ProcessError> {
        drop(signal(SignalKind::from_raw(SIGXFSZ))?);
        let address = config.server.listen;
        let listener = listen(address).map_err(|source| ProcessError::Listen { address, source })?;
        config::check_key_file(config)?;
        sqlite::check_directory(&config.store.path)?;
        let vault = Vault::new(&config::secret_key(&config.secrets, &env.entropy)?);
        let ways = Ways::of(config, listener.local_addr()?);
        let to_receivers = transport(config, ways.deliveries.subscribe(), &env)?;
        // A pool and rules of its own.
        let to_graph = transport(config, ways.graph.subscribe(), &env)?;
        let metrics = Metrics::new();
        let delivery = &config.delivery;
        let handover = Arc::new(Handover::new(loaded(delivery), 2 * delivery.max_in_flight_per_webhook));
        let lease = delivery.attempt_timeout + LEASE_SLACK;
        let options = Options {
            path: config.store.path.clone(),
            lease_ms: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
            queue: WRITES_WAITING,
            mode: Mode::Threads,
        };
        let (faults, now) = (env.faults.clone(), env.clock.now());
        let store = Sqlite::open(&options, Arc::clone(&handover), faults, metrics.clone(), now)?;
        recognise_key(&store, &vault, &env).await?;
        let shares = Shares::of(config);
        let copied = store.copied_at().await?.map(|_| Paused::Copy);
        let paused = copied.or(config.delivery.paused.then_some(Paused::Configured));
        let settings = Settings { paused, ..settings(config, shares, &ways) };
        let depth = store.clone();
        let ends = Ends { failed: store.failed(), damaged: store.damaged() };
        let parts = Parts {
            env,
            store: Arc::new(store),
            handover,
            transport: Arc::new(to_receivers),
            inquirer: Arc::new(to_graph),
            vault,
            metrics: metrics.clone(),
            writes_waiting: Arc::new(move || depth.depth()),
        };
        let limits = server::Limits {
            max_connections: shares.connections,
            header_timeout: config.server.header_timeout,
            drain_timeout: config.server.drain_timeout,
        };
        Ok(Self {
            node: Node::start(&settings, &parts),
            listener,
            limits,
            metrics,
            store: ends,
            paused,
            ways,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Why it attempts no delivery, if so.
    pub fn paused(&self) -> Option<Paused> {
        self.paused
    }

    /// Shows how many log lines were lost among its metrics.
    pub fn count_lost_lines(&self, lost: &Lost) {
        self.metrics.count_lost_lines(lost);
    }

    /// Serves until SIGTERM or SIGINT, then drains: stops accepting, lets
    /// requests and attempts under way end, gives unused leases back. A second
    /// signal, or the drain deadline, aborts. Meanwhile `reload` keeps where
    /// deliveries may go at what the configuration says.
    pub async fn run(self, reload: Reload) -> Result<(), ProcessError> {
        let ways = self.ways.clone();
        self.run_until(reload.keep(ways)).await
    }

    /// Like [`Process::run`], ending when `enough` does, too; nothing is read again.
    pub async fn run_until(self, enough: impl Future<Output = ()>) -> Result<(), ProcessError> {
        let Self { mut node, listener, limits, metrics, mut store, .. } = self;
        let phase = node.phase();
        let (stop, stopped) = watch::channel(false);
        let router = node.router.clone();
        let mut serving = std::pin::pin!(server::serve(listener, router, limits, metrics, stopped));
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            biased;
            why = store.end() => return Err(why),
            () = node.broken() => return Err(ProcessError::Broken),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = &mut serving => {}
            () = enough => {}
        }
        tracing::info!("stopping: letting what is under way end; a second signal stops at once");
        phase.send_replace(Phase::Draining);
        stop.send_replace(true);
        let ending = async {
            serving.await;
            node.ended().await;
        };
        tokio::select! {
            biased;
            why = store.end() => Err(why),
            () = ending => Ok(()),
            _ = terminate.recv() => Err(ProcessError::Aborted),
            _ = interrupt.recv() => Err(ProcessError::Aborted),
            () = tokio::time::sleep(limits.drain_timeout) => Err(ProcessError::Aborted),
        }
    }
}

/// How a store tells that it can't go on.
struct Ends {
    failed: watch::Receiver<bool>,
    damaged: watch::Receiver<Option<String>>,
}

impl Ends {
    /// Waits until it can't; why the process ends then.
    async fn end(&mut self) -> ProcessError {
        tokio::select! {
            biased;
            Ok(what) = self.damaged.wait_for(Option::is_some) => {
                ProcessError::StoreDamaged(what.clone().unwrap_or_default())
            }
            _ = self.failed.wait_for(|failed| *failed) => ProcessError::StoreFailed,
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart need not wait until the last run's connections are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_CONNECTIONS)
}

/// Refuses a key other than the one that the store's secrets are sealed with.
async fn recognise_key(store: &Sqlite, vault: &Vault, env: &Env) -> Result<(), ProcessError> {
    match store.key_check().await? {
        Some(check) if vault.recognises(&check) => Ok(()),
        Some(_) => Err(ProcessError::OtherKey),
        None => Ok(store.put_key_check(vault.check(&env.entropy)).await?),
    }
}

fn settings(config: &Config, shares: Shares, ways: &Ways) -> Settings {
    let apps = config.meta.apps.iter().map(|(name, app)| {
        let secrets = std::iter::once(&app.app_secret).chain(&app.previous_app_secret);
        let keys = secrets.map(|secret| MetaKey::new(secrecy::ExposeSecret::expose_secret(secret))).collect();
        (name.clone(), App { keys, verify_token: app.verify_token.clone() })
    });
    let delivery = &config.delivery;
    Settings {
        apps: apps.collect::<HashMap<_, _>>(),
        operator_key: config.operator.key.clone(),
        fill_limits: config.events.fill_limits,
        derive: config.events.derive_from_capability,
        snapshot_on_enable: config.events.snapshot_on_enable,
        keeping: Keeping::new(config.retention.events, config.retention.journal)
            .hastened(config.retention.hastened),
        body_timeout: config.server.body_timeout,
        rules: ways.deliveries.subscribe(),
        paused: None,
        late_after: delivery.late_after,
        dispatch: dispatch::Options {
            schedule: delivery.retry_schedule.clone(),
            attempt_timeout: delivery.attempt_timeout,
            max_in_flight: shares.attempts,
            max_in_flight_per_webhook: delivery.max_in_flight_per_webhook,
            attempts_per_s: delivery.attempts_per_s,
        },
        reconcile: reconcile::Options {
            base_url: config.graph.base_url.clone(),
            version: config.graph.version.clone(),
            token_for_all: config.graph.access_token.clone(),
            every: config.graph.reconcile_every,
            at_once: config.graph.max_in_flight,
            page_timeout: config.graph.page_timeout,
            flags: config.events.flag_from_rating,
            fill_limits: config.events.fill_limits,
        },
    }
}

/// How many deliveries are held in memory: where attempts keep to a pace no more
/// than come to their turn well before their leases end.
fn loaded(delivery: &config::Delivery) -> usize {
    let seconds = usize::try_from(LEASE_SLACK.as_secs() / 2).unwrap_or(usize::MAX);
    match delivery.attempts_per_s.saturating_mul(seconds) {
        0 => delivery.max_loaded,
        paced => delivery.max_loaded.min(paced),
    }
}

/// The ways out as `config` has them, to receivers and to the Graph API, for who only
/// looks whether they lead anywhere.
pub fn ways_out(config: &Config, env: &Env) -> Result<(HttpTransport, HttpTransport), ProcessError> {
    let ways = Ways::of(config, config.server.listen);
    Ok((
        transport(config, ways.deliveries.subscribe(), env)?,
        transport(config, ways.graph.subscribe(), env)?,
    ))
}

fn transport(
    config: &Config,
    rules: watch::Receiver<Arc<Rules>>,
    env: &Env,
) -> Result<HttpTransport, ProcessError> {
    let wrong = |error: &dyn std::fmt::Display| ProcessError::Transport(error.to_string());
    let resolver = Resolver::new(&config.delivery.dns_servers).map_err(|error| wrong(&error))?;
    let resolver = resolver.with_faults(env.faults.clone());
    let tls = tls::client_config(config.delivery.ca_file.as_deref(), env.clock.clone())
        .map_err(|error| wrong(&error))?;
    Ok(HttpTransport::new(rules, resolver, tls, http::Limits::default()))
}
