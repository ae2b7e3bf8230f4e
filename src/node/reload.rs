//! Rules that change while the node runs: on SIGHUP the configuration is read
//! again, as at the start, and where deliveries may go is taken from it. What
//! is refused changes nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, ConfigError, Renewal};
use crate::policy::address::Rules;

/// Where requests may go, for all who ask: webhooks and deliveries, and the
/// Graph API, which has rules of its own.
#[derive(Clone)]
pub(super) struct Ways {
    /// Where this process listens.
    own: SocketAddr,
    pub(super) deliveries: watch::Sender<Arc<Rules>>,
    pub(super) graph: watch::Sender<Arc<Rules>>,
}

impl Ways {
    pub(super) fn of(config: &Config, own: SocketAddr) -> Self {
        let (deliveries, graph) = rules(config, own);
        Self { own, deliveries: watch::Sender::new(deliveries), graph: watch::Sender::new(graph) }
    }

    fn take(&self, config: &Config) {
        let (deliveries, graph) = rules(config, self.own);
        self.deliveries.send_replace(deliveries);
        self.graph.send_replace(graph);
    }
}

/// Those of deliveries, and those of the way to the Graph API: its address is
/// the operator's word, so its scheme and its port are allowed.
fn rules(config: &Config, own: SocketAddr) -> (Arc<Rules>, Arc<Rules>) {
    let (delivery, graph) = (&config.delivery, &config.graph);
    let deliveries = Rules {
        allow_http: delivery.allow_http,
        allow_networks: delivery.allow_networks.clone(),
        allow_ports: delivery.allow_ports.clone(),
        deny_networks: delivery.deny_networks.clone(),
        deny_hosts: delivery.deny_hosts.clone(),
        own: vec![own],
    };
    let port = url::Url::parse(&graph.base_url).ok().and_then(|url| url.port_or_known_default());
    let to_graph = Rules {
        allow_http: graph.base_url.starts_with("http://"),
        allow_networks: graph.allow_networks.clone(),
        allow_ports: port.into_iter().collect(),
        ..deliveries.clone()
    };
    (Arc::new(deliveries), Arc::new(to_graph))
}

/// Reads the configuration again whenever SIGHUP comes.
pub struct Reload {
    hangup: Signal,
    /// What is in force.
    config: Config,
    file: Option<PathBuf>,
}

impl Reload {
    /// From now on SIGHUP does not end the process. `config` is what was read from
    /// `file` and the environment at the start.
    pub fn on_hangup(config: &Config, file: Option<&Path>) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { hangup, config: config.clone(), file: file.map(Path::to_owned) })
    }

    /// Keeps `ways` at what the configuration says; without end.
    pub(super) async fn keep(mut self, ways: Ways) {
        while self.hangup.recv().await.is_some() {
            let file = self.file.clone();
            // A file may be on a disk that hangs.
            match tokio::task::spawn_blocking(move || Config::load(file.as_deref())).await {
                Ok(Ok(new)) => self.take(&new, &ways),
                Ok(Err(refused)) => say_refused(&refused),
                Err(error) => {
                    tracing::error!(%error, "reading the configuration again ended abruptly; what was in force stays");
                }
            }
        }
        std::future::pending::<()>().await;
    }

    fn take(&mut self, new: &Config, ways: &Ways) {
        let Renewal { config, taken, waiting } = self.config.renewed(new);
        ways.take(&config);
        self.config = config;
        tracing::info!(changed = taken.join(", "), "the configuration was read again");
        if !waiting.is_empty() {
            tracing::warn!(
                keys = waiting.join(", "),
                "changed in the configuration, but not in force; hint: restart"
            );
        }
    }
}

fn say_refused(refused: &ConfigError) {
    for problem in &refused.problems {
        tracing::error!(
            hint = problem.hint,
            "the configuration was read again and is refused, what was in force stays: {}",
            problem.what
        );
    }
}
