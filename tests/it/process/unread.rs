//! Fault 22: nobody reads what the process says. Nothing waits for that: not
//! intake, not deliveries, not the end.

use std::time::Duration;

use super::nemesis::{Poster, many_changes, signal};
use super::running::{Caller, Listening, PATIENCE, Running};
use crate::sim::world::{notification, tempdir::TempDir, upgrade};

/// Standard error goes to a child of the server's, which passes it on.
const PIPED: [&str; 4] = ["bash", "-c", "exec \"$@\" 2> >(exec cat >&2)", "bash"];

/// The process that reads what the server says.
fn reader(running: &Running) -> u32 {
    let pid = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().parse().unwrap()
}

/// A server that says much and whose log nobody reads.
async fn with_a_log_that_nobody_reads(directory: &TempDir) -> (Caller, Poster, Listening, Running, u32) {
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let running = Running::start_within(&PIPED, directory.path(), &[("BELLWETHER_LOG__LEVEL", "trace")]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let reader = reader(&running);
    signal(reader, "STOP");
    let mut count = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while poster.metric(&running.base, "bellwether_log_lines_lost_total").await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "no line is lost");
        let body = notification(1_748_736_000 + count, &many_values(count));
        assert!(poster.post(&running.base, body).await.unwrap().is_taken());
        count += 1;
        receiver.has(usize::try_from(count).unwrap() * 1_000).await;
    }
    (caller, poster, receiver, running, reader)
}

/// A thousand changes that no other round brought.
fn many_values(round: i64) -> Vec<serde_json::Value> {
    (0..1_000).map(|n| upgrade(n, &format!("TIER_{round}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_when_nobody_reads_the_log_lines_are_lost_and_counted_and_all_else_goes_on() {
    let directory = TempDir::new();
    let (caller, poster, receiver, mut running, reader) = with_a_log_that_nobody_reads(&directory).await;
    let before = receiver.arrived().len();
    assert!(poster.post(&running.base, many_changes(50)).await.unwrap().is_taken());
    receiver.has(before + 50).await;
    caller.quiesce(&running.base).await;
    signal(reader, "CONT");
    running.logs("log lines were lost here").await;
    running.terminate();
    assert_eq!(running.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_it_ends_although_nobody_reads_why() {
    let directory = TempDir::new();
    let (_, poster, receiver, mut running, reader) = with_a_log_that_nobody_reads(&directory).await;
    receiver.answer_after(Duration::from_secs(9));
    let before = receiver.arrived().len();
    assert!(poster.post(&running.base, many_changes(1)).await.unwrap().is_taken());
    receiver.has(before + 1).await;
    running.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.terminate();
    let code = running.ended().await;
    signal(reader, "CONT");
    assert_eq!(code, Some(7));
}
