//! An event that ends the process, or its attempt, whenever it is attempted, and
//! what is under way beside it. And a node that attempts nothing at all.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::{Fault, Faults, Point};
use bellwether::policy::interruption::MOST_IN_A_ROW;
use serde_json::{Value, json};

use super::receivers::{Answer, Receiver};
use super::world::{ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, simulate, simulate_with, upgrade};

/// Two receivers of everything, which take so long.
async fn two_receivers(world: &World, take: Duration) -> [Receiver; 2] {
    let shop = world.receiver("shop").await.always(Answer::Slow(take, 200));
    let body = json!({"accountId": ACCOUNT, "subAccountId": "branch"});
    let (status, answer) = world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
    assert!(status.is_success(), "{answer}");
    [shop, world.receiver("branch").await.always(Answer::Slow(take, 200))]
}

const POISON: &str = "TIER_50";

/// The process ends whenever the poison has reached `receiver`, until it comes no
/// more; how often that was.
async fn crash_at_each_attempt(world: &mut World, receiver: &Receiver) -> usize {
    let (mut seen, mut met) = (0, 0);
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_mins(10) {
        world.advance(Duration::from_millis(5)).await;
        if receiver.count() > seen {
            let arrivals = receiver.arrivals();
            seen = arrivals.len();
            let attempts = arrivals.iter().filter(|arrival| arrival.limit() == POISON).count();
            if attempts > met {
                met = attempts;
                world.crash_and_restart().await;
            }
        }
    }
    met
}

/// How many different events a receiver has taken.
fn taken(receiver: &Receiver) -> usize {
    let arrivals = receiver.arrivals();
    let taken = arrivals.iter().filter(|arrival| arrival.confirmed);
    taken.map(|arrival| arrival.webhook_id.as_str()).collect::<BTreeSet<_>>().len()
}

#[test]
fn what_ends_the_process_at_each_attempt_is_set_aside_and_takes_nobody_along() {
    for take in [Duration::from_millis(20), Duration::from_secs(8)] {
        let terms = Terms { max_in_flight: 512, per_webhook: 16, loaded: 4_096, ..Terms::default() };
        simulate_with(terms, |mut world| async move {
            let [shop, branch] = two_receivers(&world, take).await;
            // The poison, what stands behind it, and many that stand beside it.
            let mut batch = vec![upgrade(7, POISON), upgrade(7, "TIER_10K")];
            batch.extend((100..300).map(|n| upgrade(n, "TIER_10K")));
            let body = notification(EPOCH_MS / 1000 - 60, &batch);
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
            let met = crash_at_each_attempt(&mut world, &branch).await;
            assert_eq!(u32::try_from(met).unwrap(), MOST_IN_A_ROW, "receivers take {take:?}");
            world.quiesce().await;
            let exhausted = world.deliveries("status=exhausted").await;
            assert_eq!(exhausted.len(), 1, "nobody else: {exhausted:?}");
            let last = &exhausted[0]["lastAttempt"];
            assert_eq!((&last["outcome"], &last["number"]), (&json!("interrupted"), &json!(MOST_IN_A_ROW)));
            assert!(last["note"].as_str().unwrap().contains("set aside"), "{last}");
            assert_eq!(taken(&shop), 202);
            // Once it does no harm any more, it can be replayed.
            let id = exhausted[0]["deliveryId"].as_str().unwrap();
            let replay = format!("/v1/accounts/{ACCOUNT}/deliveries/{id}/replay");
            assert!(world.call("POST", &replay, Value::Null).await.0.is_success());
            world.quiesce().await;
            assert_eq!((taken(&branch), world.deliveries("status=exhausted").await.len()), (202, 0));
        });
    }
}

#[test]
fn an_outcome_that_can_never_be_recorded_sets_its_delivery_aside_and_its_number_goes_on() {
    let met = AtomicU32::new(0);
    let faults = Faults::planned(move |at| {
        let strikes = || met.fetch_add(1, Ordering::Relaxed) < MOST_IN_A_ROW;
        (at == Point::AfterAnswer && strikes()).then_some(Fault::Error)
    });
    simulate_with(Terms { faults, ..Terms::default() }, |mut world| async move {
        let shop = world.receiver("shop").await;
        world.notify(upgrade(1, "TIER_1K")).await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let attempts: Vec<u32> = shop.arrivals().iter().map(|arrival| arrival.attempt).collect();
        let poisons = (1..=MOST_IN_A_ROW).chain([1]);
        assert_eq!(attempts, poisons.collect::<Vec<_>>());
        assert_eq!(world.deliveries("status=exhausted").await.len(), 1);
        assert_eq!(world.deliveries("status=delivered").await.len(), 1);
    });
}

#[test]
fn a_paused_node_takes_everything_and_attempts_nothing_until_it_is_started_otherwise() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        world.notify(upgrade(1, "TIER_1K")).await;
        world.quiesce().await;
        world.terms.paused = true;
        world.restart_cleanly().await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.notify(upgrade(2, "TIER_10K")).await;
        world.advance(Duration::from_hours(9)).await;
        assert_eq!((shop.arrivals().len(), world.deliveries("status=pending").await.len()), (1, 2));
        assert_eq!(world.get("/readyz").await, json!("ready; deliveries are paused (delivery.paused)\n"));
        world.terms.paused = false;
        world.restart_cleanly().await;
        world.quiesce().await;
        let attempts: Vec<u32> = shop.arrivals().iter().map(|arrival| arrival.attempt).collect();
        assert_eq!(attempts, [1, 1, 1], "nothing was counted meanwhile");
        assert_eq!(world.get("/readyz").await, json!("ready\n"));
    });
}
