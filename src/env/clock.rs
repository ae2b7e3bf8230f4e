//! What time it is, for a process that runs for months.
//!
//! The wall clock may be stepped at any moment: by NTP after boot, by an
//! operator, when a virtual machine wakes. Were waits and leases held against
//! it, an hour back would freeze every retry for an hour, and an hour forward
//! would void every lease and start every retry early. So there are two times.
//! [`Clock::now`] is the program's own: set by the wall clock, then counted by
//! the steady one, which nobody can step. It is set anew only while nothing is
//! scheduled ([`Clock::rest`]), so it never leaps under a wait, and a step does
//! not stay in what is shown for longer than until everything has gone out.
//! [`Clock::wall`] is for what others hold against their clocks: signatures,
//! certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::time::Timestamp;

/// The program's clock; clones show the same time. The virtual one follows
/// tokio's, so that pausing tokio's time pauses this one too.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    wall: Wall,
    started: Instant,
    /// The own time at `started`, in milliseconds.
    origin: AtomicI64,
    resting: AtomicBool,
}

enum Wall {
    System,
    /// What it shows at `started`, steps included.
    Virtual(AtomicI64),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(Wall::System)
    }

    /// A clock that shows `epoch` now and runs as tokio's does.
    pub fn virtual_from(epoch: Timestamp) -> Self {
        Self::new(Wall::Virtual(AtomicI64::new(epoch.ms())))
    }

    fn new(wall: Wall) -> Self {
        let (started, resting) = (Instant::now(), AtomicBool::new(false));
        let clock = Self(Arc::new(Inner { wall, started, origin: AtomicI64::new(0), resting }));
        clock.set();
        clock
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The program's own time: what waits, leases and orders go by.
    pub fn now(&self) -> Timestamp {
        if self.0.resting.load(Ordering::Relaxed) {
            self.set();
        }
        Timestamp::from_ms(self.0.origin.load(Ordering::Relaxed).saturating_add(self.elapsed_ms()))
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> Timestamp {
        match &self.0.wall {
            Wall::System => Timestamp::from_ms(system_ms()),
            Wall::Virtual(at_start) => {
                Timestamp::from_ms(at_start.load(Ordering::Relaxed).saturating_add(self.elapsed_ms()))
            }
        }
    }

    /// Sets the own time by the wall clock, as a process does when it starts.
    pub fn set(&self) {
        self.0.origin.store(self.wall().ms().saturating_sub(self.elapsed_ms()), Ordering::Relaxed);
    }

    /// Says whether nothing is scheduled, so that the own time may follow the
    /// wall clock.
    pub fn rest(&self, resting: bool) {
        self.0.resting.store(resting, Ordering::Relaxed);
    }

    /// Steps a virtual wall clock by so many milliseconds; the system's is left
    /// alone.
    pub fn step(&self, by_ms: i64) {
        if let Wall::Virtual(at_start) = &self.0.wall {
            at_start.fetch_add(by_ms, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[tokio::test(start_paused = true)]
    async fn fault_78_a_step_of_the_wall_clock_leaves_the_own_time_alone_until_nothing_is_scheduled() {
        let clock = Clock::virtual_from(Timestamp::from_ms(9 * HOUR_MS));
        for step in [HOUR_MS, -3 * HOUR_MS] {
            let (own, wall) = (clock.now().ms(), clock.wall().ms());
            clock.step(step);
            tokio::time::advance(Duration::from_millis(5)).await;
            assert_eq!((clock.now().ms(), clock.wall().ms()), (own + 5, wall + step + 5));
        }
        clock.rest(true);
        assert_eq!(clock.now(), clock.wall());
        clock.rest(false);
        let own = clock.now();
        clock.step(HOUR_MS);
        assert_eq!(clock.now(), own);
        clock.set();
        assert_eq!(clock.now(), clock.wall());
    }

    #[test]
    fn the_systems_clock_can_not_be_stepped() {
        let clock = Clock::system();
        clock.step(HOUR_MS);
        assert!(clock.now().since(clock.wall()) < Duration::from_mins(1));
        assert!(clock.wall().since(clock.now()) < Duration::from_mins(1));
    }
}
