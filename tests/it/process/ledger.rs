//! The outside ledger: what was sent and acknowledged, held against what
//! arrived and what the API shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::Clock;

use super::running::{Arrived, Caller, Listening, PATIENCE};
use crate::sim::world::{ACCOUNT, notification, upgrade};

/// Senders at once, and the numbers they speak of.
const SENDERS: u64 = 8;
const NUMBERS: u64 = 40;

/// What the outside knows.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    sent: Arc<AtomicU64>,
}

impl Ledger {
    /// Sends about 500 changes a second, each with a limit of its own, until
    /// told to stop.
    pub(crate) async fn load(&self, base: &str, stop: Arc<AtomicBool>) {
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..SENDERS {
            let (ledger, base, stop) = (self.clone(), base.to_owned(), Arc::clone(&stop));
            senders.spawn(async move {
                let caller = Caller::new();
                let mut pace = tokio::time::interval(Duration::from_millis(SENDERS * 2));
                while !stop.load(Ordering::Relaxed) {
                    pace.tick().await;
                    ledger.send_one(&caller, &base).await;
                }
            });
        }
        while senders.join_next().await.is_some() {}
    }

    async fn send_one(&self, caller: &Caller, base: &str) {
        let n = self.sent.fetch_add(1, Ordering::Relaxed);
        let limit = format!("TIER_{n}");
        let body = notification(Clock::system().now().seconds(), &[upgrade(n % NUMBERS, &limit)]);
        if let Some((StatusCode::OK, _)) = caller.notify(base, body).await {
            self.acknowledged.lock().unwrap().insert(limit);
        }
    }

    /// Waits until so many more changes were acknowledged.
    pub(crate) async fn grows_by(&self, count: usize) {
        let enough = self.acknowledged() + count;
        let mut last = (0, tokio::time::Instant::now());
        while self.acknowledged() < enough {
            if self.acknowledged() > last.0 {
                last = (self.acknowledged(), tokio::time::Instant::now());
            }
            assert!(last.1.elapsed() < PATIENCE, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// LOST, PHANTOM, order, and at most `budget` arrivals of what had been
    /// confirmed before.
    pub(crate) async fn check(&self, caller: &Caller, base: &str, receiver: &Listening, budget: usize) {
        caller.quiesce(base).await;
        let arrived = receiver.arrived();
        let limits: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.limit).collect();
        let exhausted =
            caller.all(base, &format!("/v1/accounts/{ACCOUNT}/deliveries?status=exhausted")).await;
        assert!(exhausted.is_empty(), "the receiver always answered 200");
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        let lost: Vec<&String> = acknowledged.iter().filter(|limit| !limits.contains(limit)).collect();
        assert!(lost.is_empty(), "LOST {lost:?}");
        let sent = self.sent.load(Ordering::Relaxed);
        let known = |limit: &str| {
            limit.strip_prefix("TIER_").and_then(|n| n.parse().ok()).is_some_and(|n: u64| n < sent)
        };
        assert!(arrived.iter().all(|arrived| known(&arrived.limit)), "PHANTOM");
        let ids: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.id).collect();
        assert_eq!(ids.len(), limits.len(), "each change is one event");
        let doubled = arrived.len() - ids.len();
        assert!(doubled <= budget, "DUP: {doubled} doubled, at most {budget} allowed");
        check_order(&arrived);
    }
}

fn check_order(arrived: &[Arrived]) {
    let mut last: BTreeMap<&str, (i64, u32)> = BTreeMap::new();
    for arrived in arrived {
        let now = (arrived.sequence, arrived.attempt);
        let before = last.insert(&arrived.number, now).unwrap_or((0, 0));
        let next_attempt = now.0 == before.0 && now.1 > before.1;
        let next_event = now.0 == before.0 + 1;
        assert!(next_attempt || next_event, "ORDER of {}: {now:?} after {before:?}", arrived.number);
    }
}
