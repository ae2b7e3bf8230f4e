//! Fault 83: SIGTERM under load, twice, and with a receiver that hangs.

use std::time::Duration;

use bellwether::env::Clock;

use super::running::{Caller, Listening, Running, long};
use crate::sim::world::{notification, tempdir::TempDir, upgrade};
use crate::torture::ledger::{Ledger, register};
use crate::torture::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_83_restarted_again_and_again_under_load_it_doubles_and_loses_nothing() {
    let rounds = if long() { 20 } else { 4 };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    receiver.answer_after(Duration::from_millis(20));
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    for _ in 0..rounds {
        let load = ledger.start_load(&running.base);
        ledger.grows_by(100).await;
        running.terminate();
        assert_eq!(running.ended().await, Some(0), "{}", running.log());
        load.stop().await;
        running = Running::start(directory.path(), &[]);
    }
    ledger.check(&caller, &running.base, &receiver).await;
    assert!(
        receiver.arrivals().iter().all(|arrival| arrival.attempt == 1),
        "no attempt is counted that was not made"
    );
}

/// A server whose receiver has a request and does not answer it for 9 s.
async fn with_an_attempt_under_way(directory: &TempDir) -> (Caller, Listening, Running) {
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    receiver.answer_after(Duration::from_secs(9));
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let body = notification(Clock::system().now().seconds(), &[upgrade(1, "TIER_10K")]);
    caller.notify(&running.base, body).await.unwrap();
    receiver.has(1).await;
    (caller, receiver, running)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_83_a_second_sigterm_ends_it_at_once_and_the_next_start_delivers() {
    let directory = TempDir::new();
    let (caller, receiver, mut running) = with_an_attempt_under_way(&directory).await;
    running.terminate();
    running.logs("letting what is under way end").await;
    assert!(running.child.try_wait().unwrap().is_none(), "it waits for what is under way");
    running.terminate();
    assert_eq!(running.ended().await, Some(7));
    receiver.answer_after(Duration::ZERO);
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    let arrived = receiver.arrived();
    assert_eq!((arrived.len(), arrived[1].attempt), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_83_sigterm_while_the_store_cannot_write_ends_it_in_time_and_the_next_start_delivers() {
    let directory = TempDir::new();
    let (caller, receiver, mut running) = with_an_attempt_under_way(&directory).await;
    running.kill();
    receiver.answer_after(Duration::ZERO);
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", "before_commit=error")]);
    let body = notification(Clock::system().now().seconds(), &[upgrade(2, "TIER_1K")]);
    let (status, _) = caller.notify(&running.base, body).await.unwrap();
    assert_eq!(status.as_u16(), 503, "nothing is acknowledged that is not stored");
    running.terminate();
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    assert_eq!(receiver.arrived().last().unwrap().limit, "TIER_10K");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_part_of_it_ends_that_must_not_it_ends_as_a_whole_and_the_next_start_delivers() {
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", "dispatcher_dies")]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let mut taken = 0;
    while running.child.try_wait().unwrap().is_none() {
        let change = upgrade(taken % 7, &format!("TIER_{taken}"));
        let body = notification(Clock::system().now().seconds(), &[change]);
        taken += u64::from(caller.notify(&running.base, body).await.is_some());
    }
    assert_eq!(running.ended().await, Some(9), "{}", running.log());
    assert!(running.log().contains("a part of the server ended"), "{}", running.log());
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    let limits: std::collections::BTreeSet<_> =
        receiver.arrived().into_iter().map(|arrived| arrived.limit).collect();
    assert!(!limits.is_empty() && limits.len() as u64 >= taken, "{} of {taken}", limits.len());
}
