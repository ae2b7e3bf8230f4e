//! At a given rate: how long an event takes, alone and beside trouble that is
//! not its own.

use std::time::Duration;

use tokio::time::Instant;

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::load::{Flow, failure};
use crate::cli::bench::measure::usage;
use crate::cli::bench::meta::{Audience, Pace};
use crate::cli::bench::prefill::Prefill;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Manner, Stage};

/// Events a second of `steady`, and of the healthy webhooks beside trouble.
pub(super) const STEADY: u32 = 1_000;
const BESIDE: u32 = 500;

/// Accounts whose webhooks have the backlog.
const WAITING: u32 = 20;

/// The pace of `herd`, in attempts a second.
const PACE: u32 = 2_000;

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

/// The healthy webhooks' audience beside a backlog.
const OTHERS: Audience = Audience { first: WAITING, ..USUAL };

/// A store with so many deliveries that failed once and are due again then, for
/// webhooks other than the healthy ones.
fn with_backlog(waiting: u32, retry_after: Duration, events: u32) -> Layout {
    // Each is the head of its own lane: the most a backlog can ask for.
    let owners = Audience { first: 0, accounts: WAITING, numbers: waiting.div_ceil(WAITING).max(1_000) };
    let (past, retry_after) = (Duration::from_mins(1), Some(retry_after));
    let prefill = Some(Prefill { audience: owners, events: waiting, past, retry_after });
    let accounts = WAITING + OTHERS.accounts;
    Layout { accounts, hosts: accounts, events, prefill }
}

/// Deliveries that wait for their retry, none of them due meanwhile; and events
/// for other webhooks.
pub(in crate::cli::bench) async fn backlog(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let (waiting, events) = (plan.sizes.backlog, plan.sizes.beside);
    let layout = with_backlog(waiting, Duration::from_hours(1), events);
    let mut stage = Stage::set(plan, name, layout).await?;
    stage.owed = Some(waiting);
    let flow = Flow { audience: OTHERS, events: 0..events, each: 1, pace: Pace::Open(BESIDE) };
    let load = stage.load(&flow).await?;
    let used = usage(stage.server.pid()).map_err(|error| failure("the server is gone", error))?;
    let what =
        format!("{BESIDE} events a second to healthy webhooks while {waiting} deliveries wait for a retry");
    let mut measured = Measured::of(name, &what, &load);
    measured.note("residentMib", used.resident_mib);
    stage.end(&mut measured, events).await?;
    Ok(measured)
}

/// A start into deliveries that are all due, at a pace; and events for other
/// webhooks meanwhile.
pub(in crate::cli::bench) async fn herd(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let (due, events) = (plan.sizes.backlog, plan.sizes.beside);
    let manner = Manner { attempts_per_s: PACE, ..Manner::default() };
    let mut stage = Stage::set_so(plan, name, with_backlog(due, Duration::ZERO, events), manner).await?;
    stage.owed = None;
    let (before, began) = (stage.deliveries("delivered").await?, Instant::now());
    let flow = Flow { audience: OTHERS, events: 0..events, each: 1, pace: Pace::Open(BESIDE) };
    let load = stage.load(&flow).await?;
    let out = stage.deliveries("delivered").await? - before;
    let seconds = began.elapsed().as_secs_f64();
    let what = format!(
        "{BESIDE} events a second to healthy webhooks after a start with {due} deliveries due, at {PACE} attempts a second"
    );
    let mut measured = Measured::of(name, &what, &load);
    measured.note("outPerSecond", f64::from(out) / seconds);
    let missing = (due + events).saturating_sub(stage.stored().await?);
    measured.lost += missing;
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
    stage.owed = Some(waiting);
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
