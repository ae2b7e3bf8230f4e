//! Many at once (faults 75 to 77): a noisy account, a slow receiver among many,
//! a herd that recovers or is picked up at a new start. Nobody else may notice,
//! and what goes out stays within what is configured. The disk takes its time,
//! so that whoever waits for the writer is seen to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::Faults;
use bellwether::model::attempt::OutcomeClass;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::receivers::{Answer, Arrival, Receiver};
use super::world::{ACCOUNT, EPOCH_MS, Terms, World, notification_of, simulate_with, upgrade};
use crate::process::running::long;

/// A commit on an ordinary disk.
const COMMIT: Duration = Duration::from_millis(2);

/// What a healthy receiver's event may take from its post to its arrival: a few
/// commits, and an attempt's turn.
const SOON: Duration = Duration::from_millis(100);

const NOISY: &str = "1f88f5c4-fae7-4dcf-8ff2-b2990133edea";

fn terms() -> Terms {
    let faults = Faults::none().stalling(|| Some(COMMIT));
    Terms { faults, max_in_flight: 64, per_webhook: 8, loaded: 512, ..Terms::default() }
}

fn business_account(n: usize) -> String {
    (700_000_000 + n).to_string()
}

/// A business account of this account and sub-account, and the sub-account's
/// receiver.
async fn place(world: &World, account: &str, n: usize) -> Receiver {
    let name = format!("place-{n}");
    let body = json!({"accountId": account, "subAccountId": name});
    let path = format!("/v1/business-accounts/{}", business_account(n));
    let (status, answer) = world.call("PUT", &path, body).await;
    assert!(status.is_success(), "{answer}");
    let url = format!("https://{name}.example.com/hook");
    let webhooks = json!([{"subAccountId": name, "url": url, "type": "CABM"}]);
    let path = format!("/api/v1/accounts/{account}/webhooks");
    let (status, answer) = world.call("POST", &path, webhooks).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    world.terms.receivers.at(&url)
}

/// Posts `count` changes of numbers of their own to a place; how long the
/// answers took at most.
async fn post(world: &World, n: usize, count: u64, limit: &str) -> Duration {
    let changes: Vec<Value> = (0..count).map(|number| upgrade(number, limit)).collect();
    let mut slowest = Duration::ZERO;
    for batch in changes.chunks(500) {
        let began = Instant::now();
        let body = notification_of(&business_account(n), EPOCH_MS / 1000, batch);
        assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// How long after `since` the last of a receiver's arrivals came.
fn last_after(receiver: &Receiver, since: Instant) -> Duration {
    let arrivals = receiver.arrivals();
    arrivals.iter().map(|arrival| arrival.at.saturating_duration_since(since)).max().unwrap_or(Duration::MAX)
}

#[test]
fn fault_75_an_account_with_a_long_backlog_to_a_hung_webhook_is_noticed_by_no_other() {
    let backlog = if long() { 100_000 } else { 3_000 };
    simulate_with(terms(), |mut world| async move {
        let account = format!("/v1/accounts/{NOISY}");
        world.call("PUT", &account, json!({"name": "Noisy", "chatApps": true})).await;
        let hung = place(&world, NOISY, 0).await.always(Answer::Hangs);
        let mut others = Vec::new();
        for n in 1..=10 {
            others.push(place(&world, ACCOUNT, n).await);
        }
        post(&world, 0, backlog, "TIER_10K").await;
        for round in 0..20 {
            let began = Instant::now();
            let n = 1 + round % others.len();
            let answered = post(&world, n, 1, &format!("TIER_{round}")).await;
            assert!(answered <= SOON, "the intake took {answered:?}");
            world.advance(Duration::from_millis(700)).await;
            let took = last_after(&others[n - 1], began);
            assert!(took <= SOON, "round {round}: {took:?}");
        }
        assert!(hung.most_under_way() <= 8, "it keeps to its share: {}", hung.most_under_way());
        // It answers again: all that is still pending gets through.
        let hung = hung.always(Answer::Status(200));
        let pending = format!("{account}/deliveries?status=pending&limit=1");
        for _ in 0..600 {
            if world.get(&pending).await["items"].as_array().unwrap().is_empty() {
                break;
            }
            world.advance(Duration::from_secs(1)).await;
        }
        let confirmed = hung.limits_seen().len();
        assert_eq!(u64::try_from(confirmed).unwrap(), backlog, "it drains later");
        world.restart_cleanly().await;
    });
}

#[test]
fn fault_76_one_slow_receiver_of_fifty_is_noticed_by_none_of_the_others() {
    simulate_with(terms(), |world| async move {
        let mut places = Vec::new();
        for n in 0..50 {
            places.push(place(&world, ACCOUNT, n).await);
        }
        let slow = places.remove(0).always(Answer::Slow(Duration::from_secs(9), 200));
        post(&world, 0, 100, "TIER_10K").await;
        world.advance(Duration::from_secs(1)).await;
        for (n, receiver) in (1..).zip(&places) {
            let began = Instant::now();
            post(&world, n, 10, "TIER_10K").await;
            world.advance(Duration::from_millis(200)).await;
            assert_eq!(receiver.arrivals().len(), 10, "place {n}");
            let took = last_after(receiver, began);
            assert!(took <= SOON, "place {n}: {took:?}");
        }
        assert_eq!(slow.most_under_way(), 8, "exactly its share is used");
    });
}

/// Accounts whose every webhook hangs, 400 of them in all, two events waiting for
/// each: far more than there are attempts or places.
async fn hogs(world: &World, accounts: usize) {
    let hog = |n: usize| format!("{:08x}-fae7-4dcf-8ff2-b2990133edea", n % accounts);
    for n in 0..accounts {
        let path = format!("/v1/accounts/{}", hog(n));
        let (status, answer) = world.call("PUT", &path, json!({"name": "Hog", "chatApps": true})).await;
        assert!(status.is_success(), "{answer}");
    }
    for n in 0..400 {
        place(world, &hog(n), 1_000 + n).await.always(Answer::Hangs);
        post(world, 1_000 + n, 2, "TIER_10K").await;
    }
}

/// New events of the first place, and retries, arrive as if nobody else were there.
async fn nobody_else_is_noticed(world: &World, healthy: &Receiver, time: &str) {
    for round in 0..5 {
        let (began, before) = (Instant::now(), healthy.count());
        post(world, 1, 3, &format!("TIER_{time}_{round}")).await;
        world.advance(Duration::from_millis(700)).await;
        assert_eq!(healthy.count(), before + 3, "round {round}");
        let took = last_after(healthy, began);
        assert!(took <= SOON, "round {round}: {took:?}");
    }
    healthy.clone().answers([Answer::Status(500)]);
    let (began, before) = (Instant::now(), healthy.count());
    post(world, 1, 1, &format!("TIER_{time}_RETRIED")).await;
    world.advance(Duration::from_secs(2)).await;
    assert_eq!(healthy.count(), before + 2, "what is stored waits for nobody either");
    let took = last_after(healthy, began);
    assert!(took <= Duration::from_millis(1_100) + SOON, "{took:?}");
}

#[test]
fn fault_75_accounts_whose_every_webhook_hangs_are_noticed_by_no_other() {
    for accounts in [1, 3] {
        simulate_with(terms(), |world| async move {
            let healthy = place(&world, ACCOUNT, 1).await;
            hogs(&world, accounts).await;
            for time in ["FIRST", "SECOND", "THIRD"] {
                nobody_else_is_noticed(&world, &healthy, time).await;
                world.advance(Duration::from_secs(7)).await;
            }
        });
    }
}

#[test]
fn fault_77_a_start_into_the_backlog_of_hung_accounts_is_noticed_by_no_other() {
    for accounts in [1, 3] {
        simulate_with(terms(), |mut world| async move {
            hogs(&world, accounts).await;
            let hanging = std::iter::repeat_n(Answer::Hangs, 8);
            let healthy = place(&world, ACCOUNT, 1).await.answers(hanging);
            post(&world, 1, 20, "TIER_10K").await;
            world.advance(Duration::from_millis(500)).await;
            world.crash_and_restart().await;
            let (since, before) = (Instant::now(), healthy.count());
            world.advance(Duration::from_secs(1)).await;
            let stored = healthy.arrivals().split_off(before);
            assert!(stored.iter().any(|arrival| arrival.attempt == 2), "what was under way, again");
            assert_eq!(healthy.limits_seen().len(), 20, "all that was stored arrives within a second");
            assert!(last_after(&healthy, since) <= Duration::from_secs(1));
            nobody_else_is_noticed(&world, &healthy, "LATER").await;
        });
    }
}

/// How many arrivals came in each second from `since` on.
fn by_second(arrivals: &[Arrival], since: Instant) -> Vec<usize> {
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.at >= since) {
        *seconds.entry((arrival.at - since).as_secs()).or_default() += 1;
    }
    let last = seconds.keys().next_back().copied().unwrap_or(0);
    (0..=last).map(|second| seconds.get(&second).copied().unwrap_or(0)).collect()
}

/// How long it takes to go round: once for a place, once for an attempt.
fn a_turn_of_each(herd: &[Receiver]) -> Duration {
    Duration::from_secs(1) + 2 * Duration::from_millis(200) * u32::try_from(herd.len()).unwrap() / 32
}

/// Lets the herd drain; meanwhile a newcomer's events must arrive soon, no
/// second may stand out, and the caps must hold.
async fn drains_evenly(world: &World, herd: &[Receiver], owed: usize, since: Instant) {
    let newcomer = place(world, ACCOUNT, 9_000).await;
    let patience = a_turn_of_each(herd);
    for round in 0..10 {
        let began = Instant::now();
        let answered = post(world, 9_000, 1, &format!("TIER_{round}")).await;
        assert!(answered <= SOON, "the intake took {answered:?}");
        world.advance(patience).await;
        let took = last_after(&newcomer, began);
        assert!(took <= patience, "round {round}: {took:?}");
    }
    world.quiesce().await;
    let arrivals: Vec<Arrival> = herd.iter().flat_map(Receiver::arrivals).collect();
    let confirmed = arrivals.iter().filter(|arrival| arrival.confirmed && arrival.at >= since).count();
    assert_eq!(confirmed, owed, "each once");
    let seconds = by_second(&arrivals, since);
    let busy = &seconds[..seconds.len().saturating_sub(1)];
    let most = busy.iter().copied().max().unwrap();
    let mean = busy.iter().sum::<usize>() / busy.len();
    assert!(most <= 2 * mean, "no second stands out: {seconds:?}");
    // An account's share of 64 at once, each for 200 ms.
    assert!(most <= 160 + 32, "the caps hold: {seconds:?}");
    assert!(herd.iter().all(|receiver| receiver.most_under_way() <= 8));
}

#[test]
fn fault_77_a_herd_picked_up_at_a_new_start_goes_out_evenly_and_the_intake_does_not_notice() {
    let (webhooks, each) = if long() { (200, 100) } else { (100, 40) };
    simulate_with(terms(), |mut world| async move {
        let mut herd = Vec::new();
        for n in 0..webhooks {
            herd.push(place(&world, ACCOUNT, n).await.always(Answer::Hangs));
            post(&world, n, each, "TIER_10K").await;
        }
        world.crash_and_restart().await;
        let taking_a_while = Answer::Slow(Duration::from_millis(200), 200);
        let herd: Vec<Receiver> =
            herd.into_iter().map(|receiver| receiver.always(taking_a_while.clone())).collect();
        // What is on its way from before the change ends within its deadline.
        let since = Instant::now();
        drains_evenly(&world, &herd, webhooks * usize::try_from(each).unwrap(), since).await;
    });
}

#[test]
fn fault_77_a_herd_of_receivers_that_recover_at_once_is_served_evenly() {
    let webhooks = if long() { 1_000 } else { 400 };
    simulate_with(terms(), |world| async move {
        let mut herd = Vec::new();
        for n in 0..webhooks {
            herd.push(place(&world, ACCOUNT, n).await.always(Answer::Fails(OutcomeClass::Connect)));
            post(&world, n, 5, "TIER_10K").await;
        }
        // The fourth attempt of each has failed by then; the fifth is due 90 s after it.
        world.advance(Duration::from_mins(1)).await;
        let since = Instant::now();
        let taking_a_while = Answer::Slow(Duration::from_millis(200), 200);
        let herd: Vec<Receiver> =
            herd.into_iter().map(|receiver| receiver.always(taking_a_while.clone())).collect();
        world.quiesce().await;
        let arrivals: Vec<Arrival> = herd.iter().flat_map(Receiver::arrivals).collect();
        assert_eq!(arrivals.len(), 5 * webhooks, "each arrives once");
        let seconds = by_second(&arrivals, since);
        let most = seconds.iter().copied().max().unwrap();
        assert!(most <= 160 + 32, "the caps hold: {seconds:?}");
        let busy: Vec<usize> = seconds.into_iter().skip_while(|count| *count == 0).collect();
        let mean = busy.iter().sum::<usize>() / busy.len();
        assert!(most <= 2 * mean + 1, "no second stands out: {busy:?}");
    });
}

/// Receivers of ten accounts, in all so many.
async fn herd_of(world: &World, count: usize) -> Vec<Receiver> {
    let mut herd = Vec::new();
    for n in 0..count {
        let id = format!("2f88f5c4-fae7-4dcf-8ff2-b2990133edc{}", n % 10);
        if n < 10 {
            world.call("PUT", &format!("/v1/accounts/{id}"), json!({"name": "Herd", "chatApps": true})).await;
        }
        herd.push(place(world, &id, n).await);
    }
    herd
}

async fn owe_each(world: &World, herd: &[Receiver], limit: &str) {
    for n in 0..herd.len() {
        post(world, n, 1, limit).await;
    }
}

/// How many attempts began in each second until each receiver has confirmed so
/// many; meanwhile the intake answers at once.
async fn attempts_until(world: &World, herd: &[Receiver], confirmed: usize, since: Instant) -> Vec<usize> {
    let served = |receiver: &Receiver| {
        receiver.arrivals().iter().filter(|arrival| arrival.confirmed).count() >= confirmed
    };
    while !herd.iter().all(served) {
        assert!(since.elapsed() < Duration::from_mins(10), "it does not end");
        let answered = post(world, 0, 1, &format!("TIER_{}", since.elapsed().as_millis())).await;
        assert!(answered <= SOON, "the intake took {answered:?}");
        world.advance(Duration::from_secs(2)).await;
    }
    world.quiesce().await;
    let arrivals: Vec<Arrival> = herd.iter().flat_map(Receiver::arrivals).collect();
    by_second(&arrivals, since)
}

#[test]
fn fault_77_thousands_of_receivers_that_recover_at_once_or_are_due_at_a_start_are_served_at_the_configured_pace()
 {
    let (count, per_s) = if long() { (10_000, 500) } else { (1_500, 100) };
    let terms = Terms { attempts_per_s: per_s, loaded: 4_096, max_in_flight: 512, ..terms() };
    simulate_with(terms, |mut world| async move {
        let herd = herd_of(&world, count).await;
        let turn = |herd: Vec<Receiver>, answer: Answer| -> Vec<Receiver> {
            herd.into_iter().map(|receiver| receiver.always(answer.clone())).collect()
        };
        let herd = turn(herd, Answer::Fails(OutcomeClass::Connect));
        owe_each(&world, &herd, "TIER_10K").await;
        let (herd, since) = (turn(herd, Answer::Status(200)), Instant::now());
        let most_of = |seconds: &[usize]| seconds.iter().copied().max().unwrap();
        let recovered = attempts_until(&world, &herd, 1, since).await;
        assert!(most_of(&recovered) <= per_s + per_s / 100 + 1, "{recovered:?}");

        world.terms.paused = true;
        world.crash_and_restart().await;
        owe_each(&world, &herd, "TIER_100K").await;
        world.terms.paused = false;
        world.crash_and_restart().await;
        let started = attempts_until(&world, &herd, 2, Instant::now()).await;
        let busy: Vec<usize> = started.into_iter().take(count / per_s).collect();
        let (most, mean) = (most_of(&busy), busy.iter().sum::<usize>() / busy.len());
        assert!(most <= per_s + per_s / 100 + 1 && most <= 2 * mean, "{busy:?}");
    });
}
