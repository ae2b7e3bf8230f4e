//! What comes again: the same bytes, at once and days later (fault 37), and the
//! same changes in batches cut anew (fault 38). And a post of several accounts,
//! which is stored whole or not at all (fault 41).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::env::{Clock, Entropy, Fault, Faults, Point};
use bellwether::policy::signature::MetaKey;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::running::{Caller, Listening, Running, long};
use crate::sim::world::{
    ACCOUNT, EPOCH_MS, SECOND_SECRET, Terms, WABA, World, answer, notification, simulate, simulate_with,
    tempdir::TempDir, upgrade,
};

/// The same bytes come this often at once.
const TIMES: usize = 10;

#[test]
fn fault_37_the_same_bytes_ten_times_and_seven_days_later_are_one_event() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K"), upgrade(2, "TIER_1K")]);
        let mut accepted = 0;
        // The dead of Meta's repeats, to the last: seven days with falling frequency.
        for later in [0, 0, 1, 10, 60, 3_600, 86_400, 2 * 86_400, 86_400, 3 * 86_400 - 3_671] {
            world.advance(Duration::from_secs(later)).await;
            let (status, receipt) = world.post_signed(&body).await;
            assert_eq!(status, StatusCode::OK);
            accepted += receipt["accepted"].as_u64().unwrap();
            assert_eq!(receipt["accepted"].as_u64().unwrap() + receipt["duplicate"].as_u64().unwrap(), 2);
        }
        world.quiesce().await;
        assert_eq!((accepted, shop.arrivals().len()), (2, 2));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_37_the_same_bytes_on_ten_connections_at_once_are_one_event() {
    let notifications = if long() { 1_000 } else { 60 };
    let directory = TempDir::new();
    let receiver = Listening::start().await;
    let running = Running::start(directory.path(), &[]);
    Caller::new().register(&running.base, Some(&receiver.url)).await;
    let mut posting = JoinSet::new();
    let now = Clock::system().now().seconds();
    for _ in 0..TIMES {
        let base = running.base.clone();
        posting.spawn(async move {
            let caller = Caller::new();
            let mut accepted = 0;
            for n in 0..notifications {
                let body = notification(now, &[upgrade(n % 7, &format!("TIER_{n}"))]);
                let (status, receipt) = caller.notify(&base, body).await.unwrap();
                assert_eq!(status, StatusCode::OK);
                accepted += receipt["accepted"].as_u64().unwrap();
            }
            accepted
        });
    }
    let accepted: u64 = posting.join_all().await.iter().sum();
    assert_eq!(accepted, notifications);
    Caller::new().quiesce(&running.base).await;
    let arrived = receiver.arrived();
    let limits: BTreeSet<&String> = arrived.iter().map(|arrived| &arrived.limit).collect();
    assert_eq!((arrived.len() as u64, limits.len() as u64), (notifications, notifications));
}

/// Cuts `changes` (each with its entry's time) into batches that overlap, until
/// each change was in one. Each batch has entries of one change or more.
fn recut(chance: &Entropy, changes: &[(i64, Value)]) -> Vec<Vec<u8>> {
    let mut left: BTreeSet<usize> = (0..changes.len()).collect();
    let mut batches = Vec::new();
    let draw = |bound: usize| usize::try_from(chance.below(bound as u64)).unwrap();
    while let Some(first) = left.first() {
        let size = 1 + draw(changes.len());
        // Some that nobody has had yet, and some that come again.
        let mut chosen: Vec<usize> =
            left.iter().copied().skip(draw(left.len())).take(size.div_ceil(2)).collect();
        chosen.push(*first);
        chosen.extend((0..size / 4).map(|_| draw(changes.len())));
        for at in (1..chosen.len()).rev() {
            chosen.swap(at, draw(at + 1));
        }
        for at in &chosen {
            left.remove(at);
        }
        batches.push(cut(chance, changes, &chosen));
    }
    batches
}

/// Entries of neighbours of one time.
fn cut(chance: &Entropy, unique: &[(i64, Value)], chosen: &[usize]) -> Vec<u8> {
    let mut entries: Vec<Value> = Vec::new();
    for (time, value) in chosen.iter().map(|at| &unique[*at]) {
        let one = json!({"field": "phone_number_quality_update", "value": value});
        match entries.last_mut() {
            Some(entry) if entry["time"] == *time && chance.below(8) > 0 => {
                entry["changes"].as_array_mut().unwrap().push(one);
            }
            _ => entries.push(json!({"id": WABA, "time": time, "changes": [one]})),
        }
    }
    json!({"object": "whatsapp_business_account", "entry": entries}).to_string().into_bytes()
}

/// Posts through one app or the other.
async fn post(world: &World, chance: &Entropy, body: &[u8]) -> Value {
    let (app, secret) = if chance.below(4) == 0 {
        ("second", SECOND_SECRET)
    } else {
        ("main", crate::sim::world::APP_SECRET)
    };
    let request = Request::post(format!("/ingest/meta/{app}"))
        .header("x-hub-signature-256", MetaKey::new(secret).sign(body))
        .body(Body::from(body.to_vec()))
        .unwrap();
    let (status, receipt) = answer(world.router(), request).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    receipt
}

/// Posts `count` unique changes in batches cut by `seed`, whole once more at the
/// end, and compares what went out with what is unique.
fn any_cut_gives_the_same_events(seed: u64, count: u64) {
    simulate_with(Terms { seed, loaded: 64, ..Terms::default() }, |world| async move {
        let chance = Entropy::seeded(seed);
        let shop = world.receiver("shop").await;
        let changes: Vec<(i64, Value)> = (0..count)
            .map(|n| (EPOCH_MS / 1000 + (n % 3).cast_signed(), upgrade(n % 40, &format!("TIER_{n}"))))
            .collect();
        let mut accepted = 0;
        for body in recut(&chance, &changes) {
            accepted += post(&world, &chance, &body).await["accepted"].as_u64().unwrap();
        }
        assert_eq!(accepted, count, "seed {seed}: none lost, none doubled");
        let all: Vec<usize> = (0..changes.len()).rev().collect();
        let again = post(&world, &chance, &cut(&chance, &changes, &all)).await;
        assert_eq!(again["duplicate"].as_u64(), Some(count), "seed {seed}: {again}");
        world.quiesce().await;
        let arrived: BTreeSet<String> = shop.limits_seen().into_iter().collect();
        let expected: BTreeSet<String> = (0..count).map(|n| format!("TIER_{n}")).collect();
        assert_eq!((shop.arrivals().len() as u64, arrived == expected), (count, true), "seed {seed}");
    });
}

#[test]
fn fault_38_batches_cut_anew_however_give_each_change_one_event() {
    any_cut_gives_the_same_events(1, 1);
    any_cut_gives_the_same_events(2, 1_000);
    let chance = Entropy::seeded(38);
    for seed in 3..if long() { 300 } else { 15 } {
        any_cut_gives_the_same_events(seed, 1 + chance.below(120));
    }
}

#[test]
fn fault_41_a_post_of_several_accounts_is_stored_whole_or_not_at_all() {
    let full = Arc::new(AtomicBool::new(false));
    let planned = Arc::clone(&full);
    let faults = Faults::planned(move |at| {
        (at == Point::BeforeCommit && planned.load(Ordering::Relaxed)).then_some(Fault::Error)
    });
    simulate_with(Terms { faults, ..Terms::default() }, |world| async move {
        let other = "77777777-0000-4000-8000-000000000007";
        world.call("PUT", &format!("/v1/accounts/{other}"), json!({"name": "Other"})).await;
        world.call("PUT", "/v1/business-accounts/777", json!({"accountId": other})).await;
        let shop = world.receiver("shop").await;
        let change = |n| json!([{"field": "phone_number_quality_update", "value": upgrade(n, "TIER_10K")}]);
        let entry = |id: &str, n| json!({"id": id, "time": EPOCH_MS / 1000, "changes": change(n)});
        let broken = json!({"id": WABA, "time": EPOCH_MS / 1000, "changes": [{"field": 7}]});
        let entries = [entry(WABA, 1), entry("777", 2), entry("888", 3), broken];
        let body = json!({"object": "whatsapp_business_account", "entry": entries}).to_string();
        let visible = async || {
            let mut counts = Vec::new();
            for path in ["accounts/{other}/events", "accounts/{ACCOUNT}/events", "unrouted", "unparsed"] {
                let path = path.replace("{other}", other).replace("{ACCOUNT}", ACCOUNT);
                counts.push(world.get(&format!("/v1/{path}")).await["items"].as_array().unwrap().len());
            }
            counts
        };
        full.store(true, Ordering::Relaxed);
        let (status, _) = world.post_signed(body.as_bytes()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(visible().await, [0, 0, 0, 0], "nothing of it");
        full.store(false, Ordering::Relaxed);
        let (status, receipt) = world.post_signed(body.as_bytes()).await;
        assert_eq!((status, &receipt["duplicate"]), (StatusCode::OK, &json!(0)), "{receipt}");
        assert_eq!(visible().await, [1, 1, 1, 1], "each has its own, and what has no home is kept");
        world.quiesce().await;
        assert_eq!(shop.arrivals().len(), 1);
    });
}
