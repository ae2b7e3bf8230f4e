//! What goes wrong inside a node that lives on: nothing may need a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::{Entropy, Fault, Faults, Point};
use bellwether::model::id::WebhookKey;
use serde_json::{Value, json};

use super::receivers::{Answer, Receivers};
use super::world::{ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, simulate, simulate_with, upgrade};

fn once(point: Point) -> Terms {
    let fired = AtomicBool::new(false);
    let faults = Faults::planned(move |at| {
        (at == point && !fired.swap(true, Ordering::Relaxed)).then_some(Fault::Error)
    });
    Terms { faults, ..Terms::default() }
}

#[test]
fn an_outcome_that_is_never_recorded_is_attempted_again_when_the_lease_ends() {
    for point in [Point::AfterAnswer, Point::BeforeSettle] {
        simulate_with(once(point), |mut world| async move {
            let shop = world.receiver("shop").await;
            for n in 0..3 {
                world.notify(upgrade(1, &format!("TIER_{n}"))).await;
            }
            world.advance(Duration::from_mins(3)).await;
            assert!(world.deliveries("status=pending").await.is_empty(), "{point:?}");
            let sequences: Vec<i64> = shop.arrivals().iter().map(|arrival| arrival.sequence).collect();
            assert_eq!(sequences, [1, 1, 2, 3], "the number behind it goes on, in order");
        });
    }
}

#[test]
fn a_disk_that_is_full_for_longer_than_a_lease_leaves_nothing_stuck_once_it_is_freed() {
    let full = Arc::new(AtomicBool::new(false));
    let planned = Arc::clone(&full);
    let faults = Faults::planned(move |at| {
        (at == Point::BeforeCommit && planned.load(Ordering::Relaxed)).then_some(Fault::Error)
    });
    simulate_with(Terms { faults, ..Terms::default() }, |mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Slow(Duration::from_secs(2), 200)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_secs(1)).await;
        full.store(true, Ordering::Relaxed);
        world.advance(Duration::from_secs(100)).await;
        let (status, _) = world.post_signed(&notification(EPOCH_MS / 1000, &[upgrade(2, "TIER_1K")])).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        full.store(false, Ordering::Relaxed);
        world.advance(Duration::from_mins(2)).await;
        assert!(world.deliveries("status=pending").await.is_empty());
        assert_eq!(shop.arrivals().len(), 2);
    });
}

#[test]
fn places_that_a_rolled_back_commit_had_taken_wake_whoever_waits_for_them() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_millis(500)).await;
        // The writer reserves before it commits; meanwhile the retry comes due.
        let (handover, webhook) = (world.handover(), WebhookKey(1));
        let taken = (0..100).take_while(|_| handover.reserve(webhook)).count();
        world.advance(Duration::from_secs(2)).await;
        assert_eq!(shop.arrivals().len(), 1, "there is no place");
        for _ in 0..taken {
            handover.give_back(webhook);
        }
        world.advance(Duration::from_millis(10)).await;
        assert_eq!(shop.arrivals().len(), 2);
    });
}

async fn name_sub_account(world: &World, name: &str) {
    let body = json!({"accountId": ACCOUNT, "subAccountId": name});
    let (status, answer) = world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
    assert!(status.is_success(), "{answer}");
}

/// Two webhooks with a thousand slow failures each take every place; how long
/// does a third one's only event wait? The webhooks are made in `order`.
fn waits(order: [&'static str; 3], healthy: &'static str) -> Duration {
    let chance = Entropy::seeded(5);
    let slow = move |_: &str| Answer::Slow(Duration::from_millis(3_000 + chance.below(6_000)), 500);
    let terms = Terms {
        per_webhook: 2,
        max_in_flight: 8,
        loaded: 8,
        receivers: Receivers::by_chance(slow),
        ..Terms::default()
    };
    simulate_with(terms, |mut world| async move {
        let mut shop = None;
        for name in order {
            name_sub_account(&world, name).await;
            let receiver = world.receiver(name).await;
            if name == healthy {
                shop = Some(receiver.always(Answer::Status(200)));
            }
        }
        for (at, name) in (0..).zip(order.into_iter().filter(|name| *name != healthy)) {
            name_sub_account(&world, name).await;
            let batch: Vec<Value> = (0..1_000).map(|n| upgrade(1_000 * at + n, "TIER_10K")).collect();
            let body = notification(EPOCH_MS / 1000 - 50, &batch);
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
        }
        world.advance(Duration::from_mins(1)).await;
        name_sub_account(&world, healthy).await;
        let began = tokio::time::Instant::now();
        world.notify(upgrade(9_000, "TIER_10K")).await;
        world.advance(Duration::from_mins(5)).await;
        shop.unwrap().arrivals().first().map_or(Duration::MAX, |arrival| arrival.at - began)
    })
}

#[test]
fn when_all_places_are_taken_the_next_free_ones_go_round_whatever_the_webhooks_age() {
    for order in [["healthy", "busy-1", "busy-2"], ["busy-1", "busy-2", "healthy"]] {
        let waited = waits(order, "healthy");
        assert!(waited <= Duration::from_secs(20), "made in the order {order:?} it waits {waited:?}");
    }
}

#[test]
fn how_long_the_oldest_has_not_arrived_is_a_metric_without_any_threshold() {
    simulate_with(Terms::default(), |mut world| async move {
        let _shop = world.receiver("shop").await.always(Answer::Status(500));
        let named = format!("bellwether_undelivered_oldest_seconds{{account=\"{ACCOUNT}\"}} ");
        let shown = async |world: &World| {
            let metrics = world.get("/metrics").await;
            let found = metrics
                .as_str()
                .unwrap()
                .lines()
                .find_map(|line| line.strip_prefix(&named).map(str::to_owned));
            found.map(|age| age.parse::<f64>().unwrap())
        };
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_secs(5)).await;
        assert_eq!(shown(&world).await, None, "it is on its way");
        world.advance(Duration::from_mins(10)).await;
        let age = shown(&world).await.expect("it is shown");
        assert!((570.0..=606.0).contains(&age), "looked at within half a minute: {age}");
        assert_eq!(world.get("/readyz").await, "ready\n");
        assert!(world.get("/metrics").await.as_str().unwrap().contains("bellwether_late_accounts 0"));
    });
}

#[test]
fn what_has_not_arrived_for_too_long_is_told_by_readyz_and_metrics_until_it_has() {
    let late_after = Some(Duration::from_mins(15));
    simulate_with(Terms { late_after, ..Terms::default() }, |mut world| async move {
        let shop = world.receiver("shop").await.always(Answer::Status(500));
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        assert_eq!(world.get("/readyz").await, "ready\n");
        world.advance(Duration::from_mins(15)).await;
        let told = world.get("/readyz").await;
        let expected = "ready; 1 account has events undelivered for more than 900 s, the oldest for ";
        assert!(told.as_str().unwrap().starts_with(expected), "{told}");
        let metrics = world.get("/metrics").await;
        let named = format!("bellwether_undelivered_oldest_seconds{{account=\"{ACCOUNT}\"}} ");
        assert!(metrics.as_str().unwrap().contains(&named), "{metrics}");
        let webhooks = world.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
        let webhook = webhooks["items"][0]["webhookId"].as_str().unwrap().to_owned();
        let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{webhook}/undelivered");
        let undelivered = world.get(&path).await;
        let item = &undelivered["items"][0];
        assert!(item["ageSeconds"].as_u64().unwrap() > 900, "{item}");
        let rest = (&item["status"], &item["attemptCount"], &item["lastFailure"]["httpStatus"]);
        assert_eq!(rest, (&json!("exhausted"), &json!(5), &json!(500)));

        let _shop = shop.always(Answer::Status(200));
        let delivery = item["deliveryId"].as_str().unwrap();
        let (status, answer) = world
            .call("POST", &format!("/v1/accounts/{ACCOUNT}/deliveries/{delivery}/replay"), Value::Null)
            .await;
        assert!(status.is_success(), "{answer}");
        world.advance(Duration::from_secs(40)).await;
        assert_eq!(world.get("/readyz").await, "ready\n");
        let metrics = world.get("/metrics").await;
        assert!(metrics.as_str().unwrap().contains("bellwether_late_accounts 0"), "{metrics}");
        assert!(!metrics.as_str().unwrap().contains(&named), "{metrics}");
        assert_eq!(world.get(&path).await["items"], json!([]));
    });
}
