//! Fault 78: the system's clock steps. The real program under libfaketime, whose
//! offset is a file that the test writes; only the wall clock steps, as on a real
//! machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellwether::env::Clock;
use tokio::time::Instant;

use super::nemesis::Poster;
use super::running::{Caller, PATIENCE, Running};
use crate::sim::world::{notification, tempdir::TempDir, upgrade};

const HOUR_S: i64 = 3_600;
const YEAR_S: i64 = 365 * 24 * HOUR_S;

/// Where Debian keeps the library.
fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").unwrap();
    let mut found = places.map(|place| place.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("hint: apt-get install libfaketime")
}

/// A server whose clock the test moves.
struct Moved {
    running: Running,
    offset: PathBuf,
}

impl Moved {
    fn start(directory: &Path) -> Self {
        let offset = directory.join("offset");
        std::fs::write(&offset, "+0").unwrap();
        let (library, file) = (library().display().to_string(), offset.display().to_string());
        let variables = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        Self { running: Running::start(directory, &variables), offset }
    }

    fn step(&self, seconds: i64) {
        let new = self.offset.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}")).unwrap();
        std::fs::rename(new, &self.offset).unwrap();
    }
}

/// An attempt as its receiver sees it.
#[derive(Debug, Clone)]
struct Seen {
    id: String,
    attempt: u32,
    signed_at: i64,
    at: Instant,
}

/// A receiver that answers 503 while told to.
#[derive(Clone, Default)]
struct Receiver {
    seen: Arc<Mutex<Vec<Seen>>>,
    fails: Arc<Mutex<bool>>,
}

impl Receiver {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        url
    }

    fn fail(&self, fails: bool) {
        *self.fails.lock().unwrap() = fails;
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn has(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.seen().len() < count {
            assert!(Instant::now() < deadline, "only {} arrived", self.seen().len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    let limits = bellwether::server::Limits {
        max_connections: 1024,
        header_timeout: PATIENCE,
        drain_timeout: Duration::ZERO,
    };
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    bellwether::server::serve(listener, router, limits, bellwether::telemetry::Metrics::new(), stopped).await;
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, _: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let seen = Seen {
        id: header("webhook-id"),
        attempt: header("bellwether-attempt").parse().unwrap(),
        signed_at: header("webhook-timestamp").parse().unwrap(),
        at: Instant::now(),
    };
    receiver.seen.lock().unwrap().push(seen);
    if *receiver.fails.lock().unwrap() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

fn change(n: u64) -> Vec<u8> {
    notification(Clock::system().now().seconds(), &[upgrade(n, &format!("TIER_{n}"))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_78_when_the_clock_steps_deliveries_go_on_at_once_each_once_and_are_signed_with_the_new_time() {
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Receiver::default());
    let url = receiver.start().await;
    let moved = Moved::start(directory.path());
    let base = &moved.running.base;
    caller.register(base, Some(&url)).await;
    for (round, offset) in [0, HOUR_S, 0, -HOUR_S, 0, 10 * YEAR_S, 0].into_iter().enumerate() {
        moved.step(offset);
        for n in 0..5 {
            let n = u64::try_from(round).unwrap() * 5 + n;
            assert!(poster.post(base, change(n)).await.unwrap().is_taken());
        }
        receiver.has(5 * (round + 1)).await;
        let now = Clock::system().now().seconds() + offset;
        let last = receiver.seen().pop().unwrap();
        assert!((last.signed_at - now).abs() < 60, "signed {} at {now}", last.signed_at);
    }
    caller.quiesce(base).await;
    let seen = receiver.seen();
    let ids: BTreeMap<&String, u32> = seen.iter().map(|seen| (&seen.id, seen.attempt)).collect();
    assert_eq!((seen.len(), ids.len()), (35, 35), "each came once");
    assert!(seen.iter().all(|seen| seen.attempt == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_78_a_retry_that_waits_while_the_clock_steps_is_made_when_it_would_have_been() {
    for offset in [HOUR_S, -HOUR_S, 10 * YEAR_S] {
        let directory = TempDir::new();
        let (caller, poster, receiver) = (Caller::new(), Poster::new(), Receiver::default());
        let url = receiver.start().await;
        let moved = Moved::start(directory.path());
        let base = &moved.running.base;
        caller.register(base, Some(&url)).await;
        receiver.fail(true);
        assert!(poster.post(base, change(1)).await.unwrap().is_taken());
        receiver.has(2).await;
        // The third attempt is due in ten seconds.
        moved.step(offset);
        receiver.fail(false);
        receiver.has(3).await;
        caller.quiesce(base).await;
        let seen = receiver.seen();
        let waits: Vec<_> = seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        println!("step of {offset} s: {waits:?}");
        assert_eq!(seen.iter().map(|seen| seen.attempt).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(waits[1] > Duration::from_millis(9_900), "not early: {waits:?}");
    }
}
