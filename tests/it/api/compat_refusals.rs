//! What the 8x8-compatible API refuses, with which code, and that a refused
//! array leaves no trace.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::compat::PATH;
use super::{ACCOUNT, Answer, House, OTHER};

fn is_8x8s(answer: &Answer) {
    let body = answer.json.as_object().unwrap_or_else(|| panic!("no body: {}", answer.text));
    assert_eq!(body.keys().collect::<Vec<_>>(), ["code", "errorId", "message", "timestamp"]);
    assert!(body["errorId"].as_str().unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(body["timestamp"], "2025-06-01T00:00:00.00Z");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_code_names_the_item_and_stores_nothing() {
    let house = House::new().await;
    let good = json!({"subAccountId": "good", "url": "https://a.example.com/", "type": "CABM"});
    let with = |changes: Value| {
        let mut item = json!({"subAccountId": "abc", "url": "https://a.example.com/", "type": "CABM"});
        item.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        item
    };
    let client = json!({"url": "https://t.example.com/", "clientId": "i", "clientSecret": "s",
        "credentialsLocation": "header"});
    let mut insecure = client.clone();
    insecure["url"] = json!("http://t.example.com/");
    let mut misspelled = client.clone();
    misspelled["scopes"] = json!("a b");
    let mut nowhere = client.clone();
    nowhere["credentialsLocation"] = json!("query");
    let cases = [
        (with(json!({"subAccountId": "a"})), 1000, "[1].subAccountId"),
        (with(json!({"subAccountId": "***"})), 1000, "[1].subAccountId"),
        (with(json!({"url": "http://a.example.com/"})), 1014, "[1].url"),
        (with(json!({"url": "https://10.0.0.1/"})), 3020, "[1].url"),
        (with(json!({"url": "nowhere"})), 3020, "[1].url"),
        (with(json!({"url": format!("https://a.example.com/{}", "x".repeat(2_048))})), 3020, "[1].url"),
        (with(json!({"url": 5})), 1000, "[1].url"),
        (with(json!({"type": "SMS"})), 1000, "[1].type"),
        (with(json!({"httpAuthorization": "a\r\nHost: b"})), 1000, "[1].httpAuthorization"),
        (with(json!({"httpAuthorization": "x".repeat(4_097)})), 1000, "[1].httpAuthorization"),
        (with(json!({"httpAuthorization": "x", "oauth": client})), 1000, "[1]"),
        (with(json!({"oauth": insecure})), 1014, "[1].oauth.url"),
        (with(json!({"oauth": nowhere})), 1000, "[1].oauth.credentialsLocation"),
        (json!({"subAccountId": "abc"}), 1000, "[1]: missing field `url`"),
        (with(json!({"enabeld": true})), 1000, "[1].enabeld: unknown field `enabeld`, expected one of"),
        (with(json!({"oauth": misspelled})), 1000, "[1].oauth.scopes: unknown field `scopes`"),
        (with(json!({"enabled": "yes"})), 1000, "[1].enabled: must be true or false"),
        (good.clone(), 1000, "[1]: sub-account good with type CABM is there twice"),
    ];
    for (item, code, place) in cases {
        let answer = house.post(PATH, json!([good, item])).await;
        assert_eq!(answer.refusal(), (400, &json!(code)), "{item}: {}", answer.text);
        let message = answer.json["message"].as_str().unwrap();
        assert!(message.starts_with(place), "{item}: {message}");
        is_8x8s(&answer);
    }
    assert_eq!(house.get(PATH).await.json, json!([]), "an array is taken whole or not at all");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_array_of_webhooks_is_refused() {
    let house = House::new().await;
    let item = r#"{"subAccountId":"*","url":"https://a.example.com/"}"#;
    for body in ["", "[", "{}", "null", "[1]", item, "[null]", &format!("[{item}] x"), &"[".repeat(10_000)] {
        let answer = house.send("POST", PATH, Some(super::OPERATOR), body).await;
        assert_eq!(answer.refusal(), (400, &json!(1000)), "{body:.80}: {}", answer.text);
        is_8x8s(&answer);
        assert_eq!(house.send("DELETE", PATH, Some(super::OPERATOR), body).await.status, 400, "{body:.80}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_and_an_item_without_brackets_are_told_what_to_do() {
    let house = House::new().await;
    let item = r#"{"subAccountId":"*","url":"https://a.example.com/"}"#;
    for (body, told) in
        [("", "the body is empty; hint: send JSON"), (item, "must be a JSON array, found an object")]
    {
        for method in ["POST", "DELETE"] {
            let answer = house.send(method, PATH, Some(super::OPERATOR), body).await;
            assert_eq!(answer.refusal(), (400, &json!(1000)));
            let message = answer.json["message"].as_str().unwrap();
            assert!(message.starts_with(told), "{message}");
            assert!(body.is_empty() || message.ends_with("hint: wrap the item in [ ]"), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_field_in_delete_deletes_nothing() {
    let house = House::new().await;
    house.post(PATH, json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let body = json!([{"subAccountId": "*", "type": "CABM", "url": "https://a.example.com/"}]);
    let answer = house.delete(PATH, body).await;
    assert_eq!(answer.refusal(), (400, &json!(1000)), "{}", answer.text);
    assert!(
        answer.json["message"].as_str().unwrap().starts_with("[0].url: unknown field `url`"),
        "{}",
        answer.text
    );
    assert_eq!(house.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn query_parameters_are_refused_by_name() {
    let house = House::new().await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = house.send(method, &format!("{PATH}?type=CABM"), Some(super::OPERATOR), "[]").await;
        assert_eq!(answer.refusal(), (400, &json!(1000)), "{method}: {}", answer.text);
        assert!(answer.json["message"].as_str().unwrap().contains("`type`"), "{method}: {}", answer.text);
        is_8x8s(&answer);
    }
    assert_eq!(house.get(&format!("{PATH}?")).await.status, 200, "an empty query is none");
}

#[tokio::test(start_paused = true)]
async fn deleting_what_is_not_there_deletes_nothing_and_names_the_item() {
    let house = House::new().await;
    house.post(PATH, json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let cases = [
        json!([{"subAccountId": "*", "type": "CABM"}, {"subAccountId": "abc", "type": "CABM"}]),
        json!([{"subAccountId": "*", "type": "CABM"}, {"subAccountId": "*"}]),
    ];
    for body in cases {
        let answer = house.delete(PATH, body).await;
        assert_eq!(answer.refusal(), (404, &json!(1300)), "{}", answer.text);
        assert!(answer.json["message"].as_str().unwrap().starts_with("[1]: "), "{}", answer.text);
        is_8x8s(&answer);
    }
    let twice = json!([{"subAccountId": "*", "type": "CABM"}, {"subAccountId": "*", "type": "CABM"}]);
    assert_eq!(house.delete(PATH, twice).await.refusal(), (400, &json!(1000)));
    assert_eq!(house.stored().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_not_configured_for_chat_apps_is_refused() {
    let house = House::new().await;
    house.put(&format!("/v1/accounts/{ACCOUNT}"), json!({"name": "Shop", "chatApps": false})).await;
    for method in ["GET", "POST", "DELETE"] {
        let answer = house.send(method, PATH, Some(super::OPERATOR), "[]").await;
        assert_eq!(answer.refusal(), (403, &json!(1201)), "{method}: {}", answer.text);
        is_8x8s(&answer);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_unknown_or_elsewhere_is_told_no_more_than_that() {
    let house = House::new().await;
    let owner = house.key("account", Some(ACCOUNT)).await;
    for key in [None, Some("x"), Some(&owner[..64]), Some("")] {
        let answer = house.send("GET", PATH, key, "").await;
        assert_eq!(answer.refusal(), (401, &json!(1200)), "{key:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        is_8x8s(&answer);
    }
    let other = format!("/api/v1/accounts/{OTHER}/webhooks");
    let absent = house.send("GET", &other, Some(&owner), "").await;
    house.register(OTHER, "2").await;
    let theirs = house.send("GET", &other, Some(&owner), "").await;
    for answer in [&absent, &theirs] {
        assert_eq!(answer.refusal(), (404, &json!(1300)));
    }
    assert_eq!(absent.json["message"], theirs.json["message"], "another's account looks absent");
}

#[tokio::test(start_paused = true)]
async fn a_sub_account_must_be_one_of_the_accounts_own_once_it_has_any() {
    let house = House::new().await;
    let body = json!([{"subAccountId": "theirs", "url": "https://a.example.com/", "type": "CABM"}]);
    assert_eq!(house.post(PATH, body.clone()).await.status, 200, "nothing is registered yet");
    house.put("/v1/business-accounts/3", json!({"accountId": ACCOUNT, "subAccountId": "mine"})).await;
    let answer = house.post(PATH, body).await;
    assert_eq!(answer.refusal(), (400, &json!(1001)), "{}", answer.text);
    let own = json!([{"subAccountId": "mine", "url": "https://a.example.com/", "type": "CABM"}]);
    assert_eq!(house.post(PATH, own).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_refused_in_8x8s_words() {
    let house = House::new().await;
    let answer = house.get("/api/v1/nothing").await;
    assert_eq!(answer.refusal(), (404, &json!(1300)));
    is_8x8s(&answer);
    for method in ["PUT", "PATCH"] {
        let answer = house.send(method, PATH, Some(super::OPERATOR), "[]").await;
        assert_eq!(answer.status, 405, "{method}");
        is_8x8s(&answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_an_internal_error_to_be_repeated_and_says_nothing_of_itself() {
    let house = House::new().await;
    house.broken.store(true, Ordering::Relaxed);
    let body = json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}]);
    let answer = house.post(PATH, body).await;
    assert_eq!(answer.refusal(), (500, &json!(2000)));
    assert_eq!(answer.header("retry-after"), "2");
    assert!(!answer.text.to_lowercase().contains("sql"), "{}", answer.text);
    is_8x8s(&answer);
}

#[tokio::test(start_paused = true)]
async fn more_writes_than_can_wait_are_too_many_requests_to_be_repeated() {
    let house = House::new().await;
    // Asked for and not awaited: they wait for the writer.
    let waiting: Vec<_> = (0..20_000).map(|_| house.store.waiting(1)).collect();
    let body = json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}]);
    let answer = house.post(PATH, body).await;
    assert_eq!(answer.refusal(), (429, &json!(429)));
    assert_eq!(answer.header("retry-after"), "2");
    is_8x8s(&answer);
    drop(waiting);
}
