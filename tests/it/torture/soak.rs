//! Fault 13: the log is emptied again and again, beside the writer and readers.
//! SQLite before 3.51.3 could lose committed pages in that race.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::Value;

use super::ledger::{self, Ledger, event, register};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, binary, long, write_config};
use crate::sim::world::{ACCOUNT, tempdir::TempDir};

/// Empties the log whenever that is possible, from outside, until told to stop;
/// how often there was something in it and then nothing.
async fn empty_the_log(file: PathBuf, stop: Arc<AtomicBool>) -> usize {
    let outside = Connection::open(&file).unwrap();
    outside.busy_timeout(Duration::from_millis(5)).unwrap();
    let (log, mut emptied) = (file.with_extension("db-wal"), 0);
    while !stop.load(Ordering::Relaxed) {
        let filled = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
        let busy = outside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        emptied += usize::from(filled && busy.is_ok_and(|busy| busy == 0));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    emptied
}

/// Reads the newest page of events until told to stop, each held against what
/// its change owes; how many were read.
async fn read_on(base: String, stop: Arc<AtomicBool>) -> usize {
    let (caller, mut read) = (Caller::new(), 0);
    let path = format!("/v1/accounts/{ACCOUNT}/events?limit=200");
    while !stop.load(Ordering::Relaxed) {
        let (status, page) = caller.call(&base, Method::GET, &path, Value::Null).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{page}");
        for item in page["items"].as_array().unwrap() {
            let limit = item["body"]["eventDetails"]["meta"]["currentLimit"].as_str().unwrap();
            let owed = event(ledger::key(limit).unwrap(), item["eventId"].as_str().unwrap());
            assert_eq!(item["body"], serde_json::from_str::<Value>(&owed).unwrap());
            read += 1;
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_13_a_log_emptied_again_and_again_beside_the_writer_and_readers_loses_nothing() {
    let span = Duration::from_secs(if long() { 30 * 60 } else { 4 });
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (file, told) = (directory.path().join("store.db"), Arc::clone(&stop));
    let emptying = tokio::spawn(empty_the_log(file, told));
    let readers = [(); 2].map(|()| tokio::spawn(read_on(running.base.clone(), Arc::clone(&stop))));
    let load = ledger.start_load(&running.base);
    tokio::time::sleep(span).await;
    load.stop().await;
    stop.store(true, Ordering::Relaxed);
    let emptied = emptying.await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    println!("{} acknowledged, the log was emptied {emptied} times", ledger.acknowledged().len());
    assert!(emptied > 20, "only {emptied} times");
    ledger.check(&caller, &running.base, &receiver).await;
    running.kill();
    let checked = binary().arg("check").arg("--config").arg(write_config(directory.path())).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));
}
