//! Chaos in real time, with the writer in its thread as in production: races
//! between it and everybody else, which the simulation's one thread can't show.
//! Not repeatable, so short; the oracle is the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::env::{Entropy, Fault, Faults, Point};
use bellwether::store::sqlite::Mode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::oracle::{Oracle, Verdict, limit_of};
use super::receivers::{Answer, Receivers};
use super::world::{
    ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, post_signed, simulate_with, upgrade,
};
use crate::process::running::long;

const STEPS: u64 = 120;
const NUMBERS: u64 = 8;

/// Far longer than the waits below; a busy machine takes its time.
const DRAINED_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn with_the_writer_in_its_thread_nothing_is_lost_doubled_or_out_of_order_either() {
    let rounds = if long() { 100 } else { 6 };
    std::thread::scope(|threads| {
        for first in 0..3 {
            threads.spawn(move || {
                for seed in (first..rounds).step_by(3) {
                    assert_eq!(round(seed), Ok(()), "round {seed}");
                }
            });
        }
    });
}

fn terms(seed: u64, calm: &Arc<AtomicBool>, struck: &Arc<Mutex<Vec<Instant>>>) -> Terms {
    let (chance, mood) = (Entropy::seeded(seed), Entropy::seeded(seed ^ 0x5eed));
    let (faults_rest, receivers_rest) = (Arc::clone(calm), Arc::clone(calm));
    let struck = Arc::clone(struck);
    let faults = Faults::planned(move |point| {
        let commit = matches!(point, Point::BeforeCommit | Point::AfterCommit);
        let strikes = commit && !faults_rest.load(Ordering::Relaxed) && chance.below(40) == 0;
        if strikes {
            struck.lock().unwrap().push(Instant::now());
        }
        strikes.then_some(Fault::Error)
    });
    let receivers = Receivers::by_chance(move |_| match mood.below(8) {
        _ if receivers_rest.load(Ordering::Relaxed) => Answer::Status(200),
        0 => Answer::Status(500),
        1 => Answer::TakesAndBreaks,
        2 => Answer::Slow(Duration::from_millis(mood.below(30)), 200),
        _ => Answer::Status(200),
    });
    Terms {
        seed,
        faults,
        receivers,
        max_in_flight: 8,
        per_webhook: 4,
        loaded: 12,
        waits: [20, 40, 80, 160].map(Duration::from_millis),
        mode: Mode::Threads,
        ..Terms::default()
    }
}

fn round(seed: u64) -> Verdict {
    let (calm, struck) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let chance = Entropy::seeded(seed ^ 0x7ead);
    simulate_with(terms(seed, &calm, &struck), |mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let urls = [world.receiver("shop").await.url, world.receiver("second").await.url];
        let mut oracle = Oracle::new(&struck);
        calm.store(false, Ordering::Relaxed);
        play(&mut world, &chance, &mut oracle).await?;
        calm.store(true, Ordering::Relaxed);
        let drained = world.quiesces_within(DRAINED_WITHIN).await;
        oracle.look(&world)?;
        if !drained {
            return Err(format!("DRAIN: something is still pending after {DRAINED_WITHIN:?}"));
        }
        oracle.look_at_the_end(&world, &urls).await
    })
}

/// Many notifications on their way at once, and now and then a crash.
async fn play(world: &mut World, chance: &Entropy, oracle: &mut Oracle) -> Verdict {
    let mut posting: JoinSet<(u16, Vec<Value>)> = JoinSet::new();
    for step in 0..STEPS {
        if chance.below(30) == 0 {
            world.crash_and_restart().await;
        }
        let time = EPOCH_MS / 1000 + step.cast_signed();
        let changes: Vec<Value> = (0..=chance.below(3))
            .map(|at| upgrade(chance.below(NUMBERS), &format!("TIER_{step}_{at}")))
            .collect();
        for change in &changes {
            oracle.sent.insert(limit_of(change), (time, change.clone()));
        }
        let post = post_signed(world.router(), notification(time, &changes));
        posting.spawn(async move { (post.await.0.as_u16(), changes) });
        if posting.len() >= 6
            && let Some(answered) = posting.join_next().await
        {
            acknowledge(oracle, answered.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(chance.below(4))).await;
        oracle.look(world)?;
    }
    while let Some(answered) = posting.join_next().await {
        acknowledge(oracle, answered.unwrap());
    }
    Ok(())
}

fn acknowledge(oracle: &mut Oracle, (status, changes): (u16, Vec<Value>)) {
    match status {
        200 => oracle.acknowledged.extend(changes.iter().map(limit_of)),
        other => assert_eq!(other, 503, "only a store that can't write may refuse"),
    }
}
