//! One load on one process: hand events over, wait until they have arrived,
//! and take what it cost that process.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::child::Child;
use super::ledger::{Fate, Ledger};
use super::measure::usage;
use super::meta::{self, Audience, Pace};
use super::{Plan, stage};
use crate::cli::{Exit, Failure};
use crate::policy::signature::MetaKey;

/// What a server does after the last arrival (settling, above all) counts.
const AFTERMATH: Duration = Duration::from_millis(300);

/// What is handed over, and how.
pub(super) struct Flow {
    /// For whom.
    pub(super) audience: Audience,
    /// Which events of the ledger.
    pub(super) events: Range<u32>,
    /// So many a notification.
    pub(super) each: u32,
    /// How fast.
    pub(super) pace: Pace,
}

/// What came of it.
pub(super) struct Load {
    /// How many events.
    pub(super) events: u32,
    /// What became of them.
    pub(super) fate: Fate,
    /// Processor time of the process.
    pub(super) cpu: Duration,
    /// Of that, the thread that writes to the store.
    pub(super) writer: Duration,
    /// Notifications that were refused and sent again.
    pub(super) refused: u32,
}

/// Hands `flow` over to `process` and waits for the arrivals.
pub(super) async fn run(
    plan: &Plan,
    name: &str,
    process: &Child,
    ledger: &Arc<Ledger>,
    flow: &Flow,
) -> Result<Load, Failure> {
    let Flow { audience, events, each, pace } = flow;
    let key = MetaKey::new(stage::APP_SECRET);
    let seconds = plan.env.clock.now().seconds();
    let notifications = meta::notifications(*audience, events, *each, &key, seconds);
    let broken = |error| process.failure(format_args!("{name}: it cannot be measured: {error}"));
    plan.progress.step(format_args!("{name}: {} events", events.len()));
    let before = usage(process.pid()).map_err(broken)?;
    let goal = ledger.distinct().saturating_add(length(events));
    let progress = |seen| plan.progress.tick(format_args!("{name}: {seen} of {goal} arrived"));
    let sending = async {
        let sent = meta::send(process.address, notifications, *pace, ledger).await;
        sent.map_err(|error| process.failure(format_args!("{name}: sending broke: {error}")))
    };
    let arriving = async {
        ledger.until(goal, progress).await;
        Ok(())
    };
    let (refused, ()) = tokio::try_join!(sending, arriving)?;
    tokio::time::sleep(AFTERMATH).await;
    let after = usage(process.pid()).map_err(broken)?;
    Ok(Load {
        events: length(events),
        fate: ledger.fate(events, *each),
        cpu: after.cpu.saturating_sub(before.cpu),
        writer: after.writer.saturating_sub(before.writer),
        refused,
    })
}

/// Hands `flow` over to `process`, and that is all.
pub(super) async fn hand_over(
    plan: &Plan,
    name: &str,
    process: &Child,
    ledger: &Arc<Ledger>,
    flow: &Flow,
) -> Result<(), Failure> {
    let Flow { audience, events, each, pace } = flow;
    let key = MetaKey::new(stage::APP_SECRET);
    let seconds = plan.env.clock.now().seconds();
    let notifications = meta::notifications(*audience, events, *each, &key, seconds);
    plan.progress.step(format_args!("{name}: handing {} events over", events.len()));
    let sent = meta::send(process.address, notifications, *pace, ledger).await;
    sent.map(|_| ()).map_err(|error| process.failure(format_args!("{name}: sending broke: {error}")))
}

/// How many events these are.
pub(super) fn length(events: &Range<u32>) -> u32 {
    events.end - events.start
}

/// A failure of the benchmark itself.
pub(super) fn failure(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("{what}: {error}"))
}
