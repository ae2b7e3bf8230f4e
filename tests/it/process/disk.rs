//! Faults 16 to 19, 21 and 23: a disk that fails, fills up, is not there or may
//! not be written, and a log that grows. Nothing unstored is acknowledged, what
//! is stored is delivered, and what can end by itself does.

use std::path::Path;
use std::time::Duration;

use super::nemesis::{Answer, Ending, Poster, SmallDisk, long_body, many_changes, meddle, pending, run};
use super::running::{Caller, Listening, PATIENCE, Running, binary, long, within, write_config};
use crate::sim::world::{notification, tempdir::TempDir, upgrade};
use crate::torture::ledger::{Ledger, register};
use crate::torture::receiver::Receiver;

/// It takes a second or two to notice that the disk is full, or is not any more; a
/// busy machine has some more.
const SOON: Duration = Duration::from_secs(15);

/// The catalogue's bounds for refusing and for taking again, where nothing else has the
/// processor.
fn within_long(bound_s: u64) -> Duration {
    if long() { Duration::from_secs(bound_s) } else { SOON }
}

/// A change of no other's number, time and limit.
fn change(n: u64) -> Vec<u8> {
    notification(1_748_736_000, &[upgrade(5_000 + n % 100, &format!("LATER_{n}"))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_an_fsync_that_fails_ends_the_process_with_code_5_and_nothing_acknowledged_is_lost() {
    let rounds = if long() { 30 } else { 2 };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    for round in 0..rounds {
        let load = ledger.start_load(&running.base);
        ledger.grows_by(50).await;
        // Once, and for ever.
        let when = if round % 2 == 0 { format!("{}", 1 + round) } else { format!("{}+", 1 + round) };
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
        let _meddling = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", &inject]);
        assert_eq!(running.ended().await, Some(5), "{}", running.log());
        receiver.note_end().await;
        load.stop().await;
        assert!(running.log().contains("the store can't go on"), "{}", running.log());
        running = Running::start(directory.path(), &[]);
    }
    ledger.check(&caller, &running.base, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_of_a_server_that_answers_before_it_commits_the_ledger_finds_lost_events() {
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    // The log is begun anew with each commit: the first sync is that of its head.
    let weakened = [("BELLWETHER_FAILPOINT", "log_frames=1,answer_before_commit")];
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    running.kill();
    let mut running = Running::start(directory.path(), &weakened);
    let mut findings = Vec::new();
    // Whether an answer is on its way at that moment is chance: tried until it is.
    for when in [1, 2, 3, 4].repeat(3) {
        let load = ledger.start_load(&running.base);
        ledger.grows_by(20).await;
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
        let _meddling = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", &inject]);
        assert_eq!(running.ended().await, Some(5), "{}", running.log());
        receiver.note_end().await;
        load.stop().await;
        running = Running::start(directory.path(), &weakened);
        findings = ledger.findings(&caller, &running.base, &receiver).await;
        if findings.iter().any(|finding| finding.starts_with("LOST")) {
            return;
        }
    }
    panic!("nothing is lost: {}", findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_what_an_fsync_failed_for_is_not_acknowledged_and_its_repeat_is_taken() {
    let directory = TempDir::new();
    let (caller, poster) = (Caller::new(), Poster::new());
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    assert!(poster.post(&running.base, change(1)).await.unwrap().is_taken());
    let inject = "inject=fsync,fdatasync:error=EIO:when=1";
    let _meddling = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", inject]);
    let answer = poster.post(&running.base, change(2)).await;
    assert!(answer.is_none_or(|answer| answer.is_refusal()), "no 200 without its fsync");
    assert_eq!(running.ended().await, Some(5), "{}", running.log());
    let running = Running::start(directory.path(), &[]);
    assert!(poster.post(&running.base, change(2)).await.unwrap().is_taken());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_16_an_fsync_that_fails_while_the_log_is_copied_back_ends_the_process_too() {
    let directory = TempDir::new();
    let poster = Poster::new();
    let mut running = Running::start(directory.path(), &[]);
    let store = directory.path().join("store.db").display().to_string();
    // Of the store's file alone: commits sync the log.
    let how = ["-P", &store, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"];
    let _meddling = meddle(&running, &how);
    for n in 0..20 {
        match poster.post(&running.base, long_body(n)).await {
            Some(answer) => assert!(answer.is_taken() || answer.is_refusal(), "{answer:?}"),
            None => break,
        }
    }
    assert_eq!(running.ended().await, Some(5), "{}", running.log());
    let running = Running::start(directory.path(), &[]);
    assert!(poster.post(&running.base, long_body(0)).await.unwrap().text.contains("\"duplicate\":1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_on_a_full_disk_nothing_new_is_taken_what_is_stored_is_delivered_and_it_recovers_by_itself()
{
    let directory = TempDir::new();
    let disk = SmallDisk::new(directory.path(), 48);
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let running = disk.start(directory.path());
    caller.register(&running.base, Some(&receiver.url)).await;
    receiver.answer_after(Duration::from_millis(100));
    assert!(poster.post(&running.base, many_changes(300)).await.unwrap().is_taken());
    disk.fill();
    let filled = tokio::time::Instant::now();
    let mut taken = 300;
    let mut n = 0;
    let next = || {
        n += 1;
        change(n)
    };
    let refused = poster.until(&running.base, next, Answer::is_refusal).await;
    assert!(refused.text.contains("try again"), "{refused:?}");
    assert!(filled.elapsed() < within_long(1), "refused after {:?}", filled.elapsed());
    taken += usize::try_from(n - 1).unwrap();
    let arrived_then = receiver.arrived().len();
    assert!(arrived_then < 300, "there is something left to deliver");
    caller.quiesce(&running.base).await;
    receiver.has_each_of(taken);
    assert_eq!(poster.metric(&running.base, "bellwether_store_no_space{reason=\"disk\"}").await, 1);
    assert!(running.log().contains("hint: free space"), "{}", running.log());
    let still = poster.post(&running.base, change(500)).await.unwrap();
    assert!(still.is_refusal(), "{still:?}");
    disk.empty();
    let freed = tokio::time::Instant::now();
    poster.until(&running.base, || change(501), Answer::is_taken).await;
    assert!(freed.elapsed() < within_long(10), "taken again after {:?}", freed.elapsed());
    caller.quiesce(&running.base).await;
    receiver.has_each_of(taken + 1);
    assert_eq!(poster.metric(&running.base, "bellwether_store_no_space{reason=\"disk\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_and_83_it_stops_cleanly_on_a_full_disk_and_starts_on_one_to_deliver_what_is_stored() {
    let directory = TempDir::new();
    let disk = SmallDisk::new(directory.path(), 48);
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    receiver.answer_after(Duration::from_millis(300));
    let mut running = disk.start(directory.path());
    caller.register(&running.base, Some(&receiver.url)).await;
    assert!(poster.post(&running.base, many_changes(200)).await.unwrap().is_taken());
    disk.fill();
    poster.until(&running.base, || change(1), Answer::is_refusal).await;
    running.terminate();
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    let arrived = receiver.arrived().len();
    assert!((1..200).contains(&arrived), "{arrived} arrived before it stopped");
    // Not a byte is left, and the reserve was given up: start all the same.
    receiver.answer_after(Duration::ZERO);
    let running = disk.start(directory.path());
    caller.quiesce(&running.base).await;
    assert!(poster.post(&running.base, change(1)).await.unwrap().is_refusal());
    receiver.has_each_of(200);
    assert!(
        receiver.arrived().iter().all(|arrived| arrived.attempt == 1),
        "what was not sent is not counted"
    );
    disk.empty();
    poster.until(&running.base, || change(1), Answer::is_taken).await;
    caller.quiesce(&running.base).await;
    drop(running);
    // Filled while it is down: the reserve is what it starts with.
    disk.fill();
    let running = disk.start(directory.path());
    // What the log had taken before is its own still.
    let mut n = 1;
    let next = || {
        n += 1;
        change(n)
    };
    poster.until(&running.base, next, Answer::is_refusal).await;
    caller.quiesce(&running.base).await;
    receiver.has_each_of(200 + usize::try_from(n - 1).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_18_a_write_without_space_wherever_it_falls_loses_and_doubles_nothing() {
    let sweep: Vec<u32> = if long() { (1..=100).collect() } else { vec![1, 2, 3, 5, 9] };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    let load = ledger.start_load(&running.base);
    for n in sweep {
        let failures = running.log().matches("a group of writes failed").count();
        let inject = format!("inject=pwrite64:error=ENOSPC:when={n}");
        let meddling = meddle(&running, &["-e", "trace=pwrite64", "-e", &inject]);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while running.log().matches("a group of writes failed").count() == failures {
            assert!(tokio::time::Instant::now() < deadline, "write {n} did not fail");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(meddling);
        ledger.grows_by(20).await;
        assert!(running.child.try_wait().unwrap().is_none(), "{}", running.log());
    }
    load.stop().await;
    ledger.check(&caller, &running.base, &receiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_19_a_limit_on_the_size_of_files_is_a_full_disk_and_no_deadly_signal() {
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let running = Running::start(directory.path(), &[]);
    let pid = running.child.id().to_string();
    caller.register(&running.base, Some(&receiver.url)).await;
    receiver.answer_after(Duration::from_secs(2));
    assert!(poster.post(&running.base, many_changes(60)).await.unwrap().is_taken());
    run(&["prlimit", "--pid", &pid, "--fsize=20000000:unlimited"]);
    let mut n = 0;
    let next = || {
        n += 1;
        long_body(n)
    };
    poster.until(&running.base, next, Answer::is_refusal).await;
    assert!(pending(&caller, &running.base).await > 0, "there is something left to deliver");
    receiver.answer_after(Duration::ZERO);
    caller.quiesce(&running.base).await;
    receiver.has_each_of(60);
    assert!(poster.post(&running.base, change(1)).await.unwrap().is_refusal());
    run(&["prlimit", "--pid", &pid, "--fsize=unlimited"]);
    poster.until(&running.base, || change(1), Answer::is_taken).await;
    caller.quiesce(&running.base).await;
    receiver.has_each_of(61);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_21_a_log_held_by_another_programs_read_is_warned_of_bounded_and_short_afterwards() {
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let store = directory.path().join("store.db");
    let log = || std::fs::metadata(directory.path().join("store.db-wal")).unwrap().len();
    let reader = rusqlite::Connection::open(&store).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
    let began = tokio::time::Instant::now();
    let mut n = 0;
    let next = || {
        n += 1;
        long_body(n)
    };
    poster.until(&running.base, next, Answer::is_refusal).await;
    println!("the log is {} MiB after {n} notifications in {:?}", log() >> 20, began.elapsed());
    let logged = running.log();
    assert!(
        logged.contains("the store's log grows") && logged.contains("end that program's read"),
        "{logged}"
    );
    assert!((256 << 20..270 << 20).contains(&log()), "{}", log());
    assert!(poster.metric(&running.base, "bellwether_store_log_bytes").await > 200_000_000);
    assert_eq!(poster.metric(&running.base, "bellwether_store_no_space{reason=\"log\"}").await, 1);
    reader.execute_batch("COMMIT").unwrap();
    poster.until(&running.base, || change(1), Answer::is_taken).await;
    caller.quiesce(&running.base).await;
    receiver.has_each_of(1);
    assert!(log() < 32 << 20, "{}", log());
}

/// Starts a server that must not start; what it says.
fn refused_to_start(prefix: &[&str], directory: &Path) -> String {
    let file = write_config(directory);
    let mut command = binary();
    command.arg("serve").arg("--config").arg(file);
    let ran = within(prefix, command).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(matches!(ran.status.code(), Some(3 | 4)), "{said}");
    said
}

#[test]
fn fault_23_a_directory_that_is_read_only_or_not_ours_or_missing_is_refused_at_the_start() {
    let directory = TempDir::new();
    let place = directory.path().display().to_string();
    let read_only = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let said = refused_to_start(&["unshare", "--mount", "sh", "-c", read_only, &place], directory.path());
    assert!(said.contains("Read-only file system") && said.contains("hint:"), "{said}");
    // Root without its privileges is a user like any other.
    run(&["chown", "65534:65534", &place]);
    run(&["chmod", "755", &place]);
    let powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"];
    let said = refused_to_start(&powerless, directory.path());
    assert!(said.contains("Permission denied") && said.contains("hint:"), "{said}");
    let file = write_config(directory.path());
    let nowhere = directory.path().join("nowhere/store.db").display().to_string();
    let text = std::fs::read_to_string(&file).unwrap();
    let store = directory.path().join("store.db").display().to_string();
    std::fs::write(&file, text.replace(&store, &nowhere)).unwrap();
    let ran = binary().arg("serve").arg("--config").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(4), "{said}");
    assert!(said.contains("nowhere does not exist") && said.contains("hint:"), "{said}");
}

/// While `broken` and its result live nothing new is taken; then it is again.
async fn is_refused_while<T>(broken: impl FnOnce(&Running, &Path) -> T, mend: impl FnOnce(T)) {
    let directory = TempDir::new();
    let state = directory.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let url = format!("sqlite:{}", state.join("store.db").display());
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let mut running = Running::start(directory.path(), &[("BELLWETHER_STORE__URL", &url)]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let fault = broken(&running, &state);
    let mut n = 0;
    let next = || {
        n += 1;
        change(n)
    };
    poster.until(&running.base, next, Answer::is_refusal).await;
    let taken = usize::try_from(n - 1).unwrap();
    assert!(running.child.try_wait().unwrap().is_none(), "{}", running.log());
    mend(fault);
    poster.until(&running.base, || change(100), Answer::is_taken).await;
    caller.quiesce(&running.base).await;
    receiver.has_each_of(taken + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_23_a_disk_that_becomes_read_only_while_it_runs_is_like_a_full_one() {
    let inject = "inject=pwrite64:error=EROFS";
    is_refused_while(|running, _| meddle(running, &["-e", "trace=pwrite64", "-e", inject]), drop::<Ending>)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_23_a_directory_that_is_moved_away_while_it_runs_is_like_a_full_disk_until_it_is_back() {
    let moved = |_: &Running, state: &Path| {
        let elsewhere = state.with_extension("elsewhere");
        std::fs::rename(state, &elsewhere).unwrap();
        (state.to_owned(), elsewhere)
    };
    is_refused_while(moved, |(state, elsewhere)| std::fs::rename(elsewhere, state).unwrap()).await;
}
