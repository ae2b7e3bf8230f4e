//! Faults 3, 4, 5 and 6: killed at the moments that decide.

use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bellwether::config::FAILPOINT_EXIT_CODE;
use serde_json::Value;

use super::ledger::{Ledger, register, stored};
use super::oracle::Arrival;
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, binary, long, write_config};
use crate::sim::world::{ACCOUNT, tempdir::TempDir};

const FAILPOINT: &str = "BELLWETHER_FAILPOINT";

/// Ends the process at a commit of a notification, starts it again, lets Meta
/// repeat it, and says what the repeat was taken for: accepted, duplicate.
async fn ended_at_commit(point: &str) -> (Option<u64>, Option<u64>) {
    let directory = TempDir::new();
    let (caller, ledger) = (Caller::new(), Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    running.kill();
    // The janitor's few commits at the start are over long before the fortieth.
    let mut running = Running::start(directory.path(), &[(FAILPOINT, &format!("{point}=exit:40"))]);
    let unanswered = ledger.send_until_gone(&caller, &running.base).await;
    assert_eq!(running.ended().await, Some(FAILPOINT_EXIT_CODE));
    assert!(!ledger.acknowledged().contains(&unanswered), "no 200 was sent");
    let running = Running::start(directory.path(), &[]);
    let receipts = ledger.repeat_unacknowledged(&caller, &running.base).await;
    assert_eq!(receipts.len(), 1);
    let events = stored(&caller, &running.base).await;
    assert_eq!(events.len() as u64, unanswered, "exactly one event for each change");
    (receipts[0]["accepted"].as_u64(), receipts[0]["duplicate"].as_u64())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_3_killed_between_the_commit_and_the_200_the_repeat_is_a_duplicate() {
    assert_eq!(ended_at_commit("after_commit").await, (Some(0), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_4_killed_before_the_commit_there_was_no_200_and_the_repeat_is_taken() {
    assert_eq!(ended_at_commit("before_commit").await, (Some(1), Some(0)));
}

/// Leaves so many accepted and undelivered events in `directory`.
async fn backlog(directory: &Path, count: u64, caller: &Caller, receiver: &Receiver) -> Ledger {
    let ledger = Ledger::default();
    let running = Running::start(directory, &[("BELLWETHER_DELIVERY__PAUSED", "true")]);
    register(caller, &running.base, receiver).await;
    for _ in 0..count {
        let (_, answer) = ledger.send(caller, &running.base).await;
        assert_eq!(answer.unwrap().0, StatusCode::OK);
    }
    ledger
}

/// Runs a server until it ends at its failpoint, maybe before it said that it
/// serves: true. Or until nothing is left to deliver.
async fn ends(caller: &Caller, receiver: &Receiver, directory: &Path, variables: &[(&str, &str)]) -> bool {
    let mut command = binary();
    command.arg("serve").arg("--config").arg(write_config(directory)).envs(variables.iter().copied());
    let code = match Running::spawn(&mut command) {
        Err((status, _)) => status.code(),
        Ok(mut running) => {
            let base = running.base.clone();
            tokio::select! {
                biased;
                code = running.ended() => code,
                () = caller.quiesce(&base) => return false,
            }
        }
    };
    assert_eq!(code, Some(FAILPOINT_EXIT_CODE));
    receiver.note_end().await;
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_5_killed_after_the_receivers_2xx_the_event_comes_again_with_the_same_id_and_the_next_attempt()
{
    for nth in if long() { 1..=20 } else { 1..=2 } {
        let directory = TempDir::new();
        let (caller, receiver) = (Caller::new(), Receiver::start().await);
        let ledger = backlog(directory.path(), 30, &caller, &receiver).await;
        let failpoint = format!("after_answer=exit:{nth}");
        assert!(ends(&caller, &receiver, directory.path(), &[(FAILPOINT, &failpoint)]).await, "{failpoint}");
        let before = receiver.arrivals();
        let running = Running::start(directory.path(), &[]);
        ledger.check(&caller, &running.base, &receiver).await;
        let again = before.iter().map(|arrival| receiver.attempts_of(arrival.key.unwrap()));
        let again: Vec<Vec<Arrival>> = again.filter(|attempts| attempts.len() > 1).collect();
        assert!(!again.is_empty(), "what was answered and not recorded comes again");
        for attempts in again {
            assert!(attempts.iter().all(|arrival| arrival.id == attempts[0].id), "{attempts:?}");
            let numbers: Vec<u32> = attempts.iter().map(|arrival| arrival.attempt).collect();
            assert_eq!(numbers, [1, 2]);
        }
    }
}

/// The attempts that the API tells of an account's only delivery.
async fn history(caller: &Caller, base: &str) -> Vec<(u64, String)> {
    let deliveries = format!("/v1/accounts/{ACCOUNT}/deliveries");
    let listed = caller.all(base, &deliveries).await;
    let path = format!("{deliveries}/{}", listed[0]["deliveryId"].as_str().unwrap());
    let (_, delivery) = caller.call(base, Method::GET, &path, Value::Null).await.unwrap();
    let told = |attempt: &Value| {
        (attempt["number"].as_u64().unwrap(), attempt["outcome"].as_str().unwrap().to_owned())
    };
    delivery["attempts"].as_array().unwrap().iter().map(told).collect()
}

/// How a delivery went that failed three times while the process ended.
struct Story {
    failpoint: String,
    /// Whether the failpoint was met at all.
    met: bool,
    /// Each recorded attempt's number and outcome.
    history: Vec<(u64, String)>,
    arrivals: Vec<Arrival>,
}

/// Three failures, then success; the process ends at `failpoint` and comes back.
async fn ended_while_failing(failpoint: String) -> Story {
    let schedule = ("BELLWETHER_DELIVERY__RETRY_SCHEDULE_S", "1,1,1,1");
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Receiver::start().await);
    let ledger = backlog(directory.path(), 1, &caller, &receiver).await;
    receiver.answer(|arrival| (if arrival.attempt <= 3 { 500 } else { 200 }, Duration::ZERO));
    let met = ends(&caller, &receiver, directory.path(), &[schedule, (FAILPOINT, &failpoint)]).await;
    let running = Running::start(directory.path(), &[schedule]);
    ledger.check(&caller, &running.base, &receiver).await;
    let history = history(&caller, &running.base).await;
    Story { failpoint, met, history, arrivals: receiver.arrivals() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_6_killed_while_the_next_retry_is_recorded_the_attempt_is_neither_lost_nor_counted_twice() {
    let settles = (1..=3).map(|nth| format!("before_settle=exit:{nth}"));
    let commits = if long() { 1..=30 } else { 4..=9 };
    let commits = commits.flat_map(|nth| ["before", "after"].map(|when| format!("{when}_commit=exit:{nth}")));
    let mut stories = tokio::task::JoinSet::new();
    for failpoint in settles.chain(commits) {
        stories.spawn(ended_while_failing(failpoint));
        if stories.len() >= 8 {
            hold(&stories.join_next().await.unwrap().unwrap());
        }
    }
    while let Some(story) = stories.join_next().await {
        hold(&story.unwrap());
    }
}

/// What must hold of every such end.
fn hold(Story { failpoint, met, history, arrivals }: &Story) {
    let story = format!("{failpoint}: {history:?}");
    assert!(*met || failpoint.contains("commit"), "{story}: it did not end there");
    let numbers: Vec<u64> = history.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{story}: one row an attempt");
    let sent: Vec<u64> = arrivals.iter().map(|arrival| u64::from(arrival.attempt)).collect();
    assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "{story}: {sent:?}");
    assert!(sent.iter().all(|number| numbers.contains(number)), "{story}: {sent:?} were made");
    // An attempt is noted as interrupted at most once, for the one end.
    let of = |outcome: &str| history.iter().filter(|(_, told)| told == outcome).count();
    assert!(of("interrupted") <= 1 && of("success") == 1, "{story}");
    assert_eq!(of("http_status") + of("interrupted") + of("success"), history.len(), "{story}");
    for pair in arrivals.windows(2) {
        let recorded = history[pair[0].attempt as usize - 1].1 == "http_status";
        let waited = pair[1].at - pair[0].at;
        assert!(
            !recorded || waited >= Duration::from_millis(950),
            "{story}: only {waited:?} between attempts"
        );
    }
}
