//! Deliveries, their attempts and replays, on a whole node.

use std::time::Duration;

use serde_json::{Value, json};

use super::ACCOUNT;
use super::publish::upgrade;
use crate::sim::receivers::Answer;
use crate::sim::simulate;
use crate::sim::world::World;

fn path(rest: &str) -> String {
    format!("/v1/accounts/{ACCOUNT}/{rest}")
}

async fn publish(world: &World) -> String {
    let (status, answer) = world.call("POST", &path("events"), upgrade()).await;
    assert_eq!(status, 202, "{answer}");
    answer["eventId"].as_str().unwrap().to_owned()
}

/// A delivery of which every attempt failed.
async fn exhausted(world: &World) -> String {
    publish(world).await;
    world.advance(Duration::from_mins(5)).await;
    let page = world.get(&path("deliveries?status=exhausted")).await;
    page["items"][0]["deliveryId"].as_str().expect("it is exhausted").to_owned()
}

#[test]
fn a_delivery_tells_every_attempt_and_what_the_receiver_said() {
    simulate(async |world: World| {
        let receiver = world.receiver("shop").await.always(Answer::Status(500));
        let id = exhausted(&world).await;
        let shown = world.get(&path(&format!("deliveries/{id}"))).await;
        assert_eq!((&shown["status"], &shown["attemptCount"]), (&json!("exhausted"), &json!(5)));
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 5);
        for (number, attempt) in (1..).zip(attempts) {
            assert_eq!((&attempt["number"], &attempt["httpStatus"]), (&json!(number), &json!(500)));
            assert_eq!((&attempt["outcome"], &attempt["answer"]), (&json!("http_status"), &json!("noted")));
            assert!(attempt["startedAt"].is_string() && attempt["durationMs"].is_i64(), "{attempt}");
            assert_eq!(attempt["nextAttemptAt"].is_string(), number < 5, "{attempt}");
        }
        let event = world.get(&path(&format!("events/{}", shown["eventId"].as_str().unwrap()))).await;
        assert_eq!(event["deliveries"][0]["deliveryId"], json!(id));
        let hooks = world.get(&path("webhooks")).await;
        assert_eq!(hooks["items"][0]["health"]["exhausted"], 1);
        assert_eq!(hooks["items"][0]["health"]["lastFailure"]["httpStatus"], 500);
        assert_eq!(receiver.arrivals().len(), 5);
    });
}

#[test]
fn an_exhausted_delivery_is_replayed_and_a_pending_one_is_not() {
    simulate(async |world: World| {
        let receiver = world.receiver("shop").await.answers(vec![Answer::Status(503); 5]);
        let id = exhausted(&world).await;
        let replay = path(&format!("deliveries/{id}/replay"));
        let (status, answer) = world.call("POST", &replay, Value::Null).await;
        assert_eq!((status.as_u16(), &answer["status"]), (202, &json!("pending")), "{answer}");
        let (status, answer) = world.call("POST", &replay, Value::Null).await;
        assert_eq!((status.as_u16(), &answer["code"]), (409, &json!("not_replayable")), "{answer}");
        world.quiesce().await;
        let shown = world.get(&path(&format!("deliveries/{id}"))).await;
        assert_eq!((&shown["status"], &shown["attemptCount"]), (&json!("delivered"), &json!(6)));
        let ids: Vec<_> = receiver.arrivals().iter().map(|arrival| arrival.webhook_id.clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "the same event id on every attempt and replay");
        let (status, _) = world.call("POST", &path("deliveries/1/replay"), Value::Null).await;
        assert_eq!(status, 404);
    });
}

#[test]
fn a_delivery_of_a_deleted_webhook_has_nowhere_to_go() {
    simulate(async |world: World| {
        world.receiver("shop").await.always(Answer::Status(500));
        let id = exhausted(&world).await;
        let hooks = format!("/api/v1/accounts/{ACCOUNT}/webhooks");
        let body = json!([{"subAccountId": "*", "type": "CABM"}]);
        assert_eq!(world.call("DELETE", &hooks, body).await.0, 200);
        let (status, answer) =
            world.call("POST", &path(&format!("deliveries/{id}/replay")), Value::Null).await;
        assert_eq!((status.as_u16(), &answer["code"]), (409, &json!("not_replayable")), "{answer}");
    });
}

#[test]
fn a_bulk_replay_is_counted_first_then_runs_and_shows_how_far_it_is() {
    simulate(async |world: World| {
        world.receiver("shop").await.answers(vec![Answer::Status(500); 5]);
        exhausted(&world).await;
        let replays = path("replays");
        let (status, counted) = world.call("POST", &replays, json!({"dryRun": true})).await;
        assert_eq!((status.as_u16(), counted), (200, json!({"dryRun": true, "matched": 1})));
        let elsewhere = json!({"dryRun": true, "phoneNumber": "4930123"});
        assert_eq!(world.call("POST", &replays, elsewhere).await.1["matched"], 0);

        let (status, begun) = world.call("POST", &replays, json!({"status": "exhausted"})).await;
        assert_eq!((status.as_u16(), &begun["matched"]), (202, &json!(1)), "{begun}");
        world.advance(Duration::from_mins(2)).await;
        let id = begun["replayId"].as_str().unwrap();
        let shown = world.get(&path(&format!("replays/{id}"))).await;
        assert_eq!((&shown["status"], &shown["replayed"]), (&json!("completed"), &json!(1)), "{shown}");
        let (status, canceled) =
            world.call("POST", &path(&format!("replays/{id}/cancel")), Value::Null).await;
        assert_eq!((status.as_u16(), &canceled["status"]), (200, &json!("completed")), "it was through");
        assert_eq!(
            world.get(&path("deliveries?status=delivered")).await["items"].as_array().unwrap().len(),
            1
        );
    });
}

#[test]
fn a_bulk_replay_that_can_not_be_is_refused() {
    simulate(async |world: World| {
        let cases = [
            (json!({"status": "pending"}), "invalid_field"),
            (json!({"status": "canceled"}), "invalid_field"),
            (json!({"status": "lost"}), "invalid_field"),
            (json!({"superseded": "forget"}), "invalid_field"),
            (json!({"superseded": "skip", "status": "delivered"}), "invalid_field"),
            (json!({"perSecond": 0}), "invalid_field"),
            (json!({"since": "yesterday"}), "invalid_field"),
            (json!({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}), "invalid_field"),
            (json!({"webhookId": "1"}), "invalid_field"),
            (json!({"number": "1"}), "unknown_field"),
        ];
        for (body, code) in cases {
            let (status, answer) = world.call("POST", &path("replays"), body.clone()).await;
            assert_eq!((status.as_u16(), &answer["code"]), (400, &json!(code)), "{body}: {answer}");
        }
        for rest in ["replays/nobody", "replays/nobody/cancel"] {
            let method = if rest.ends_with("cancel") { "POST" } else { "GET" };
            assert_eq!(world.call(method, &path(rest), Value::Null).await.0, 404, "{rest}");
        }
    });
}

#[test]
fn a_test_event_reaches_its_webhook_only() {
    simulate(async |world: World| {
        let (tried, other) = (world.receiver("shop").await, world.receiver("other").await);
        let hooks = world.get(&path("webhooks")).await;
        let of_all = |hook: &&Value| hook["subAccountId"] == "*";
        let hook = hooks["items"].as_array().unwrap().iter().find(of_all).unwrap();
        let id = hook["webhookId"].as_str().unwrap();
        let (status, _) = world.call("POST", &path(&format!("webhooks/{id}/test")), Value::Null).await;
        assert_eq!(status, 202);
        world.quiesce().await;
        let arrivals = tried.arrivals();
        assert_eq!((arrivals.len(), other.arrivals().len()), (1, 0));
        assert_eq!(arrivals[0].json()["eventDetails"]["meta"]["event"], "UPGRADE");
    });
}
