//! Fault 15: a backup of the live store, as the operator's guide tells it, and
//! what a restored copy does and does not.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rusqlite::Connection;

use super::ledger::{Ledger, register, stored};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, binary, write_config};
use crate::sim::world::tempdir::TempDir;

async fn readiness(base: &str) -> String {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let asked = Request::get(format!("{base}/readyz")).body(Body::empty()).unwrap();
    let answer = client.request(asked).await.unwrap().into_body().collect().await.unwrap();
    String::from_utf8(answer.to_bytes().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_15_a_backup_under_load_is_sound_and_holds_all_that_was_acknowledged_before_it_began() {
    let (directory, restored) = (TempDir::new(), TempDir::new());
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    // Some stay pending, so that there is something not to send.
    receiver.answer(|arrival| if arrival.key.is_some_and(|key| key % 5 == 0) { REFUSED } else { TAKEN });
    let load = ledger.start_load(&running.base);
    ledger.grows_by(500).await;
    let acknowledged = ledger.acknowledged();
    let (file, copy) = (directory.path().join("store.db"), restored.path().join("store.db"));
    let backup = tokio::task::spawn_blocking(move || {
        Connection::open(file).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    });
    backup.await.unwrap();
    ledger.grows_by(100).await;
    load.stop().await;
    running.kill();
    std::fs::copy(directory.path().join("store.db.key"), restored.path().join("store.db.key")).unwrap();
    let checked = binary().arg("check").arg("--config").arg(write_config(restored.path())).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));

    // Paused: it takes and tells everything, and sends nothing.
    let mut paused = Running::start(restored.path(), &[("BELLWETHER_DELIVERY__PAUSED", "true")]);
    let there = stored(&caller, &paused.base).await;
    assert!(acknowledged.iter().all(|key| there.contains_key(key)), "all from before the backup is there");
    assert_eq!(readiness(&paused.base).await, "ready; deliveries are paused (delivery.paused)\n");
    assert!(paused.log().contains("deliveries are paused"), "{}", paused.log());
    receiver.answer(|_| TAKEN);
    let before = receiver.count();
    ledger.send(&caller, &paused.base).await.1.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(receiver.count(), before, "nobody is sent anything");
    paused.terminate();
    assert_eq!(paused.ended().await, Some(0), "{}", paused.log());

    // Told to, it delivers what was pending then, and what came since.
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

const TAKEN: (u16, Duration) = (200, Duration::ZERO);
const REFUSED: (u16, Duration) = (500, Duration::ZERO);
