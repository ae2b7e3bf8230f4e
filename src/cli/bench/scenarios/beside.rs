//! At a given rate: how long an event takes, alone and beside trouble that is
//! not its own.

use std::time::Duration;

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::load::{Flow, failure};
use crate::cli::bench::measure::usage;
use crate::cli::bench::meta::{Audience, Pace};
use crate::cli::bench::prefill::Prefill;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Stage};

/// Events a second of `steady`, and of the healthy webhooks beside trouble.
pub(super) const STEADY: u32 = 1_000;
const BESIDE: u32 = 500;

/// Accounts whose webhooks have the backlog.
const WAITING: u32 = 20;

/// Healthy webhooks beside the one that hangs.
const HEALTHY: u32 = 50;

/// 1,000 events a second, whatever the answers.
pub(in crate::cli::bench) async fn steady(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let events = plan.sizes.steady;
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events, prefill: None };
    let stage = Stage::set(plan, name, layout).await?;
    let flow = Flow { audience: USUAL, events: 0..events, each: 1, pace: Pace::Open(STEADY) };
    let load = stage.load(&flow).await?;
    let mut measured = Measured::of(name, "1,000 events a second, whatever the answers", &load);
    stage.end(&mut measured, events).await?;
    Ok(measured)
}

/// Deliveries that wait for their retry, none of them due meanwhile; and events
/// for other webhooks.
pub(in crate::cli::bench) async fn backlog(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let (waiting, events) = (plan.sizes.backlog, plan.sizes.beside);
    // Each is the head of its own lane: the most a backlog can ask for.
    let owners = Audience { first: 0, accounts: WAITING, numbers: waiting.div_ceil(WAITING).max(1_000) };
    let healthy = Audience { first: WAITING, ..USUAL };
    let prefill = Prefill {
        audience: owners,
        events: waiting,
        past: Duration::from_mins(1),
        retry_after: Some(Duration::from_hours(1)),
    };
    let accounts = WAITING + healthy.accounts;
    let layout = Layout { accounts, hosts: accounts, events, prefill: Some(prefill) };
    let mut stage = Stage::set(plan, name, layout).await?;
    stage.owed = waiting;
    let flow = Flow { audience: healthy, events: 0..events, each: 1, pace: Pace::Open(BESIDE) };
    let load = stage.load(&flow).await?;
    let used = usage(stage.server.pid()).map_err(|error| failure("the server is gone", error))?;
    let what =
        format!("{BESIDE} events a second to healthy webhooks while {waiting} deliveries wait for a retry");
    let mut measured = Measured::of(name, &what, &load);
    measured.note("residentMib", used.resident_mib);
    stage.end(&mut measured, events).await?;
    Ok(measured)
}

/// One webhook hangs with many events waiting; 50 others have their events.
pub(in crate::cli::bench) async fn dead_webhook(
    plan: &Plan,
    name: &'static str,
) -> Result<Measured, Failure> {
    let (waiting, events) = (plan.sizes.pending, plan.sizes.beside);
    let dead = Audience { first: 0, accounts: 1, numbers: 1_000 };
    let healthy = Audience { first: 1, accounts: HEALTHY, numbers: 1_000 };
    let layout =
        Layout { accounts: 1 + HEALTHY, hosts: 1 + HEALTHY, events: 2 * events + waiting, prefill: None };
    let mut stage = Stage::set(plan, name, layout).await?;
    let beside = |from: u32| Flow {
        audience: healthy,
        events: from..from + events,
        each: 1,
        pace: Pace::Open(BESIDE),
    };
    let before = stage.load(&beside(0)).await?;
    stage.receivers.hang(1, true);
    stage.owed = waiting;
    stage
        .hand_over(&Flow { audience: dead, events: events..events + waiting, each: 100, pace: Pace::Closed })
        .await?;
    let load = stage.load(&beside(events + waiting)).await?;
    let what = format!(
        "{BESIDE} events a second to {HEALTHY} healthy webhooks while one hangs with {waiting} waiting"
    );
    let mut measured = Measured::of(name, &what, &load);
    measured.lost += before.fate.lost;
    measured.doubled += before.fate.doubled;
    if let (Some(alone), Some(with)) = (before.fate.arrival, load.fate.arrival) {
        measured.note("arrivalP99MsWithoutIt", alone.p99);
        measured.note("arrivalP99Ratio", with.p99 / alone.p99);
    }
    stage.end(&mut measured, 2 * events + waiting).await?;
    Ok(measured)
}
