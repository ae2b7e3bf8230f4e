//! So many a second and no more, evenly: what was kept back comes due together
//! (a receiver that recovers, a start into a backlog), and all at once is more
//! than those who get it may bear.
//!
//! Each has its instant, one behind the other; who comes late is let through at
//! once, as far as a hundredth of a second goes, so that timers need not be exact.

use std::time::Duration;

use crate::model::time::Timestamp;

/// Who is late by more than this does not catch up.
const SLACK_NS: i64 = 10_000_000;

/// The pace at which something may begin.
#[derive(Debug)]
pub struct Pace {
    /// From one to the next, in nanoseconds; 0: there is no limit.
    between_ns: i64,
    /// When the next one has its turn.
    next_ns: i64,
}

impl Pace {
    /// `per_s` a second; 0: as many as like.
    pub fn new(per_s: usize) -> Self {
        let per_s = i64::try_from(per_s).unwrap_or(i64::MAX);
        let between_ns = if per_s == 0 { 0 } else { (1_000_000_000 / per_s).max(1) };
        Self { between_ns, next_ns: 0 }
    }

    /// How long the next one has to wait at `now`; `None`: it may begin.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let wait = u64::try_from(self.turn(now) - ns(now)).ok().filter(|wait| *wait > 0);
        wait.filter(|_| self.between_ns > 0).map(Duration::from_nanos)
    }

    /// One begins at `now`.
    pub fn begin(&mut self, now: Timestamp) {
        self.next_ns = self.turn(now).saturating_add(self.between_ns);
    }

    /// Whose turn has passed long since begins now; a clock that has gone back keeps
    /// nobody waiting.
    fn turn(&self, now: Timestamp) -> i64 {
        let latest = ns(now).saturating_add(self.between_ns).saturating_add(SLACK_NS);
        self.next_ns.clamp(ns(now) - SLACK_NS, latest)
    }
}

fn ns(at: Timestamp) -> i64 {
    at.ms().saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one may, and does.
    fn begins(pace: &mut Pace, now: Timestamp) -> bool {
        let may = pace.wait(now).is_none();
        if may {
            pace.begin(now);
        }
        may
    }

    /// How many begin in each second, if all would at once and it is looked every
    /// `every_ms`.
    fn by_second(per_s: usize, seconds: i64, every_ms: usize) -> Vec<usize> {
        let mut pace = Pace::new(per_s);
        let mut begun = |second: i64| {
            (second * 1_000..(second + 1) * 1_000).step_by(every_ms).map(Timestamp::from_ms).fold(
                0,
                |mut begun: usize, now| {
                    begun += std::iter::from_fn(|| begins(&mut pace, now).then_some(())).count();
                    begun
                },
            )
        };
        (1..=seconds).map(&mut begun).collect()
    }

    #[test]
    fn no_second_has_more_than_its_share_and_none_is_left_unused() {
        for (per_s, every_ms) in [(1, 1), (3, 7), (100, 1), (1_000, 5), (5_000, 1), (5_000, 10)] {
            for begun in by_second(per_s, 20, every_ms) {
                assert!(begun <= per_s + per_s / 100 + 1, "{begun} of {per_s}");
                assert!(begun + 1 >= per_s - per_s / 50, "{begun} of {per_s}");
            }
        }
    }

    #[test]
    fn who_was_idle_catches_up_with_a_hundredth_of_a_second_only() {
        let mut pace = Pace::new(1_000);
        let at = |ms| Timestamp::from_ms(ms);
        assert!(begins(&mut pace, at(1_000)));
        let burst = (0..1_000).take_while(|_| begins(&mut pace, at(60_000))).count();
        assert_eq!(burst, 11);
        assert_eq!(pace.wait(at(60_000)), Some(Duration::from_millis(1)));
        assert!(begins(&mut pace, at(60_001)));
    }

    #[test]
    fn without_a_limit_all_begin_and_a_clock_that_goes_back_stops_nobody() {
        let mut none = Pace::new(0);
        assert!((0..10_000).all(|_| begins(&mut none, Timestamp::from_ms(5))));
        let mut pace = Pace::new(10);
        assert!(begins(&mut pace, Timestamp::from_ms(1 << 40)));
        assert!(pace.wait(Timestamp::from_ms(1_000)).is_some_and(|wait| wait <= Duration::from_millis(110)));
    }
}
