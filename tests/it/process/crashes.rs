//! Faults 1, 3, 4, 5 and 14: the process vanishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::config::FAILPOINT_EXIT_CODE;
use bellwether::env::{Clock, Entropy};

use super::ledger::Ledger;
use super::running::{Caller, Listening, Running, binary, long, write_config};
use crate::sim::world::{ACCOUNT, notification, tempdir::TempDir, upgrade};

/// Attempts that may be under way to the one webhook when the process is killed.
const IN_FLIGHT: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_1_killed_at_random_times_under_load_it_loses_nothing() {
    let (loops, span_ms) = if long() { (200, 3_000) } else { (6, 700) };
    let seed = Entropy::from_system().u64();
    println!("seed {seed}");
    let chance = Entropy::seeded(seed);
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Listening::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url)).await;
    for _ in 0..loops {
        let stop = Arc::new(AtomicBool::new(false));
        let base = running.base.clone();
        let loading = tokio::spawn({
            let (ledger, stop) = (ledger.clone(), Arc::clone(&stop));
            async move { ledger.load(&base, stop).await }
        });
        tokio::time::sleep(Duration::from_millis(chance.below(span_ms))).await;
        running.kill();
        stop.store(true, Ordering::Relaxed);
        loading.await.unwrap();
        running = Running::start(directory.path(), &[]);
    }
    assert!(ledger.acknowledged() > 0);
    ledger.check(&caller, &running.base, &receiver, loops * IN_FLIGHT).await;
}

/// Posts one change after another until the process is gone; the number of the
/// one that was not acknowledged.
async fn post_until_gone(caller: &Caller, base: &str) -> u64 {
    for n in 0..200 {
        let body = notification(1_748_736_000, &[upgrade(n, &format!("TIER_{n}"))]);
        match caller.notify(base, body).await {
            Some((status, _)) => assert_eq!(status, StatusCode::OK),
            None => return n,
        }
    }
    panic!("the failpoint did not end it")
}

/// Ends the process at a commit, starts it again, lets Meta repeat the
/// notification, and says what that repeat was taken for.
async fn ended_at_commit(point: &str) -> (Option<u64>, Option<u64>, usize, u64) {
    let directory = TempDir::new();
    let caller = Caller::new();
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    running.kill();
    // The janitor's few commits at the start are over long before the fortieth.
    let failpoint = format!("{point}=exit:40");
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", &failpoint)]);
    let n = post_until_gone(&caller, &running.base).await;
    assert_eq!(running.ended().await, Some(FAILPOINT_EXIT_CODE));
    let running = Running::start(directory.path(), &[]);
    let body = notification(1_748_736_000, &[upgrade(n, &format!("TIER_{n}"))]);
    let (status, receipt) = caller.notify(&running.base, body).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    let events = caller.all(&running.base, &format!("/v1/accounts/{ACCOUNT}/events")).await;
    (receipt["accepted"].as_u64(), receipt["duplicate"].as_u64(), events.len(), n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_3_killed_between_the_commit_and_the_200_the_repeat_is_a_duplicate() {
    let (accepted, duplicate, events, n) = ended_at_commit("after_commit").await;
    assert_eq!((accepted, duplicate), (Some(0), Some(1)));
    assert_eq!(events as u64, n + 1, "exactly one event for each change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_4_killed_before_the_commit_the_repeat_is_taken() {
    let (accepted, duplicate, events, n) = ended_at_commit("before_commit").await;
    assert_eq!((accepted, duplicate), (Some(1), Some(0)));
    assert_eq!(events as u64, n + 1, "exactly one event for each change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_5_killed_after_the_receivers_2xx_the_event_comes_again_with_the_same_id_and_the_next_attempt()
{
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", "after_answer=exit")]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let body = notification(Clock::system().now().seconds(), &[upgrade(1, "TIER_10K")]);
    let _ = caller.notify(&running.base, body).await;
    assert_eq!(running.ended().await, Some(FAILPOINT_EXIT_CODE));
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    let arrived = receiver.arrived();
    assert_eq!(arrived.len(), 2, "{arrived:?}");
    assert_eq!(arrived[0].id, arrived[1].id);
    assert_eq!((arrived[0].attempt, arrived[1].attempt), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_a_second_process_on_the_same_store_ends_with_a_clear_error_and_the_first_goes_on() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let running = Running::start(directory.path(), &[]);
    let file = write_config(directory.path());
    let second = binary().arg("serve").arg("--config").arg(file).output().unwrap();
    assert_eq!(second.status.code(), Some(4));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another process") && said.contains("hint:"), "{said}");
    caller.register(&running.base, None).await;
}
