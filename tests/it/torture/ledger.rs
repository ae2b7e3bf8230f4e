//! The generator's books: every change that was sent, what event it owes to the
//! byte, and whether its 200 arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::oracle::{Hash, Known, Sent, judge};
use super::receiver::Receiver;
use crate::process::running::{Caller, PATIENCE};
use crate::sim::world::{ACCOUNT, WABA, notification};

/// Senders at once, and the numbers they speak of.
const SENDERS: u64 = 8;
pub(crate) const NUMBERS: u64 = 40;

/// The time of every change, in seconds and as an event says it.
const SAID_AT: i64 = 1_748_736_000;
const SAID: &str = "2025-06-01T00:00:00.00Z";

/// Attempts that may be under way to the one webhook when the process is killed.
pub(crate) const IN_FLIGHT: usize = 16;

/// The number of the change that an event's limit tells.
pub(crate) fn key(limit: &str) -> Option<u64> {
    limit.strip_prefix("TIER_")?.parse().ok()
}

/// The phone number that change `key` is about.
pub(crate) fn number(key: u64) -> String {
    format!("1555000{:04}", key % NUMBERS)
}

/// The notification of change `key`. It says both limits, so that nothing is
/// to be filled in and the event is known beforehand.
fn body(key: u64) -> Vec<u8> {
    let change = json!({"display_phone_number": number(key), "event": "UPGRADE",
        "current_limit": format!("TIER_{key}"), "old_limit": "TIER_0"});
    notification(SAID_AT, &[change])
}

/// The event that change `key` owes, as published, with that id.
pub(crate) fn event(key: u64, id: &str) -> String {
    format!(
        "{{\"eventId\":\"{id}\",\"timestamp\":\"{SAID}\",\"provider\":\"WhatsApp\",\"businessAccountId\":\"{WABA}\",\
         \"accountId\":\"{ACCOUNT}\",\"eventType\":\"phone_number_quality_update\",\"eventDetails\":{{\
         \"displayPhoneNumber\":\"{}\",\"meta\":{{\"event\":\"UPGRADE\",\"currentLimit\":\"TIER_{key}\",\
         \"oldLimit\":\"TIER_0\"}}}}}}",
        number(key)
    )
}

/// The hash of an event's body without its id, which is not known beforehand.
pub(crate) fn part(body: &[u8]) -> Hash {
    const BEFORE: usize = "{\"eventId\":\"".len();
    let (before, rest) = body.split_at(BEFORE.min(body.len()));
    let after = rest.get(36..).unwrap_or_default();
    let digest = ring::digest::digest(&ring::digest::SHA256, &[before, after].concat());
    digest.as_ref().try_into().unwrap()
}

/// What the generator knows.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    sent: Arc<Mutex<BTreeMap<u64, Sent>>>,
    last: Arc<AtomicU64>,
    replayed: Arc<Mutex<BTreeSet<u64>>>,
}

impl Ledger {
    /// Sends about 500 changes a second until told to stop.
    pub(crate) async fn load(&self, base: &str, stop: Arc<AtomicBool>) {
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..SENDERS {
            let (ledger, base, stop) = (self.clone(), base.to_owned(), Arc::clone(&stop));
            senders.spawn(async move {
                let caller = Caller::new();
                let mut pace = tokio::time::interval(Duration::from_millis(SENDERS * 2));
                while !stop.load(Ordering::Relaxed) {
                    pace.tick().await;
                    ledger.send(&caller, &base).await;
                }
            });
        }
        while senders.join_next().await.is_some() {}
    }

    /// The same, beside the test; [`Load::stop`] ends it.
    pub(crate) fn start_load(&self, base: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (ledger, base, told) = (self.clone(), base.to_owned(), Arc::clone(&stop));
        Load { stop, running: tokio::spawn(async move { ledger.load(&base, told).await }) }
    }

    /// Sends one change; its number and what was answered, if anything was.
    pub(crate) async fn send(&self, caller: &Caller, base: &str) -> (u64, Option<(StatusCode, Value)>) {
        let key = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let part = part(event(key, &"0".repeat(36)).as_bytes());
        self.sent.lock().unwrap().insert(key, Sent { part, acknowledged: false });
        (key, self.post(caller, base, key).await)
    }

    async fn post(&self, caller: &Caller, base: &str, key: u64) -> Option<(StatusCode, Value)> {
        let answer = caller.notify(base, body(key)).await;
        if let Some((StatusCode::OK, _)) = answer {
            self.sent.lock().unwrap().get_mut(&key).unwrap().acknowledged = true;
        }
        answer
    }

    /// Sends one after another until there is no answer: that one's number.
    pub(crate) async fn send_until_gone(&self, caller: &Caller, base: &str) -> u64 {
        for _ in 0..1_000 {
            match self.send(caller, base).await {
                (key, None) => return key,
                (_, Some((status, answer))) => assert_eq!(status, StatusCode::OK, "{answer}"),
            }
        }
        panic!("it goes on and on");
    }

    /// Repeats what was not acknowledged, as Meta does; the receipts. After this
    /// all that was sent is acknowledged.
    pub(crate) async fn repeat_unacknowledged(&self, caller: &Caller, base: &str) -> Vec<Value> {
        let all = self.sent.lock().unwrap().clone();
        let mut receipts = Vec::new();
        for (key, _) in all.into_iter().filter(|(_, sent)| !sent.acknowledged) {
            let (status, receipt) = self.post(caller, base, key).await.unwrap();
            assert_eq!(status, StatusCode::OK, "change {key}: {receipt}");
            receipts.push(receipt);
        }
        receipts
    }

    /// The changes that were acknowledged.
    pub(crate) fn acknowledged(&self) -> BTreeSet<u64> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|(_, sent)| sent.acknowledged).map(|(key, _)| *key).collect()
    }

    /// Repeats every change, acknowledged or not.
    pub(crate) async fn repeat_all(&self, caller: &Caller, base: &str) {
        let all: Vec<u64> = self.sent.lock().unwrap().keys().copied().collect();
        for key in all {
            self.post(caller, base, key).await.unwrap();
        }
    }

    /// Change `key` is replayed.
    pub(crate) fn note_replay(&self, key: u64) {
        self.replayed.lock().unwrap().insert(key);
    }

    /// Waits until so many more changes were acknowledged.
    pub(crate) async fn grows_by(&self, count: usize) {
        let enough = self.acknowledged().len() + count;
        let mut last = (0, Instant::now());
        while self.acknowledged().len() < enough {
            if self.acknowledged().len() > last.0 {
                last = (self.acknowledged().len(), Instant::now());
            }
            assert!(last.1.elapsed() < PATIENCE, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has the oracle judge, and finds nothing.
    pub(crate) async fn check(&self, caller: &Caller, base: &str, receiver: &Receiver) {
        let findings = self.findings(caller, base, receiver).await;
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        let stored = stored(caller, base).await;
        assert!(stored.keys().eq(self.sent.lock().unwrap().keys()), "every change that was sent is stored");
    }

    /// Repeats what was not acknowledged, waits until all is quiet, and has the
    /// oracle judge.
    pub(crate) async fn findings(&self, caller: &Caller, base: &str, receiver: &Receiver) -> Vec<String> {
        self.repeat_unacknowledged(caller, base).await;
        let healed = Instant::now();
        let sent = self.sent.lock().unwrap().clone();
        let backlog = sent.len().saturating_sub(receiver.count());
        caller.quiesce(base).await;
        let drained = healed.elapsed();
        let keys: BTreeMap<String, u64> = listed(caller, base).await.into_iter().collect();
        let exhausted =
            caller.all(base, &format!("/v1/accounts/{ACCOUNT}/deliveries?status=exhausted")).await;
        let shown = exhausted.iter().map(|delivery| keys[delivery["eventId"].as_str().unwrap()]);
        judge(&Known {
            shown: shown.collect(),
            replayed: self.replayed.lock().unwrap().clone(),
            arrivals: receiver.arrivals(),
            ends: receiver.ends(),
            backlog,
            drained,
            sent,
        })
    }
}

/// A load that runs.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    running: tokio::task::JoinHandle<()>,
}

impl Load {
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.running.await.unwrap();
    }
}

/// The events that the API lists, with their changes, each held against what its
/// change owes.
async fn listed(caller: &Caller, base: &str) -> Vec<(String, u64)> {
    let items = caller.all(base, &format!("/v1/accounts/{ACCOUNT}/events")).await;
    let known = |item: &Value| {
        let limit = item["body"]["eventDetails"]["meta"]["currentLimit"].as_str().unwrap();
        let (id, key) = (item["eventId"].as_str().unwrap(), key(limit).unwrap());
        let owed: Value = serde_json::from_str(&event(key, id)).unwrap();
        assert_eq!(item["body"], owed);
        (id.to_owned(), key)
    };
    items.iter().map(known).collect()
}

/// The same by change: one event each.
pub(crate) async fn stored(caller: &Caller, base: &str) -> BTreeMap<u64, String> {
    let mut stored = BTreeMap::new();
    for (id, key) in listed(caller, base).await {
        assert_eq!(stored.insert(key, id), None, "change {key} is two events");
    }
    stored
}

/// Registers the account with `receiver` as its webhook, and tells the receiver
/// how it must be signed.
pub(crate) async fn register(caller: &Caller, base: &str, receiver: &Receiver) {
    caller.register(base, Some(&receiver.url)).await;
    let webhooks = format!("/v1/accounts/{ACCOUNT}/webhooks");
    let listed = caller.all(base, &webhooks).await;
    let path = format!("{webhooks}/{}/secret", listed[0]["webhookId"].as_str().unwrap());
    let (_, secret) = caller.call(base, Method::GET, &path, Value::Null).await.unwrap();
    receiver.expect_signed_with(secret["secret"].as_str().unwrap());
}
