//! Routing and the sibling events through the whole node (contract.md 4, 5.2
//! to 5.4); each mapping's own cases are beside the code.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::sim::simulate;
use crate::sim::world::{ACCOUNT, EPOCH_MS, WABA, World, upgrade};

fn of_field(field: &str, value: &Value) -> Vec<u8> {
    json!({"object": "whatsapp_business_account", "entry": [
        {"id": WABA, "time": EPOCH_MS / 1000, "changes": [{"field": field, "value": value}]}]})
    .to_string()
    .into_bytes()
}

#[test]
fn modelled_siblings_arrive_in_the_same_envelope_and_the_rest_raw() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let quality = json!({
            "message_template_id": 12, "message_template_name": "hello", "message_template_language": "en_US",
            "previous_quality_score": "GREEN", "new_quality_score": "RED",
        });
        world.post_signed(&of_field("message_template_quality_update", &quality)).await;
        world
            .post_signed(&of_field(
                "business_capability_update",
                &json!({"max_daily_conversation_per_phone": -1}),
            ))
            .await;
        world.quiesce().await;
        let events: Vec<Value> =
            shop.arrivals().iter().map(super::super::sim::receivers::Arrival::json).collect();
        let find = |kind: &str| events.iter().find(|event| event["eventType"] == kind).unwrap();
        let details = json!({
            "templateId": 12, "templateName": "hello", "templateLanguage": "en_US",
            "meta": {"previousQualityScore": "GREEN", "newQualityScore": "RED"},
        });
        assert_eq!(find("template_quality_update")["eventDetails"], details);
        let raw = json!({"rawEvent": {"field": "business_capability_update", "value": {"max_daily_conversation_per_phone": -1}}});
        assert_eq!(find("business_capability_update")["eventDetails"], raw);
        assert_eq!(find("business_capability_update")["businessAccountId"], WABA);
    });
}

async fn configure(world: &World, webhooks: Value) {
    let (status, answer) =
        world.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[test]
fn star_and_sub_account_webhooks_both_fire_and_only_enabled_cabm_ones() {
    simulate(|mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "berlin"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let other = json!({"accountId": ACCOUNT, "subAccountId": "paris"});
        world.call("PUT", "/v1/business-accounts/777", other).await;
        let url = |name: &str| format!("https://{name}.example.com/");
        configure(
            &world,
            json!([
                {"subAccountId": "*", "url": url("all"), "type": "CABM"},
                {"subAccountId": "berlin", "url": url("berlin"), "type": "CABM"},
                {"subAccountId": "paris", "url": url("paris"), "type": "CABM"},
                {"subAccountId": "*", "url": url("untyped")},
            ]),
        )
        .await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        let count = |name: &str| world.terms.receivers.at(&url(name)).arrivals().len();
        assert_eq!(["all", "berlin", "paris", "untyped"].map(count), [1, 1, 0, 0]);
    });
}

#[test]
fn without_chat_apps_events_wait_and_are_delivered_once_it_is_configured() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        let account = format!("/v1/accounts/{ACCOUNT}");
        world.call("PUT", &account, json!({"name": "Shop", "chatApps": false})).await;
        world.notify(upgrade(1, "TIER_10K")).await;
        assert_eq!(world.get("/v1/unrouted").await["items"].as_array().unwrap().len(), 1);
        let (status, answer) =
            world.call("GET", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), Value::Null).await;
        assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!(1201)));
        world.call("PUT", &account, json!({"name": "Shop", "chatApps": true})).await;
        world.notify(upgrade(1, "TIER_100K")).await;
        world.advance(std::time::Duration::from_secs(1)).await;
        world.quiesce().await;
        assert_eq!(shop.limits_seen(), ["TIER_10K", "TIER_100K"], "in the order of arrival");
    });
}

#[test]
fn a_published_event_takes_the_same_way_and_an_idempotency_key_makes_it_one() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let events = format!("/v1/accounts/{ACCOUNT}/events");
        let body = json!({
            "businessAccountId": WABA, "displayPhoneNumber": "+1 555-078-3881", "event": "UPGRADE",
            "currentLimit": "TIER_10K", "oldLimit": "TIER_1K", "timestamp": "2025-01-01T00:00:00Z",
        });
        let publish = |key: &'static str, body: &Value| {
            let request = axum::http::Request::post(&events)
                .header("authorization", format!("Bearer {}", crate::sim::world::OPERATOR))
                .header("idempotency-key", key)
                .body(axum::body::Body::from(body.to_string()))
                .unwrap();
            crate::sim::world::answer(world.router(), request)
        };
        let (status, first) = publish("one", &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{first}");
        let (status, second) = publish("one", &body).await;
        assert_eq!((status, &second["eventId"]), (StatusCode::ACCEPTED, &first["eventId"]));
        let mut other = body.clone();
        other["event"] = json!("DOWNGRADE");
        assert_eq!(publish("one", &other).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert_eq!(arrivals.len(), 1);
        assert_eq!(arrivals[0].json()["timestamp"], "2025-01-01T00:00:00.00Z");
        assert_eq!(arrivals[0].json()["eventId"], first["eventId"]);
    });
}

#[test]
fn a_test_event_arrives_marked_and_leaves_the_numbers_sequence_alone() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        let webhooks = world.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
        let id = webhooks["items"][0]["webhookId"].as_str().unwrap();
        let test = format!("/v1/accounts/{ACCOUNT}/webhooks/{id}/test");
        let (status, answer) = world.call("POST", &test, Value::Null).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        world.quiesce().await;
        world.notify(json!({"display_phone_number": "15550783881", "event": "UPGRADE"})).await;
        world.quiesce().await;
        let arrivals = shop.arrivals();
        assert_eq!(arrivals[0].headers["bellwether-test"], "true");
        assert!(!arrivals[1].headers.contains_key("bellwether-test"));
        assert_eq!(arrivals[1].sequence, 1);
    });
}

/// A number's history, so many items a page.
async fn history(world: &World, number: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/accounts/{ACCOUNT}/phone-numbers/{number}/history?limit={limit}{cursor}");
        let page = world.get(&path).await;
        items.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

#[test]
fn whatever_an_alert_says_in_place_of_texts_the_history_can_be_read() {
    simulate(|world| async move {
        let odd = [
            r#""alert_info":{"alert_type":"INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED","alert_severity":3,"alert_status":true,"alert_description":"x\ud800y"}"#,
            r#""alert_info":null,"alert_type":"INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED","alert_severity":1.5,"alert_status":{},"alert_description":[]"#,
        ];
        for value in odd {
            let body = format!(
                r#"{{"object":"whatsapp_business_account","entry":[{{"id":"{WABA}","time":1748736009,"changes":[
                    {{"field":"account_alerts","value":{{"entity_type":"PHONE_NUMBER","entity_id":"+1 555 000 0003",{value}}}}}]}}]}}"#
            );
            assert!(world.post_signed(body.as_bytes()).await.0.is_success(), "{value}");
        }
        world.quiesce().await;
        let severities: Vec<Value> = history(&world, "15550000003", 9)
            .await
            .iter()
            .map(|item| item["refusal"]["severity"].clone())
            .collect();
        assert_eq!(severities, [Value::Null, json!("3")], "as far as it is text");
    });
}

#[test]
fn an_alert_that_refuses_a_higher_limit_is_in_the_history_of_its_number_or_of_all_of_its_business_account() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        world.notify(upgrade(1, "TIER_10K")).await;
        let alert = |entity: &str, id: &str, kind: &str| {
            let info = json!({"alert_severity": "CRITICAL", "alert_status": "ACTIVE",
                "alert_type": kind, "alert_description": "No."});
            of_field("account_alerts", &json!({"entity_type": entity, "entity_id": id, "alert_info": info}))
        };
        let failed = "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED";
        world.post_signed(&alert("PHONE_NUMBER", "+1 555 000 0001", failed)).await;
        world.post_signed(&alert("BUSINESS", "506914307656634", failed)).await;
        world.post_signed(&alert("BUSINESS", "506914307656634", "PROFILE_PICTURE_LOST")).await;
        world.notify(upgrade(2, "TIER_10K")).await;
        world.quiesce().await;
        let of_number = world.get(&format!("/v1/accounts/{ACCOUNT}/events?phoneNumber=15550000001")).await;
        let types: Vec<_> = of_number["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| (event["body"]["eventType"].as_str().unwrap(), event["sequence"].as_i64().unwrap()))
            .collect();
        assert_eq!(types, [("account_alerts", 2), ("phone_number_quality_update", 1)]);
        assert_eq!(shop.count(), 5, "the others are told too, of the business account");
        let refusal =
            json!({"kind": failed, "severity": "CRITICAL", "status": "ACTIVE", "description": "No."});
        for limit in [1, 2, 100] {
            let of_first = history(&world, "15550000001", limit).await;
            let kinds: Vec<_> = of_first.iter().map(|item| item["refusal"].clone()).collect();
            assert_eq!(kinds, [refusal.clone(), refusal.clone(), Value::Null], "{of_first:?}");
            assert!(of_first[0]["eventId"].is_string() && of_first[0]["changes"] == json!([]));
            let of_second = history(&world, "15550000002", limit).await;
            let kinds: Vec<_> = of_second.iter().map(|item| item["refusal"].clone()).collect();
            assert_eq!(kinds, [Value::Null, refusal.clone()], "{of_second:?}");
        }
    });
}
