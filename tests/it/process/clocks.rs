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
use crate::sim::world::{ACCOUNT, notification, tempdir::TempDir, upgrade};

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
        Self { running: Self::run(directory, &offset), offset }
    }

    fn run(directory: &Path, offset: &Path) -> Running {
        let (library, file) = (library().display().to_string(), offset.display().to_string());
        let variables = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("BELLWETHER_DELIVERY__RETRY_SCHEDULE_S", "1, 3"),
        ];
        Running::start(directory, &variables)
    }

    /// The next run, with another clock.
    fn start_again(&self, directory: &Path, seconds: i64) -> Running {
        self.step(seconds);
        Self::run(directory, &self.offset)
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

/// Two attempts fail, the clock steps, the third is due three seconds after the second.
async fn retried_over_a_step(offset: i64) {
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Receiver::default());
    let url = receiver.start().await;
    let moved = Moved::start(directory.path());
    let base = &moved.running.base;
    caller.register(base, Some(&url)).await;
    receiver.fail(true);
    assert!(poster.post(base, change(1)).await.unwrap().is_taken());
    receiver.has(2).await;
    moved.step(offset);
    receiver.fail(false);
    // Wakes who decides what is due.
    assert!(poster.post(base, change(2)).await.unwrap().is_taken());
    receiver.has(4).await;
    caller.quiesce(base).await;
    let seen = receiver.seen();
    let retried: Vec<_> = seen.iter().filter(|other| other.id == seen[0].id).collect();
    let waits: Vec<_> = retried.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert_eq!(retried.iter().map(|seen| seen.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(waits[1] > Duration::from_millis(2_900), "not early after a step of {offset} s: {waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_78_a_retry_that_waits_while_the_clock_steps_is_made_when_it_would_have_been() {
    let steps = [HOUR_S, -HOUR_S, 10 * YEAR_S].map(retried_over_a_step);
    let [forward, back, far] = steps;
    tokio::join!(forward, back, far);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_78_a_retry_that_waited_when_the_process_ended_is_made_although_the_clock_went_back_meanwhile()
{
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Receiver::default());
    let url = receiver.start().await;
    let mut moved = Moved::start(directory.path());
    caller.register(&moved.running.base, Some(&url)).await;
    receiver.fail(true);
    assert!(poster.post(&moved.running.base, change(1)).await.unwrap().is_taken());
    // Once the second failure is recorded: before, its lease would be void.
    let deadline = Instant::now() + PATIENCE;
    let waiting = format!("/v1/accounts/{ACCOUNT}/deliveries?status=pending");
    while caller.all(&moved.running.base, &waiting).await[0]["attemptCount"] != 2 {
        assert!(Instant::now() < deadline, "the second attempt is not recorded");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    moved.running.kill();
    receiver.fail(false);
    moved.running = moved.start_again(directory.path(), -HOUR_S);
    receiver.has(3).await;
    assert!(moved.running.log().contains("the clock has gone back"), "{}", moved.running.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_78_the_times_that_are_shown_follow_the_clock_once_nothing_waits() {
    let directory = TempDir::new();
    let (caller, poster) = (Caller::new(), Poster::new());
    let moved = Moved::start(directory.path());
    let base = &moved.running.base;
    caller.register(base, None).await;
    moved.step(HOUR_S);
    assert!(poster.post(base, change(1)).await.unwrap().is_taken());
    let events = caller.all(base, &format!("/v1/accounts/{ACCOUNT}/events")).await;
    let accepted: jiff::Timestamp = events[0]["acceptedAt"].as_str().unwrap().parse().unwrap();
    let now = Clock::system().now().seconds() + HOUR_S;
    assert!((accepted.as_second() - now).abs() < 60, "{accepted}");
}
