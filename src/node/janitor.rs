//! What must be done now and then: routing what waited, the store's own
//! housekeeping, holding capability updates against what numbers are left, taking
//! snapshots and bulk replays further, retention. Runs when there is an
//! errand, else once an hour: an idle node does not wake a core.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Phase;
use crate::env::Clock;
use crate::intake::Intake;
use crate::model::id::Position;
use crate::model::time::Timestamp;
use crate::store::queue::Retention;
use crate::store::{Error, Store};

/// Deduplication and idempotency keys are kept this long (contract.md 5.5).
const KEYS_KEPT: Duration = Duration::from_hours(14 * 24);

/// Rows a retention step removes, and the pause after it that leaves the writer
/// to others.
const STEP: usize = 500;
const BETWEEN_STEPS: Duration = Duration::from_millis(20);

/// What runs, bulk replays and snapshots, is taken further this often; a replay by
/// at most so many.
const PACE: Duration = Duration::from_millis(200);
const REPLAY_STEP: usize = 500;

/// Numbers a step of a snapshot tells of.
const SNAPSHOT_STEP: usize = 100;

/// Rows a step of the store's housekeeping touches.
const TIDY_STEP: usize = 2_000;

/// After the store refused.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Without an errand.
const ROUND: Duration = Duration::from_hours(1);

/// The first retention comes so long after the start: a machine that boots with
/// a wrong clock has it set by then.
const FIRST_ROUND: Duration = Duration::from_mins(10);

/// How long things are kept, and how often what is old is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    events: Duration,
    journal: Duration,
    keys: Duration,
    first_round: Duration,
    round: Duration,
}

impl Keeping {
    /// Events and the journal for so long.
    pub fn new(events: Duration, journal: Duration) -> Self {
        Self { events, journal, keys: KEYS_KEPT, first_round: FIRST_ROUND, round: ROUND }
    }

    /// The same on a smaller scale: all of it so many times as fast.
    #[must_use]
    pub fn hastened(self, times: u32) -> Self {
        let Self { events, journal, keys, first_round, round } = self;
        let [events, journal, keys, first_round, round] =
            [events, journal, keys, first_round, round].map(|span| span / times.max(1));
        Self { events, journal, keys, first_round, round }
    }
}

/// The one who tidies up.
pub(super) struct Janitor {
    pub(super) intake: Arc<Intake>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) keeping: Keeping,
    /// There is something to route or to replay.
    pub(super) errand: Arc<Notify>,
}

impl Janitor {
    pub(super) async fn run(self, mut phase: watch::Receiver<Phase>) {
        let age = Age { began: self.clock.now(), running: Instant::now() };
        // Where the retention under way goes on; `None`: it rests until `next_round`.
        let mut retiring: Option<Position> = None;
        let mut next_round = Instant::now() + self.keeping.first_round;
        while *phase.borrow_and_update() == Phase::Running {
            let busy = self.errands().await;
            if let Some(after) = retiring {
                retiring = self.retire(after, age.now(&self.clock)).await;
            } else if Instant::now() >= next_round {
                (retiring, next_round) = (Some(0), Instant::now() + self.keeping.round);
            }
            let wait = match (retiring, busy) {
                (Some(_), _) | (_, Busy::More) => BETWEEN_STEPS,
                (None, Busy::Pacing) => PACE,
                (None, Busy::Failing) => AFTER_FAILURE,
                (None, Busy::Idle) => next_round.saturating_duration_since(Instant::now()),
            };
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { return },
                () = self.errand.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Does one step of each errand, so that a signal to end never waits long.
    async fn errands(&self) -> Busy {
        self.step().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "an errand failed; trying again");
            Busy::Failing
        })
    }

    async fn step(&self) -> Result<Busy, Error> {
        let untidy = self.store.tidy(TIDY_STEP).await?;
        let routed = self.intake.route_waiting().await?;
        if routed > 0 {
            tracing::info!(changes = routed, "routed what waited for its business account");
        }
        let deriving = self.intake.derive_rest().await?;
        let telling = self.store.advance_snapshots(SNAPSHOT_STEP, self.clock.now()).await?;
        let replaying = self.store.advance_replays(REPLAY_STEP, self.clock.now()).await?;
        Ok(match (untidy || routed > 0 || deriving, telling || replaying) {
            (true, _) => Busy::More,
            (false, true) => Busy::Pacing,
            (false, false) => Busy::Idle,
        })
    }

    /// One step of retention; says where the next begins.
    async fn retire(&self, after: Position, now: Timestamp) -> Option<Position> {
        let retention = Retention {
            now,
            events_before: now.minus(self.keeping.events),
            after,
            keys_before: now.minus(self.keeping.keys),
            journal_before: now.minus(self.keeping.journal),
            step: STEP,
        };
        self.store.retire(retention).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "retention failed; the next round tries again");
            None
        })
    }
}

/// How old things are. What is removed is gone, so a clock that leaps must not
/// remove anything: only what is old by the wall clock and by the time that has
/// passed since the start counts as old.
struct Age {
    began: Timestamp,
    running: Instant,
}

impl Age {
    fn now(&self, clock: &Clock) -> Timestamp {
        self.began.plus(self.running.elapsed()).min(clock.wall())
    }
}

/// What the errands left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// Nothing.
    Idle,
    /// More at once.
    More,
    /// A bulk replay or a snapshot goes on at its pace.
    Pacing,
    /// The store refused.
    Failing,
}
