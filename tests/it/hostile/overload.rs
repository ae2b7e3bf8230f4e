//! More than the store can write, by ten times, from senders that wait for
//! nobody (fault 52): what is not stored is answered 503, what is answered 200 is
//! never lost, and afterwards all is as before.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::env::{Fault, Faults, Point};
use bellwether::policy::signature::MetaKey;
use bellwether::store::sqlite::Mode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tower::ServiceExt;

use crate::process::running::long;
use crate::sim::world::{
    ACCOUNT, APP_SECRET, EPOCH_MS, Terms, World, notification, played, post_signed, simulate_with, upgrade,
};

/// Writes that may wait.
const QUEUE: usize = 16;

/// What became of a post: its status, the limit that it said if it was acknowledged, and
/// how long the answer took.
type Answered = (StatusCode, Option<String>, Duration);

/// Posts without waiting.
fn post(world: &World, n: u64, posting: &mut JoinSet<Answered>) {
    let limit = format!("TIER_{n}");
    let body = notification(EPOCH_MS / 1000, &[upgrade(n % 50, &limit)]);
    let request = Request::post("/ingest/meta/main")
        .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
        .body(Body::from(body))
        .unwrap();
    let router = world.router();
    posting.spawn(async move {
        let posted = Instant::now();
        let response = router.oneshot(request).await.unwrap();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(response.headers()["retry-after"], "5");
        }
        let status = response.status();
        (status, (status == StatusCode::OK).then_some(limit), posted.elapsed())
    });
}

/// Holds what was acknowledged against what arrived.
async fn nothing_is_lost(world: &World, acknowledged: &BTreeSet<String>, sent: u64) {
    let began = Instant::now();
    loop {
        let path = format!("/v1/accounts/{ACCOUNT}/deliveries?status=pending&limit=1");
        if world.get(&path).await["items"] == json!([]) {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "it does not drain");
        world.advance(Duration::from_millis(20)).await;
    }
    let shop = world.terms.receivers.at("https://shop.example.com/hook");
    let arrived: Vec<String> =
        shop.limits_seen().into_iter().filter(|limit| !limit.starts_with(RATED)).collect();
    let unique: BTreeSet<String> = arrived.iter().cloned().collect();
    let lost: Vec<&String> = acknowledged.difference(&unique).collect();
    assert!(lost.is_empty(), "LOST {lost:?}");
    assert_eq!(arrived.len(), unique.len(), "DUP");
    let known = |limit: &String| limit[5..].parse().is_ok_and(|n: u64| n < sent);
    assert!(unique.iter().all(known), "PHANTOM");
}

/// Tells what was acknowledged, that all else was refused with a 503, and how long half
/// of the answers and all but a hundredth took at most.
async fn outcome(posting: JoinSet<Answered>) -> (BTreeSet<String>, usize, [Duration; 2]) {
    let mut refused = 0;
    let mut acknowledged = BTreeSet::new();
    let mut took = Vec::new();
    for (status, limit, duration) in posting.join_all().await {
        took.push(duration);
        let expected = if limit.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(status, expected);
        refused += usize::from(limit.is_none());
        acknowledged.extend(limit);
    }
    took.sort_unstable();
    (acknowledged, refused, [took[took.len() / 2], took[took.len() * 99 / 100]])
}

/// From the end of the overload to the first that is taken again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

/// What the limits begin with that are no part of the overload.
const RATED: &str = "RATED_";

/// How many notifications a second are taken from senders that wait for their
/// answers, as many as may wait in the queue.
async fn rated(world: &World) -> f64 {
    let (mut senders, began) = (JoinSet::new(), Instant::now());
    for n in 0..QUEUE as u64 {
        let router = world.router();
        senders.spawn(async move {
            let mut taken = 0_u32;
            while began.elapsed() < Duration::from_secs(1) {
                let change = upgrade(9_000 + n, &format!("{RATED}{taken}_{n}"));
                let (status, _) = post_signed(router.clone(), notification(EPOCH_MS / 1000, &[change])).await;
                taken += u32::from(status == StatusCode::OK);
            }
            taken
        });
    }
    let taken: u32 = senders.join_all().await.iter().sum();
    f64::from(taken) / began.elapsed().as_secs_f64()
}

#[test]
fn fault_52_a_burst_beyond_the_queue_is_refused_with_503_and_the_rest_is_kept() {
    simulate_with(Terms { queue: QUEUE, ..Terms::default() }, |world| async move {
        world.receiver("shop").await;
        let mut all = BTreeSet::new();
        let mut sent = 0;
        for _ in 0..20 {
            let mut posting = JoinSet::new();
            for _ in 0..10 * QUEUE as u64 {
                post(&world, sent, &mut posting);
                sent += 1;
            }
            let (acknowledged, refused, _) = outcome(posting).await;
            assert!(refused > 0 && !acknowledged.is_empty(), "{refused} refused");
            all.extend(acknowledged);
            // At once afterwards it takes what comes.
            let limit = format!("TIER_{sent}");
            let (status, _) = world.post_signed(&notification(EPOCH_MS / 1000, &[upgrade(1, &limit)])).await;
            assert_eq!(status, StatusCode::OK);
            all.insert(limit);
            sent += 1;
        }
        nothing_is_lost(&world, &all, sent).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_52_senders_that_wait_for_nobody_never_get_a_200_for_what_is_lost() {
    let (slow, calm) = (Arc::new(AtomicBool::new(false)), Duration::from_millis(5));
    let planned = Arc::clone(&slow);
    let faults = Faults::planned(move |at| {
        if at == Point::BeforeCommit && planned.load(Ordering::Relaxed) {
            // A disk that takes its time, on the writer's own thread.
            let (_never, waits) = mpsc::channel::<()>();
            let _ = waits.recv_timeout(Duration::from_millis(100));
        }
        None::<Fault>
    });
    let terms = Terms { queue: QUEUE, mode: Mode::Threads, faults, ..Terms::default() };
    played(terms, |world| async move {
        world.register().await;
        world.receiver("shop").await;
        slow.store(true, Ordering::Relaxed);
        // The queue's worth each tenth of a second is what can be written.
        let rated = rated(&world).await;
        let seconds = if long() { 60 } else { 3 };
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut posting, mut sent, began) = (JoinSet::new(), 0, Instant::now());
        for _ in 0..seconds * 100 {
            pace.tick().await;
            for _ in 0..QUEUE as u64 {
                post(&world, sent, &mut posting);
                sent += 1;
            }
        }
        let (mut acknowledged, refused, [half, most]) = outcome(posting).await;
        let goodput = f64::from(u32::try_from(acknowledged.len()).unwrap()) / began.elapsed().as_secs_f64();
        let taken = acknowledged.len();
        println!("{sent} sent, {refused} refused; {goodput:.0} taken a second, {rated:.0} without overload");
        assert!(refused as u64 > sent / 2, "this is overload: {refused} of {sent}");
        println!("answered within {half:?}, 99 of 100 within {most:?}");
        // Fault 51, at more than three times of what can be stored.
        let quick = half <= Duration::from_millis(250) && most < Duration::from_secs(1);
        assert!(quick || !long(), "{half:?}, {most:?}");
        let floor = if long() { 0.8 } else { 0.5 };
        assert!(goodput > rated * floor, "{goodput} a second, {rated} without overload");
        slow.store(false, Ordering::Relaxed);
        let healed = Instant::now();
        // Meta comes again with what was refused, in its own time: all is taken, from
        // the first one on.
        for n in 0..sent {
            let limit = format!("TIER_{n}");
            if acknowledged.contains(&limit) {
                continue;
            }
            let body = notification(EPOCH_MS / 1000, &[upgrade(n % 50, &limit)]);
            let (status, receipt): (_, Value) = world.post_signed(&body).await;
            assert_eq!(status, StatusCode::OK, "it has recovered: {receipt}");
            if acknowledged.len() == taken {
                assert!(healed.elapsed() < RECOVERED_WITHIN, "{:?}", healed.elapsed());
            }
            acknowledged.insert(limit);
        }
        world.advance(calm).await;
        assert_eq!(acknowledged.len() as u64, sent);
        nothing_is_lost(&world, &acknowledged, sent).await;
    })
    .await;
}
