//! What the native API makes of bad input: the documented problem, nothing
//! stored.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::{ACCOUNT, House, OPERATOR, OTHER};

#[tokio::test]
async fn a_mistake_in_a_body_is_a_problem_that_names_it() {
    let house = House::new().await;
    let path = format!("/v1/accounts/{OTHER}");
    let cases = [
        ("{", "invalid_json", "the body ends within an object"),
        ("", "invalid_json", "the body is empty"),
        (r#"{"name":"x"} {}"#, "invalid_json", "trailing"),
        (r#"{"name":"x","nmae":1}"#, "unknown_field", "unknown field `nmae`, expected `name` or `chatApps`"),
        (r#"{"chatApps":true}"#, "missing_field", "missing field `name`"),
        (r#"{"name":5}"#, "invalid_field", "name: must be a string, found integer `5`"),
        (
            r#"{"name":"x","chatApps":"yes"}"#,
            "invalid_field",
            "chatApps: must be true or false, found string \"yes\"",
        ),
        (r#"{"name":"x","name":"y"}"#, "invalid_field", "duplicate field `name`"),
        (r#"{"name":""}"#, "invalid_field", "name must be 1 to 200 characters"),
        (r#"{"name":"a\u0000b"}"#, "invalid_field", "name must be"),
        ("[]", "invalid_field", "must be a JSON object, found an array"),
    ];
    for (body, code, detail) in cases {
        let answer = house.send("PUT", &path, Some(OPERATOR), body).await;
        assert_eq!(answer.refusal(), (400, &json!(code)), "{body}: {}", answer.text);
        assert!(answer.json["detail"].as_str().unwrap().contains(detail), "{body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json["status"], 400);
        assert_eq!(answer.json["type"], format!("urn:bellwether:problem:{}", code.replace('_', "-")));
    }
    assert_eq!(house.get(&path).await.status, 404, "nothing was stored");
    let empty = house.send("PUT", &path, Some(OPERATOR), " ").await;
    assert!(empty.json["hint"].as_str().unwrap().starts_with("send JSON"), "{}", empty.text);
}

#[tokio::test]
async fn another_value_where_a_word_is_expected_is_a_field_that_is_wrong_and_not_a_slip_of_the_syntax() {
    let house = House::new().await;
    let path = format!("/v1/accounts/{ACCOUNT}/replays");
    let words = "must be one of the words that the description lists";
    let may_be = "status: must be one of `exhausted`, `superseded`, `delivered`, found `pending`";
    for (body, code, detail) in [
        (r#"{"superseded": true}"#, "invalid_field", format!("superseded: {words}")),
        (r#"{"status": 5}"#, "invalid_field", format!("status: {words}")),
        (r#"{"superseded": }"#, "invalid_json", "superseded: expected value".to_owned()),
        (r#"{"status": "pending"}"#, "invalid_field", may_be.to_owned()),
    ] {
        let answer = house.send("POST", &path, Some(OPERATOR), body).await;
        assert_eq!(answer.refusal(), (400, &json!(code)), "{body}: {}", answer.text);
        assert!(answer.json["detail"].as_str().unwrap().starts_with(&detail), "{body}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_wish_in_a_body_where_none_is_read_is_refused_by_its_name() {
    let house = House::new().await;
    let account = format!("/v1/accounts/{ACCOUNT}");
    let webhook = format!("{account}/webhooks/{OTHER}");
    for path in [
        format!("{webhook}/snapshot"),
        format!("{webhook}/test"),
        format!("{webhook}/secret/rotate"),
        format!("{account}/deliveries/1/replay"),
        format!("{account}/replays/none/cancel"),
    ] {
        let answer = house.send("POST", &path, Some(OPERATOR), r#"{"phoneNumber": "1"}"#).await;
        assert_eq!(answer.refusal(), (400, &json!("unknown_field")), "{path}: {}", answer.text);
        assert!(answer.text.contains("phoneNumber"), "{path}: {}", answer.text);
        for nothing in ["", " ", "{}", "null"] {
            let answer = house.send("POST", &path, Some(OPERATOR), nothing).await;
            assert_eq!(answer.refusal(), (404, &json!("not_found")), "{path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_plus_that_was_not_escaped_in_a_time_is_named() {
    let house = House::new().await;
    for (query, hinted) in [("2026-01-02T00:00:00+01:00", true), ("2026-01-02 03", false)] {
        let query = query.replace(' ', "%20");
        let answer = house.get(&format!("/v1/accounts/{ACCOUNT}/events?since={query}")).await;
        assert_eq!(answer.refusal(), (400, &json!("invalid_parameter")));
        let hint = answer.json["hint"].as_str().unwrap_or_default();
        assert_eq!(hint.contains("%2B"), hinted, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_body_too_large_or_compressed_is_refused() {
    let house = House::new().await;
    let path = format!("/v1/accounts/{OTHER}");
    let answer = house.send("PUT", &path, Some(OPERATOR), &" ".repeat(64 * 1024 + 1)).await;
    assert_eq!(answer.refusal(), (413, &json!("too_large")));
    assert!(answer.text.contains("65536"), "the limit is named: {}", answer.text);
    let request = Request::builder().method("PUT").uri(&path).header("content-encoding", "gzip");
    let request = request.header("authorization", format!("Bearer {OPERATOR}"));
    let answer = house.answer(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.refusal(), (415, &json!("unsupported_encoding")));
}

#[tokio::test]
async fn a_mistake_in_a_path_or_a_query_is_named() {
    let house = House::new().await;
    let account = format!("/v1/accounts/{ACCOUNT}");
    let cases = [
        ("/v1/accounts/nonsense".to_owned(), "invalid_parameter", "accountId must be a UUID"),
        (format!("{account}/events/nonsense"), "invalid_parameter", "eventId must be a UUID"),
        (
            format!("{account}/deliveries/x"),
            "invalid_parameter",
            "deliveryId must be a delivery's id as this API gave it: a whole number",
        ),
        (format!("{account}/webhooks/x/secret"), "invalid_parameter", "webhookId must be a UUID"),
        (
            format!("{account}/events?limt=1"),
            "unknown_parameter",
            "unknown parameter `limt`, expected one of",
        ),
        (format!("{account}/events?limit=0"), "invalid_parameter", "limit must be from 1 to 500"),
        (format!("{account}/events?limit=501"), "invalid_parameter", "limit must be from 1 to 500"),
        (format!("{account}/events?limit=many"), "invalid_parameter", "limit must be a whole number"),
        (format!("{account}/events?cursor=%00"), "invalid_cursor", "cursor"),
        (format!("{account}/events?since=yesterday"), "invalid_parameter", "since must be an RFC 3339 time"),
        (format!("{account}/events?phoneNumber=x"), "invalid_parameter", "phoneNumber must be"),
        (
            format!("{account}/deliveries?status=lost"),
            "invalid_parameter",
            "status must be one of `pending`, `delivered`",
        ),
        (format!("{account}/deliveries?webhookId=1"), "invalid_parameter", "webhookId must be a UUID"),
        (
            format!("{account}/events?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"),
            "invalid_parameter",
            "since must be before until: 2026-01-02T00:00:00.00Z is not before 2026-01-01T00:00:00.00Z",
        ),
        (
            format!("{account}/deliveries?since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z"),
            "invalid_parameter",
            "since must be before until",
        ),
        (format!("{account}?x=1"), "unknown_parameter", "unknown parameter `x`"),
    ];
    for (path, code, detail) in cases {
        let answer = house.get(&path).await;
        assert_eq!(answer.refusal(), (400, &json!(code)), "{path}: {}", answer.text);
        assert!(answer.json["detail"].as_str().unwrap().contains(detail), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let house = House::new().await;
    assert_eq!(house.get("/v1/nothing").await.refusal(), (404, &json!("not_found")));
    assert_eq!(house.get("/nothing").await.refusal(), (404, &json!("not_found")));
    assert!(house.get("/nothing").await.json["hint"].as_str().unwrap().contains("/openapi.json"));
    let answer = house.send("PATCH", "/v1/accounts", Some(OPERATOR), "").await;
    assert_eq!(answer.refusal(), (405, &json!("method_not_allowed")));
    assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
}

#[tokio::test]
async fn a_store_that_fails_is_unavailable_and_says_nothing_of_itself() {
    let house = House::new().await;
    house.broken.store(true, Ordering::Relaxed);
    let answer = house.put(&format!("/v1/accounts/{OTHER}"), json!({"name": "x"})).await;
    assert_eq!(answer.refusal(), (503, &json!("unavailable")));
    assert_eq!(answer.header("retry-after"), "2");
    assert!(!answer.text.to_lowercase().contains("sql"), "{}", answer.text);
    let answer = house.post(&format!("/v1/accounts/{ACCOUNT}/events"), super::publish::upgrade()).await;
    assert_eq!(answer.refusal(), (503, &json!("unavailable")), "no 202 without a commit");
}
