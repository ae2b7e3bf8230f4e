//! Publishing without Meta, and idempotency.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{ACCOUNT, Answer, House, OPERATOR, OTHER, WABA};

const EVENTS: &str = "/v1/accounts/0f88f5c4-fae7-4dcf-8ff2-b2990133edea/events";

pub(super) fn upgrade() -> Value {
    json!({"businessAccountId": WABA, "displayPhoneNumber": "+1 555-078-3881", "event": "UPGRADE",
        "currentLimit": "TIER_10K", "oldLimit": "TIER_1K", "timestamp": "2025-01-01T02:00:00+02:00"})
}

async fn publish(house: &House, key: &str, body: &Value) -> Answer {
    let request = Request::builder().method("POST").uri(EVENTS).header("idempotency-key", key);
    let request = request.header("authorization", format!("Bearer {OPERATOR}"));
    house.answer(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_published_change_becomes_an_event_and_values_are_passed_on_unchanged() {
    let house = House::new().await;
    let mut body = upgrade();
    body["event"] = json!("SOMETHING_OF_THE_FUTURE");
    body["currentLimit"] = json!("-1");
    let answer = house.post(EVENTS, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let id = &answer.json["eventId"];
    let shown = house.get(&format!("{EVENTS}/{}", id.as_str().unwrap())).await.json;
    assert_eq!(
        shown["body"],
        json!({"eventId": id, "timestamp": "2025-01-01T00:00:00.00Z", "provider": "WhatsApp",
            "businessAccountId": WABA, "accountId": ACCOUNT, "eventType": "phone_number_quality_update",
            "eventDetails": {"displayPhoneNumber": "+1 555-078-3881",
                "meta": {"event": "SOMETHING_OF_THE_FUTURE", "currentLimit": "-1", "oldLimit": "TIER_1K"}}})
    );
    assert_eq!((&shown["phoneNumber"], &shown["test"]), (&json!("15550783881"), &json!(false)));
    assert_eq!((&shown["sequence"], &shown["deliveries"]), (&json!(1), &json!([])));
}

#[tokio::test]
async fn the_same_key_makes_one_event_and_another_request_under_it_is_refused() {
    let house = House::new().await;
    let first = publish(&house, "order-17", &upgrade()).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (202, ""));
    let again = publish(&house, "order-17", &upgrade()).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (202, "true"));
    assert_eq!(first.json, again.json);
    let mut other = upgrade();
    other["event"] = json!("DOWNGRADE");
    assert_eq!(publish(&house, "order-17", &other).await.refusal(), (422, &json!("idempotency_key_reused")));
    assert_eq!(publish(&house, "order-18", &upgrade()).await.status, 202, "another key is another event");
    for bad in ["", " ", "a b", &"x".repeat(256)] {
        let answer = publish(&house, bad, &upgrade()).await;
        assert_eq!(answer.refusal(), (400, &json!("invalid_parameter")), "{bad:?}");
    }
    let listed = house.get(EVENTS).await.json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_can_not_be_published_is_refused() {
    let house = House::new().await;
    house.register(OTHER, "2").await;
    let with = |name: &str, value: Value| {
        let mut body = upgrade();
        body[name] = value;
        body
    };
    let cases = [
        (with("businessAccountId", json!("2")), 422, "unknown_business_account"),
        (with("businessAccountId", json!("99")), 422, "unknown_business_account"),
        (with("businessAccountId", json!("a b")), 400, "invalid_field"),
        (with("displayPhoneNumber", json!("none")), 400, "invalid_field"),
        (with("event", json!("")), 400, "invalid_field"),
        (with("event", json!("x".repeat(65))), 400, "invalid_field"),
        (with("currentLimit", json!(10_000)), 400, "invalid_field"),
        (with("timestamp", json!("yesterday")), 400, "invalid_field"),
        (with("limit", json!("TIER_1K")), 400, "unknown_field"),
    ];
    for (body, status, code) in cases {
        let answer = house.post(EVENTS, body.clone()).await;
        assert_eq!(answer.refusal(), (status, &json!(code)), "{body}: {}", answer.text);
    }
    house.put(&format!("/v1/accounts/{ACCOUNT}"), json!({"name": "Shop", "chatApps": false})).await;
    assert_eq!(house.post(EVENTS, upgrade()).await.refusal(), (409, &json!("not_configured")));
    assert_eq!(house.get(EVENTS).await.json["items"], json!([]));
}

#[tokio::test]
async fn events_are_listed_newest_first_by_number_type_and_time() {
    let house = House::new().await;
    for n in 0..5 {
        let mut body = upgrade();
        body["displayPhoneNumber"] = json!(format!("1555000{n}"));
        assert_eq!(house.post(EVENTS, body).await.status, 202);
    }
    let numbers = async |query: &str| {
        let page = house.get(&format!("{EVENTS}?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        let items = page.json["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["phoneNumber"].as_str().unwrap()[7..].to_owned()).collect::<String>()
    };
    assert_eq!(numbers("").await, "43210");
    assert_eq!(numbers("limit=2").await, "43");
    assert_eq!(numbers("phoneNumber=%2B1-555-000-3").await, "3");
    assert_eq!(numbers("eventType=phone_number_quality_update").await, "43210");
    assert_eq!(numbers("eventType=account_update").await, "");
    assert_eq!(numbers("since=2025-06-01T00:00:00Z").await, "43210");
    assert_eq!(numbers("until=2025-06-01T00:00:00Z").await, "");
    let first = house.get(&format!("{EVENTS}?limit=2")).await.json;
    assert_eq!(numbers(&format!("cursor={}", first["nextCursor"].as_str().unwrap())).await, "210");
}
