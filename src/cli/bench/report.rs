//! What was measured: a table for people, JSON for machines.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::ledger::Spread;
use super::load::Load;
use super::measure::{file_system, float, processor};
use super::stage::SETTINGS;
use crate::cli::{Exit, Failure};
use crate::model::time::Timestamp;

/// Scenarios that do what `single` does, under other circumstances.
const BESIDE_SINGLE: [&str; 2] = ["accounts", "large-store"];

/// What one scenario measured.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    scenario: &'static str,
    what: String,
    events: u32,
    /// From the first hand-over to the last arrival.
    seconds: f64,
    events_per_second: f64,
    /// Events a second, over those of the limit.
    ratio_to_limit: Option<f64>,
    /// Processor time of the server process alone.
    cpu_micros_per_event: Option<f64>,
    /// Of that, the thread that writes to the store.
    writer_micros_per_event: Option<f64>,
    /// Processor time, over the limit's.
    cpu_ratio_to_limit: Option<f64>,
    /// From handing a notification over to its 200.
    acknowledgement_ms: Option<Spread>,
    /// From handing an event over to its arrival.
    arrival_ms: Option<Spread>,
    pub(super) peak_resident_mib: f64,
    database_bytes_per_event: Option<f64>,
    pub(super) lost: u32,
    pub(super) doubled: u32,
    /// Deliveries that the server itself says are pending at the end, beyond those
    /// that are meant to be: they arrived, and that was not recorded.
    pub(super) undone: u32,
    /// Notifications answered otherwise than 200, and sent again.
    refused: u32,
    /// What only this scenario measures.
    more: BTreeMap<&'static str, f64>,
}

impl Measured {
    /// What a load came to.
    pub(super) fn of(scenario: &'static str, what: &str, load: &Load) -> Self {
        let (events, fate) = (f64::from(load.events), &load.fate);
        Self {
            events: load.events,
            events_per_second: if fate.seconds > 0.0 { events / fate.seconds } else { 0.0 },
            cpu_micros_per_event: Some(load.cpu.as_secs_f64() * 1e6 / events),
            writer_micros_per_event: Some(load.writer.as_secs_f64() * 1e6 / events),
            acknowledgement_ms: fate.acknowledgement,
            arrival_ms: fate.arrival,
            lost: fate.lost,
            doubled: fate.doubled,
            refused: load.refused,
            ..Self::idle(scenario, what, fate.seconds)
        }
    }

    /// No events at all.
    pub(super) fn idle(scenario: &'static str, what: &str, seconds: f64) -> Self {
        Self {
            scenario,
            what: what.to_owned(),
            events: 0,
            seconds,
            events_per_second: 0.0,
            ratio_to_limit: None,
            cpu_micros_per_event: None,
            writer_micros_per_event: None,
            cpu_ratio_to_limit: None,
            acknowledgement_ms: None,
            arrival_ms: None,
            peak_resident_mib: 0.0,
            database_bytes_per_event: None,
            lost: 0,
            doubled: 0,
            undone: 0,
            refused: 0,
            more: BTreeMap::new(),
        }
    }

    /// Adds something that only this scenario measures.
    pub(super) fn note(&mut self, name: &'static str, value: f64) {
        self.more.insert(name, value);
    }

    /// Says by how much the database grew for so many events.
    pub(super) fn database(&mut self, grown: u64, events: u32) {
        self.database_bytes_per_event = (events > 0).then(|| float(grown) / f64::from(events));
    }
}

/// All of a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    version: &'static str,
    started_at: String,
    build: &'static str,
    processor: String,
    cores: usize,
    file_system: String,
    settings: &'static str,
    smoke: bool,
    scenarios: Vec<Measured>,
}

impl Report {
    pub(super) fn new(directory: &Path, now: Timestamp, smoke: bool) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at: now.to_string(),
            build: if cfg!(debug_assertions) { "debug: figures mean little" } else { "release" },
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            file_system: file_system(directory),
            settings: SETTINGS,
            smoke,
            scenarios: Vec::new(),
        }
    }

    /// Adds a scenario; the limit comes first.
    pub(super) fn add(&mut self, mut measured: Measured) {
        if let Some(limit) = self.scenarios.iter().find(|measured| measured.scenario == "limit")
            && measured.events > 0
        {
            measured.ratio_to_limit = Some(measured.events_per_second / limit.events_per_second);
            let cpu = measured.cpu_micros_per_event.zip(limit.cpu_micros_per_event);
            measured.cpu_ratio_to_limit = cpu.map(|(measured, limit)| measured / limit);
        }
        if BESIDE_SINGLE.contains(&measured.scenario)
            && let Some(single) = self.scenarios.iter().find(|measured| measured.scenario == "single")
        {
            measured.note("ratioToSingle", measured.events_per_second / single.events_per_second);
        }
        self.scenarios.push(measured);
    }

    /// For machines.
    pub(super) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts always serialise")
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let Self { version, started_at, build, processor, cores, file_system, settings, .. } = self;
        let mut text = format!(
            "bellwether {version} ({build}), {started_at}\n{cores} cores of {processor}, shared by server, sender and \
             receivers; store on {file_system}, synchronous FULL\n{settings}\n\n\
             {:<12} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>22} {:>22} {:>7} {:>7} {:>5} {:>7}\n",
            "scenario",
            "events",
            "events/s",
            "x limit",
            "µs CPU",
            "x limit",
            "writer",
            "ack p50/p99/max ms",
            "arrival p50/p99/max ms",
            "MiB",
            "B/event",
            "lost",
            "doubled",
        );
        for measured in &self.scenarios {
            row(&mut text, measured);
        }
        text.push('\n');
        for Measured { scenario, what, refused, more, .. } in &self.scenarios {
            let _ = write!(text, "{scenario}: {what}");
            let refused = (*refused > 0).then_some(("refusedAndRepeated", f64::from(*refused)));
            for (name, value) in more.iter().map(|(name, value)| (*name, *value)).chain(refused) {
                let _ = write!(text, "; {name} {value:.2}");
            }
            text.push('\n');
        }
        text.push_str(
            "\nCPU: of the server process alone, per event; writer: of that, the thread that writes to the store.\n\
             Ratios: to `limit` of this run.",
        );
        text
    }

    /// A benchmark that lost or doubled something, or left it undone, has failed,
    /// however fast.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let bad =
            self.scenarios.iter().filter(|measured| measured.lost + measured.doubled + measured.undone > 0);
        let bad: Vec<_> = bad
            .map(|Measured { scenario, lost, doubled, undone, .. }| {
                format!("{scenario} lost {lost}, doubled {doubled}, left {undone} undone")
            })
            .collect();
        if bad.is_empty() { Ok(()) } else { Err(Failure::new(Exit::Failed, bad.join("; "))) }
    }
}

fn row(text: &mut String, measured: &Measured) {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let spread = |spread: Option<Spread>| {
        spread.map_or_else(
            || "-".to_owned(),
            |Spread { p50, p99, max }| format!("{p50:.1} / {p99:.1} / {max:.1}"),
        )
    };
    let _ = writeln!(
        text,
        "{:<12} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>22} {:>22} {:>7.1} {:>7} {:>5} {:>7}",
        measured.scenario,
        measured.events,
        number(Some(measured.events_per_second).filter(|rate| *rate > 0.0), 0),
        number(measured.ratio_to_limit, 2),
        number(measured.cpu_micros_per_event, 1),
        number(measured.cpu_ratio_to_limit, 2),
        number(measured.writer_micros_per_event.filter(|micros| *micros > 0.0), 1),
        spread(measured.acknowledgement_ms),
        spread(measured.arrival_ms),
        measured.peak_resident_mib,
        number(measured.database_bytes_per_event, 0),
        measured.lost,
        measured.doubled,
    );
}
