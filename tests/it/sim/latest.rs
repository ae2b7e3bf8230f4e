//! Stories of receivers that want the latest only, and of snapshots, through the
//! whole node.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::receivers::{Answer, Arrival, Receiver};
use super::world::{ACCOUNT, Terms, WABA, World, simulate, simulate_with, upgrade};

fn flag(n: u64, event: &str) -> Value {
    json!({"display_phone_number": format!("1555000{n:04}"), "event": event})
}

/// The events that arrived and were confirmed: name and limit.
fn seen(receiver: &Receiver) -> Vec<(String, String)> {
    let arrivals = receiver.arrivals();
    let confirmed = arrivals.iter().filter(|arrival| arrival.confirmed);
    confirmed
        .map(|arrival| {
            let meta = &arrival.json()["eventDetails"]["meta"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&meta["event"]), text(&meta["currentLimit"]))
        })
        .collect()
}

#[test]
fn who_wants_the_latest_gets_the_newest_limit_at_once_and_never_the_one_that_failed() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500), Answer::Status(500)]);
        world.set_delivery(&shop.url, "latest").await;
        world.notify(upgrade(1, "TIER_1K")).await;
        world.advance(Duration::from_secs(3)).await;
        assert_eq!(shop.arrivals().len(), 2, "the third attempt is ten seconds away");
        world.notify(upgrade(1, "TIER_10K")).await;
        world.advance(Duration::from_millis(500)).await;
        assert_eq!(shop.limits_seen(), ["TIER_10K"]);
        world.advance(Duration::from_mins(5)).await;
        assert_eq!(shop.arrivals().len(), 3, "the older one does not come any more");

        let superseded = world.deliveries("status=superseded").await;
        let by = shop.arrivals()[2].json()["eventId"].clone();
        assert_eq!((superseded.len(), &superseded[0]["supersededBy"]), (1, &by));
        let (_, metrics) = world.call("GET", "/metrics", Value::Null).await;
        let metrics = metrics.as_str().unwrap().to_owned();
        for line in [
            "bellwether_deliveries_settled_total{state=\"superseded\"} 1",
            "bellwether_deliveries{state=\"superseded\"} 1",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
    });
}

#[test]
fn a_flag_is_not_lost_to_a_newer_limit() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Status(500)]);
        world.set_delivery(&shop.url, "latest").await;
        world.notify(flag(1, "FLAGGED")).await;
        world.advance(Duration::from_millis(100)).await;
        world.notify(upgrade(1, "TIER_1K")).await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let told = [("FLAGGED", ""), ("UPGRADE", "TIER_10K")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(seen(&shop), told);
    });
}

#[test]
fn a_receiver_that_was_down_all_day_is_told_the_newest_and_not_the_whole_day() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.always(Answer::Status(503));
        world.set_delivery(&shop.url, "latest").await;
        for hour in 0..24 {
            world.notify(upgrade(1, &format!("TIER_{hour}"))).await;
            world.advance(Duration::from_mins(1)).await;
        }
        let shop = shop.always(Answer::Status(200));
        world.quiesce().await;
        assert_eq!(shop.limits_seen(), ["TIER_23"]);
        assert_eq!(world.deliveries("status=superseded").await.len(), 23);
    });
}

async fn snapshot(world: &World, receiver: &Receiver) -> (StatusCode, Value) {
    let id = &world.webhook_ids().await[&receiver.url];
    world.call("POST", &format!("/v1/accounts/{ACCOUNT}/webhooks/{id}/snapshot"), Value::Null).await
}

fn is_snapshot(arrival: &Arrival) -> bool {
    arrival.headers.get("bellwether-snapshot").is_some_and(|value| value == "true")
}

#[test]
fn a_snapshot_tells_one_webhook_how_each_number_stands_and_is_marked() {
    simulate(|mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let (shop, second) = (world.receiver("shop").await, world.receiver("second").await);
        for number in 0..120 {
            world.notify(upgrade(number, "TIER_1K")).await;
        }
        world.notify(upgrade(7, "TIER_10K")).await;
        world.quiesce().await;
        let before = (shop.count(), second.count());
        assert_eq!(before, (121, 121));
        let (status, answer) = snapshot(&world, &shop).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        world.advance(Duration::from_secs(5)).await;
        world.quiesce().await;
        assert_eq!((shop.count(), second.count()), (241, 121), "each number once, to this one only");
        let told = shop.arrivals().split_off(121);
        assert!(told.iter().all(is_snapshot) && !shop.arrivals()[..121].iter().any(is_snapshot));
        let of_seven = told.iter().find(|arrival| arrival.number() == "15550000007").unwrap();
        assert_eq!((of_seven.limit().as_str(), of_seven.sequence), ("TIER_10K", 2));
        assert_eq!(of_seven.json()["eventDetails"]["meta"]["event"], "ONBOARDING");
        let shown = world.get(&format!("/v1/accounts/{ACCOUNT}/events?phoneNumber=15550000007")).await;
        let snapshots: Vec<_> = shown["items"].as_array().unwrap().iter().map(|e| &e["snapshot"]).collect();
        assert_eq!(snapshots, [&json!(true), &json!(false), &json!(false)]);
    });
}

#[test]
fn a_snapshot_survives_crashes_and_is_refused_where_nothing_is_sent() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        for number in 0..200 {
            world.notify(upgrade(number, "TIER_1K")).await;
        }
        world.quiesce().await;
        let (status, _) = snapshot(&world, &shop).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        for _ in 0..3 {
            tokio::task::yield_now().await;
            world.crash_and_restart().await;
        }
        world.advance(Duration::from_secs(5)).await;
        world.quiesce().await;
        let events = world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=500")).await;
        let snapshots = events["items"].as_array().unwrap().iter().filter(|event| event["snapshot"] == true);
        assert_eq!(snapshots.count(), 200, "none is told of twice, none is left out");

        let account = format!("/v1/accounts/{ACCOUNT}");
        world.call("PUT", &account, json!({"name": "Shop", "chatApps": false})).await;
        let (status, answer) = snapshot(&world, &shop).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("not_configured")));
        world.call("PUT", &account, json!({"name": "Shop", "chatApps": true})).await;
        let disabled = json!([{"subAccountId": "*", "url": shop.url, "type": "CABM", "enabled": false}]);
        world.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), disabled).await;
        let (status, answer) = snapshot(&world, &shop).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("not_deliverable")));
    });
}

#[test]
fn a_new_webhook_is_told_how_the_numbers_stand_if_the_configuration_says_so() {
    for (wanted, arrives) in [(false, 0), (true, 2)] {
        let terms = Terms { snapshot_on_enable: wanted, ..Terms::default() };
        simulate_with(terms, |mut world| async move {
            world.notify(upgrade(1, "TIER_1K")).await;
            world.notify(upgrade(2, "TIER_10K")).await;
            let shop = world.receiver("shop").await;
            world.advance(Duration::from_secs(1)).await;
            assert_eq!(shop.arrivals().iter().filter(|arrival| is_snapshot(arrival)).count(), arrives);
            // Configured anew it is no new one.
            world.receiver("shop").await;
            world.advance(Duration::from_secs(1)).await;
            assert_eq!(shop.count(), arrives);
        });
    }
}
