//! A receiver on loopback that verifies, logs and answers as it is told.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellwether::server;
use bellwether::telemetry::Metrics;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ledger::{self, IN_FLIGHT};
use super::oracle::{Arrival, End, STRAGGLING};
use crate::process::running::{PATIENCE, Running};

/// How an arrival is answered: the status, and how long that takes.
type Mood = dyn Fn(&Arrival) -> (u16, Duration) + Send + Sync;

/// An outcome is recorded within so long after its answer; on a busy machine a few
/// are not, and none takes longer than the second.
const USUALLY_RECORDED: Duration = Duration::from_millis(150);
const SURELY_RECORDED: Duration = Duration::from_secs(2);

/// The receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    inner: Arc<Inner>,
    _stop: Arc<watch::Sender<bool>>,
}

struct Inner {
    log: Mutex<Vec<Arrival>>,
    mood: Mutex<Arc<Mood>>,
    ends: Mutex<Vec<End>>,
    /// The webhook's, once it is known.
    secret: Mutex<Option<Webhook>>,
}

impl Receiver {
    /// One that answers 200 at once.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let mood: Arc<Mood> = Arc::new(|_| (200, Duration::ZERO));
        let inner = Inner {
            log: Mutex::default(),
            mood: Mutex::new(mood),
            ends: Mutex::default(),
            secret: Mutex::default(),
        };
        let this = Self { url, inner: Arc::new(inner), _stop: Arc::new(stop) };
        let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&this.inner));
        let limits =
            server::Limits { max_connections: 1024, header_timeout: PATIENCE, drain_timeout: Duration::ZERO };
        tokio::spawn(server::serve(listener, router, limits, Metrics::new(), stopped));
        this
    }

    /// From now on arrivals must be signed with this secret.
    pub(crate) fn expect_signed_with(&self, secret: &str) {
        *self.inner.secret.lock().unwrap() = Some(Webhook::new(secret).unwrap());
    }

    pub(crate) fn answer(&self, mood: impl Fn(&Arrival) -> (u16, Duration) + Send + Sync + 'static) {
        *self.inner.mood.lock().unwrap() = Arc::new(mood);
    }

    /// Answers 200 after so long.
    pub(crate) fn answer_after(&self, span: Duration) {
        self.answer(move |_| (200, span));
    }

    /// kill -9, and what was open then.
    pub(crate) async fn kills(&self, running: &mut Running) {
        running.kill();
        self.note_end().await;
    }

    /// A process that sends here has just ended: what was open at that moment may
    /// come again.
    pub(crate) async fn note_end(&self) {
        let at = Instant::now();
        tokio::time::sleep(STRAGGLING).await;
        let mut ends = self.inner.ends.lock().unwrap();
        let began = ends.last().map(|end| end.at);
        let arrivals = self.arrivals().into_iter().filter(|arrival| began.is_none_or(|at| arrival.at >= at));
        let arrivals: Vec<Arrival> = arrivals.collect();
        // An answer is no record: it has to be read, and its commit to end.
        let open_since = |span: Duration| {
            let open =
                arrivals.iter().filter(move |arrival| arrival.confirmed.is_none_or(|told| told + span >= at));
            open.map(|arrival| arrival.id.clone()).collect::<BTreeSet<String>>()
        };
        let most = open_since(USUALLY_RECORDED).len().min(IN_FLIGHT);
        ends.push(End { at, open: open_since(SURELY_RECORDED), most });
    }

    pub(crate) fn ends(&self) -> Vec<End> {
        self.inner.ends.lock().unwrap().clone()
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inner.log.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.inner.log.lock().unwrap().len()
    }

    /// The attempts of one change, in the order of their arrival.
    pub(crate) fn attempts_of(&self, key: u64) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(|arrival| arrival.key == Some(key)).collect()
    }

    /// Waits until so many have arrived; says when it has seen that.
    pub(crate) async fn has(&self, count: usize) -> Instant {
        let deadline = Instant::now() + 4 * PATIENCE;
        while self.count() < count {
            assert!(Instant::now() < deadline, "only {} of {count} arrived", self.count());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Instant::now()
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let arrival = read(&inner, &headers, &body);
    let mood = Arc::clone(&*inner.mood.lock().unwrap());
    let (status, takes) = mood(&arrival);
    let place = {
        let mut log = inner.log.lock().unwrap();
        log.push(arrival);
        log.len() - 1
    };
    tokio::time::sleep(takes).await;
    if (200..300).contains(&status) {
        inner.log.lock().unwrap()[place].confirmed = Some(Instant::now());
    }
    StatusCode::from_u16(status).unwrap()
}

fn read(inner: &Inner, headers: &HeaderMap, body: &[u8]) -> Arrival {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let details = &event["eventDetails"];
    let secret = inner.secret.lock().unwrap();
    let signed = secret.as_ref().is_none_or(|secret| secret.verify(body, headers).is_ok());
    Arrival {
        at: Instant::now(),
        confirmed: None,
        key: ledger::key(details["meta"]["currentLimit"].as_str().unwrap_or_default()),
        id: header("webhook-id").to_owned(),
        attempt: header("bellwether-attempt").parse().unwrap_or_default(),
        sequence: header("bellwether-sequence").parse().unwrap_or_default(),
        number: details["displayPhoneNumber"].as_str().unwrap_or_default().to_owned(),
        part: ledger::part(body),
        genuine: signed && event["eventId"].as_str() == Some(header("webhook-id")),
    }
}
