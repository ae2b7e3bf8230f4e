//! What is known of numbers, as the API shows it.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{ACCOUNT, House, OPERATOR, WABA};

/// The path of what is known of a number, spelled in some way.
fn path(number: &str) -> String {
    format!("/v1/accounts/{ACCOUNT}/phone-numbers/{number}")
}

impl House {
    async fn publish(&self, number: &str, event: &str, limit: &str) {
        let body = json!({"businessAccountId": WABA, "displayPhoneNumber": number, "event": event, "currentLimit": limit});
        assert_eq!(self.post(&format!("/v1/accounts/{ACCOUNT}/events"), body).await.status, 202);
    }

    /// What an `If-None-Match` is answered with.
    async fn unless(&self, etag: &str) -> u16 {
        let request = Request::get(path("15550783881"))
            .header("authorization", format!("Bearer {OPERATOR}"))
            .header("if-none-match", etag);
        let answer = self.answer(request.body(Body::empty()).unwrap()).await;
        assert!(answer.status != 304 || answer.text.is_empty() && !answer.header("etag").is_empty());
        answer.status.as_u16()
    }
}

#[tokio::test]
async fn a_number_is_shown_however_it_is_spelled() {
    let house = House::new().await;
    house.publish("15550783881", "UPGRADE", "TIER_10K").await;
    for spelled in
        ["15550783881", "+15550783881", "%2B1%20555-078-3881", "1.555.078.3881", "(1)555%20078%203881"]
    {
        let shown = house.get(&path(spelled)).await;
        assert_eq!(
            (shown.status.as_u16(), &shown.json["phoneNumber"]),
            (200, &json!("15550783881")),
            "{spelled}"
        );
    }
    let shown = house.get(&path("15550783881")).await.json;
    assert_eq!((&shown["businessAccountId"], &shown["sequence"]), (&json!(WABA), &json!(1)));
    let limit = &shown["limit"];
    assert_eq!((&limit["value"], &limit["learnedBy"]), (&json!("TIER_10K"), &json!("published")));
    let event = limit["eventId"].as_str().unwrap();
    assert_eq!(house.get(&format!("/v1/accounts/{ACCOUNT}/events/{event}")).await.status, 200);
    assert!(
        shown.get("rating").is_none() && shown.get("throughput").is_none(),
        "what is not known is left out"
    );
    for wrong in ["abc", "1a", "%2B", "000000000000000000000000000000001"] {
        assert_eq!(house.get(&path(wrong)).await.refusal(), (400, &json!("invalid_parameter")), "{wrong}");
    }
    assert_eq!(house.get(&path("1")).await.refusal(), (404, &json!("not_found")));
}

#[tokio::test]
async fn an_etag_holds_until_anything_changes_with_or_without_an_event() {
    let house = House::new().await;
    house.publish("15550783881", "UPGRADE", "TIER_10K").await;
    let etag = async || house.get(&path("15550783881")).await.header("etag").to_owned();
    let first = etag().await;
    assert_eq!(first, "W/\"1.0\"");
    for known in [&*first, "\"1.0\"", "*", "\"9.9\", W/\"1.0\""] {
        assert_eq!(house.unless(known).await, 304, "{known}");
    }
    let rated = json!({"businessAccountId": WABA, "rating": "YELLOW"});
    assert_eq!(house.put(&path("15550783881"), rated.clone()).await.header("etag"), "W/\"1.1\"");
    assert_eq!(house.unless(&first).await, 200, "a rating changes without an event");
    house.put(&path("15550783881"), rated).await;
    assert_eq!(house.unless("W/\"1.1\"").await, 304, "said again it is no change");
    house.publish("15550783881", "FLAGGED", "TIER_10K").await;
    assert_eq!((house.unless("W/\"1.1\"").await, etag().await.as_str()), (200, "W/\"2.1\""));
}

#[tokio::test]
async fn a_number_is_entered_changed_retired_and_its_history_stays() {
    let house = House::new().await;
    let wanted = json!({"businessAccountId": WABA, "limit": "TIER_2K", "flagged": true});
    let entered = house.put(&path("+1555"), wanted).await;
    assert_eq!((entered.status.as_u16(), &entered.json["flagged"]["value"]), (201, &json!(true)));
    assert_eq!(entered.json["limit"]["learnedBy"], "hand");
    let again = house.put(&path("1555"), json!({"businessAccountId": WABA, "flagged": false})).await;
    assert_eq!((again.status.as_u16(), &again.json["limit"]["value"]), (200, &json!("TIER_2K")));
    house.publish("1555", "UPGRADE", "TIER_10K").await;
    let history = house.get(&format!("{}/history", path("1555"))).await.json;
    let changes: Vec<Value> =
        history["items"].as_array().unwrap().iter().map(|item| item["changes"].clone()).collect();
    assert_eq!(
        changes,
        [
            json!([{"name": "limit", "from": "TIER_2K", "to": "TIER_10K"}]),
            json!([{"name": "flagged", "from": true, "to": false}]),
            json!([{"name": "limit", "to": "TIER_2K"}, {"name": "flagged", "to": true}]),
        ]
    );
    assert!(history["items"][0]["eventId"].is_string() && history["items"][1].get("eventId").is_none());
    let first = house.get(&format!("{}/history?limit=1", path("1555"))).await.json;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = house.get(&format!("{}/history?limit=1&cursor={cursor}", path("1555"))).await.json;
    assert_eq!(second["items"][0], history["items"][1]);
    assert_eq!(house.delete(&path("1555"), Value::Null).await.status, 204);
    assert_eq!(house.delete(&path("1555"), Value::Null).await.refusal(), (404, &json!("not_found")));
    assert_eq!(house.get(&path("1555")).await.status, 404);
    assert_eq!(house.get(&format!("{}/history", path("1555"))).await.json["items"], history["items"]);
}

#[tokio::test]
async fn what_is_entered_wrongly_is_named() {
    let house = House::new().await;
    for (body, code) in [
        (json!({"limit": "TIER_2K"}), (400, "missing_field")),
        (json!({"businessAccountId": WABA, "limt": "TIER_2K"}), (400, "unknown_field")),
        (json!({"businessAccountId": WABA, "limit": ""}), (400, "invalid_field")),
        (json!({"businessAccountId": WABA, "status": "x".repeat(65)}), (400, "invalid_field")),
        (json!({"businessAccountId": WABA, "limit": "banana"}), (400, "invalid_field")),
        (json!({"businessAccountId": WABA, "portfolioLimit": "10 K"}), (400, "invalid_field")),
        (json!({"businessAccountId": WABA, "rating": "PINK"}), (400, "invalid_field")),
        (json!({"businessAccountId": WABA, "throughput": "FAST"}), (400, "invalid_field")),
        (json!({"businessAccountId": "7", "limit": "TIER_2K"}), (422, "unknown_business_account")),
    ] {
        let answer = house.put(&path("1555"), body.clone()).await;
        assert_eq!(answer.refusal(), (code.0, &json!(code.1)), "{body}");
    }
    assert_eq!(house.get(&path("1555")).await.status, 404, "nothing was entered");
}

#[tokio::test]
async fn numbers_are_listed_by_what_is_known_of_them() {
    let house = House::new().await;
    for (number, limit) in [("1", "TIER_10K"), ("2", "TIER_250"), ("3", "10000")] {
        house.publish(number, "ONBOARDING", limit).await;
    }
    house
        .put(
            &path("2"),
            json!({"businessAccountId": WABA, "throughput": "HIGH", "rating": "RED", "flagged": true}),
        )
        .await;
    let listed = async |query: &str| {
        let page = house.get(&format!("/v1/accounts/{ACCOUNT}/phone-numbers?{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let numbers = page.json["items"].as_array().unwrap().clone();
        let digits: String = numbers.iter().map(|number| number["phoneNumber"].as_str().unwrap()).collect();
        (digits, page.json["nextCursor"].as_str().map(str::to_owned))
    };
    for (query, digits) in [
        ("", "123"),
        ("messagingLimit=tier_10k", "13"),
        ("digits=%2B2-", "2"),
        ("digits=4", ""),
        ("throughput=HIGH", "2"),
        ("rating=RED", "2"),
        ("flagged=true", "2"),
        ("flagged=false", "13"),
        (&format!("businessAccountId={WABA}"), "123"),
        ("businessAccountId=7", ""),
        ("changedSince=2100-01-01T00:00:00Z", ""),
        ("changedSince=2020-01-01T00:00:00Z", "123"),
        ("sort=messagingLimit", "213"),
        ("sort=-messagingLimit", "132"),
    ] {
        assert_eq!(listed(query).await.0, digits, "{query}");
    }
    let (first, cursor) = listed("sort=-messagingLimit&limit=2").await;
    let cursor = cursor.unwrap();
    let (rest, end) = listed(&format!("sort=-messagingLimit&limit=2&cursor={cursor}")).await;
    assert_eq!((first + &rest, end), ("132".to_owned(), None));
    let mixed = house.get(&format!("/v1/accounts/{ACCOUNT}/phone-numbers?cursor={cursor}")).await;
    assert_eq!(mixed.refusal(), (400, &json!("invalid_cursor")), "a cursor belongs to its order");
    let odd = house.get(&format!("/v1/accounts/{ACCOUNT}/phone-numbers?sort=size")).await;
    assert_eq!(odd.refusal().0, 400);
    let none = house.get(&format!("/v1/accounts/{ACCOUNT}/phone-numbers?digits=x")).await;
    assert_eq!(none.refusal(), (400, &json!("invalid_parameter")), "no digit would be any number");
}
