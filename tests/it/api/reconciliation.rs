//! Access tokens and readings, as far as no Graph API is needed.

use axum::http::StatusCode;
use bellwether::reconcile::token_place;
use bellwether::store::reconciliations::Look;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{House, WABA};
use bellwether::model::time::Timestamp;

fn path(what: &str) -> String {
    format!("/v1/business-accounts/{WABA}/{what}")
}

#[tokio::test]
async fn an_access_token_is_kept_sealed_for_its_business_account_and_only_said_to_be_set() {
    let house = House::new().await;
    let before = house.get(&path("reconciliation")).await.json;
    assert_eq!((&before["accessToken"], &before["state"]), (&json!("none"), &json!("no_token")));
    assert_eq!(before["nextAt"], Value::Null);
    let set = house.put(&path("access-token"), json!({"accessToken": "EAAJcanary"})).await;
    assert_eq!((set.status, &set.json["accessToken"]), (StatusCode::OK, &json!("own")), "{}", set.text);
    assert_eq!(set.json["state"], "waiting");
    let seconds = |name: &str| {
        let at: Timestamp = Timestamp::parse(set.json[name].as_str().unwrap()).unwrap();
        at.ms() / 1_000
    };
    assert!(seconds("nextAt") - seconds("accessTokenSetAt") <= 1, "it is read at once: {}", set.text);
    let shown = house.get(&path("reconciliation")).await;
    assert!(!set.text.contains("canary") && !shown.text.contains("canary"));
    let far = Timestamp::from_ms(i64::MAX);
    let look = Look { now: far, horizon: far, everyone: false, limit: 10 };
    let due = house.store.agenda(look).await.unwrap().due;
    let (sealed, _) = due[0].token.as_ref().unwrap();
    assert!(!String::from_utf8_lossy(sealed).contains("canary"));
    let waba = WABA.parse().unwrap();
    assert_eq!(house.vault.open(token_place(&waba), sealed).unwrap().expose_secret(), "EAAJcanary");
    assert!(house.vault.open(token_place(&"77".parse().unwrap()), sealed).is_err(), "only there");
    let gone = house.delete(&path("access-token"), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path("reconciliation")).await.json["accessToken"], "none");
}

#[tokio::test]
async fn what_can_not_be_an_access_token_is_refused_without_being_repeated() {
    let house = House::new().await;
    let long = "x".repeat(4_097);
    for token in ["", "EAAJ canary", "EAAJcanary\n", "EAAJcan\u{e4}ry", &long] {
        let refused = house.put(&path("access-token"), json!({"accessToken": token})).await;
        assert_eq!(refused.refusal(), (400, &json!("invalid_field")), "{token:?}");
        assert!(!refused.text.contains("can") || !refused.text.contains("EAAJ"), "{}", refused.text);
    }
    let misspelled = house.put(&path("access-token"), json!({"token": "EAAJcanary"})).await;
    assert_eq!(misspelled.refusal(), (400, &json!("unknown_field")));
    assert!(!misspelled.text.contains("canary"), "{}", misspelled.text);
    assert_eq!(house.get(&path("reconciliation")).await.json["accessToken"], "none");
}

#[tokio::test]
async fn a_reading_that_can_not_be_is_refused_with_what_is_missing() {
    let house = House::new().await;
    let refused = house.post(&path("reconcile"), Value::Null).await;
    assert_eq!(refused.refusal(), (409, &json!("conflict")));
    assert!(refused.json["hint"].as_str().unwrap().contains("graph.access_token"), "{}", refused.text);
    for (method, what) in [
        ("GET", "reconciliation"),
        ("POST", "reconcile"),
        ("PUT", "access-token"),
        ("DELETE", "access-token"),
    ] {
        let unknown = format!("/v1/business-accounts/77/{what}");
        let refused = house.send(method, &unknown, Some(super::OPERATOR), r#"{"accessToken":"a"}"#).await;
        assert_eq!(refused.refusal(), (404, &json!("not_found")), "{method} {what}");
        assert_eq!(refused.json["detail"], "there is no such business account");
    }
}

#[tokio::test]
async fn a_reading_that_is_asked_for_is_due_and_the_node_is_told() {
    let house = House::new().await;
    house.put(&path("access-token"), json!({"accessToken": "EAAJ"})).await;
    let told = house.registrations.load(std::sync::atomic::Ordering::Relaxed);
    let asked = house.post(&path("reconcile"), Value::Null).await;
    assert_eq!((asked.status, &asked.json["state"]), (StatusCode::ACCEPTED, &json!("waiting")));
    assert_eq!(house.registrations.load(std::sync::atomic::Ordering::Relaxed), told + 1);
}
