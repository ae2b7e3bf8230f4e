//! The wall clock leaps, and the process stands still (faults 78 and 79):
//! nothing is hastened, frozen, doubled or removed by it.

use std::time::Duration;

use axum::http::StatusCode;
use bellwether::model::time::Timestamp;
use serde_json::Value;

use super::receivers::{Answer, Arrival};
use super::stories::keeps_the_schedule;
use super::world::{ACCOUNT, EPOCH_MS, Terms, World, notification, simulate, simulate_with, upgrade};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// An hour either way, ten years either way, a leap second, a drift.
const STEPS_MS: [i64; 6] = [HOUR_MS, -HOUR_MS, 3_650 * DAY_MS, -3_650 * DAY_MS, -1_000, 350];

#[test]
fn fault_78_a_step_of_the_clock_neither_hastens_nor_freezes_a_retry() {
    for step in STEPS_MS {
        // Before, during and between attempts: they begin at 0, 11, 31, 71 and 171 s.
        for after in [Duration::from_secs(4), Duration::from_secs(25), Duration::from_mins(1)] {
            simulate(|mut world| async move {
                let shop = world.receiver("shop").await.always(Answer::Hangs);
                world.notify(upgrade(1, "TIER_10K")).await;
                world.advance(after).await;
                world.env.clock.step(step);
                world.quiesce().await;
                keeps_the_schedule(&shop.arrivals());
            });
        }
    }
}

#[test]
fn fault_78_a_new_start_under_a_clock_that_went_back_waits_no_longer_than_each_retrys_own_wait() {
    for step in STEPS_MS {
        simulate(|mut world| async move {
            let shop = world.receiver("shop").await.always(Answer::Status(500));
            world.notify(upgrade(1, "TIER_10K")).await;
            world.advance(Duration::from_secs(15)).await;
            assert_eq!(shop.arrivals().len(), 3, "30 s of waiting have begun");
            world.env.clock.step(step);
            world.crash_and_restart().await;
            world.quiesce().await;
            let arrivals = shop.arrivals();
            assert_eq!(arrivals.len(), 5, "{step}: no attempt more and none less");
            let waits: Vec<f64> =
                arrivals.windows(2).skip(2).map(|pair| (pair[1].at - pair[0].ended).as_secs_f64()).collect();
            assert!(waits[0] <= 30.0 * 1.1 + 5.0, "{step}: {waits:?}");
            assert!((89.9..=99.1).contains(&waits[1]), "{step}: {waits:?}");
        });
    }
}

#[test]
fn fault_78_what_was_replayed_or_never_attempted_is_due_at_once_under_a_clock_that_went_back() {
    let terms = Terms { per_webhook: 1, loaded: 1, ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let shop = world.receiver("shop").await.answers(vec![Answer::Status(500); 5]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let shop = shop.answers([Answer::Hangs]);
        world.notify(upgrade(2, "TIER_10K")).await;
        world.notify(upgrade(3, "TIER_10K")).await;
        world.advance(Duration::from_mins(70)).await;
        let replay = format!("/v1/accounts/{ACCOUNT}/replays");
        let shop = shop.answers([Answer::Hangs]);
        world.notify(upgrade(4, "TIER_10K")).await;
        let (status, answer) = world.call("POST", &replay, serde_json::json!({})).await;
        assert!(status.is_success(), "{answer}");
        world.advance(Duration::from_secs(1)).await;
        world.env.clock.step(-HOUR_MS);
        world.crash_and_restart().await;
        world.advance(Duration::from_secs(30)).await;
        assert!(world.deliveries("status=pending").await.is_empty());
        assert_eq!(shop.limits_seen().len(), 4);
    });
}

#[test]
fn fault_78_a_step_while_an_attempt_is_under_way_ends_no_lease() {
    for step in STEPS_MS {
        let terms = Terms { per_webhook: 4, ..Terms::default() };
        simulate_with(terms, |mut world| async move {
            let slow = Answer::Slow(Duration::from_secs(9), 200);
            let shop = world.receiver("shop").await.answers([slow, Answer::Status(500)]);
            world.notify(upgrade(1, "TIER_10K")).await;
            world.notify(upgrade(2, "TIER_10K")).await;
            world.advance(Duration::from_millis(100)).await;
            world.env.clock.step(step);
            world.notify(upgrade(3, "TIER_10K")).await;
            world.quiesce().await;
            let attempts: Vec<u32> = shop.arrivals().iter().map(|arrival| arrival.attempt).collect();
            assert_eq!(attempts, [1, 1, 1, 2], "{step}: one retry, nothing doubled");
        });
    }
}

fn signed_at(arrival: &Arrival) -> i64 {
    arrival.headers["webhook-timestamp"].parse().unwrap()
}

async fn accepted_at(world: &World) -> Timestamp {
    let events = world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=1")).await;
    Timestamp::parse(events["items"][0]["acceptedAt"].as_str().unwrap()).unwrap()
}

#[test]
fn fault_78_signatures_show_the_wall_clock_and_so_does_what_is_accepted_once_nothing_was_waiting() {
    for step in [HOUR_MS, -HOUR_MS, 3_650 * DAY_MS] {
        simulate(|mut world| async move {
            let shop = world.receiver("shop").await.answers([Answer::Status(500)]);
            world.notify(upgrade(1, "TIER_10K")).await;
            world.advance(Duration::from_millis(500)).await;
            world.env.clock.step(step);
            // The last lease's end is looked out for, whatever became of it.
            world.advance(Duration::from_mins(2)).await;
            world.notify(upgrade(1, "TIER_100K")).await;
            world.advance(Duration::from_secs(1)).await;
            let arrivals = shop.arrivals();
            assert_eq!(arrivals.len(), 3);
            let ahead = |arrival: &Arrival| {
                let true_time =
                    EPOCH_MS / 1000 + arrival.at.duration_since(arrivals[0].at).as_secs().cast_signed();
                signed_at(arrival) - true_time
            };
            let aheads: Vec<i64> = arrivals.iter().map(ahead).collect();
            assert!(aheads[0].abs() <= 1, "{aheads:?}");
            assert!(aheads[1..].iter().all(|ahead| (ahead - step / 1000).abs() <= 1), "{step}: {aheads:?}");
            let behind = world.env.clock.wall().seconds() - accepted_at(&world).await.seconds();
            assert!(behind.abs() <= 5, "{step}: {behind}");
        });
    }
}

async fn events(world: &World) -> Vec<Value> {
    let page = world.get(&format!("/v1/accounts/{ACCOUNT}/events")).await;
    page["items"].as_array().unwrap().clone()
}

#[test]
fn fault_78_a_clock_that_is_ten_years_ahead_for_a_while_removes_nothing_and_forgets_no_duplicate() {
    for restarts in [false, true] {
        simulate(|mut world| async move {
            let shop = world.receiver("shop").await;
            let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]);
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
            world.advance(Duration::from_mins(1)).await;
            world.env.clock.step(3_650 * DAY_MS);
            if restarts {
                world.crash_and_restart().await;
                world.advance(Duration::from_mins(5)).await;
                world.env.clock.step(-3_650 * DAY_MS);
            }
            world.advance(Duration::from_hours(5)).await;
            assert_eq!(events(&world).await.len(), 1, "restarts: {restarts}");
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
            world.quiesce().await;
            assert_eq!(shop.arrivals().len(), 1, "restarts: {restarts}");
        });
    }
}

#[test]
fn what_is_old_goes_however_long_the_process_runs() {
    simulate(|mut world| async move {
        let _shop = world.receiver("shop").await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_hours(29 * 24)).await;
        assert_eq!(events(&world).await.len(), 1);
        world.advance(Duration::from_hours(26)).await;
        assert_eq!(events(&world).await.len(), 0);
    });
}

#[test]
fn fault_78_a_retry_keeps_its_wait_over_starts_one_after_another_by_a_clock_that_went_back() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500), Answer::Status(500)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_secs(3)).await;
        world.env.clock.step(-HOUR_MS);
        for _ in 0..3 {
            world.crash_and_restart().await;
            world.advance(Duration::from_millis(700)).await;
        }
        world.quiesce().await;
        let arrivals = shop.arrivals();
        let waited = arrivals[2].at - arrivals[1].ended;
        assert!((10..17).contains(&waited.as_secs()), "{waited:?}");
    });
}

#[test]
fn a_repeat_is_known_to_the_last_hour_of_14_days_and_news_after_the_round_that_follows() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]);
        for (hours, accepted) in [(0, 1), (14 * 24 - 1, 0), (1, 0), (2, 1)] {
            world.advance(Duration::from_hours(hours)).await;
            let (status, receipt) = world.post_signed(&body).await;
            assert_eq!(status, StatusCode::OK);
            assert_eq!(receipt["accepted"], accepted, "{hours} hours later: {receipt}");
        }
        world.quiesce().await;
        assert_eq!(shop.arrivals().len(), 2);
    });
}

#[test]
fn fault_79_a_pause_is_counted_against_no_receiver_that_was_never_contacted() {
    let terms = Terms { per_webhook: 1, loaded: 16, max_in_flight: 1, ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let slow = Answer::Slow(Duration::from_secs(3), 200);
        let shop = world.receiver("shop").await.always(slow);
        for number in 0..12 {
            world.notify(upgrade(number, "TIER_10K")).await;
        }
        world.advance(Duration::from_secs(1)).await;
        world.pause(Duration::from_mins(5)).await;
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert!(arrivals.len() <= 13, "at most what was under way comes twice: {}", arrivals.len());
        for delivery in world.deliveries("status=delivered").await {
            let id = delivery["deliveryId"].as_str().unwrap();
            let shown = world.get(&format!("/v1/accounts/{ACCOUNT}/deliveries/{id}")).await;
            let outcomes: Vec<_> =
                shown["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["outcome"]).collect();
            assert!(!outcomes.iter().any(|outcome| *outcome == "timeout"), "{outcomes:?}");
        }
    });
}
