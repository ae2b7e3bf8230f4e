//! The outside ledger: for each event when it was handed over, when it was
//! acknowledged, when it arrived and how often. The server knows nothing of it.
//!
//! Every event has its own row, so that percentiles are exact and a lost or
//! doubled event is counted, not estimated.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::wire::find;

/// What an event's `currentLimit` begins with; its number follows.
pub(super) const MARK: &str = "BENCH_";

/// Digits of an event's number.
pub(super) const DIGITS: usize = 8;

/// If nothing has arrived for so long, nothing more will: longer than the
/// first three waits of the retry schedule.
const PATIENCE: Duration = Duration::from_secs(45);

/// Microseconds since [`Ledger::begin`]; 0: never.
#[derive(Default)]
struct Row {
    handed: AtomicU32,
    acknowledged: AtomicU32,
    arrived: AtomicU32,
    times: AtomicU32,
}

/// The ledger of one stage.
pub(super) struct Ledger {
    began: OnceLock<Instant>,
    rows: Vec<Row>,
    distinct: AtomicU32,
}

/// A distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Spread {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What became of a range of events.
pub(super) struct Fate {
    /// From the first hand-over to the last arrival, in seconds.
    pub(super) seconds: f64,
    pub(super) acknowledgement: Option<Spread>,
    pub(super) arrival: Option<Spread>,
    /// Acknowledged and never arrived.
    pub(super) lost: u32,
    /// Arrivals beyond the first.
    pub(super) doubled: u32,
}

impl Ledger {
    /// A ledger for events 0 to `events`.
    pub(super) fn new(events: u32) -> Self {
        let rows = (0..events).map(|_| Row::default()).collect();
        Self { began: OnceLock::new(), rows, distinct: AtomicU32::new(0) }
    }

    /// Time counts from here on: an hour of it, which setting the stage must not
    /// have used up. Only the first call does anything.
    pub(super) fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// Microseconds since the beginning.
    pub(super) fn at(&self, instant: Instant) -> u32 {
        let began = *self.began.get_or_init(Instant::now);
        let since = instant.saturating_duration_since(began).as_micros();
        u32::try_from(since).unwrap_or(u32::MAX).max(1)
    }

    fn rows(&self, events: &Range<u32>) -> &[Row] {
        &self.rows[events.start as usize..events.end as usize]
    }

    pub(super) fn handed(&self, events: &Range<u32>, at: Instant) {
        self.rows(events).iter().for_each(|row| row.handed.store(self.at(at), Relaxed));
    }

    pub(super) fn acknowledged(&self, events: &Range<u32>) {
        let now = self.at(Instant::now());
        self.rows(events).iter().for_each(|row| row.acknowledged.store(now, Relaxed));
    }

    /// Notes what arrived, if it is an event of this ledger.
    pub(super) fn arrived(&self, body: &[u8]) {
        let Some(row) = number(body).and_then(|event| self.rows.get(event)) else { return };
        if row.times.fetch_add(1, Relaxed) == 0 {
            row.arrived.store(self.at(Instant::now()), Relaxed);
            self.distinct.fetch_add(1, Relaxed);
        }
    }

    /// How many different events have arrived.
    pub(super) fn distinct(&self) -> u32 {
        self.distinct.load(Relaxed)
    }

    /// When the first event arrived, and the last.
    pub(super) fn first_arrival(&self) -> Option<u32> {
        self.arrivals().min()
    }

    pub(super) fn last_arrival(&self) -> Option<u32> {
        self.arrivals().max()
    }

    fn arrivals(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().map(|row| row.arrived.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Waits until so many different events have arrived, or nothing moves any
    /// more; tells `progress` how many, now and then.
    pub(super) async fn until(&self, goal: u32, progress: impl Fn(u32)) {
        let (mut seen, mut moved) = (self.distinct(), Instant::now());
        let mut ticks = 0_u32;
        while self.distinct() < goal && moved.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.distinct() != seen {
                (seen, moved) = (self.distinct(), Instant::now());
            }
            ticks += 1;
            if ticks.is_multiple_of(100) {
                progress(seen);
            }
        }
    }

    /// What became of `events`, which came `each` a notification.
    pub(super) fn fate(&self, events: &Range<u32>, each: u32) -> Fate {
        let rows = self.rows(events);
        let between = |from: &AtomicU32, to: &AtomicU32| match to.load(Relaxed) {
            0 => None,
            to => Some(to.saturating_sub(from.load(Relaxed))),
        };
        let acknowledged = rows.iter().step_by(each as usize);
        let first = rows.iter().map(|row| row.handed.load(Relaxed)).filter(|at| *at > 0).min();
        let last = rows.iter().map(|row| row.arrived.load(Relaxed)).max();
        let micros = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
        let times = |row: &Row| row.times.load(Relaxed);
        let missing = |row: &&Row| row.acknowledged.load(Relaxed) > 0 && times(row) == 0;
        let missing = rows.iter().filter(missing).count();
        Fate {
            seconds: f64::from(micros) / 1e6,
            acknowledgement: spread(acknowledged.filter_map(|row| between(&row.handed, &row.acknowledged))),
            arrival: spread(rows.iter().filter_map(|row| between(&row.handed, &row.arrived))),
            lost: u32::try_from(missing).unwrap_or(u32::MAX),
            doubled: rows.iter().map(|row| times(row).saturating_sub(1)).sum(),
        }
    }
}

/// The event's number in a body.
fn number(body: &[u8]) -> Option<usize> {
    let at = find(body, MARK.as_bytes())? + MARK.len();
    std::str::from_utf8(body.get(at..at + DIGITS)?).ok()?.parse().ok()
}

/// The distribution of spans in microseconds; `None` of none.
pub(super) fn spread(micros: impl Iterator<Item = u32>) -> Option<Spread> {
    let mut sorted: Vec<u32> = micros.collect();
    sorted.sort_unstable();
    // The smallest one that at least so many of a hundred don't exceed.
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map(|micros| f64::from(*micros) / 1e3)
    };
    Some(Spread { p50: at(50)?, p99: at(99)?, max: at(100)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_never_came_is_lost_and_one_that_came_twice_is_doubled() {
        let ledger = Ledger::new(3);
        ledger.handed(&(0..3), Instant::now());
        ledger.acknowledged(&(0..2));
        for body in
            [&b"{\"currentLimit\":\"BENCH_00000001\"}"[..], b"BENCH_00000001", b"BENCH_99999999", b"x"]
        {
            ledger.arrived(body);
        }
        let fate = ledger.fate(&(0..3), 1);
        assert_eq!((fate.lost, fate.doubled, ledger.distinct()), (1, 1, 1));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let spread = spread((1..=200).map(|ms| ms * 1_000)).unwrap();
        assert_eq!((spread.p50, spread.p99, spread.max), (100.0, 198.0, 200.0));
    }
}
