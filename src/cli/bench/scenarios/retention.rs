//! How large the file is once as much is removed as comes: a server on a scale
//! of a second a day, under the same rate for as long as events are kept three
//! times over. All that ages keeps its proportions: events 30 seconds,
//! deduplication keys 14, the journal 3.

use super::USUAL;
use super::beside::STEADY;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::load::Flow;
use crate::cli::bench::measure::{bytes, float};
use crate::cli::bench::meta::Pace;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Manner, Stage};

/// A day is a second.
const TIMES: u32 = 24 * 60 * 60;

/// Seconds that events are kept then: the default days.
const KEPT: u32 = 30;

/// 1,000 events a second; bytes of the whole file for each event that is kept.
pub(in crate::cli::bench) async fn retention(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let events = plan.sizes.retained;
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events, prefill: None };
    let manner = Manner { hastened: Some(TIMES), ..Manner::default() };
    let stage = Stage::set_so(plan, name, layout, manner).await?;
    // By two thirds of it, for each event that comes one has been going for a while.
    let settled = events / 3 * 2;
    let flow = |events| Flow { audience: USUAL, events, each: 1, pace: Pace::Open(STEADY) };
    let before = stage.load(&flow(0..settled)).await?;
    let after_two_thirds = stage.file_bytes();
    let load = stage.load(&flow(settled..events)).await?;
    let stored = stage.stored().await?;
    let what =
        "1,000 events a second with a second for each day: events are kept 30 s, keys 14 s, the journal 3 s";
    let mut measured = Measured::of(name, what, &load);
    measured.lost += before.fate.lost;
    measured.doubled += before.fate.doubled;
    let ended = stage.end(&mut measured, events).await?;
    let file = bytes(&ended.store);
    // What is late to go is not what the operator asked to keep.
    measured.database(file, stored.min(KEPT * STEADY));
    measured.note("eventsStored", f64::from(stored));
    measured.note("fileMib", float(file) / MIB);
    measured.note("fileMibAfterTwoThirds", float(after_two_thirds) / MIB);
    Ok(measured)
}

const MIB: f64 = (1 << 20) as f64;
