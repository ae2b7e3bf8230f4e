//! Fault 15: a backup of the live store, as the operator's guide tells it, and
//! what a restored copy does and does not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::ledger::{Ledger, register, stored};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, binary, write_config};
use crate::sim::world::tempdir::TempDir;

async fn readiness(base: &str) -> String {
    page(base, "/readyz").await
}

async fn page(base: &str, path: &str) -> String {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let asked = Request::get(format!("{base}{path}")).body(Body::empty()).unwrap();
    let answer = client.request(asked).await.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(answer.to_bytes().to_vec()).unwrap()
}

/// Runs a command on the configuration in `directory`.
fn command(directory: &Path, arguments: &[&str]) -> Output {
    binary().args(arguments).arg("--config").arg(write_config(directory)).output().unwrap()
}

/// It ended so; what it said.
#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// Backs the store in `directory` up; what the command did.
fn back_up(directory: &Path, to: &Path) -> Output {
    command(directory, &["backup", to.to_str().unwrap()])
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_a_backup_under_load_holds_all_acknowledged_before_it_and_sends_nothing_until_told() {
    let (directory, restored) = (TempDir::new(), TempDir::new());
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    // Some stay pending, so that there is something not to send.
    receiver.answer(|arrival| if arrival.key.is_some_and(|key| key % 5 == 0) { REFUSED } else { TAKEN });
    let load = ledger.start_load(&running.base);
    ledger.grows_by(500).await;
    let acknowledged = ledger.acknowledged();
    let (from, to) = (directory.path().to_owned(), restored.path().join("store.db"));
    let copied = tokio::task::spawn_blocking(move || back_up(&from, &to)).await.unwrap();
    assert!(said(&copied, 0).contains("It sends nothing until `bellwether resume`"));
    ledger.grows_by(100).await;
    load.stop().await;
    running.kill();
    std::fs::copy(directory.path().join("store.db.key"), restored.path().join("store.db.key")).unwrap();
    let checked = command(restored.path(), &["check"]);
    said(&checked, 0);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("note: the store is a copy, made at "));

    // By itself, without a word in its configuration, it takes and tells
    // everything, and sends nothing; a restart changes nothing about that.
    receiver.answer(|_| TAKEN);
    let before = receiver.count();
    for round in 1..=2 {
        let mut paused = Running::start(restored.path(), &[]);
        let there = stored(&caller, &paused.base).await;
        assert!(
            acknowledged.iter().all(|key| there.contains_key(key)),
            "all from before the backup is there"
        );
        assert_eq!(readiness(&paused.base).await, COPY, "round {round}");
        let metrics = page(&paused.base, "/metrics").await;
        assert!(metrics.contains("bellwether_deliveries_paused 1\n"), "{metrics}");
        assert!(paused.log().contains("run `bellwether resume`"), "{}", paused.log());
        ledger.send(&caller, &paused.base).await.1.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(receiver.count(), before, "nobody is sent anything in round {round}");
        let too_early = said(&command(restored.path(), &["resume"]), 4);
        assert!(too_early.contains("in use by another process"), "{too_early}");
        paused.terminate();
        assert_eq!(paused.ended().await, Some(0), "{}", paused.log());
    }

    // Told to, it delivers what was pending then, and what came since.
    let told = said(&command(restored.path(), &["resume"]), 0);
    assert!(told.contains("takes the place") && !told.contains(" 0 that are pending"), "{told}");
    assert!(said(&command(restored.path(), &["resume"]), 0).contains("nothing was changed"));
    let running = Running::start(restored.path(), &[]);
    assert_eq!(readiness(&running.base).await, "ready\n");
    caller.quiesce(&running.base).await;
    let arrivals = receiver.arrivals();
    for (key, id) in stored(&caller, &running.base).await {
        let taken = arrivals.iter().filter(|arrival| arrival.id == id && arrival.confirmed.is_some());
        assert!(taken.clone().count() > 0, "change {key} is delivered");
        assert!(
            taken.clone().all(|arrival| arrival.genuine),
            "change {key} is signed by the restored secret"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_a_backup_is_for_its_owner_alone_overwrites_nothing_and_needs_no_server() {
    let (directory, elsewhere) = (TempDir::new(), TempDir::new());
    let copy = elsewhere.path().join("copy.db");
    let none_yet = said(&back_up(directory.path(), &copy), 4);
    assert!(none_yet.contains("there is no store at"), "{none_yet}");
    assert_eq!(files(elsewhere.path()), Vec::<PathBuf>::new());

    let mut running = Running::start(directory.path(), &[]);
    let mut first = None;
    for serving in [true, false] {
        if !serving {
            running.kill();
        }
        // What a backup that was killed has left is in nobody's way.
        std::fs::write(elsewhere.path().join("copy.db.partial"), "half of one").unwrap();
        said(&back_up(directory.path(), &copy), 0);
        assert_eq!(files(elsewhere.path()), std::slice::from_ref(&copy), "nothing is left beside it");
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        first = Some(std::fs::read(&copy).unwrap());
        if serving {
            std::fs::remove_file(&copy).unwrap();
        }
    }
    let refused = said(&back_up(directory.path(), &copy), 1);
    assert!(refused.contains("is there already\nhint: "), "{refused}");
    assert_eq!(std::fs::read(&copy).ok(), first, "it is as it was");
    let nowhere = said(&back_up(directory.path(), &elsewhere.path().join("no/copy.db")), 1);
    assert!(nowhere.contains("hint: check that its directory exists"), "{nowhere}");
    let itself = said(&back_up(directory.path(), &directory.path().join("store.db")), 1);
    assert!(itself.contains("is there already"), "{itself}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_with_delivery_paused_any_store_sends_nothing_and_says_so() {
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut paused = Running::start(directory.path(), &[("BELLWETHER_DELIVERY__PAUSED", "true")]);
    register(&caller, &paused.base, &receiver).await;
    assert_eq!(readiness(&paused.base).await, "ready; deliveries are paused (delivery.paused)\n");
    assert!(paused.log().contains("set delivery.paused to false"), "{}", paused.log());
    ledger.send(&caller, &paused.base).await.1.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.count(), 0, "nobody is sent anything");
    paused.terminate();
    assert_eq!(paused.ended().await, Some(0), "{}", paused.log());
    let running = Running::start(directory.path(), &[]);
    caller.quiesce(&running.base).await;
    assert_eq!(receiver.count(), 1);
}

/// What `/readyz` says of a copy.
const COPY: &str =
    "ready; deliveries are paused (the store is a copy, and `bellwether resume` has not been said)\n";

const TAKEN: (u16, Duration) = (200, Duration::ZERO);
const REFUSED: (u16, Duration) = (500, Duration::ZERO);
