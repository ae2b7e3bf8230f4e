//! Faults 79 and 82: the process stands still, or has hardly any processor.
//! What was never sent is not counted, and no lease ends too early.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::nemesis::{Ending, Poster, many_changes, run, signal, tasks};
use super::running::{Caller, Listening, Running, long};
use crate::sim::world::tempdir::TempDir;
use crate::torture::ledger::{Ledger, register};
use crate::torture::receiver::Receiver;

/// Attempts at once to one webhook.
const IN_FLIGHT: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_79_stopped_for_longer_than_an_attempt_or_a_lease_only_what_was_under_way_comes_again() {
    // A lease is an attempt and a minute.
    let (attempt_ms, stopped_s) = if long() { ("1000", 75) } else { ("1000", 4) };
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let short = ("BELLWETHER_DELIVERY__ATTEMPT_TIMEOUT_MS", attempt_ms);
    let running = Running::start(directory.path(), &[short]);
    caller.register(&running.base, Some(&receiver.url)).await;
    receiver.answer_after(Duration::from_millis(200));
    assert!(poster.post(&running.base, many_changes(150)).await.unwrap().is_taken());
    receiver.has(40).await;
    signal(running.child.id(), "STOP");
    tokio::time::sleep(Duration::from_secs(stopped_s)).await;
    signal(running.child.id(), "CONT");
    caller.quiesce(&running.base).await;
    let arrived = receiver.arrived();
    let again = arrived.iter().filter(|arrived| arrived.attempt > 1).count();
    println!("{} arrivals, {again} again", arrived.len());
    let changes: BTreeSet<&str> = arrived.iter().map(|arrived| arrived.limit.as_str()).collect();
    let events: BTreeSet<&str> = arrived.iter().map(|arrived| arrived.id.as_str()).collect();
    assert_eq!((changes.len(), events.len()), (150, 150), "none is lost, each is one event");
    // One that was cut off before it had arrived comes as its second attempt only.
    let attempts: BTreeSet<_> =
        arrived.iter().map(|arrived| (arrived.id.as_str(), arrived.attempt)).collect();
    assert_eq!(attempts.len(), arrived.len(), "what came again is counted as such");
    assert!(again <= IN_FLIGHT, "{again} came again, with {IN_FLIGHT} under way");
    let mut failed = 0;
    for class in ["timeout", "connect", "interrupted"] {
        let name = format!("bellwether_attempts_total{{class=\"{class}\"}}");
        failed += poster.metric(&running.base, &name).await;
    }
    assert!(failed <= IN_FLIGHT as u64, "{failed} attempts failed, with {IN_FLIGHT} under way");
    let unseen = 150 + again - arrived.len();
    assert!(unseen as u64 <= failed, "{unseen} attempts are counted that neither arrived nor failed");
}

/// Takes all but a hundredth of one core away from the process.
fn starve(running: &Running) -> Ending {
    for (task, _) in tasks(running) {
        run(&["taskset", "-p", "-c", "0", &task]);
        run(&["renice", "-n", "19", "-p", &task]);
    }
    let mut busy = Command::new("taskset");
    busy.args(["-c", "0", "sh", "-c", "while :; do :; done"]).stdin(Stdio::null());
    Ending(busy.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_82_with_hardly_any_processor_nothing_is_lost_and_no_lease_ends_too_early() {
    let enough = if long() { 2_000 } else { 60 };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    let busy = starve(&running);
    let load = ledger.start_load(&running.base);
    ledger.grows_by(enough).await;
    load.stop().await;
    receiver.has(enough / 2).await;
    drop(busy);
    ledger.check(&caller, &running.base, &receiver).await;
}
