//! The world outside: time, chance and, in tests, faults. A node learns them
//! from here alone, so a simulation that owns this module's values owns the run.

mod clock;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

pub use clock::Clock;

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

/// A mechanism that a test may take away, to see that its checks notice: a
/// check that stays green without what it checks is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// The store syncs at checkpoints only: a power cut loses commits.
    SynchronousNormal,
    /// What was seen before is taken for new.
    NoDeduplication,
    /// One resolution of a name is judged, the next one is dialled.
    ResolveTwice,
    /// A delivery is recorded as delivered before its request is sent.
    RecordBeforeSending,
    /// A settlement counts whoever holds the lease by now.
    NoFencing,
    /// The dispatcher ends, as by a bug, when it is handed a delivery.
    DispatcherDies,
    /// What fails is superseded, whether or not anything newer stands for it.
    SupersedeBlindly,
    /// What one webhook's attempts are exhausted for is over for the others too,
    /// as if they had it.
    ExhaustedForAll,
    /// The answers of a group go out before its commit.
    AnswerBeforeCommit,
}

impl Weakness {
    /// All of them, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::SynchronousNormal,
        Self::NoDeduplication,
        Self::ResolveTwice,
        Self::RecordBeforeSending,
        Self::NoFencing,
        Self::DispatcherDies,
        Self::SupersedeBlindly,
        Self::ExhaustedForAll,
        Self::AnswerBeforeCommit,
    ];

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// Limits that a test may narrow, to meet in no time what else takes long or much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// Frames of the store's log after which it is copied back.
    pub log_frames: Option<u64>,
    /// How long a query may take.
    pub query: Option<Duration>,
}

type Plan = dyn Fn(Point) -> Option<Fault> + Send + Sync;
type Stalls = dyn Fn() -> Option<Duration> + Send + Sync;

/// The faults planned by a test; none in production. A plan may also end the
/// process by itself.
#[derive(Clone)]
pub struct Faults {
    plan: Option<Arc<Plan>>,
    stalls: Option<Arc<Stalls>>,
    weaknesses: u16,
    narrowed: Narrowed,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let narrowed = self.narrowed != Narrowed::default();
        let planned = self.plan.is_some() || self.stalls.is_some() || self.weaknesses != 0 || narrowed;
        f.write_str(if planned { "Faults(planned)" } else { "Faults(none)" })
    }
}

impl Faults {
    /// Nothing breaks.
    pub fn none() -> Self {
        Self { plan: None, stalls: None, weaknesses: 0, narrowed: Narrowed::default() }
    }

    /// What breaks is what `plan` says when asked at each point.
    pub fn planned(plan: impl Fn(Point) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { plan: Some(Arc::new(plan)), ..Self::none() }
    }

    /// The same, with a disk that takes its time: `stalls` is asked before each
    /// group of writes, and says for how long the simulation's writer waits.
    #[must_use]
    pub fn stalling(self, stalls: impl Fn() -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self { stalls: Some(Arc::new(stalls)), ..self }
    }

    /// The same, with one mechanism less.
    #[must_use]
    pub fn weakened(self, weakness: Weakness) -> Self {
        Self { weaknesses: self.weaknesses | weakness.bit(), ..self }
    }

    /// The same, with limits narrowed.
    #[must_use]
    pub fn narrowed(self, narrowed: Narrowed) -> Self {
        Self { narrowed, ..self }
    }

    /// Whether `point` breaks now.
    pub fn at(&self, point: Point) -> Option<Fault> {
        self.plan.as_ref().and_then(|plan| plan(point))
    }

    /// For how long the next group of writes waits, if it does.
    pub fn stall(&self) -> Option<Duration> {
        self.stalls.as_ref().and_then(|stalls| stalls())
    }

    /// The limits that are narrowed: none in a release build.
    pub fn limits(&self) -> Narrowed {
        if cfg!(debug_assertions) { self.narrowed } else { Narrowed::default() }
    }

    /// Whether that mechanism is taken away: in debug builds only, so that a
    /// release build has no way to be without it.
    pub fn weakens(&self, weakness: Weakness) -> bool {
        cfg!(debug_assertions) && self.weaknesses & weakness.bit() != 0
    }
}
