//! A store that has a past: events accepted and settled through the store's
//! own calls, in this process, while no server has it open. What lies there
//! afterwards is what a server would have left.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Plan;
use super::load::failure;
use super::meta::{self, Audience};
use crate::cli::Failure;
use crate::env::Faults;
use crate::model::attempt::{Attempt, OutcomeClass};
use crate::model::delivery::DeliveryState;
use crate::model::time::Timestamp;
use crate::source::meta as source;
use crate::store::queue::{Batch, Claimed, Item, Settled, Settlement};
use crate::store::sqlite::{Mode, Options, Sqlite};
use crate::store::{Catalog, Error, Handover, Queue};
use crate::telemetry::Metrics;

/// What a stored event's value begins with: no ledger knows it.
const MARK: &str = "STORED_";

/// Events a notification.
const EACH: u32 = 500;

/// Rows a step of the store's housekeeping touches.
const TIDY_STEP: usize = 2_000;

/// A store to begin with.
pub(super) struct Prefill {
    /// For whom the events were.
    pub(super) audience: Audience,
    /// How many.
    pub(super) events: u32,
    /// Over how long they were accepted, up to now.
    pub(super) past: Duration,
    /// What became of them: delivered, or failed once and due again then.
    pub(super) retry_after: Option<Duration>,
}

/// Opens a store in this process.
pub(super) fn open(plan: &Plan, path: &Path) -> Result<(Sqlite, Arc<Handover>), Failure> {
    // One account may take half of the places: as many as a webhook may.
    let handover = Arc::new(Handover::new(8 * EACH as usize, 4 * EACH as usize));
    let options = Options { path: path.to_owned(), lease_ms: 3_600_000, queue: 8_192, mode: Mode::Threads };
    let now = plan.env.clock.now();
    let store = Sqlite::open(&options, Arc::clone(&handover), Faults::none(), Metrics::new(), now);
    Ok((store.map_err(|error| failure("the store cannot be opened", error))?, handover))
}

/// Closes a store and waits until its writer has left.
pub(super) async fn close(store: Sqlite, path: &Path) {
    drop(store);
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    let free = |lock: &PathBuf| {
        let file = File::options().write(true).open(lock);
        file.is_ok_and(|file| file.try_lock().is_ok())
    };
    while !free(&PathBuf::from(&lock)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Accepts and settles what `prefill` says.
pub(super) async fn fill(plan: &Plan, name: &str, path: &Path, prefill: &Prefill) -> Result<(), Failure> {
    let (store, handover) = open(plan, path)?;
    handover.open();
    let filler = Filler { plan, prefill, store: &store, handover: &handover };
    let filling = async {
        let mut settling = Vec::new();
        for first in (0..prefill.events).step_by(EACH as usize) {
            if first % (20 * EACH) == 0 {
                plan.progress.tick(format_args!("{name}: {first} of {} events prefilled", prefill.events));
            }
            let batch = filler.batch(first..prefill.events.min(first + EACH));
            let now = batch.now;
            let (accepted, settled) = tokio::join!(store.accept(batch), filler.settle(settling, now));
            settled.and(accepted)?;
            settling = handover.take().ready.into();
        }
        filler.settle(settling, plan.env.clock.now()).await?;
        while store.tidy(TIDY_STEP).await? {}
        Ok(())
    };
    filling.await.map_err(|error: Error| failure("the store cannot be filled", error))?;
    close(store, path).await;
    plan.progress.step(format_args!("{name}: {} events prefilled", prefill.events));
    Ok(())
}

struct Filler<'a> {
    plan: &'a Plan,
    prefill: &'a Prefill,
    store: &'a Sqlite,
    handover: &'a Handover,
}

impl Filler<'_> {
    fn batch(&self, events: std::ops::Range<u32>) -> Batch {
        let env = &self.plan.env;
        let done = f64::from(events.start) / f64::from(self.prefill.events);
        let now = env.clock.now().minus(self.prefill.past.mul_f64(1.0 - done));
        let body = meta::body(self.prefill.audience, events, MARK, now.seconds());
        let items = source::read(body.as_bytes()).items.into_iter().map(|item| match item {
            source::Item::Change(change) => Item::Change(change),
            source::Item::Unparsed(unparsed) => Item::Unparsed(unparsed),
        });
        let random = env.entropy.u64();
        Batch { now, app: "main".to_owned(), items: items.collect(), random, fill_limits: true, derive: true }
    }

    /// Settles what was handed over, all in one commit.
    async fn settle(&self, claimed: Vec<Claimed>, now: Timestamp) -> Result<(), Error> {
        let settling = claimed.into_iter().map(|claimed| {
            self.handover.free(claimed.lane.webhook, claimed.body.len());
            self.store.settle(self.settlement(&claimed, now))
        });
        // Each is on its way to the writer once made.
        for settled in settling.collect::<Vec<_>>() {
            let settled = settled.await?;
            debug_assert_eq!(settled, Settled::Recorded, "nobody else has a lease");
        }
        Ok(())
    }

    fn settlement(&self, claimed: &Claimed, now: Timestamp) -> Settlement {
        let next_at = self.prefill.retry_after.map(|wait| self.plan.env.clock.now().plus(wait));
        let (class, state, status, note) = if next_at.is_some() {
            let note = "the connection was refused".to_owned();
            (OutcomeClass::Connect, DeliveryState::Pending, None, Some(note))
        } else {
            (OutcomeClass::Success, DeliveryState::Delivered, Some(200), None)
        };
        let attempt = Attempt {
            number: claimed.attempts + 1,
            started_at: now,
            duration_ms: 2,
            class,
            status,
            note,
            answer: Vec::new(),
            next_at,
        };
        let Claimed { delivery, lease, lane, .. } = *claimed;
        Settlement { delivery, lane, lease, attempt, state, now }
    }
}
