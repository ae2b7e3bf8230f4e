//! Accounts, business accounts, keys, webhooks and what operators look at.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::compat::PATH;
use super::{ACCOUNT, House, OPERATOR, OTHER, WABA};

#[tokio::test]
async fn an_account_is_registered_changed_and_removed_once_nothing_refers_to_it() {
    let house = House::new().await;
    let path = format!("/v1/accounts/{ACCOUNT}");
    let shown = house.get(&path).await.json;
    assert_eq!(shown["accountId"], ACCOUNT);
    assert_eq!((&shown["name"], &shown["chatApps"]), (&json!("Shop"), &json!(true)));
    let changed = house.put(&path, json!({"name": "Store", "chatApps": false})).await;
    assert_eq!((changed.status.as_u16(), &changed.json["name"]), (200, &json!("Store")));
    assert_eq!(changed.json["createdAt"], shown["createdAt"]);
    let renamed = house.put(&path, json!({"name": "Shop again"})).await;
    assert_eq!(renamed.json["chatApps"], json!(false), "left out it stays as it is");
    assert_eq!(
        house.put(&path, json!({"name": "Shop", "chatApps": true})).await.json["chatApps"],
        json!(true)
    );
    assert_eq!(house.delete(&path, Value::Null).await.refusal(), (409, &json!("conflict")));
    assert_eq!(house.delete(&format!("/v1/business-accounts/{WABA}"), Value::Null).await.status, 204);
    assert_eq!(house.delete(&path, Value::Null).await.status, 204);
    assert_eq!(house.delete(&path, Value::Null).await.refusal(), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_business_account_is_registered_to_an_account_that_exists() {
    let house = House::new().await;
    let path = format!("/v1/business-accounts/{WABA}");
    let answer = house.put(&path, json!({"accountId": OTHER})).await;
    assert_eq!(answer.refusal(), (422, &json!("unknown_account")));
    let answer = house.put(&path, json!({"accountId": ACCOUNT, "subAccountId": "*"})).await;
    assert_eq!(answer.refusal(), (400, &json!("invalid_field")), "'*' is no sub-account");
    let answer = house.put(&path, json!({"accountId": ACCOUNT, "subAccountId": "shop_1"})).await;
    assert_eq!(answer.status, 200);
    let shown = house.get(&path).await.json;
    assert_eq!((&shown["businessAccountId"], &shown["subAccountId"]), (&json!(WABA), &json!("shop_1")));
    assert_eq!(house.get("/v1/business-accounts/nobody").await.refusal(), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_business_account_is_registered_by_digits_only_as_meta_writes_it() {
    let house = House::new().await;
    let body = json!({"accountId": ACCOUNT});
    for bad in ["nobody", "10229-0129340398", "a%20b", &"1".repeat(33)] {
        let answer = house.put(&format!("/v1/business-accounts/{bad}"), body.clone()).await;
        assert_eq!(answer.refusal(), (400, &json!("invalid_parameter")), "{bad}: {}", answer.text);
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.starts_with("businessAccountId must be 1 to 32 digits"), "{bad}: {detail}");
    }
    for good in ["0", &"1".repeat(32)] {
        assert_eq!(
            house.put(&format!("/v1/business-accounts/{good}"), body.clone()).await.status,
            201,
            "{good}"
        );
    }
}

#[tokio::test]
async fn every_registration_asks_for_what_waits_to_be_routed() {
    let house = House::new().await;
    assert_eq!(house.registrations.load(Ordering::Relaxed), 2);
    house.put("/v1/business-accounts/5", json!({"accountId": OTHER})).await;
    assert_eq!(house.registrations.load(Ordering::Relaxed), 2, "a refused one does not");
}

#[tokio::test]
async fn a_listing_is_walked_page_by_page_to_its_end() {
    let house = House::new().await;
    for n in 1..7 {
        house.put(&format!("/v1/business-accounts/{n}"), json!({"accountId": ACCOUNT})).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/business-accounts?limit=3".to_owned();
    loop {
        let page = house.get(&path).await.json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["businessAccountId"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/v1/business-accounts?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, ["1", WABA, "2", "3", "4", "5", "6"]);
    let foreign = house.get(&path.replace("business-accounts", "accounts")).await;
    assert_eq!(foreign.refusal(), (400, &json!("invalid_cursor")), "a cursor is of one listing only");
}

#[tokio::test]
async fn a_key_is_shown_once_works_until_it_is_deleted_and_is_kept_as_a_hash() {
    let house = House::new().await;
    let made =
        house.post("/v1/api-keys", json!({"name": "CI", "role": "account", "accountId": ACCOUNT})).await;
    let (id, key) = (made.json["id"].as_str().unwrap(), made.json["key"].as_str().unwrap());
    assert!(key.starts_with(&format!("bwk_{id}_")), "{key}");
    assert_eq!(made.header("cache-control"), "no-store");
    let path = format!("/v1/accounts/{ACCOUNT}");
    assert_eq!(house.send("GET", &path, Some(key), "").await.status, 200);
    let listed = house.get("/v1/api-keys").await;
    assert_eq!(listed.json["items"][0]["name"], "CI");
    assert!(!listed.text.contains(key));
    assert_eq!(house.delete(&format!("/v1/api-keys/{id}"), Value::Null).await.status, 204);
    assert_eq!(house.send("GET", &path, Some(key), "").await.refusal(), (401, &json!("unauthenticated")));
    assert_eq!(house.delete(&format!("/v1/api-keys/{id}"), Value::Null).await.refusal().0, 404);
}

#[tokio::test]
async fn a_key_is_confined_to_an_account_unless_it_is_an_operators() {
    let house = House::new().await;
    let cases = [
        (json!({"name": "a", "role": "account"}), 400, "missing_field"),
        (json!({"name": "a", "role": "read"}), 400, "missing_field"),
        (json!({"name": "a", "role": "operator", "accountId": ACCOUNT}), 400, "invalid_field"),
        (json!({"name": "a", "role": "read", "accountId": OTHER}), 422, "unknown_account"),
        (json!({"name": "a", "role": "root"}), 400, "invalid_field"),
    ];
    for (body, status, code) in cases {
        assert_eq!(
            house.post("/v1/api-keys", body.clone()).await.refusal(),
            (status, &json!(code)),
            "{body}"
        );
    }
    let operator = house.key("operator", None).await;
    assert_eq!(house.send("GET", "/v1/api-keys", Some(&operator), "").await.status, 200);
}

#[tokio::test]
async fn accounts_and_readers_list_their_own_account_only() {
    let house = House::new().await;
    house.register(OTHER, "2").await;
    let reader = house.key("read", Some(OTHER)).await;
    let listed = house.send("GET", "/v1/accounts", Some(&reader), "").await.json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["accountId"], OTHER);
    assert_eq!(house.get("/v1/accounts").await.json["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn webhooks_are_listed_with_ids_and_health_and_without_secrets() {
    let house = House::new().await;
    let hooks: Value = (0..5)
        .map(|n| {
            json!({"subAccountId": format!("sub{n}"), "url": "https://a.example.com/", "type": "CABM",
            "httpAuthorization": "Basic eDp5"})
        })
        .collect();
    assert_eq!(house.post(PATH, hooks).await.status, 200);
    let first = house.get(&format!("/v1/accounts/{ACCOUNT}/webhooks?limit=3")).await;
    let one = &first.json["items"][0];
    assert_eq!((&one["authorization"], &one["type"]), (&json!("header"), &json!("CABM")));
    assert_eq!(one["health"], json!({"pending": 0, "delivered": 0, "exhausted": 0}));
    assert!(!first.text.contains("eDp5") && !first.text.contains("whsec_"), "{}", first.text);
    let cursor = first.json["nextCursor"].as_str().unwrap();
    let second = house.get(&format!("/v1/accounts/{ACCOUNT}/webhooks?limit=3&cursor={cursor}")).await.json;
    assert_eq!(second["nextCursor"], Value::Null);
    let mut ids: Vec<_> = [&first.json, &second]
        .into_iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|item| item["webhookId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_secret_signs_beside_its_successor_for_a_day() {
    let house = House::new().await;
    house.post(PATH, json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let id = house.stored().await[0].id;
    let path = format!("/v1/accounts/{ACCOUNT}/webhooks/{id}/secret");
    let before = house.get(&path).await.json;
    assert!(
        before["secret"].as_str().unwrap().starts_with("whsec_") && before["previousSecretUntil"].is_null()
    );
    let rotated = house.post(&format!("{path}/rotate"), Value::Null).await.json;
    assert_ne!(rotated["secret"], before["secret"]);
    assert_eq!(rotated["previousSecretUntil"], "2025-06-02T00:00:00.00Z");
    assert_eq!(house.get(&path).await.json, rotated);
    let stored = house.stored().await;
    let (previous, until) = stored[0].previous_secret.as_ref().unwrap();
    assert_eq!(before["secret"], house.opened(&stored[0], "previous_secret", previous));
    assert_eq!(until.to_string(), "2025-06-02T00:00:00.00Z");

    house.post(PATH, house.get(PATH).await.json).await;
    assert_eq!(house.get(&path).await.json, rotated, "configuring anew rotates nothing");
    let absent = format!("/v1/accounts/{ACCOUNT}/webhooks/{OTHER}/secret");
    assert_eq!(house.get(&absent).await.refusal(), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_test_event_needs_an_enabled_webhook_of_business_management() {
    let house = House::new().await;
    house
        .post(
            PATH,
            json!([
                {"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"},
                {"subAccountId": "abc", "url": "https://a.example.com/", "type": "CABM", "enabled": false},
                {"subAccountId": "*", "url": "https://a.example.com/", "type": "MSG"},
            ]),
        )
        .await;
    let stored = house.stored().await;
    let test = |at: usize| format!("/v1/accounts/{ACCOUNT}/webhooks/{}/test", stored[at].id);
    let answer = house.post(&test(0), Value::Null).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let event = answer.json["eventId"].as_str().unwrap();
    let shown = house.get(&format!("/v1/accounts/{ACCOUNT}/events/{event}")).await.json;
    assert_eq!(
        (&shown["test"], &shown["deliveries"][0]["webhookId"]),
        (&json!(true), &json!(stored[0].id.to_string()))
    );
    for at in [1, 2] {
        assert_eq!(house.post(&test(at), Value::Null).await.refusal(), (409, &json!("not_deliverable")));
    }
}

#[tokio::test]
async fn operations_need_no_key_and_say_how_the_node_is() {
    let house = House::new().await;
    assert_eq!(house.send("GET", "/healthz", None, "").await.status, 200);
    let ready = house.send("GET", "/readyz", None, "").await;
    assert_eq!((ready.status.as_u16(), ready.text.as_str()), (503, "starting\n"));
    let metrics = house.send("GET", "/metrics", None, "").await;
    assert_eq!((metrics.status.as_u16(), metrics.text.as_str()), (200, "# EOF\n"));
    for path in ["/v1/unrouted", "/v1/unparsed"] {
        assert_eq!(
            house.send("GET", path, Some(OPERATOR), "").await.json,
            json!({"items": [], "nextCursor": null})
        );
    }
}
