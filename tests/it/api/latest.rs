//! What the native API alone knows of a webhook: which events it gets of those
//! that wait.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{ACCOUNT, House, OPERATOR, OTHER};

/// The account's only webhook as the native API shows it.
async fn webhook(house: &House) -> Value {
    house.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await.json["items"][0].clone()
}

async fn configure(house: &House, url: &str) {
    let webhooks = json!([{"subAccountId": "*", "type": "CABM", "url": url}]);
    let answer = house.post(&format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

#[tokio::test]
async fn a_webhook_wants_all_until_it_is_changed_and_keeps_that_when_it_is_configured_anew() {
    let house = House::new().await;
    configure(&house, "https://one.example.com/").await;
    let before = webhook(&house).await;
    assert_eq!(before["delivery"], "all");
    let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{}", before["webhookId"].as_str().unwrap());
    let changed = house.send("PATCH", &path, Some(OPERATOR), r#"{"delivery": "latest"}"#).await;
    assert_eq!((changed.status, &changed.json["delivery"]), (StatusCode::OK, &json!("latest")));
    configure(&house, "https://two.example.com/").await;
    let after = webhook(&house).await;
    assert_eq!((&after["delivery"], &after["url"]), (&json!("latest"), &json!("https://two.example.com/")));
    let listed = house.get(&format!("/api/v1/accounts/{ACCOUNT}/webhooks")).await.json;
    assert!(listed[0].get("delivery").is_none(), "the compatible API has no word for it");
    let rotated = house.post(&format!("{path}/secret/rotate"), json!({})).await;
    assert_eq!(rotated.status, StatusCode::OK);
    assert_eq!(webhook(&house).await["delivery"], "latest");
}

#[tokio::test]
async fn a_change_that_can_not_be_is_refused_and_changes_nothing() {
    let house = House::new().await;
    configure(&house, "https://one.example.com/").await;
    let id = webhook(&house).await["webhookId"].as_str().unwrap().to_owned();
    let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{id}");
    for (body, code) in [
        ("{}", "missing_field"),
        (r#"{"delivery": "newest"}"#, "invalid_field"),
        (r#"{"delivery": "latest", "url": "https://x.example.com"}"#, "unknown_field"),
        ("", "invalid_json"),
    ] {
        let refused = house.send("PATCH", &path, Some(OPERATOR), body).await;
        assert_eq!(
            (refused.status, &refused.json["code"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{body}"
        );
    }
    let nobody = format!("/v1/accounts/{ACCOUNT}/webhooks/{OTHER}");
    let body = r#"{"delivery": "latest"}"#;
    assert_eq!(house.send("PATCH", &nobody, Some(OPERATOR), body).await.status, StatusCode::NOT_FOUND);
    house.register(OTHER, "2").await;
    let theirs = format!("/v1/accounts/{OTHER}/webhooks/{id}");
    for (method, path, body) in [("PATCH", theirs.clone(), body), ("POST", format!("{theirs}/snapshot"), "")]
    {
        let answer = house.send(method, &path, Some(OPERATOR), body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method}: another account's");
    }
    assert_eq!(webhook(&house).await["delivery"], "all");
}
