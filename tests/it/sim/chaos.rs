//! Chaos by seed. First everything breaks: notifications repeated and re-cut,
//! receivers that refuse, reset, hang or answer anything, commits that fail or
//! succeed unsaid, a disk that stalls, crashes at any await, a process that
//! stands still, a wall clock that leaps. Then all heals, and everything must
//! come to an end. The oracle looks after every step.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::env::{Entropy, Fault, Faults, Weakness};
use bellwether::model::attempt::OutcomeClass;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::oracle::{Oracle, Stalls, Verdict, limit_of};
use super::receivers::{Answer, Receivers};
use super::seeds::{self, SEEDS};
use super::world::{
    ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, post_signed, simulate_with, upgrade,
};

/// Fewer runs with a receiver that wants the latest only.
const LATEST_SEEDS: u64 = 40;

/// Things that happen, per run.
const STEPS: u64 = 40;
const NUMBERS: u64 = 6;

/// What a trace's line of a superseded delivery begins with.
pub(super) const SUPERSEDED: &str = "superseded";

/// What may have happened to a number.
const EVENTS: [&str; 7] =
    ["UPGRADE", "DOWNGRADE", "ONBOARDING", "FLAGGED", "UNFLAGGED", "THROUGHPUT_UPGRADE", "UNHEARD_OF"];

/// Once all has healed, everything has gone out by then: the longest wait with
/// its jitter, a lease that nobody settled, and what stood behind them.
const DRAINED_WITHIN: Duration = Duration::from_mins(4);

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_and_every_lane_keeps_its_order() {
    seeds::none_fails("chaos", SEEDS, |seed| run(seed, None, Wants::All).map(drop));
}

#[test]
fn whatever_breaks_who_wants_the_latest_has_the_newest_of_every_kind_and_all_else_is_visible() {
    seeds::none_fails("latest", LATEST_SEEDS, |seed| run(seed, None, Wants::Latest).map(drop));
}

/// What the first of the two receivers wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// All events; they are of one kind.
    All,
    /// The latest only; events are of several kinds.
    Latest,
}

/// Attempts a second in the run of this seed: every fourth has a pace. It is no draw
/// of the run's, so that those which are kept stay as they were.
fn pace(seed: u64) -> usize {
    let paces = Entropy::seeded(seed ^ 0x9ace);
    if seed.is_multiple_of(4) { 5 + some(&paces, 45) } else { 0 }
}

/// A number below `bound`, for counting.
fn some(chance: &Entropy, bound: usize) -> usize {
    usize::try_from(chance.below(bound as u64)).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_letter() {
    for seed in [3, 14, 159] {
        for wants in [Wants::All, Wants::Latest] {
            let (once, again) = (run(seed, None, wants), run(seed, None, wants));
            assert_eq!(once, again, "seed {seed}");
            assert!(once.is_ok_and(|trace| !trace.is_empty()), "seed {seed}");
        }
    }
}

/// A process that is started has copies of all open files until it runs its
/// program: the lock of a store that was just given up, too.
#[test]
fn the_same_seed_gives_the_same_run_whatever_processes_are_started_beside_it() {
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::process::Command::new("true").status().unwrap();
                }
            });
        }
        let runs: Vec<_> = (0..8).map(|_| std::panic::catch_unwind(|| run(3, None, Wants::All))).collect();
        done.store(true, Ordering::Relaxed);
        let runs: Vec<_> = runs.into_iter().map(Result::unwrap).collect();
        assert!(runs[0].is_ok());
        assert!(runs.iter().all(|again| *again == runs[0]));
    });
}

/// One run, without one of the node's mechanisms if so told: its trace, for
/// comparing, or what the oracle found wrong.
pub(super) fn run(seed: u64, weakness: Option<Weakness>, wants: Wants) -> Result<Vec<String>, String> {
    let chance = Entropy::seeded(seed ^ 0x5eed);
    let trouble = Arc::new(Trouble::new(&chance));
    let faults = trouble.faults();
    let terms = Terms {
        seed,
        faults: weakness.into_iter().fold(faults, Faults::weakened),
        receivers: trouble.receivers(),
        max_in_flight: 1 + some(&chance, 8),
        per_webhook: 1 + some(&chance, 4),
        loaded: 1 + some(&chance, 12),
        attempts_per_s: pace(seed),
        ..Terms::default()
    };
    simulate_with(terms, |mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let urls = [world.receiver("shop").await.url, world.receiver("second").await.url];
        if wants == Wants::Latest {
            world.set_delivery(&urls[0], "latest").await;
        }
        let mut oracle = Oracle::new(&trouble.struck);
        oracle.stalls = Arc::clone(&trouble.stalled);
        let mut play = Play { oracle, urls, trouble, chance, stepped: 0, wants };
        play.trouble.calm.store(false, Ordering::Relaxed);
        for step in 0..STEPS {
            if step == STEPS / 2 && seed.is_multiple_of(2) {
                play.outage(&mut world).await;
            }
            play.act(&mut world, step).await;
            play.oracle.look(&world)?;
        }
        play.heal(&mut world, seed.is_multiple_of(3)).await?;
        let mut trace = play.oracle.trace();
        let superseded = world.deliveries("status=superseded&limit=500").await;
        trace.extend(superseded.iter().map(|delivery| format!("{SUPERSEDED} {}", delivery["eventId"])));
        Ok(trace)
    })
}

/// What may break, and whether it does at the moment.
pub(super) struct Trouble {
    chance: Entropy,
    pub(super) calm: AtomicBool,
    struck: Arc<Mutex<Vec<Instant>>>,
    stalled: Stalls,
    /// A fault at which the process ends, too.
    crash: Notify,
    moods: Mutex<BTreeMap<String, Mood>>,
}

/// How a receiver is, for a while.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Well,
    Flaky,
    Refuses,
    Resets,
    Hangs,
    Slow,
    Answers(u16),
}

impl Trouble {
    pub(super) fn new(chance: &Entropy) -> Self {
        Self {
            chance: chance.clone(),
            calm: AtomicBool::new(true),
            struck: Arc::default(),
            stalled: Arc::default(),
            crash: Notify::new(),
            moods: Mutex::default(),
        }
    }

    fn strikes(&self, one_in: u64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.chance.below(one_in) == 0
    }

    fn faults(self: &Arc<Self>) -> Faults {
        let (trouble, disk) = (Arc::clone(self), Arc::clone(self));
        Faults::planned(move |_point| {
            let strikes = trouble.strikes(25);
            if strikes {
                trouble.struck.lock().unwrap().push(Instant::now());
                if trouble.chance.below(4) == 0 {
                    trouble.crash.notify_one();
                }
            }
            strikes.then_some(Fault::Error)
        })
        .stalling(move || {
            // Now and then for longer than a lease.
            let longest = if disk.chance.below(20) == 0 { 90_000 } else { 2_000 };
            disk.strikes(60).then(|| {
                let (now, span) = (Instant::now(), Duration::from_millis(disk.chance.below(longest)));
                disk.stalled.lock().unwrap().push((now, now + span));
                span
            })
        })
    }

    pub(super) fn receivers(self: &Arc<Self>) -> Receivers {
        let trouble = Arc::clone(self);
        Receivers::by_chance(move |url| {
            if trouble.calm.load(Ordering::Relaxed) {
                return Answer::Status(200);
            }
            let mood = trouble.moods.lock().unwrap().get(url).copied().unwrap_or(Mood::Flaky);
            trouble.answer(mood)
        })
    }

    fn answer(&self, mood: Mood) -> Answer {
        match mood {
            Mood::Well => Answer::Status(200),
            Mood::Refuses => Answer::Fails(OutcomeClass::Connect),
            Mood::Resets => Answer::TakesAndBreaks,
            Mood::Hangs => Answer::Hangs,
            Mood::Slow => Answer::Slow(Duration::from_millis(self.chance.below(11_000)), 200),
            Mood::Answers(status) => Answer::Status(status),
            Mood::Flaky => match self.chance.below(12) {
                0 => Answer::Status(500),
                1 => Answer::Status(u16::try_from(100 + self.chance.below(500)).unwrap()),
                2 => Answer::RetryAfter(429, "3"),
                3 => Answer::Fails(OutcomeClass::Connect),
                4 => Answer::TakesAndBreaks,
                5 => Answer::Hangs,
                6 => Answer::Slow(Duration::from_millis(900), 200),
                _ => Answer::Status(200),
            },
        }
    }

    pub(super) fn change_mood(&self, url: &str) {
        let mood = match self.chance.below(8) {
            0 => Mood::Well,
            1 => Mood::Refuses,
            2 => Mood::Resets,
            3 => Mood::Hangs,
            4 => Mood::Slow,
            5 => Mood::Answers(u16::try_from(100 + self.chance.below(500)).unwrap()),
            _ => Mood::Flaky,
        };
        self.moods.lock().unwrap().insert(url.to_owned(), mood);
    }
}

/// One run as it goes.
struct Play {
    oracle: Oracle,
    urls: [String; 2],
    trouble: Arc<Trouble>,
    chance: Entropy,
    /// By how much the wall clock is wrong, in milliseconds.
    stepped: i64,
    wants: Wants,
}

impl Play {
    async fn act(&mut self, world: &mut World, step: u64) {
        match self.chance.below(24) {
            0 => world.crash_and_restart().await,
            1 | 2 => self.wait(world, 20_000).await,
            3 => world.restart_cleanly().await,
            4 | 5 if !self.oracle.sent.is_empty() => self.repeat(world).await,
            6 | 7 => self.notify_and_crash(world, step).await,
            8 => self.step_the_clock(world).await,
            9 => world.pause(Duration::from_millis(self.chance.below(120_000))).await,
            10 | 11 => self.trouble.change_mood(&self.urls[some(&self.chance, 2)]),
            _ => {
                let (time, changes) = self.fresh(step);
                self.post(world, time, &changes).await;
            }
        }
        self.wait(world, 400).await;
    }

    /// Nobody answers for minutes: attempts are exhausted at the one webhook while
    /// those of the same events at the other still wait.
    async fn outage(&mut self, world: &mut World) {
        let moods = [Mood::Refuses, Mood::Hangs];
        self.trouble.moods.lock().unwrap().extend(self.urls.iter().cloned().zip(moods));
        for _ in 0..10 {
            self.wait(world, 40_000).await;
        }
    }

    /// Up to so many milliseconds pass; a fault may end the process meanwhile.
    async fn wait(&self, world: &mut World, ms: u64) {
        let span = Duration::from_millis(self.chance.below(ms));
        tokio::select! {
            biased;
            () = world.advance(span) => {}
            () = self.trouble.crash.notified() => world.crash_and_restart().await,
        }
    }

    /// The wall clock leaps, or drifts a little; sometimes over a restart.
    async fn step_the_clock(&mut self, world: &mut World) {
        const HOUR_MS: i64 = 3_600_000;
        let by = match self.chance.below(6) {
            0 => HOUR_MS,
            1 => -HOUR_MS,
            2 => 10 * 365 * 24 * HOUR_MS,
            // Whoever set it wrong sets it right.
            3 => -self.stepped,
            _ => self.chance.below(4_000).cast_signed() - 2_000,
        };
        self.stepped += by;
        world.env.clock.step(by);
        match self.chance.below(3) {
            0 => world.crash_and_restart().await,
            1 => world.restart_cleanly().await,
            _ => {}
        }
    }

    /// One to four new changes in one notification.
    fn fresh(&mut self, step: u64) -> (i64, Vec<Value>) {
        let time = EPOCH_MS / 1000 + step.cast_signed();
        let changes: Vec<Value> = (0..=self.chance.below(4))
            .map(|at| {
                let mut change = upgrade(self.chance.below(NUMBERS), &format!("TIER_{step}_{at}"));
                if self.wants == Wants::Latest {
                    change["event"] = EVENTS[some(&self.chance, EVENTS.len())].into();
                }
                // Not by chance, which would make another run of each seed that is kept.
                if (step + at).is_multiple_of(3) {
                    change["old_limit"] = json!("TIER_OLD");
                }
                change
            })
            .collect();
        for change in &changes {
            self.oracle.sent.insert(limit_of(change), (time, change.clone()));
        }
        (time, changes)
    }

    /// Meta sends again what it sent before, in another cut.
    async fn repeat(&mut self, world: &mut World) {
        let at = some(&self.chance, self.oracle.sent.len());
        let (time, chosen) = self.oracle.sent.values().nth(at).unwrap().clone();
        let others = self.oracle.sent.values().filter(|(when, other)| *when == time && *other != chosen);
        let mut cut = vec![chosen.clone()];
        cut.extend(others.take(some(&self.chance, 3)).map(|(_, other)| other.clone()));
        cut.reverse();
        self.post(world, time, &cut).await;
    }

    async fn post(&mut self, world: &mut World, time: i64, changes: &[Value]) {
        let body = notification(time, changes);
        let mut posting = tokio::spawn(post_signed(world.router(), body));
        tokio::select! {
            biased;
            answer = &mut posting => self.answered(answer.unwrap().0.as_u16(), changes),
            () = self.trouble.crash.notified() => {
                posting.abort();
                world.crash_and_restart().await;
            }
        }
    }

    fn answered(&mut self, status: u16, changes: &[Value]) {
        if status == 200 {
            self.oracle.acknowledged.extend(changes.iter().map(limit_of));
        } else {
            assert_eq!(status, 503, "only a store that can't write may refuse");
        }
    }

    /// The node vanishes while it takes a notification, at a random await.
    async fn notify_and_crash(&mut self, world: &mut World, step: u64) {
        let (time, changes) = self.fresh(step);
        let posting = tokio::spawn(post_signed(world.router(), notification(time, &changes)));
        for _ in 0..self.chance.below(12) {
            tokio::task::yield_now().await;
        }
        let answered = posting.is_finished();
        posting.abort();
        if answered && let Ok((status, _)) = posting.await {
            self.answered(status.as_u16(), &changes);
        }
        world.crash_and_restart().await;
    }

    /// The liveness phase: nothing breaks any more, and everything drains.
    async fn heal(&mut self, world: &mut World, anew: bool) -> Verdict {
        self.trouble.calm.store(true, Ordering::Relaxed);
        world.env.clock.step(-self.stepped);
        if anew {
            world.crash_and_restart().await;
        }
        let drained = world.quiesces_within(DRAINED_WITHIN).await;
        self.oracle.look(world)?;
        if !drained {
            return Err(format!("DRAIN: something is still pending after {DRAINED_WITHIN:?}"));
        }
        self.oracle.look_at_the_end(world, &self.urls).await
    }
}
