//! A stage: a server process on a fresh store in a directory of its own,
//! accounts registered through the public API, and receivers.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Plan;
use super::child::Child;
use super::ledger::Ledger;
use super::load::{self, Flow, Load, failure};
use super::measure::{bytes, usage};
use super::meta::{account_id, business_account_id};
use super::prefill::{self, Prefill};
use super::receivers::Receivers;
use super::report::Measured;
use crate::cli::Failure;
use crate::cli::client::Client;

/// Secrets of a server that lives for a minute on loopback.
pub(super) const APP_SECRET: &str = "the benchmark's app secret";
const OPERATOR: &str = "the benchmark's operator key";

/// Set besides the defaults: what a table of figures must say.
pub(super) const SETTINGS: &str =
    "server defaults, and delivery.allow_http, delivery.allow_networks = 127.0.0.0/8, log.format = json";

/// What has arrived is recorded by then.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// Calls of the API at once while accounts are registered.
const REGISTRARS: u32 = 32;

/// What a stage is set with.
pub(super) struct Layout {
    /// Accounts, each with a business account and a webhook.
    pub(super) accounts: u32,
    /// Receiving hosts; the webhooks go round them.
    pub(super) hosts: u32,
    /// Events that its ledger has rows for.
    pub(super) events: u32,
    /// What the store holds before.
    pub(super) prefill: Option<Prefill>,
}

/// A server with all around it.
pub(super) struct Stage<'a> {
    plan: &'a Plan,
    name: &'static str,
    pub(super) server: Child,
    pub(super) receivers: Receivers,
    pub(super) ledger: Arc<Ledger>,
    /// The size of the database before any load.
    base: u64,
    /// Deliveries that are meant to be pending at the end; `None`: they are still
    /// going out then.
    pub(super) owed: Option<u32>,
    directory: Scratch,
}

/// How its servers differ from all others.
#[derive(Clone, Copy, Default)]
pub(super) struct Manner {
    /// How many times as fast things grow old, if not as ever.
    pub(super) hastened: Option<u32>,
    /// `delivery.attempts_per_s`.
    pub(super) attempts_per_s: u32,
}

/// A directory that is removed when dropped.
struct Scratch {
    path: PathBuf,
    manner: Manner,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Scratch {
    fn config(&self) -> PathBuf {
        self.path.join("bellwether.toml")
    }

    fn store(&self) -> PathBuf {
        self.path.join("store.db")
    }
}

impl<'a> Stage<'a> {
    /// Starts a server, registers, fills, and starts it again: so that what is
    /// measured is a process that has done nothing yet.
    pub(super) async fn set(plan: &'a Plan, name: &'static str, layout: Layout) -> Result<Self, Failure> {
        Self::set_so(plan, name, layout, Manner::default()).await
    }

    /// The same, with servers of that manner.
    pub(super) async fn set_so(
        plan: &'a Plan,
        name: &'static str,
        layout: Layout,
        manner: Manner,
    ) -> Result<Self, Failure> {
        let directory = scratch(plan, name, manner);
        let directory = directory.map_err(|error| failure("no directory for the store", error))?;
        let ledger = Arc::new(Ledger::new(layout.events));
        let receivers = Receivers::start(layout.hosts, &ledger).await;
        let receivers = receivers.map_err(|error| failure("no receivers", error))?;
        let server = serve(&directory).await?;
        register(&server, &receivers, layout.accounts).await?;
        server.stop().await?;
        if let Some(prefill) = layout.prefill {
            prefill::fill(plan, name, &directory.store(), &prefill).await?;
        }
        let base = closed_bytes(plan, &directory.store()).await?;
        let server = serve(&directory).await?;
        server.ready().await?;
        ledger.begin();
        Ok(Self { plan, name, server, receivers, ledger, base, owed: Some(0), directory })
    }

    /// Hands events over and waits for them.
    pub(super) async fn load(&self, flow: &Flow) -> Result<Load, Failure> {
        load::run(self.plan, self.name, &self.server, &self.ledger, flow).await
    }

    /// Hands events over and does not wait for them.
    pub(super) async fn hand_over(&self, flow: &Flow) -> Result<(), Failure> {
        load::hand_over(self.plan, self.name, &self.server, &self.ledger, flow).await
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        self.server.kill();
    }

    /// A new server on the same store; that it listens is all that is waited for.
    pub(super) async fn start_again(&mut self) -> Result<(), Failure> {
        self.server = serve(&self.directory).await?;
        Ok(())
    }

    /// A client of the server's API.
    pub(super) fn client(&self) -> Client {
        client(&self.server)
    }

    /// How large the store's file is by now; what is in its log comes on top.
    pub(super) fn file_bytes(&self) -> u64 {
        bytes(&self.directory.store())
    }

    /// How many deliveries the server says it has, whatever became of them: as many
    /// as events, of accounts with one webhook each.
    pub(super) async fn stored(&self) -> Result<u32, Failure> {
        let page = self.client().text("/metrics").await?;
        let counts = page.lines().filter_map(|line| line.strip_prefix("bellwether_deliveries{"));
        Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok()).sum())
    }

    /// How many deliveries the server says are in that state.
    pub(super) async fn deliveries(&self, state: &str) -> Result<u32, Failure> {
        let line = format!("bellwether_deliveries{{state=\"{state}\"}} ");
        let page = self.client().text("/metrics").await?;
        let count = page.lines().find_map(|it| it.strip_prefix(&line)?.parse::<u32>().ok());
        count.ok_or_else(|| failure("/metrics does not say", line.trim_end()))
    }

    /// By how many the server's pending deliveries are more or fewer than is meant:
    /// the last to arrive have a while to be recorded.
    async fn undone(&self) -> Result<u32, Failure> {
        let Some(owed) = self.owed else { return Ok(0) };
        let began = Instant::now();
        loop {
            let undone = self.deliveries("pending").await?.abs_diff(owed);
            if undone == 0 || began.elapsed() > RECORDED_WITHIN {
                return Ok(undone);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the server and adds what it cost in memory and on disk, for this
    /// many events; says where the store is, which vanishes with the stage.
    pub(super) async fn end(self, measured: &mut Measured, events: u32) -> Result<Ended, Failure> {
        let used = usage(self.server.pid()).map_err(|error| failure("the server is gone", error))?;
        measured.peak_resident_mib = used.peak_mib;
        measured.undone = self.undone().await?;
        // Who hangs would hold the server's end up until attempts time out.
        drop(self.receivers);
        self.server.stop().await?;
        let store = self.directory.store();
        let grown = closed_bytes(self.plan, &store).await?.saturating_sub(self.base);
        measured.database(grown, events);
        Ok(Ended { store, _directory: self.directory })
    }
}

/// A stage after its end; the store vanishes when this is dropped.
pub(super) struct Ended {
    pub(super) store: PathBuf,
    _directory: Scratch,
}

fn scratch(plan: &Plan, name: &str, manner: Manner) -> std::io::Result<Scratch> {
    let path = plan.directory.join(format!("bellwether-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&path)?;
    let directory = Scratch { path: path.canonicalize()?, manner };
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = {store:?}\n[operator]\nkey = {OPERATOR:?}\n\
         [meta.apps.main]\napp_secret = {APP_SECRET:?}\n\
         [delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\nattempts_per_s = {pace}\n\
         [log]\nformat = \"json\"\n",
        pace = manner.attempts_per_s,
        store = format!("sqlite:{}", directory.store().display()),
    );
    fs::write(directory.config(), config)?;
    Ok(directory)
}

async fn serve(directory: &Scratch) -> Result<Child, Failure> {
    let config = directory.config();
    let times = directory.manner.hastened.map(|times| times.to_string());
    let arguments = match &times {
        None => vec!["serve".as_ref(), "--config".as_ref(), config.as_os_str()],
        Some(times) => {
            let hastened = ["bench", "hastened-server", "--times", times, "--config"].map(OsStr::new);
            hastened.into_iter().chain([config.as_os_str()]).collect()
        }
    };
    Child::start(&arguments).await
}

fn client(server: &Child) -> Client {
    Client::new(&format!("http://{}", server.address), Some(SecretString::from(OPERATOR)))
}

/// Registers accounts 0 to `accounts` through the public API.
async fn register(server: &Child, receivers: &Receivers, accounts: u32) -> Result<(), Failure> {
    let urls: Arc<Vec<String>> = Arc::new((0..accounts).map(|n| receivers.url(n).to_owned()).collect());
    let (client, next) = (Arc::new(client(server)), Arc::new(AtomicU32::new(0)));
    let mut registrars: JoinSet<Result<(), Failure>> = JoinSet::new();
    for _ in 0..REGISTRARS.min(accounts) {
        let (client, urls, next) = (Arc::clone(&client), Arc::clone(&urls), Arc::clone(&next));
        registrars.spawn(async move {
            loop {
                let account = next.fetch_add(1, Relaxed);
                let Some(url) = urls.get(account as usize) else { return Ok(()) };
                register_one(&client, account, url).await?;
            }
        });
    }
    while let Some(ended) = registrars.join_next().await {
        ended.map_err(|error| failure("accounts cannot be registered", error))??;
    }
    Ok(())
}

async fn register_one(client: &Client, account: u32, url: &str) -> Result<(), Failure> {
    let id = account_id(account);
    let calls: [(Method, String, Value); 3] = [
        (Method::PUT, format!("/v1/accounts/{id}"), json!({"name": "Bench", "chatApps": true})),
        (
            Method::PUT,
            format!("/v1/business-accounts/{}", business_account_id(account)),
            json!({"accountId": id}),
        ),
        (
            Method::POST,
            format!("/api/v1/accounts/{id}/webhooks"),
            json!([{"subAccountId": "*", "url": url, "type": "CABM"}]),
        ),
    ];
    for (method, path, body) in calls {
        client.call(method, &path, &body).await?;
    }
    Ok(())
}

/// The size of a store that no process has open, with nothing left in its log.
async fn closed_bytes(plan: &Plan, store: &Path) -> Result<u64, Failure> {
    prefill::close(prefill::open(plan, store)?.0, store).await;
    Ok(bytes(store))
}
