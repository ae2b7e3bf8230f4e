//! Faults 9 and 10: what was on the disk is not what was written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::http::Method;
use bellwether::config::FAILPOINT_EXIT_CODE;
use bellwether::env::{Clock, Entropy, Faults};
use bellwether::store::catalog::EventQuery;
use bellwether::store::sqlite::{Mode, Options, Sqlite};
use bellwether::store::{Catalog, Error, ErrorKind, Handover};
use bellwether::telemetry::Metrics;
use rusqlite::Connection;
use serde_json::Value;

use super::ledger::{self, Ledger, event, register, stored};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, binary, long, write_config};
use crate::sim::world::{ACCOUNT, tempdir::TempDir};

const PAUSED: (&str, &str) = ("BELLWETHER_DELIVERY__PAUSED", "true");

/// The files that make up a store with its key.
const FILES: [&str; 3] = ["store.db", "store.db-wal", "store.db.key"];

/// A copy of the store in `from`, in a directory of its own.
fn copy(from: &Path) -> TempDir {
    let to = TempDir::new();
    for file in FILES.iter().filter(|file| from.join(file).exists()) {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

/// Opens the store in `directory` as a server would, and reads all its events:
/// their bodies by change, each held against what was sent. A store that can't
/// be opened, or that ended at the reading, is an error.
async fn events(directory: &Path) -> Result<BTreeMap<u64, String>, Error> {
    let path = directory.join("store.db");
    let options = Options { path, lease_ms: 1_000, queue: 9, mode: Mode::Inline };
    let (handover, now) = (Arc::new(Handover::new(1, 1)), Clock::system().now());
    let store = Sqlite::open(&options, handover, Faults::none(), Metrics::new(), now)?;
    let mut found = BTreeMap::new();
    let account = ACCOUNT.parse().unwrap();
    let mut query = EventQuery {
        account,
        number: None,
        event_type: None,
        since: None,
        until: None,
        before: None,
        limit: 500,
    };
    loop {
        let page = match store.events(query.clone()).await {
            Ok(page) => page,
            Err(error) => {
                assert!(store.damaged().borrow().is_some(), "{error}: the process would go on");
                return Err(error);
            }
        };
        for row in page.items {
            let body = String::from_utf8(row.body.clone()).unwrap();
            let told: Value = serde_json::from_str(&body).unwrap();
            let limit = told["eventDetails"]["meta"]["currentLimit"].as_str().unwrap();
            let key = ledger::key(limit).unwrap();
            assert_eq!(body, event(key, &row.id.to_string()));
            assert_eq!(found.insert(key, body), None, "change {key} is two events");
        }
        match page.next {
            Some(next) => query.before = Some(next),
            None => return Ok(found),
        }
    }
}

/// A store whose last commit was never acknowledged, since the process ended
/// between the two.
async fn left_unanswered() -> (TempDir, Ledger, u64) {
    let directory = TempDir::new();
    let (caller, ledger) = (Caller::new(), Ledger::default());
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    running.kill();
    let mut running = Running::start(directory.path(), &[("BELLWETHER_FAILPOINT", "after_commit=exit:60")]);
    let unanswered = ledger.send_until_gone(&caller, &running.base).await;
    assert_eq!(running.ended().await, Some(FAILPOINT_EXIT_CODE));
    (directory, ledger, unanswered)
}

/// The ways in which the last `count` bytes of a log may be torn.
fn torn(log: &[u8], count: usize) -> [(&'static str, Vec<u8>); 3] {
    let (kept, lost) = log.split_at(log.len() - count);
    let flipped: Vec<u8> = lost.iter().map(|byte| !byte).collect();
    let first_bit: Vec<u8> = lost.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 0)).collect();
    [
        ("cut off", kept.to_vec()),
        ("flipped", [kept, &flipped].concat()),
        ("a bit flipped", [kept, &first_bit].concat()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_9_of_a_torn_log_only_the_unacknowledged_tail_is_missing() {
    let (directory, ledger, unanswered) = left_unanswered().await;
    let acknowledged = ledger.acknowledged();
    let whole = events(copy(directory.path()).path()).await.unwrap();
    assert!(whole.contains_key(&unanswered), "it was committed");
    let log = std::fs::read(directory.path().join("store.db-wal")).unwrap();
    let counts: Vec<usize> = if long() {
        (1..=4096).collect()
    } else {
        vec![1, 2, 8, 23, 24, 25, 511, 512, 513, 1024, 2048, 4072, 4095, 4096]
    };
    for count in counts {
        for (how, log) in torn(&log, count) {
            let copied = copy(directory.path());
            std::fs::write(copied.path().join("store.db-wal"), log).unwrap();
            let events = events(copied.path()).await.unwrap();
            assert!(events.keys().eq(&acknowledged), "{count} bytes {how}: {:?}", events.keys());
        }
    }
    // The program itself takes what is missing when Meta repeats it.
    let copied = copy(directory.path());
    std::fs::write(copied.path().join("store.db-wal"), &log[..log.len() - 1]).unwrap();
    let (caller, running) = (Caller::new(), Running::start(copied.path(), &[]));
    let receipts = ledger.repeat_unacknowledged(&caller, &running.base).await;
    assert_eq!(receipts[0]["accepted"], 1, "{receipts:?}");
    assert_eq!(stored(&caller, &running.base).await.len(), whole.len());
}

const PAGE: usize = 4096;

/// A store with a few hundred events to be delivered, left cleanly: one file.
async fn at_rest() -> (TempDir, Ledger) {
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut running = Running::start(directory.path(), &[PAUSED]);
    register(&caller, &running.base, &receiver).await;
    let load = ledger.start_load(&running.base);
    ledger.grows_by(400).await;
    load.stop().await;
    running.terminate();
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    // Whoever is the last to close it leaves one file.
    let last = Connection::open(directory.path().join("store.db")).unwrap();
    last.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(last);
    assert!(!directory.path().join("store.db-wal").exists());
    (directory, ledger)
}

/// What becomes of a file: a bit flipped where a page says how it is laid out, a
/// page of noise, a page of zeros, or a page that was written in another's place.
fn damage(file: &mut [u8], chance: &Entropy) -> String {
    let pages = file.len() / PAGE;
    let below = |bound: usize| usize::try_from(chance.below(bound as u64)).unwrap();
    // The first page is known by its name; others have tables and indexes.
    let page = 1 + below(pages - 1);
    let start = page * PAGE;
    match chance.below(6) {
        0 => {
            (0..PAGE / 32)
                .for_each(|at| file[start + 32 * at..][..32].copy_from_slice(&chance.bytes::<32>()));
            format!("page {page} is noise")
        }
        1 => {
            file[start..start + PAGE].fill(0);
            format!("page {page} is empty")
        }
        2 => {
            let other = 1 + (page + below(pages - 2)) % (pages - 1);
            file.copy_within(other * PAGE..(other + 1) * PAGE, start);
            format!("page {page} is {other}'s")
        }
        _ => {
            let inner = matches!(file[start], 2 | 5);
            let cells = usize::from(u16::from_be_bytes([file[start + 3], file[start + 4]]));
            let at = below(if inner { 12 } else { 8 } + 2 * cells.min(100));
            let bit = below(8);
            file[start + at] ^= 1 << bit;
            format!("bit {bit} of byte {at} of page {page} is flipped")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_10_a_damaged_page_is_refused_at_start_or_met_by_the_first_read_and_no_event_is_skipped() {
    let seed = Entropy::from_system().u64();
    println!("seed {seed}");
    let chance = Entropy::seeded(seed);
    let (directory, ledger) = at_rest().await;
    let sound = std::fs::read(directory.path().join("store.db")).unwrap();
    assert!(sound.len() / PAGE > 40);
    let (mut refused, mut met, mut harmless) = (0, 0, 0);
    let rounds = if long() { 3_000 } else { 120 };
    for _ in 0..rounds {
        let mut file = sound.clone();
        let what = damage(&mut file, &chance);
        let copied = TempDir::new();
        std::fs::write(copied.path().join("store.db"), file).unwrap();
        match events(copied.path()).await {
            Ok(events) => {
                assert!(events.keys().eq(&ledger.acknowledged()), "{what}: {} events", events.len());
                harmless += 1;
            }
            Err(error) if error.kind == ErrorKind::Damaged => met += 1,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unusable, "{what}: {error}");
                assert!(error.message.contains("is damaged") && error.message.contains("hint: "), "{error}");
                refused += 1;
            }
        }
    }
    println!("of {rounds}: {refused} refused at start, {met} met at the first read, {harmless} harmless");
    assert!(refused > rounds / 2, "of {rounds}: {refused} refused, {met} met, {harmless} harmless");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_10_damage_that_a_running_server_meets_ends_it_and_it_does_not_start_again() {
    let (directory, ledger) = at_rest().await;
    let caller = Caller::new();
    let mut running = Running::start(directory.path(), &[PAUSED]);
    assert_eq!(stored(&caller, &running.base).await.len(), ledger.acknowledged().len());
    running.kill();
    let mut running = Running::start(directory.path(), &[PAUSED]);
    let file = directory.path().join("store.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // All but the first page and the schema's: in place, under the server's eyes.
    bytes[8 * PAGE..].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let events = format!("/v1/accounts/{ACCOUNT}/events?limit=500");
    if let Some((status, answer)) = caller.call(&running.base, Method::GET, &events, Value::Null).await {
        assert!(status.is_server_error(), "{status} {answer}");
    }
    assert_eq!(running.ended().await, Some(4), "{}", running.log());
    running.logs("hint: ").await;
    assert!(running.log().contains("the store is damaged"), "{}", running.log());
    let before = ledger.acknowledged().len();
    let (_, answer) = ledger.send(&caller, &running.base).await;
    assert!(answer.is_none() && ledger.acknowledged().len() == before, "nothing is acknowledged any more");
    let again = binary().arg("serve").arg("--config").arg(write_config(directory.path())).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(4), "{said}");
    assert!(said.contains("is damaged") && said.contains("restore a backup"), "{said}");
}
