//! As fast as it goes: 64 senders that each wait for their answer, and the
//! time until the last event has arrived.

use std::ffi::OsStr;
use std::sync::Arc;

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::child::Child;
use crate::cli::bench::ledger::Ledger;
use crate::cli::bench::load::{self, Flow, failure};
use crate::cli::bench::measure::usage;
use crate::cli::bench::meta::{Audience, Pace};
use crate::cli::bench::receivers::Receivers;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Stage};

/// Hosts that the webhooks of many accounts share.
const HOSTS: u32 = 64;

/// The forwarder that only does the HTTP.
pub(in crate::cli::bench) async fn limit(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let events = plan.sizes.load;
    let ledger = Arc::new(Ledger::new(events));
    let receivers = Receivers::start(USUAL.accounts, &ledger).await;
    let receivers = receivers.map_err(|error| failure("no receivers", error))?;
    let mut arguments = vec![OsStr::new("bench"), OsStr::new("limit-forwarder")];
    arguments.extend(receivers.urls().map(OsStr::new));
    let forwarder = Child::start(&arguments).await?;
    let flow = Flow { audience: USUAL, events: 0..events, each: 1, pace: Pace::Closed };
    let load = load::run(plan, name, &forwarder, &ledger, &flow).await?;
    let used = usage(forwarder.pid()).map_err(|error| failure("the forwarder is gone", error))?;
    let mut measured = Measured::of(name, "a minimal forwarder: HTTP in, HTTP out, nothing kept", &load);
    measured.peak_resident_mib = used.peak_mib;
    Ok(measured)
}

/// One change a notification.
pub(in crate::cli::bench) async fn single(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    flood(plan, name, "one change a notification, 64 senders", USUAL, 1).await
}

/// 100 changes a notification.
pub(in crate::cli::bench) async fn batched(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    flood(plan, name, "100 changes a notification, 64 senders", USUAL, 100).await
}

/// Many accounts.
pub(in crate::cli::bench) async fn accounts(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let accounts = plan.sizes.accounts;
    let what = format!("as single, over {accounts} accounts with a webhook each");
    flood(plan, name, &what, Audience { first: 0, accounts, numbers: 100 }, 1).await
}

async fn flood(
    plan: &Plan,
    name: &'static str,
    what: &str,
    audience: Audience,
    each: u32,
) -> Result<Measured, Failure> {
    let events = plan.sizes.load;
    let layout =
        Layout { accounts: audience.accounts, hosts: audience.accounts.min(HOSTS), events, prefill: None };
    let stage = Stage::set(plan, name, layout).await?;
    let load = stage.load(&Flow { audience, events: 0..events, each, pace: Pace::Closed }).await?;
    let mut measured = Measured::of(name, what, &load);
    stage.end(&mut measured, events).await?;
    Ok(measured)
}
