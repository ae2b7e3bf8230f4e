//! Negative controls: a server without one of its mechanisms, and the oracle that
//! must notice. What stays green here shows nothing elsewhere.

use std::time::Duration;

use super::ledger::{Ledger, register};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running};
use crate::sim::world::tempdir::TempDir;

/// The names of what the oracle finds after a server without `mechanism` ended
/// under load at `point`, before receivers that take 50 ms.
async fn found_without(mechanism: &str, point: &str) -> Vec<String> {
    let weakened = [("BELLWETHER_FAILPOINT", mechanism)];
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    receiver.answer(|_| (200, Duration::from_millis(50)));
    let dying = format!("{mechanism},{point}=exit:150");
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", &dying)]);
    register(&caller, &running.base, &receiver).await;
    let load = ledger.start_load(&running.base);
    assert_eq!(running.ended().await, Some(87));
    receiver.note_end().await;
    load.stop().await;
    let running = Running::start(directory.path(), &weakened);
    // As Meta may at any time: what was answered comes again.
    ledger.repeat_all(&caller, &running.base).await;
    let findings = ledger.findings(&caller, &running.base, &receiver).await;
    findings.iter().map(|finding| finding.split(':').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_5_of_a_server_that_records_before_it_sends_the_oracle_finds_lost_events() {
    let found = found_without("record_before_sending", "after_answer").await;
    // What is recorded too early lets the next of its lane go, too.
    let lost = |name: &String| ["LOST", "GAP", "ORDER"].contains(&name.as_str());
    assert!(found.iter().any(|name| name == "LOST") && found.iter().all(lost), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_3_of_a_server_that_does_not_know_repeats_the_oracle_finds_one_change_as_two_events() {
    let found = found_without("no_deduplication", "after_commit").await;
    assert!(found.iter().any(|name| name == "SPLIT") && found.iter().all(|name| name != "LOST"), "{found:?}");
}
