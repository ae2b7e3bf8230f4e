//! After the system's clock has stepped.
//!
//! The node's clock does not step with it, so that no wait ends early or late
//! and no lease ends under an attempt ([`Clock`]). It may follow once nothing
//! waits: then no instant that is stored or held in memory is of the time before.

use std::sync::Arc;

use tokio::sync::watch;

use super::Phase;
use crate::env::Clock;
use crate::store::{Handover, Store};

/// Lets the clock follow the system's.
pub(super) struct Follower {
    pub(super) clock: Clock,
    pub(super) store: Arc<dyn Store>,
    pub(super) handover: Arc<Handover>,
}

impl Follower {
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let mut told = false;
        while *phase.borrow_and_update() == Phase::Running {
            let behind = tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { return } else { continue },
                behind = self.clock.stepped() => behind,
            };
            let seconds = behind.as_secs();
            if !told {
                tracing::warn!(seconds, "the system's clock stepped; waits go on as they would have");
            }
            told = true;
            if self.nothing_waits().await {
                self.clock.follow();
                tracing::info!(seconds, "times are those of the system's clock again");
                told = false;
            }
        }
    }

    /// Nothing in memory, nothing under way, nothing due later.
    async fn nothing_waits(&self) -> bool {
        let none = || self.handover.depth().0 == 0;
        none() && self.store.schedule().await.is_ok_and(|schedule| schedule.is_empty()) && none()
    }
}
