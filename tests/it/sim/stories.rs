//! Stories on paused time: the schedule, order, fairness, restarts.

use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::Clock;
use bellwether::model::attempt::OutcomeClass;
use bellwether::model::time::Timestamp;
use serde_json::{Value, json};
use standardwebhooks::Webhook as Verifier;

use super::receivers::{Answer, Arrival, Receiver};
use super::world::{ACCOUNT, Terms, WABA, World, simulate, simulate_with, upgrade};

/// When each attempt began, in seconds after the first, given how long each took.
fn starts(arrivals: &[Arrival]) -> Vec<f64> {
    arrivals.iter().map(|arrival| (arrival.at - arrivals[0].at).as_secs_f64()).collect()
}

/// Holds the arrivals against the seed's waits: each attempt begins 1, 10, 30
/// and 90 s after the end of the one before, never early, at most 10 % late.
pub(super) fn keeps_the_schedule(arrivals: &[Arrival]) {
    assert_eq!(arrivals.len(), 5, "five attempts in all: {:?}", starts(arrivals));
    for (pair, wait) in arrivals.windows(2).zip([1.0, 10.0, 30.0, 90.0]) {
        let waited = (pair[1].at - pair[0].ended).as_secs_f64();
        assert!(waited >= wait - 0.002, "too early: {waited} instead of {wait}");
        assert!(waited <= wait * 1.1 + 0.1, "too late: {waited} instead of {wait}");
    }
    let attempts: Vec<u32> = arrivals.iter().map(|arrival| arrival.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
}

#[test]
fn every_kind_of_failure_is_retried_after_1_10_30_and_90_seconds_and_then_exhausted() {
    let failures = [
        Answer::Status(400),
        Answer::Status(404),
        Answer::Status(410),
        Answer::Status(429),
        Answer::Status(500),
        Answer::Status(503),
        Answer::Status(302),
        Answer::Fails(OutcomeClass::Reset),
        Answer::Hangs,
    ];
    for failure in failures {
        simulate(|mut world| async move {
            let shop = world.receiver("shop").await.always(failure.clone());
            world.notify(upgrade(1, "TIER_10K")).await;
            world.quiesce().await;
            keeps_the_schedule(&shop.arrivals());
            let ended = world.deliveries("status=exhausted").await;
            assert_eq!((ended.len(), ended[0]["attemptCount"].as_i64()), (1, Some(5)), "{failure:?}");
        });
    }
}

#[test]
fn a_refused_connection_is_retried_on_the_same_schedule() {
    simulate(|mut world| async move {
        let _shop = world.receiver("shop").await.always(Answer::Fails(OutcomeClass::Connect));
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let exhausted = world.deliveries("status=exhausted").await;
        let id = exhausted[0]["deliveryId"].as_str().unwrap();
        let shown = world.get(&format!("/v1/accounts/{ACCOUNT}/deliveries/{id}")).await;
        let attempts = shown["attempts"].as_array().unwrap_or_else(|| panic!("{shown:#}"));
        let classes: Vec<_> = attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
        assert_eq!(classes, ["connect"; 5]);
        let began = |attempt: &Value| Timestamp::parse(attempt["startedAt"].as_str().unwrap()).unwrap().ms();
        for (pair, wait) in attempts.windows(2).zip([1_000, 10_000, 30_000, 90_000]) {
            let ended = began(&pair[0]) + pair[0]["durationMs"].as_i64().unwrap();
            // Instants are shown to a hundredth of a second.
            let waited = began(&pair[1]) - ended;
            assert!((wait - 20..=wait * 11 / 10 + 120).contains(&waited), "{waited} ms instead of {wait}");
        }
    });
}

#[test]
fn a_success_in_between_ends_the_retries() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500), Answer::Hangs]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_mins(5)).await;
        assert_eq!(shop.arrivals().len(), 3);
        assert_eq!(world.deliveries("status=delivered").await.len(), 1);
    });
}

#[test]
fn an_exhausted_delivery_is_replayed_with_the_same_event_id_and_a_fresh_schedule() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers(vec![Answer::Status(500); 8]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let id = world.deliveries("status=exhausted").await[0]["deliveryId"].as_str().unwrap().to_owned();
        let replay = format!("/v1/accounts/{ACCOUNT}/deliveries/{id}/replay");
        let (status, answer) = world.call("POST", &replay, Value::Null).await;
        assert!(status.is_success(), "{answer}");
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert_eq!(arrivals.len(), 9);
        assert!(arrivals.iter().all(|arrival| arrival.webhook_id == arrivals[0].webhook_id));
        assert!(arrivals.iter().all(|arrival| arrival.body == arrivals[0].body));
        assert_eq!(arrivals[8].attempt, 9);
        let waited = arrivals[6].at - arrivals[5].ended;
        assert!(waited < Duration::from_millis(1_200), "the schedule begins anew: {waited:?}");
        assert_eq!(world.deliveries("status=delivered").await.len(), 1);
    });
}

#[test]
fn a_number_keeps_its_order_while_its_first_event_is_retried() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500), Answer::Status(500)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.notify(upgrade(1, "TIER_100K")).await;
        world.quiesce().await;
        assert_eq!(shop.limits_seen(), ["TIER_10K", "TIER_100K"]);
        assert_eq!(shop.arrivals().len(), 4);
        let sequences: Vec<i64> = shop.arrivals().iter().map(|arrival| arrival.sequence).collect();
        assert_eq!(sequences, [1, 1, 1, 2]);
    });
}

#[test]
fn other_numbers_and_other_webhooks_never_wait_for_a_retried_one() {
    simulate(|mut world| async move {
        register_sub_account(&world, "second").await;
        let shop = world.receiver("shop").await.answers([Answer::Hangs, Answer::Hangs]);
        let second = world.receiver("second").await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_millis(50)).await;
        world.notify(upgrade(2, "TIER_10K")).await;
        world.advance(Duration::from_secs(1)).await;
        assert_eq!(second.limits_seen().len(), 2, "the other webhook has both");
        world.quiesce().await;
        let of_two: Vec<Arrival> =
            shop.arrivals().into_iter().filter(|a| a.number() == "15550000002").collect();
        assert_eq!(of_two.len(), 2, "hung once, then arrived: {of_two:?}");
    });
}

async fn register_sub_account(world: &World, name: &str) {
    let body = json!({"accountId": ACCOUNT, "subAccountId": name});
    let (status, answer) = world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
    assert!(status.is_success(), "{answer}");
}

#[test]
fn retry_after_of_a_busy_receiver_is_respected() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::RetryAfter(503, "60")]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert!(arrivals[1].at - arrivals[0].ended >= Duration::from_mins(1));
    });
}

#[test]
fn a_webhook_with_thousands_waiting_does_not_delay_one_with_a_single_event() {
    // The share of an account that is alone: eight at once, and sixteen places.
    let terms = Terms { per_webhook: 4, max_in_flight: 16, loaded: 32, ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        register_sub_account(&world, "second").await;
        let shop = world.receiver("shop").await.always(Answer::Hangs);
        let backlog: Vec<Value> = (0..1_000).map(|n| upgrade(n, "TIER_10K")).collect();
        for batch in backlog.chunks(500) {
            let body = super::world::notification(super::world::EPOCH_MS / 1000 - 5, batch);
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
        }
        world.advance(Duration::from_secs(3)).await;
        let second = world.receiver("second").await;
        world.notify(upgrade(5_000, "TIER_10K")).await;
        world.advance(Duration::from_millis(100)).await;
        assert_eq!(second.limits_seen().len(), 1, "the healthy webhook has its event at once");
        assert!(shop.most_under_way() <= 4, "the hanging one keeps to its share: {}", shop.most_under_way());
    });
}

#[test]
fn a_backlog_far_beyond_memory_drains_completely_and_in_order() {
    let terms = Terms { per_webhook: 2, max_in_flight: 4, loaded: 4, ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let shop = world.receiver("shop").await;
        for round in 0..5 {
            let limit = format!("TIER_{round}");
            let batch: Vec<Value> = (0..60).map(|n| upgrade(n, &limit)).collect();
            let body = super::world::notification(super::world::EPOCH_MS / 1000 + round, &batch);
            assert_eq!(world.post_signed(&body).await.0, StatusCode::OK);
        }
        world.quiesce().await;
        assert_eq!(shop.arrivals().len(), 300);
        for n in 0..60 {
            let number = format!("1555000{n:04}");
            let seen: Vec<i64> =
                shop.arrivals().iter().filter(|a| a.number() == number).map(|a| a.sequence).collect();
            assert_eq!(seen, [1, 2, 3, 4, 5]);
        }
        world.notify(upgrade(1, "TIER_LAST")).await;
        world.quiesce().await;
        assert_eq!(shop.limits_seen().last().unwrap(), "TIER_LAST");
    });
}

#[test]
fn after_a_crash_everything_is_picked_up_within_a_second() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Hangs, Answer::Hangs, Answer::Hangs]);
        for n in 0..3 {
            world.notify(upgrade(n, "TIER_10K")).await;
        }
        world.advance(Duration::from_secs(2)).await;
        world.crash_and_restart().await;
        world.advance(Duration::from_secs(1)).await;
        let confirmed: Vec<Arrival> = shop.arrivals().into_iter().filter(|a| a.confirmed).collect();
        assert_eq!(confirmed.len(), 3);
        assert!(confirmed.iter().all(|a| a.attempt == 2), "the interrupted attempt is counted");
        let shown = world.deliveries("status=delivered").await;
        assert_eq!(shown.len(), 3);
    });
}

#[test]
fn a_clean_restart_doubles_nothing_and_counts_no_attempt_that_was_not_made() {
    let terms = Terms { per_webhook: 2, loaded: 50, ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let shop = world.receiver("shop").await.always(Answer::Slow(Duration::from_secs(1), 200));
        for n in 0..20 {
            world.notify(upgrade(n, "TIER_10K")).await;
        }
        world.advance(Duration::from_millis(2_500)).await;
        world.restart_cleanly().await;
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert_eq!(arrivals.len(), 20, "each arrived once");
        assert!(arrivals.iter().all(|a| a.attempt == 1));
    });
}

#[test]
fn the_official_library_verifies_what_is_sent_and_both_secrets_sign_during_rotation() {
    // The library holds what is signed against the system's clock.
    let terms = Terms { epoch: Clock::system().now(), ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let shop = world.receiver("shop").await;
        let webhooks = world.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
        let id = webhooks["items"][0]["webhookId"].as_str().unwrap().to_owned();
        let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{id}/secret");
        let old = secret(&world.get(&path).await);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let (status, _) = world.call("POST", &format!("{path}/rotate"), Value::Null).await;
        assert!(status.is_success());
        let new = secret(&world.get(&path).await);
        assert_ne!(old, new);
        world.notify(upgrade(1, "TIER_100K")).await;
        world.quiesce().await;
        let arrivals = shop.arrivals();
        verify(&old, &arrivals[0]).unwrap();
        verify(&old, &arrivals[1]).unwrap();
        verify(&new, &arrivals[1]).unwrap();
        assert!(verify(&new, &arrivals[0]).is_err());
        world.advance(Duration::from_hours(25)).await;
        world.notify(upgrade(1, "TIER_1K")).await;
        world.quiesce().await;
        let signatures = shop.arrivals()[2].headers["webhook-signature"].clone();
        assert_eq!(signatures.split(' ').count(), 1, "a day later the old secret signs no more");
    });
}

fn secret(answer: &Value) -> String {
    answer["secret"].as_str().unwrap().to_owned()
}

/// Verifies by the official library.
fn verify(secret: &str, arrival: &Arrival) -> Result<(), standardwebhooks::WebhookError> {
    let verifier = Verifier::new(secret).unwrap();
    let mut headers = axum::http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let name = axum::http::HeaderName::from_static(name);
        headers.insert(name.clone(), arrival.headers[name.as_str()].parse().unwrap());
    }
    verifier.verify(&arrival.body, &headers)
}

#[test]
fn a_delivery_has_exactly_the_headers_of_the_contract() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let arrival = &shop.arrivals()[0];
        let names: Vec<&str> = arrival.headers.keys().map(String::as_str).collect();
        let expected = [
            "bellwether-attempt",
            "bellwether-sequence",
            "content-type",
            "user-agent",
            "webhook-id",
            "webhook-signature",
            "webhook-timestamp",
        ];
        assert_eq!(names, expected);
        assert_eq!(arrival.headers["content-type"], "application/json");
        assert_eq!(arrival.headers["webhook-id"], arrival.json()["eventId"].as_str().unwrap());
        assert_eq!(arrival.headers["user-agent"], concat!("bellwether/", env!("CARGO_PKG_VERSION")));
    });
}

#[test]
fn a_disabled_webhook_is_held_and_gets_what_it_is_owed_when_enabled() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_millis(100)).await;
        set_enabled(&world, &shop, false).await;
        world.advance(Duration::from_mins(10)).await;
        assert_eq!(shop.arrivals().len(), 1, "nothing is sent while disabled");
        assert_eq!(world.deliveries("status=pending").await.len(), 1);
        set_enabled(&world, &shop, true).await;
        world.advance(Duration::from_secs(1)).await;
        assert_eq!(shop.limits_seen(), ["TIER_10K"]);
    });
}

async fn set_enabled(world: &World, receiver: &Receiver, enabled: bool) {
    let webhooks = json!([{"subAccountId": "*", "url": receiver.url, "type": "CABM", "enabled": enabled}]);
    let (status, answer) =
        world.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[test]
fn a_deleted_webhook_gets_nothing_more_and_its_deliveries_are_canceled() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.always(Answer::Status(500));
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_secs(5)).await;
        let body = json!([{"subAccountId": "*", "type": "CABM"}]);
        let (status, answer) =
            world.call("DELETE", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let sent = shop.arrivals().len();
        world.advance(Duration::from_mins(5)).await;
        assert_eq!(shop.arrivals().len(), sent);
        assert_eq!(world.deliveries("status=canceled").await.len(), 1);
    });
}

#[test]
fn a_bulk_replay_counts_first_and_then_delivers_all_that_was_exhausted() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.always(Answer::Status(503));
        for n in 0..30 {
            world.notify(upgrade(n, "TIER_10K")).await;
        }
        world.quiesce().await;
        assert_eq!(world.deliveries("status=exhausted").await.len(), 30);
        let shop = shop.always(Answer::Status(200));
        let replays = format!("/v1/accounts/{ACCOUNT}/replays");
        let (status, counted) = world.call("POST", &replays, json!({"dryRun": true})).await;
        assert!(status.is_success(), "{counted}");
        assert_eq!(counted["matched"], 30);
        world.advance(Duration::from_secs(5)).await;
        assert_eq!(shop.limits_seen().len(), 0, "a dry run sends nothing");
        let (status, started) = world.call("POST", &replays, json!({})).await;
        assert!(status.is_success(), "{started}");
        world.advance(Duration::from_secs(10)).await;
        let id = started["replayId"].as_str().unwrap_or_else(|| panic!("{started}"));
        let shown = world.get(&format!("{replays}/{id}")).await;
        assert_eq!(
            (shown["status"].as_str(), shown["replayed"].as_u64()),
            (Some("completed"), Some(30)),
            "{shown}"
        );
        assert_eq!(shop.limits_seen().len(), 30);
    });
}
