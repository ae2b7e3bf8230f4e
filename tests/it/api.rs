//! The API through its real router on a real store, without a socket.

mod bodies;
mod compat;
mod compat_limits;
mod compat_refusals;
mod deliveries;
mod description;
mod latest;
mod native;
mod numbers;
mod outwards;
mod publish;
mod reconciliation;
mod roles;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bellwether::api::{self, App, Limits, MetaApp, Reading, Setup, UrlRefusal};
use bellwether::env::{Clock, Entropy, Env, Fault, Faults, Point};
use bellwether::model::time::Timestamp;
use bellwether::secrets::Vault;
use bellwether::store::sqlite::{Mode, Options, Sqlite};
use bellwether::store::{Handover, Store};
use bellwether::telemetry::Metrics;
use http_body_util::BodyExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt;

const OPERATOR: &str = "the operator's own key";
const ACCOUNT: &str = "0f88f5c4-fae7-4dcf-8ff2-b2990133edea";
const OTHER: &str = "11111111-2222-4333-8444-555555555555";
const WABA: &str = "102290129340398";

/// An API with a store of its own, one account and its business account.
struct House {
    router: Router,
    store: Arc<dyn Store>,
    vault: Vault,
    /// How often the node was told to route what waits.
    registrations: Arc<AtomicUsize>,
    /// Whether commits fail.
    broken: Arc<AtomicBool>,
    directory: PathBuf,
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

static MADE: AtomicUsize = AtomicUsize::new(0);

impl House {
    async fn new() -> Self {
        let house = Self::empty();
        house.register(ACCOUNT, WABA).await;
        house
    }

    fn empty() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("bellwether-api-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let breaks = Arc::clone(&broken);
        let faults = Faults::planned(move |point| {
            (point == Point::BeforeCommit && breaks.load(Ordering::Relaxed)).then_some(Fault::Error)
        });
        let clock = Clock::virtual_from(Timestamp::parse("2025-06-01T00:00:00Z").unwrap());
        let env = Env { clock, entropy: Entropy::seeded(1), faults: faults.clone() };
        let options =
            Options { path: directory.join("store.db"), lease_ms: 60_000, queue: 1_000, mode: Mode::Inline };
        let handover = Arc::new(Handover::new(10, 10));
        let store = Sqlite::open(&options, handover, faults, Metrics::new(), env.clock.now()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let registrations = Arc::new(AtomicUsize::new(0));
        let vault = Vault::new(&[7; 32]);
        let setup = setup(&store, &vault, &env, &registrations);
        let router = api::router(App::new(setup), Router::new());
        Self { router, store, vault, registrations, broken, directory }
    }

    async fn register(&self, account: &str, business_account: &str) {
        let made = self.put(&format!("/v1/accounts/{account}"), json!({"name": "Shop"})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        let body = json!({"accountId": account});
        let made = self.put(&format!("/v1/business-accounts/{business_account}"), body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    }

    /// A key of that role, confined to that account.
    async fn key(&self, role: &str, account: Option<&str>) -> String {
        let made = self.post("/v1/api-keys", json!({"name": role, "role": role, "accountId": account})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
        made.json["key"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(OPERATOR), "").await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, Some(OPERATOR), &body.to_string()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(OPERATOR), &body.to_string()).await
    }

    async fn delete(&self, path: &str, body: Value) -> Answer {
        self.send("DELETE", path, Some(OPERATOR), &body.to_string()).await
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        self.answer(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        answer(self.router.clone(), request).await
    }
}

async fn answer(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let json = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status: head.status, headers: head.headers, json, text }
}

fn setup(store: &Arc<dyn Store>, vault: &Vault, env: &Env, registrations: &Arc<AtomicUsize>) -> Setup {
    let registrations = Arc::clone(registrations);
    Setup {
        store: Arc::clone(store),
        vault: vault.clone(),
        env: env.clone(),
        judge: Arc::new(|url| match url {
            url if url.starts_with("https://10.") => Err(UrlRefusal::Forbidden("a private network".into())),
            url if url.starts_with("https://") => Ok(()),
            url if url.starts_with("http://") => Err(UrlRefusal::Insecure("use https".into())),
            _ => Err(UrlRefusal::Forbidden("not a URL".into())),
        }),
        operator_key: Some(SecretString::from(OPERATOR)),
        errand: Arc::new(move || {
            registrations.fetch_add(1, Ordering::Relaxed);
        }),
        metrics: Arc::new(|| Box::pin(async { "# EOF\n".to_owned() })),
        readiness: Arc::new(|| Box::pin(async { Err("starting".to_owned()) })),
        // Streams end at once, so that an answer is whole.
        stopping: Arc::new(|| Box::pin(async {})),
        fill_limits: true,
        reading: Reading::default(),
        snapshot_on_enable: false,
        apps: vec![MetaApp { name: "main".to_owned(), secrets: 2, handshake: true }],
        limits: Limits::default(),
    }
}

/// An answer, taken apart.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
    text: String,
}

impl Answer {
    /// Status and stable code of a refusal, on either API.
    #[track_caller]
    fn refusal(&self) -> (u16, &Value) {
        assert!(self.status.is_client_error() || self.status.is_server_error(), "{}", self.text);
        (self.status.as_u16(), &self.json["code"])
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
