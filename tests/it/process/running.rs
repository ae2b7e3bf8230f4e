//! A running `bellwether serve`, and a receiver for it.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::post;
use bellwether::policy::signature::MetaKey;
use bellwether::server;
use bellwether::telemetry::Metrics;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::sim::world::{ACCOUNT, APP_SECRET, OPERATOR, WABA};

/// Nothing here takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the long rounds were asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("BELLWETHER_LONG").is_some()
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BELLWETHER_"))
    {
        command.env_remove(name);
    }
    command
}

/// `command`, run by `prefix`.
pub(crate) fn within(prefix: &[&str], command: Command) -> Command {
    let Some((program, arguments)) = prefix.split_first() else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// A configuration file for loopback.
pub(crate) fn write_config(directory: &Path) -> PathBuf {
    let file = directory.join("bellwether.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndrain_timeout_ms = 15000\n[store]\nurl = \"sqlite:{}\"\n\
         [operator]\nkey = \"{OPERATOR}\"\n[meta.apps.main]\napp_secret = \"{APP_SECRET}\"\n\
         [delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\"]\n[log]\nformat = \"json\"\n",
        directory.join("store.db").display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// A server process; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) base: String,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Running {
    /// Starts a server on the configuration in `directory` and waits until it
    /// serves.
    pub(crate) fn start(directory: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_within(&[], directory, variables)
    }

    /// The same, run by `prefix`: a program and arguments that end by running
    /// what follows in the same process, such as `nice -n 19`.
    pub(crate) fn start_within(prefix: &[&str], directory: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = within(prefix, binary());
        command.arg("serve").arg("--config").arg(write_config(directory)).envs(variables.iter().copied());
        Self::spawn(&mut command).unwrap_or_else(|ended| panic!("it did not start: {ended:#?}"))
    }

    /// Runs a command that becomes a server, and waits until it serves; how it
    /// ended and what it said, if it ended before.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, (ExitStatus, String)> {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        // Receivers run on the same threads: they must not wait for this.
        let address = tokio::task::block_in_place(|| {
            for line in lines.by_ref().map_while(Result::ok) {
                match address_in(&line) {
                    Some(address) => return Some(address),
                    None => seen.push(line),
                }
            }
            None
        });
        let Some(address) = address else { return Err((child.wait().unwrap(), seen.join("\n"))) };
        let log = Arc::new(Mutex::new(VecDeque::from(seen)));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push_back(line));
        });
        Ok(Self { child, base: format!("http://{address}"), log })
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// Waits until the log has `text`.
    pub(crate) async fn logs(&self, text: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(tokio::time::Instant::now() < deadline, "{text} is not in {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits for the end; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(tokio::time::Instant::now() < deadline, "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address_in(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    fields.get("address")?.as_str().map(str::to_owned)
}

/// A client of a server.
#[derive(Clone)]
pub(crate) struct Caller(Client<HttpConnector, Body>);

impl Caller {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
    }

    /// The status and JSON of an answer; `None` if there was none.
    pub(crate) async fn call(
        &self,
        base: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Option<(StatusCode, Value)> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("authorization", format!("Bearer {OPERATOR}"))
            .body(Body::from(text))
            .unwrap();
        self.send(request).await
    }

    /// Posts a signed notification.
    pub(crate) async fn notify(&self, base: &str, body: Vec<u8>) -> Option<(StatusCode, Value)> {
        let request = Request::post(format!("{base}/ingest/meta/main"))
            .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> Option<(StatusCode, Value)> {
        let answer = async {
            let response = self.0.request(request).await.ok()?;
            let status = response.status();
            let bytes = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
        };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
    }

    /// Registers the account, the business account and a webhook to `url`.
    pub(crate) async fn register(&self, base: &str, url: Option<&str>) {
        let account = format!("/v1/accounts/{ACCOUNT}");
        let mut calls = vec![
            (Method::PUT, account, json!({"name": "Shop", "chatApps": true})),
            (Method::PUT, format!("/v1/business-accounts/{WABA}"), json!({"accountId": ACCOUNT})),
        ];
        if let Some(url) = url {
            let webhooks = json!([{"subAccountId": "*", "url": url, "type": "CABM"}]);
            calls.push((Method::POST, format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks));
        }
        for (method, path, body) in calls {
            let (status, answer) = self.call(base, method, &path, body).await.unwrap();
            assert!(status.is_success(), "{path}: {answer}");
        }
    }

    /// All items of a listing.
    pub(crate) async fn all(&self, base: &str, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let more = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{more}limit=500{cursor}");
            let (status, answer) = self.call(base, Method::GET, &page, Value::Null).await.unwrap();
            assert_eq!(status, StatusCode::OK, "{answer}");
            items.extend(answer["items"].as_array().unwrap().clone());
            match answer["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Waits until nothing is pending.
    pub(crate) async fn quiesce(&self, base: &str) {
        let path = format!("/v1/accounts/{ACCOUNT}/deliveries?status=pending&limit=1");
        let deadline = tokio::time::Instant::now() + 4 * PATIENCE;
        loop {
            let answer = self.call(base, Method::GET, &path, Value::Null).await;
            let none = answer.is_some_and(|(_, page)| page["items"].as_array().is_some_and(Vec::is_empty));
            if none {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "something stays pending");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What arrived at a receiver.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) number: String,
    pub(crate) limit: String,
}

/// A real receiver on loopback that logs and answers after `takes`.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) url: String,
    log: Arc<Mutex<Vec<Arrived>>>,
    takes: Arc<Mutex<Duration>>,
    _stop: Arc<watch::Sender<bool>>,
}

impl Listening {
    pub(crate) async fn start() -> Self {
        Self::start_at(0).await
    }

    /// The same, at a port that was free a moment ago.
    pub(crate) async fn start_at(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let this = Self { url, log: Arc::default(), takes: Arc::default(), _stop: Arc::new(stop) };
        let router = Router::new()
            .route("/hook", post(take))
            .with_state((Arc::clone(&this.log), Arc::clone(&this.takes)));
        let limits =
            server::Limits { max_connections: 1024, header_timeout: PATIENCE, drain_timeout: Duration::ZERO };
        tokio::spawn(server::serve(listener, router, limits, Metrics::new(), stopped));
        this
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn answer_after(&self, span: Duration) {
        *self.takes.lock().unwrap() = span;
    }

    /// So many changes arrived as so many events, each once.
    #[track_caller]
    pub(crate) fn has_each_of(&self, count: usize) {
        let arrived = self.arrived();
        let changes: BTreeSet<(&str, &str)> =
            arrived.iter().map(|arrived| (arrived.number.as_str(), arrived.limit.as_str())).collect();
        let events: BTreeSet<&str> = arrived.iter().map(|arrived| arrived.id.as_str()).collect();
        assert_eq!(
            (arrived.len(), changes.len(), events.len()),
            (count, count, count),
            "none lost and none doubled"
        );
    }

    /// Waits until so many have arrived.
    pub(crate) async fn has(&self, count: usize) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.arrived().len() < count {
            assert!(tokio::time::Instant::now() < deadline, "only {} arrived", self.arrived().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

type Log = (Arc<Mutex<Vec<Arrived>>>, Arc<Mutex<Duration>>);

async fn take(State((log, takes)): State<Log>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let event: Value = serde_json::from_slice(&body).unwrap();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let arrived = Arrived {
        id: header("webhook-id"),
        attempt: header("bellwether-attempt").parse().unwrap(),
        number: event["eventDetails"]["displayPhoneNumber"].as_str().unwrap().to_owned(),
        limit: event["eventDetails"]["meta"]["currentLimit"].as_str().unwrap().to_owned(),
    };
    log.lock().unwrap().push(arrived);
    let span = *takes.lock().unwrap();
    tokio::time::sleep(span).await;
    StatusCode::OK
}
