//! A process that dies, and one that has nothing to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::load::{Flow, Load, failure};
use crate::cli::bench::measure::{float, usage};
use crate::cli::bench::meta::Pace;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Stage};

/// A process that has just started is not idle yet.
const SETTLING: Duration = Duration::from_secs(1);

/// What a killed process had sent is read within this, while the receivers still
/// hang: else it would count as an arrival, and the repeat as a second one.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// kill -9 with many events pending: every receiver hangs until then.
pub(in crate::cli::bench) async fn restart(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let events = plan.sizes.pending;
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events, prefill: None };
    let mut stage = Stage::set(plan, name, layout).await?;
    stage.receivers.hang(usize::MAX, true);
    let flow = Flow { audience: USUAL, events: 0..events, each: 100, pace: Pace::Closed };
    stage.hand_over(&flow).await?;
    plan.progress.step(format_args!("{name}: kill -9 with {events} pending"));
    stage.kill();
    sleep(ON_THE_WAY).await;
    stage.receivers.hang(usize::MAX, false);
    let began = Instant::now();
    stage.start_again().await?;
    stage.server.ready().await?;
    let ready = began.elapsed();
    let progress = |seen| plan.progress.tick(format_args!("{name}: {seen} of {events} arrived"));
    stage.ledger.until(events, progress).await;
    let used = usage(stage.server.pid()).map_err(|error| failure("the server is gone", error))?;
    let first = stage.ledger.first_arrival();
    let mut fate = stage.ledger.fate(&flow.events, flow.each);
    let span =
        |to: Option<u32>| f64::from(to.unwrap_or(u32::MAX).saturating_sub(stage.ledger.at(began))) / 1e6;
    // From the new start on; how long an event had waited before says nothing.
    fate.seconds = span(stage.ledger.last_arrival());
    fate.arrival = None;
    let load = Load { events, fate, cpu: used.cpu, writer: used.writer, refused: 0 };
    let mut measured =
        Measured::of(name, &format!("kill -9 with {events} pending, then until all have arrived"), &load);
    measured.note("readyMs", ready.as_secs_f64() * 1e3);
    measured.note("firstDeliveryMs", span(first) * 1e3);
    stage.end(&mut measured, events).await?;
    Ok(measured)
}

/// Nothing to do.
pub(in crate::cli::bench) async fn idle(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events: 0, prefill: None };
    let stage = Stage::set(plan, name, layout).await?;
    let look = || usage(stage.server.pid()).map_err(|error| failure("the server is gone", error));
    sleep(SETTLING.min(plan.sizes.idle)).await;
    let (before, began) = (look()?, Instant::now());
    sleep(plan.sizes.idle).await;
    let (after, seconds) = (look()?, began.elapsed().as_secs_f64());
    let mut measured = Measured::idle(name, "nothing to do", seconds);
    measured.note("cpuPercent", after.cpu.saturating_sub(before.cpu).as_secs_f64() * 100.0 / seconds);
    measured.note("wakesPerSecond", float(after.wakes.saturating_sub(before.wakes)) / seconds);
    measured.note("residentMib", after.resident_mib);
    stage.end(&mut measured, 0).await?;
    Ok(measured)
}
