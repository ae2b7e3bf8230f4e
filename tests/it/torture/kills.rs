//! Faults 1 and 7: the process is killed, again and again.

use std::time::Duration;

use axum::http::Method;
use bellwether::env::Entropy;
use bellwether::policy::interruption::MOST_IN_A_ROW;
use serde_json::Value;
use tokio::time::Instant;

use super::ledger::{Ledger, NUMBERS, register};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, long};
use crate::sim::world::{ACCOUNT, tempdir::TempDir};

/// From a start to the first delivery it takes a fraction of a second; in a short
/// round other tests have the processor, too.
fn soon() -> Duration {
    Duration::from_secs(if long() { 2 } else { 10 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_1_killed_at_random_times_under_load_it_loses_nothing() {
    let (loops, span_ms) = if long() { (200, 3_000) } else { (6, 700) };
    let seed = Entropy::from_system().u64();
    println!("seed {seed}");
    let chance = Entropy::seeded(seed);
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    let mut waits = Vec::new();
    for _ in 0..loops {
        let load = ledger.start_load(&running.base);
        tokio::time::sleep(Duration::from_millis(chance.below(span_ms))).await;
        receiver.kills(&mut running).await;
        load.stop().await;
        let (arrived, restarted) = (receiver.count(), Instant::now());
        running = Running::start(directory.path(), &[]);
        // If nothing was left over, this is the first delivery.
        ledger.send(&caller, &running.base).await;
        waits.push(receiver.has(arrived + 1).await - restarted);
    }
    waits.sort_unstable();
    let (median, most) = (waits[waits.len() / 2], waits.last());
    println!("restart to first delivery: median {median:?}, most {most:?}");
    assert!(waits.iter().all(|wait| *wait < soon()), "restart to first delivery: {waits:?}");
    assert!(ledger.acknowledged().len() > loops);
    ledger.check(&caller, &running.base, &receiver).await;
}

/// The change whose event never gets an answer.
const POISON: u64 = 7;

/// Leaves a backlog of five events a number, one of which is never answered.
async fn poisoned(directory: &TempDir) -> (Caller, Receiver, Ledger) {
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    receiver.answer(|arrival| match arrival.key {
        Some(POISON) => (200, Duration::from_mins(10)),
        _ => (200, Duration::ZERO),
    });
    let running = Running::start(directory.path(), &[("BELLWETHER_DELIVERY__PAUSED", "true")]);
    register(&caller, &running.base, &receiver).await;
    for _ in 0..5 * NUMBERS {
        ledger.send(&caller, &running.base).await;
    }
    (caller, receiver, ledger)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_7_in_a_crash_loop_the_attempts_numbers_grow_and_everything_but_the_cause_is_delivered() {
    let loops = if long() { 50 } else { 6 };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = poisoned(&directory).await;
    for _ in 0..loops {
        let mut running = Running::start(directory.path(), &[]);
        tokio::time::sleep(Duration::from_millis(300)).await;
        receiver.kills(&mut running).await;
    }
    let numbers: Vec<u32> = receiver.attempts_of(POISON).iter().map(|arrival| arrival.attempt).collect();
    assert!(numbers.len() >= 2, "{numbers:?}");
    assert_eq!(numbers, (1..).take(numbers.len()).collect::<Vec<u32>>(), "no attempt looks like a first one");
    // Its own number waits for it, or for its end; all others are through.
    let behind = |key: u64| key % NUMBERS == POISON && key >= POISON;
    for key in ledger.acknowledged().into_iter().filter(|key| !behind(*key)) {
        let confirmed =
            receiver.attempts_of(key).iter().filter(|arrival| arrival.confirmed.is_some()).count();
        assert!((1..=loops).contains(&confirmed), "change {key}: {confirmed}");
    }
    // The waits up to the tenth are a minute or two: the simulation tells the end
    // of it in no time, and here it is told in the long round.
    if long() {
        is_set_aside(&directory, &caller, &receiver).await;
        ledger.note_replay(POISON);
    }
    receiver.answer(|_| (200, Duration::ZERO));
    let running = Running::start(directory.path(), &[]);
    ledger.check(&caller, &running.base, &receiver).await;
}

/// The process ends at each attempt of the poison, until that is set aside.
async fn is_set_aside(directory: &TempDir, caller: &Caller, receiver: &Receiver) {
    let allowed = MOST_IN_A_ROW as usize;
    while receiver.attempts_of(POISON).len() < allowed {
        let made = receiver.attempts_of(POISON).len();
        let mut running = Running::start(directory.path(), &[]);
        let deadline = Instant::now() + Duration::from_secs(100);
        while receiver.attempts_of(POISON).len() == made {
            assert!(Instant::now() < deadline, "attempt {made} is the last");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        receiver.kills(&mut running).await;
    }
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    let deliveries = format!("/v1/accounts/{ACCOUNT}/deliveries");
    let aside = caller.all(&running.base, &format!("{deliveries}?status=exhausted")).await;
    assert_eq!(aside.len(), 1, "nobody else: {aside:?}");
    assert_eq!(aside[0]["attemptCount"], allowed);
    assert!(aside[0]["lastAttempt"]["note"].as_str().unwrap().contains("set aside"), "{aside:?}");
    assert_eq!(receiver.attempts_of(POISON + NUMBERS).len(), 1, "its number goes on");
    receiver.answer(|_| (200, Duration::ZERO));
    let replay = format!("{deliveries}/{}/replay", aside[0]["deliveryId"].as_str().unwrap());
    let (status, answer) = caller.call(&running.base, Method::POST, &replay, Value::Null).await.unwrap();
    assert!(status.is_success(), "{answer}");
    caller.quiesce(&running.base).await;
    assert_eq!(receiver.attempts_of(POISON).last().unwrap().attempt, MOST_IN_A_ROW + 1);
}
