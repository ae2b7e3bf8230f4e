//! An attempt the wrong way round, for tests that must notice
//! ([`Weakness::RecordBeforeSending`](crate::env::Weakness)).

use super::{Attempter, Ended};
use crate::dispatch::target::Target;
use crate::env::Point;
use crate::model::attempt::{Attempt, OutcomeClass};
use crate::model::delivery::DeliveryState;
use crate::store::queue::{Claimed, Settlement};

impl Attempter {
    /// Says that the event arrived, then sends it, whatever comes of that.
    pub(super) async fn record_before_sending(&self, claimed: &Claimed, target: &Target) -> Ended {
        let Claimed { delivery, lane, lease, attempts, .. } = *claimed;
        let now = self.now();
        let attempt = Attempt {
            number: attempts + 1,
            started_at: now,
            duration_ms: 0,
            class: OutcomeClass::Success,
            status: Some(200),
            note: None,
            answer: Vec::new(),
            next_at: None,
        };
        let state = DeliveryState::Delivered;
        let ended = self.settle(Settlement { delivery, lane, lease, attempt, state, now }).await;
        // As if the answer had come: here a crash loses what is recorded.
        if self.means.env.faults.at(Point::AfterAnswer).is_none() {
            let _ = self.send(claimed, target, now).await;
        }
        ended
    }
}
