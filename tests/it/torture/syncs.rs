//! Faults 2 and 12: killed at every sync, and no 200 before the sync that
//! covers it.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::{Ledger, register};
use super::receiver::Receiver;
use super::traced::{SYNCS, Told, read, serve_traced};
use crate::process::running::{Caller, PATIENCE, Running, binary, long, write_config};
use crate::sim::world::tempdir::TempDir;

/// SIGKILL.
const KILLED: i32 = 9;

/// `bellwether check` looks at every page and every index.
fn is_sound(directory: &Path) {
    let checked = binary().arg("check").arg("--config").arg(write_config(directory)).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{said}");
}

/// Kills a server with `variables` at each of these syncs of a thread, under load;
/// what the oracle finds at the end, of a server as it should be.
async fn killed_at(syncs: &[u32], variables: &[(&str, &str)]) -> Vec<String> {
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    running.kill();
    for nth in syncs {
        // Without its filter (--seccomp-bpf), under which strace does not count.
        let inject = format!("inject={SYNCS}:signal=KILL:when={nth}");
        let options = ["-o", "/dev/null", "-e", &format!("trace={SYNCS}"), "-e", &inject];
        let mut command = serve_traced(directory.path(), &options);
        let status = match Running::spawn(command.envs(variables.iter().copied())) {
            Err((status, _)) => {
                receiver.note_end().await;
                status
            }
            Ok(mut running) => {
                let load = ledger.start_load(&running.base);
                let deadline = Instant::now() + PATIENCE;
                let status = loop {
                    if let Some(status) = running.child.try_wait().unwrap() {
                        break status;
                    }
                    assert!(Instant::now() < deadline, "sync {nth} does not come");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                receiver.note_end().await;
                load.stop().await;
                status
            }
        };
        assert_eq!(status.signal(), Some(KILLED), "at sync {nth}");
        is_sound(directory.path());
    }
    let running = Running::start(directory.path(), &[]);
    assert!(ledger.acknowledged().len() > syncs.len());
    ledger.findings(&caller, &running.base, &receiver).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_2_killed_at_any_sync_it_loses_nothing_and_the_file_is_sound() {
    // The first of a thread are those of opening the store; the writer has its own.
    let syncs = if long() { (1..=200).collect() } else { vec![1, 2, 3, 4, 5, 6, 9, 14, 33] };
    let findings = killed_at(&syncs, &[]).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// A server that copies its log back after every commit: each then begins the log
/// anew and syncs its head before it writes, and the copy syncs the log and the
/// store's file.
const COPIES_BACK: &str = "log_frames=1";

/// One after another, so that there are some of each kind; not the first ones,
/// which come before anything is acknowledged.
fn of_each_kind() -> Vec<u32> {
    if long() { (1..=100).collect() } else { (31..=38).collect() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_2_killed_at_any_sync_of_copying_the_log_back_it_loses_nothing_and_the_file_is_sound() {
    let findings = killed_at(&of_each_kind(), &[("BELLWETHER_FAILPOINT", COPIES_BACK)]).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_2_of_a_server_that_answers_before_it_commits_the_oracle_finds_lost_events() {
    let weakened = format!("{COPIES_BACK},answer_before_commit");
    let findings = killed_at(&of_each_kind(), &[("BELLWETHER_FAILPOINT", &weakened)]).await;
    assert!(findings.iter().any(|finding| finding.starts_with("LOST")), "{}", findings.join("\n"));
}

/// Lets a traced server acknowledge `count` changes; what was acknowledged, and
/// what the record tells.
async fn acknowledged(count: usize, variables: &[(&str, &str)]) -> (BTreeSet<u64>, Told) {
    let directory = TempDir::new();
    let record = directory.path().join("record");
    let calls = format!("trace={SYNCS},pwrite64,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg");
    let options = ["--seccomp-bpf", "-ttt", "-s", "8000", "-o", record.to_str().unwrap(), "-e", &calls];
    let mut command = serve_traced(directory.path(), &options);
    let mut running = Running::spawn(command.envs(variables.iter().copied())).unwrap();
    let (caller, ledger) = (Caller::new(), Ledger::default());
    caller.register(&running.base, None).await;
    let load = ledger.start_load(&running.base);
    ledger.grows_by(count).await;
    load.stop().await;
    running.kill();
    let told = loop {
        // strace writes to the end, and then that the process has ended.
        let text = std::fs::read(&record).unwrap();
        let text = String::from_utf8_lossy(&text);
        if text.trim_end().ends_with("+++ killed by SIGKILL +++") {
            break read(&text);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    (ledger.acknowledged(), told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_12_no_200_goes_out_before_the_sync_that_covers_it_has_come_back() {
    let (acknowledged, told) = acknowledged(if long() { 2_000 } else { 200 }, &[]).await;
    assert!(told.uncovered.is_empty(), "{}", told.uncovered.join("\n"));
    assert_eq!(told.covered, acknowledged, "each acknowledgement is in the record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_12_of_a_server_that_does_not_sync_its_commits_the_record_tells() {
    let weakened = [("BELLWETHER_FAILPOINT", "synchronous_normal")];
    let (acknowledged, told) = acknowledged(50, &weakened).await;
    assert!(told.uncovered.len() > acknowledged.len() / 2, "{told:?}");
}
