//! The world outside: time, chance and, in tests, faults. A node learns them
//! from here alone, so a simulation that owns this module's values owns the run.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::model::time::Timestamp;

/// Everything a node takes from its surroundings.
#[derive(Clone)]
pub struct Env {
    /// What time it is.
    pub clock: Clock,
    /// What chance says.
    pub entropy: Entropy,
    /// What breaks, in tests.
    pub faults: Faults,
}

impl Env {
    /// The real world.
    pub fn real() -> Self {
        Self { clock: Clock::system(), entropy: Entropy::from_system(), faults: Faults::none() }
    }
}

/// The clock. It starts as the wall clock and then runs evenly: when somebody
/// sets the system's clock, this one goes on as if nothing had happened, so that
/// what waits for an instant waits as long as it should. The virtual one follows
/// tokio's, so that pausing tokio's time pauses this one too.
#[derive(Clone)]
pub struct Clock(Source);

/// A difference to the system's clock that is a step.
const STEP_MS: u64 = 1_000;

/// How often the system's clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
enum Source {
    System(Arc<Even>),
    Virtual { epoch: Timestamp, started: tokio::time::Instant },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        let (started, at_start) = (running_time(), AtomicI64::new(system_ms()));
        Self(Source::System(Arc::new(Even { started, at_start })))
    }

    /// A clock that shows `epoch` now and runs as tokio's does.
    pub fn virtual_from(epoch: Timestamp) -> Self {
        Self(Source::Virtual { epoch, started: tokio::time::Instant::now() })
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(even) => Timestamp::from_ms(even.now_ms()),
            Source::Virtual { epoch, started } => epoch.plus(started.elapsed()),
        }
    }

    /// What the world takes the time to be: for what others compare with their
    /// clocks, never for waiting.
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::System(_) => Timestamp::from_ms(system_ms()),
            Source::Virtual { .. } => self.now(),
        }
    }

    /// Waits until the system's clock is found to have stepped; by how much.
    pub async fn stepped(&self) -> Duration {
        let Source::System(even) = &self.0 else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let by = even.behind_ms().unsigned_abs();
            if by > STEP_MS {
                return Duration::from_millis(by);
            }
        }
    }

    /// Shows what the system's clock shows, from now on.
    pub fn follow(&self) {
        if let Source::System(even) = &self.0 {
            even.at_start.fetch_add(even.behind_ms(), Ordering::Relaxed);
        }
    }
}

/// A clock that nobody can set.
struct Even {
    started: std::time::Instant,
    at_start: AtomicI64,
}

impl Even {
    fn now_ms(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.at_start.load(Ordering::Relaxed).saturating_add(elapsed)
    }

    fn behind_ms(&self) -> i64 {
        system_ms().saturating_sub(self.now_ms())
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn running_time() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Chance: one generator for production (seeded by the system) and simulation
/// (seeded by hand).
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        let seed = rand::random::<[u8; 32]>();
        Self(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    /// Seeded by hand: the same seed draws the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// 64 random bits.
    pub fn u64(&self) -> u64 {
        self.with(RngExt::random)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.with(|rng| rng.random_range(0..bound)) }
    }

    /// Random bytes, fit for keys.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.with(RngExt::random)
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

/// Points at which a test may break the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The writer is about to commit.
    BeforeCommit,
    /// The writer has committed and not yet said so.
    AfterCommit,
    /// A receiver has answered and nothing of it is recorded yet.
    AfterAnswer,
    /// A failed attempt's next time is about to be recorded.
    BeforeSettle,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation reports an error.
    Error,
}

type Plan = dyn Fn(Point) -> Option<Fault> + Send + Sync;

/// The faults planned by a test; none in production. A plan may also end the
/// process by itself.
#[derive(Clone)]
pub struct Faults(Option<Arc<Plan>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(planned)" } else { "Faults(none)" })
    }
}

impl Faults {
    /// Nothing breaks.
    pub fn none() -> Self {
        Self(None)
    }

    /// What breaks is what `plan` says when asked at each point.
    pub fn planned(plan: impl Fn(Point) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(plan)))
    }

    /// Whether `point` breaks now.
    pub fn at(&self, point: Point) -> Option<Fault> {
        self.0.as_ref().and_then(|plan| plan(point))
    }
}
