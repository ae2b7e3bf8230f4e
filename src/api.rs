//! The HTTP API: the native one under `/v1`, the 8x8-compatible one under
//! `/api/v1` (contract.md 2), and what operations ask of a node.
//!
//! Three rules hold for every route. A handler and its description are
//! registered together (`openapi::Routes`), so nothing is served that
//! `/openapi.json` does not tell. A caller is known before a handler runs
//! (`auth`), and what a handler may touch comes out of an extractor that has
//! judged the caller already, so that a route can't forget it. An answer that
//! is not a success is of the route's own family: problem+json natively, 8x8's
//! error body on the compatible side, for unknown paths and methods too.

mod accounts;
mod auth;
mod business_accounts;
mod compat;
mod deliveries;
mod errors;
mod events;
pub mod ingest;
mod input;
mod key;
mod keys;
mod numbers;
mod openapi;
mod operator;
mod ops;
mod paging;
mod publish;
mod reconciliation;
mod replays;
mod secret;
mod session;
mod stream;
mod undelivered;
mod webhooks;
mod wire;

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use tokio::sync::Mutex;

use crate::env::Env;
use crate::secrets::Vault;
use crate::store::Store;

/// An answer to come.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something the node does for the API when asked.
pub type Hook<T> = Arc<dyn Fn() -> Pending<T> + Send + Sync>;

/// Judges a URL as written, before it is kept (contract.md 5.11).
pub type Judge = Arc<dyn Fn(&str) -> Result<(), UrlRefusal> + Send + Sync>;

/// Why a URL is not kept. The text is for the caller and says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlRefusal {
    /// `http://`, where only `https://` is allowed (code 1014).
    Insecure(String),
    /// Anything else (code 3020).
    Forbidden(String),
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Native requests, a published event among them, in bytes.
    pub request_bytes: usize,
    /// An array of webhooks on the 8x8-compatible API, in bytes: 1,000 of them
    /// at their longest fit.
    pub webhooks_bytes: usize,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 64 * 1024,
            webhooks_bytes: 8 * 1024 * 1024,
            body_deadline: Duration::from_secs(10),
        }
    }
}

/// What the API is made of.
pub struct Setup {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Seals webhooks' secrets.
    pub vault: Vault,
    /// Time and chance.
    pub env: Env,
    /// Which URLs may be configured.
    pub judge: Judge,
    /// The operator's key from the configuration, if any.
    pub operator_key: Option<SecretString>,
    /// Called when something is left to do after the answer: changes wait for what
    /// was registered, a reading of the Graph API is due, a bulk replay runs,
    /// deliveries of a deleted webhook are to be canceled.
    pub errand: Arc<dyn Fn() + Send + Sync>,
    /// The metrics' text, for `GET /metrics`.
    pub metrics: Hook<String>,
    /// What the node is ready to do, for `GET /readyz`; else why it can't serve.
    pub readiness: Hook<Result<String, String>>,
    /// Comes to an end when the node is about to stop.
    pub stopping: Hook<()>,
    /// Whether a published event's limits are filled in (contract.md 5.1).
    pub fill_limits: bool,
    /// How the Graph API is asked, as far as callers are told.
    pub reading: Reading,
    /// Whether a webhook that is created, or enabled again, is told how the numbers
    /// stand.
    pub snapshot_on_enable: bool,
    /// The Meta apps of the configuration, by name.
    pub apps: Vec<MetaApp>,
    /// How much of a body is read.
    pub limits: Limits,
}

/// A Meta app, as far as operators are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaApp {
    /// Its name in the configuration, the last part of its callback URL.
    pub name: String,
    /// How many app secrets count: two while one is rotated.
    pub secrets: usize,
    /// Whether there is a verify token, without which Meta can't set the URL up.
    pub handshake: bool,
}

/// How the Graph API is asked, as far as callers are told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Whether there is a token for business accounts without one of their own.
    pub token_for_all: bool,
    /// Whether nothing is asked for the time being.
    pub paused: bool,
}

/// The API's state, shared by all requests.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    setup: Setup,
    /// Held from reading webhooks to writing them, so that of two changes at
    /// once neither undoes the other.
    webhook_writes: Mutex<()>,
    streams: stream::Places,
    sessions: session::Sessions,
}

impl App {
    /// An API made of `setup`.
    pub fn new(setup: Setup) -> Self {
        let (webhook_writes, streams) = (Mutex::new(()), stream::Places::default());
        let sessions = session::Sessions::default();
        Self(Arc::new(Inner { setup, webhook_writes, streams, sessions }))
    }

    fn webhook_writes(&self) -> &Mutex<()> {
        &self.0.webhook_writes
    }

    fn streams(&self) -> &stream::Places {
        &self.0.streams
    }

    fn sessions(&self) -> &session::Sessions {
        &self.0.sessions
    }
}

impl Deref for App {
    type Target = Setup;

    fn deref(&self) -> &Setup {
        &self.0.setup
    }
}

/// Every route of a node. `intake` brings those where notifications arrive.
pub fn router(app: App, intake: Router<App>) -> Router {
    let native = native();
    let sessions = session::register(openapi::Routes::default());
    let compatible = compat::register(openapi::Routes::default());
    let document = openapi::document(&[&native, &sessions, &compatible]);
    let native = native.into_router().route_layer(from_fn_with_state(app.clone(), auth::guard));
    let compatible = compatible.into_router().route_layer(from_fn_with_state(app.clone(), compat::guard));
    native
        .merge(sessions.into_router())
        .merge(compatible)
        .merge(ops::router())
        .merge(openapi::router(document))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(answer_headers))
        // Notifications are the many: they say their few headers themselves.
        .merge(intake.method_not_allowed_fallback(wrong_method))
        .with_state(app)
}

fn native() -> openapi::Routes {
    let routes = accounts::register(openapi::Routes::default());
    let routes = keys::register(reconciliation::register(business_accounts::register(routes)));
    let routes = numbers::register(deliveries::register(events::register(publish::register(
        stream::register(routes),
    ))));
    let routes = undelivered::register(webhooks::register(replays::register(routes)));
    let routes = secret::register(routes);
    operator::register(routes)
}

async fn unknown_path(State(app): State<App>, uri: Uri) -> Response {
    if compat::is_ours(uri.path()) {
        return compat::unknown_path(uri.path()).render(&app);
    }
    errors::Problem::new(errors::Code::NotFound, format!("there is nothing at {}", uri.path()))
        .hint("GET /openapi.json lists the paths under /v1 and /api/v1; /docs shows them")
        .into_response()
}

async fn wrong_method(State(app): State<App>, method: Method, uri: Uri) -> Response {
    if compat::is_ours(uri.path()) {
        return compat::wrong_method(&method).render(&app);
    }
    errors::Problem::new(
        errors::Code::MethodNotAllowed,
        format!("{method} is not possible at {}", uri.path()),
    )
    .hint(method_hint(&method, uri.path()))
    .into_response()
}

fn method_hint(method: &Method, path: &str) -> &'static str {
    if *method == Method::POST && path.ends_with("/webhooks") {
        return "webhooks are made by POST /api/v1/accounts/{accountId}/webhooks";
    }
    "the header `allow` of this answer says what is; GET /docs shows it"
}

/// What every answer says unless it says otherwise: it is what it is said to
/// be, nobody keeps it, and a browser runs nothing of it.
async fn answer_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let unless_said: [(HeaderName, &str); 2] = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in unless_said {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
