//! What must be done now and then: routing what waited, the store's own
//! housekeeping, taking bulk replays further, retention. Runs when there is an errand, else once an hour: an idle
//! node does not wake a core.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::Phase;
use crate::env::Clock;
use crate::intake::Intake;
use crate::model::id::Position;
use crate::store::queue::Retention;
use crate::store::{Error, Store};

/// Deduplication and idempotency keys are kept this long (contract.md 5.5).
const KEYS_KEPT: Duration = Duration::from_hours(14 * 24);

/// Rows a retention step removes, and the pause after it that leaves the writer
/// to others.
const STEP: usize = 500;
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// A running bulk replay is taken further this often, by at most so many.
const REPLAY_EVERY: Duration = Duration::from_millis(200);
const REPLAY_STEP: usize = 500;

/// Rows a step of the store's housekeeping touches.
const TIDY_STEP: usize = 2_000;

/// Without an errand.
const ROUND: Duration = Duration::from_hours(1);

/// The one who tidies up.
pub(super) struct Janitor {
    pub(super) intake: Arc<Intake>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) events_kept: Duration,
    /// There is something to route or to replay.
    pub(super) errand: Arc<Notify>,
}

impl Janitor {
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let mut retire_at = tokio::time::Instant::now();
        loop {
            let next = match self.errands().await {
                Ok(busy) => busy.then_some(REPLAY_EVERY),
                Err(error) => {
                    tracing::warn!(%error, "an errand failed; trying again");
                    Some(Duration::from_secs(1))
                }
            };
            if tokio::time::Instant::now() >= retire_at {
                self.retire().await;
                retire_at = tokio::time::Instant::now() + ROUND;
            }
            let round = tokio::time::sleep_until(retire_at);
            tokio::select! {
                biased;
                ended = phase.wait_for(|phase| *phase != Phase::Running) => { let _ = ended; return }
                () = self.errand.notified() => {}
                () = tokio::time::sleep(next.unwrap_or(ROUND)) => {}
                () = round => {}
            }
        }
    }

    /// Routes, tidies and replays; says whether a replay goes on.
    async fn errands(&self) -> Result<bool, Error> {
        while self.store.tidy(TIDY_STEP).await? {}
        let routed = self.intake.route_waiting().await?;
        if routed > 0 {
            tracing::info!(changes = routed, "routed what waited for its business account");
        }
        self.store.advance_replays(REPLAY_STEP, self.clock.now()).await
    }

    async fn retire(&self) {
        let mut after: Position = 0;
        loop {
            let now = self.clock.now();
            let retention = Retention {
                events_before: now.minus(self.events_kept),
                after,
                keys_before: now.minus(KEYS_KEPT),
                step: STEP,
            };
            match self.store.retire(retention).await {
                Ok(Some(next)) => after = next,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "retention failed; the next round tries again");
                    return;
                }
            }
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }
}
