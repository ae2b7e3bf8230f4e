//! Time that stands still until it is moved, while sockets go on: so that what
//! happens a minute, or three days, after a real receiver did something is shown
//! in milliseconds, and to the millisecond.
//!
//! Tokio's paused time leaps to the next timer as soon as every task waits,
//! even if they wait for sockets; a blocking task under way forbids that.

use std::sync::mpsc;
use std::time::Duration;

/// A runtime's time does not leap while this lives. Needs paused time.
pub struct Frozen {
    _held: mpsc::Sender<()>,
}

impl Frozen {
    pub fn now() -> Self {
        let (held, until) = mpsc::channel();
        tokio::task::spawn_blocking(move || {
            // An error: the sender is gone.
            let _ = until.recv();
        });
        Self { _held: held }
    }
}

/// How long sockets on loopback are given to become quiet.
const QUIET: Duration = Duration::from_millis(20);

/// Lets sockets catch up, which takes time of the system's clock.
pub async fn catch_up() {
    wait(QUIET).await;
}

async fn wait(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the runtime's clock stands still")]
    tokio::task::spawn_blocking(move || std::thread::sleep(span)).await.unwrap();
}

/// Moves time, and lets sockets catch up.
pub async fn pass(span: Duration) {
    tokio::time::advance(span).await;
    catch_up().await;
}

/// Waits, by the system's clock, until `done` says so.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..20_000 {
        if done().await {
            return;
        }
        wait(Duration::from_millis(1)).await;
    }
    panic!("this takes too long: {what}");
}
