//! Chaos by seed: notifications repeated and re-cut, receivers that fail in
//! every way, commits that fail or succeed unsaid, crashes at any await. The
//! invariants are those of an outside observer who keeps a ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bellwether::env::{Entropy, Fault, Faults};
use bellwether::model::attempt::OutcomeClass;
use serde_json::{Value, json};

use super::receivers::{Answer, Arrival, Receivers};
use super::world::{
    ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, post_signed, simulate_with, upgrade,
};

/// How many seeds `./test` runs; `SIM_SEEDS` asks for more.
const SEEDS: u64 = 200;

/// Changes that Meta says happened, per run.
const STEPS: u64 = 40;
const NUMBERS: u64 = 6;

#[test]
fn whatever_breaks_nothing_acknowledged_is_lost_and_every_lane_keeps_its_order() {
    let (seeds, first) = (asked("SIM_SEEDS", SEEDS), asked("SIM_FIRST", 1));
    let run_all = |seeds: Vec<u64>| {
        for seed in seeds {
            let run = std::panic::catch_unwind(|| run(seed));
            assert!(run.is_ok(), "seed {seed} failed; repeat it with SIM_FIRST={seed} SIM_SEEDS=1");
        }
    };
    let (even, odd): (Vec<u64>, Vec<u64>) = (first..first + seeds).partition(|seed| seed % 2 == 0);
    std::thread::scope(|threads| {
        let other = threads.spawn(move || run_all(odd));
        run_all(even);
        other.join().unwrap();
    });
}

#[expect(clippy::disallowed_methods, reason = "how many seeds is asked for from outside")]
fn asked(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A number below `bound`, for counting.
fn some(chance: &Entropy, bound: usize) -> usize {
    usize::try_from(chance.below(bound as u64)).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_letter() {
    for seed in [3, 14, 159] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// One run; its trace, for comparing.
fn run(seed: u64) -> Vec<String> {
    let chance = Entropy::seeded(seed ^ 0x5eed);
    let calm = Arc::new(AtomicBool::new(true));
    let fired = Arc::new(AtomicUsize::new(0));
    let terms = Terms {
        seed,
        faults: faults(&chance, &calm, &fired),
        receivers: receivers(&chance, &calm),
        max_in_flight: 1 + some(&chance, 8),
        per_webhook: 1 + some(&chance, 4),
        loaded: 1 + some(&chance, 12),
        ..Terms::default()
    };
    simulate_with(terms, |mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        world.receiver("shop").await;
        world.receiver("second").await;
        calm.store(false, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        for step in 0..STEPS {
            act(&mut world, &chance, &mut ledger, step).await;
            check_always(&world, &ledger);
        }
        // Then all heals, and everything must come to an end.
        calm.store(true, Ordering::Relaxed);
        world.terms.receivers.heal();
        if seed.is_multiple_of(3) {
            world.crash_and_restart().await;
        }
        world.quiesce().await;
        check_always(&world, &ledger);
        check_at_end(&world, &ledger).await;
        check_doubled(&world, fired.load(Ordering::Relaxed));
        trace_of(&world)
    })
}

fn faults(chance: &Entropy, calm: &Arc<AtomicBool>, fired: &Arc<AtomicUsize>) -> Faults {
    let (chance, calm, fired) = (chance.clone(), Arc::clone(calm), Arc::clone(fired));
    Faults::planned(move |_point| {
        let breaks = !calm.load(Ordering::Relaxed) && chance.below(25) == 0;
        fired.fetch_add(usize::from(breaks), Ordering::Relaxed);
        breaks.then_some(Fault::Error)
    })
}

fn receivers(chance: &Entropy, calm: &Arc<AtomicBool>) -> Receivers {
    let (chance, calm) = (chance.clone(), Arc::clone(calm));
    Receivers::by_chance(move || {
        if calm.load(Ordering::Relaxed) {
            return Answer::Status(200);
        }
        match chance.below(12) {
            0 => Answer::Status(500),
            1 => Answer::Status(404),
            2 => Answer::RetryAfter(429, "3"),
            3 => Answer::Fails(OutcomeClass::Connect),
            4 => Answer::TakesAndBreaks,
            5 => Answer::Hangs,
            6 => Answer::Slow(Duration::from_millis(900), 200),
            _ => Answer::Status(200),
        }
    })
}

/// What the outside knows: which changes were sent, which were acknowledged.
#[derive(Default)]
struct Ledger {
    /// Each change by its limit (unique), with its number.
    sent: BTreeMap<String, (i64, Value)>,
    acknowledged: BTreeSet<String>,
}

fn limit_of(change: &Value) -> String {
    change["current_limit"].as_str().unwrap().to_owned()
}

async fn act(world: &mut World, chance: &Entropy, ledger: &mut Ledger, step: u64) {
    match chance.below(10) {
        0 => world.crash_and_restart().await,
        1 => world.advance(Duration::from_millis(chance.below(20_000))).await,
        2 => world.restart_cleanly().await,
        3 if !ledger.sent.is_empty() => repeat(world, chance, ledger).await,
        4 => notify_and_crash(world, chance, ledger, step).await,
        _ => {
            let (time, changes) = fresh(chance, ledger, step);
            post(world, ledger, time, &changes).await;
        }
    }
    world.advance(Duration::from_millis(chance.below(400))).await;
}

/// One to four new changes in one notification.
fn fresh(chance: &Entropy, ledger: &mut Ledger, step: u64) -> (i64, Vec<Value>) {
    let time = EPOCH_MS / 1000 + step.cast_signed();
    let changes: Vec<Value> = (0..=chance.below(4))
        .map(|at| upgrade(chance.below(NUMBERS), &format!("TIER_{step}_{at}")))
        .collect();
    for change in &changes {
        ledger.sent.insert(limit_of(change), (time, change.clone()));
    }
    (time, changes)
}

/// Meta sends again what it sent before, in another cut.
async fn repeat(world: &World, chance: &Entropy, ledger: &mut Ledger) {
    let at = some(chance, ledger.sent.len());
    let (time, chosen) = ledger.sent.values().nth(at).unwrap().clone();
    let others = ledger.sent.values().filter(|(when, other)| *when == time && *other != chosen);
    let mut cut = vec![chosen.clone()];
    cut.extend(others.take(some(chance, 3)).map(|(_, other)| other.clone()));
    cut.reverse();
    post(world, ledger, time, &cut).await;
}

async fn post(world: &World, ledger: &mut Ledger, time: i64, changes: &[Value]) {
    let (status, _) = world.post_signed(&notification(time, changes)).await;
    if status.as_u16() == 200 {
        ledger.acknowledged.extend(changes.iter().map(limit_of));
    } else {
        assert_eq!(status.as_u16(), 503, "only a store that can't write may refuse");
    }
}

/// The node vanishes while it takes a notification, at a random await.
async fn notify_and_crash(world: &mut World, chance: &Entropy, ledger: &mut Ledger, step: u64) {
    let (time, changes) = fresh(chance, ledger, step);
    let body = notification(time, &changes);
    let router = world.router();
    let posting = tokio::spawn(async move { post_signed(router, &body).await.0 });
    for _ in 0..chance.below(12) {
        tokio::task::yield_now().await;
    }
    let answered = posting.is_finished();
    posting.abort();
    if answered
        && let Ok(status) = posting.await
        && status.as_u16() == 200
    {
        ledger.acknowledged.extend(changes.iter().map(limit_of));
    }
    world.crash_and_restart().await;
}

/// What must hold at any moment.
fn check_always(world: &World, ledger: &Ledger) {
    let mut lanes: BTreeMap<(String, String), Vec<Arrival>> = BTreeMap::new();
    for (url, arrival) in world.terms.receivers.arrivals() {
        assert!(ledger.sent.contains_key(&arrival.limit()), "PHANTOM {}", arrival.limit());
        assert_eq!(arrival.webhook_id, arrival.json()["eventId"].as_str().unwrap(), "CORRUPT");
        lanes.entry((url, arrival.number())).or_default().push(arrival);
    }
    for (lane, arrivals) in &lanes {
        check_lane(lane, arrivals);
        check_waits(world, lane, arrivals);
    }
}

fn check_lane(lane: &(String, String), arrivals: &[Arrival]) {
    let mut bodies: BTreeMap<i64, &[u8]> = BTreeMap::new();
    for pair in arrivals.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(
            after.sequence >= before.sequence,
            "ORDER {lane:?}: {} after {}",
            after.sequence,
            before.sequence
        );
        assert!(
            after.sequence <= before.sequence + 1,
            "GAP {lane:?}: {} after {}",
            after.sequence,
            before.sequence
        );
    }
    for arrival in arrivals {
        let known = bodies.entry(arrival.sequence).or_insert(&arrival.body);
        assert_eq!(*known, arrival.body, "CORRUPT {lane:?}: an attempt differs from another");
    }
    let same = |pair: &&[Arrival]| pair[0].sequence == pair[1].sequence;
    for pair in arrivals.windows(2).filter(same) {
        assert!(pair[1].attempt > pair[0].attempt, "attempts of {lane:?} count up");
    }
}

/// EARLY: an attempt begins at least the schedule's shortest wait after the end
/// of a failed one, unless the node started anew in between: then its outcome may
/// have gone unrecorded.
fn check_waits(world: &World, lane: &(String, String), arrivals: &[Arrival]) {
    let retried = |pair: &&[Arrival]| pair[0].sequence == pair[1].sequence && !pair[0].confirmed;
    for pair in arrivals.windows(2).filter(retried) {
        let restarted = world.starts.iter().any(|at| (pair[0].at..=pair[1].at).contains(at));
        let waited = pair[1].at.saturating_duration_since(pair[0].ended);
        assert!(restarted || waited >= Duration::from_millis(999), "EARLY {lane:?}: after {waited:?}");
    }
}

/// DUP: what was confirmed comes again only if a crash or a fault hid that, at
/// most what was under way then.
fn check_doubled(world: &World, fired: usize) {
    let mut confirmed = BTreeSet::new();
    let mut doubled = 0;
    for (url, arrival) in world.terms.receivers.arrivals() {
        let delivery = (url, arrival.webhook_id);
        doubled += usize::from(confirmed.contains(&delivery));
        if arrival.confirmed {
            confirmed.insert(delivery);
        }
    }
    let budget = world.crashes.len() * world.terms.max_in_flight + fired;
    assert!(doubled <= budget, "DUP: {doubled} doubled, at most {budget} allowed");
}

/// What must hold once everything has healed.
async fn check_at_end(world: &World, ledger: &Ledger) {
    let arrivals = world.terms.receivers.arrivals();
    let confirmed = arrivals.iter().filter(|(_, arrival)| arrival.confirmed);
    let arrived: BTreeSet<(String, String)> =
        confirmed.map(|(url, arrival)| (url.clone(), arrival.limit())).collect();
    let exhausted = visible(world, "exhausted").await;
    for limit in &ledger.acknowledged {
        for url in ["https://shop.example.com/hook", "https://second.example.com/hook"] {
            let there = arrived.contains(&(url.to_owned(), limit.clone())) || exhausted.contains(limit);
            assert!(there, "LOST {limit} to {url}");
        }
    }
    let ids: BTreeSet<(String, String)> =
        arrivals.iter().map(|(_, a)| (a.limit(), a.webhook_id.clone())).collect();
    let limits: BTreeSet<&String> = ids.iter().map(|(limit, _)| limit).collect();
    assert_eq!(ids.len(), limits.len(), "DUP: a change became two events");
}

/// The limits of all deliveries in that state.
async fn visible(world: &World, status: &str) -> BTreeSet<String> {
    let mut limits = BTreeSet::new();
    for delivery in world.deliveries(&format!("status={status}&limit=500")).await {
        let event = delivery["eventId"].as_str().unwrap();
        let shown = world.get(&format!("/v1/accounts/{ACCOUNT}/events/{event}")).await;
        let limit = shown["body"]["eventDetails"]["meta"]["currentLimit"].as_str();
        limits.insert(limit.unwrap_or_else(|| panic!("{shown}")).to_owned());
    }
    limits
}

fn trace_of(world: &World) -> Vec<String> {
    let arrivals = world.terms.receivers.arrivals();
    let line = |(url, a): &(String, Arrival)| {
        format!("{url} {} {} {} {}", a.webhook_id, a.attempt, a.sequence, String::from_utf8_lossy(&a.body))
    };
    arrivals.iter().map(line).collect()
}
