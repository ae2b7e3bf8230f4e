//! Whose events have not arrived, and for how long: looked for every half minute,
//! in small steps. If the configuration says what too long is, that is told.
//!
//! The metric names accounts, of which there may be very many: so it shows the
//! worst alone. How many have something late is a number of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Phase;
use crate::env::Clock;
use crate::model::id::AccountId;
use crate::model::time::Timestamp;
use crate::store::catalog::SweepPlace;
use crate::store::{Error, Store};
use crate::telemetry::Metrics;

/// Between two looks, or so many times what the last one took: a long backlog
/// costs a small share of the machine.
const EVERY: Duration = Duration::from_secs(30);
const SPARING: u32 = 20;

/// Lanes of a step, and the pause after it that leaves the readers to others.
const STEP: usize = 2_000;
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// Accounts that the metric names at most, and from which age on: what is
/// younger is on its way.
const NAMED: usize = 20;
const NAMED_FROM: Duration = Duration::from_secs(10);

/// What the last look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Late {
    /// Accounts beyond the threshold.
    accounts: usize,
    /// The age of the oldest undelivered event of all.
    oldest: Duration,
}

impl Late {
    /// A word about it, if there is any to say.
    pub(super) fn told(self, threshold: Duration) -> Option<String> {
        let whose = match self.accounts {
            0 => return None,
            1 => "1 account has".to_owned(),
            many => format!("{many} accounts have"),
        };
        let (oldest, threshold) = (self.oldest.as_secs(), threshold.as_secs());
        Some(format!("{whose} events undelivered for more than {threshold} s, the oldest for {oldest} s"))
    }
}

/// The one who looks.
pub(super) struct Lateness {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// What is too long, if that is said.
    pub(super) threshold: Option<Duration>,
    pub(super) found: watch::Sender<Late>,
}

impl Lateness {
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        while *phase.borrow_and_update() == Phase::Running {
            let began = Instant::now();
            match self.look().await {
                Ok(oldest) => self.tell(oldest),
                Err(error) => tracing::warn!(%error, "looking for what has not arrived failed; tried again"),
            }
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(EVERY.max(began.elapsed() * SPARING)) => {}
            }
        }
    }

    /// Since when each account waits for its oldest undelivered event.
    async fn look(&self) -> Result<BTreeMap<AccountId, Timestamp>, Error> {
        let mut all: BTreeMap<AccountId, Timestamp> = BTreeMap::new();
        let mut from = SweepPlace::default();
        loop {
            let step = self.store.sweep_undelivered(from, STEP).await?;
            for (account, accepted) in step.oldest {
                let oldest = all.entry(account).or_insert(accepted);
                *oldest = accepted.min(*oldest);
            }
            let Some(next) = step.next else { return Ok(all) };
            from = next;
            tokio::time::sleep(BETWEEN_STEPS).await;
        }
    }

    fn tell(&self, oldest: BTreeMap<AccountId, Timestamp>) {
        let now = self.clock.now();
        let ages = oldest.into_iter().map(|(account, accepted)| (account, now.since(accepted)));
        let mut waiting: Vec<_> = ages.filter(|(_, age)| *age >= NAMED_FROM).collect();
        waiting.sort_by_key(|(account, age)| (std::cmp::Reverse(*age), *account));
        let is_late = |age: Duration| self.threshold.is_some_and(|threshold| age > threshold);
        let late = waiting.iter().filter(|(_, age)| is_late(*age)).count();
        self.metrics.undelivered(late, &waiting[..waiting.len().min(NAMED)]);
        let oldest = waiting.first().map(|(_, age)| *age).unwrap_or_default();
        self.found.send_replace(Late { accounts: late, oldest });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_is_told_in_a_word_and_nothing_is_if_nothing_is() {
        let (threshold, oldest) = (Duration::from_mins(15), Duration::from_hours(1));
        assert_eq!(Late::default().told(threshold), None);
        let told = Late { accounts: 1, oldest }.told(threshold).unwrap();
        assert_eq!(told, "1 account has events undelivered for more than 900 s, the oldest for 3600 s");
        assert!(Late { accounts: 2, oldest }.told(threshold).unwrap().starts_with("2 accounts have"));
    }
}
