//! Every sample, signed and posted, gives what its README says.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::sim::receivers::Receiver;
use crate::sim::simulate;
use crate::sim::world::{ACCOUNT, World};

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../../samples/", $name, ".json")).as_slice()
    };
}

/// Posts a sample; says the receipt.
async fn post(world: &World, body: &[u8]) -> Value {
    let (status, receipt) = world.post_signed(body).await;
    assert_eq!(status, StatusCode::OK, "{receipt}");
    receipt
}

async fn arrived(world: &World, shop: &Receiver) -> Vec<Value> {
    world.quiesce().await;
    shop.arrivals().iter().map(|arrival| arrival.json()).collect()
}

fn meta(event: &Value) -> &Value {
    &event["eventDetails"]["meta"]
}

#[test]
fn upgrade_is_one_event_byte_for_byte_as_the_seed_shows_it() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("upgrade")).await;
        let events = arrived(&world, &shop).await;
        let id = events[0]["eventId"].as_str().unwrap();
        let expected = format!(
            "{{\"eventId\":\"{id}\",\"timestamp\":\"2025-05-28T17:46:34.00Z\",\"provider\":\"WhatsApp\",\
             \"businessAccountId\":\"102290129340398\",\"accountId\":\"{ACCOUNT}\",\
             \"eventType\":\"phone_number_quality_update\",\"eventDetails\":{{\"displayPhoneNumber\":\"15550783881\",\
             \"meta\":{{\"event\":\"UPGRADE\",\"currentLimit\":\"TIER_10K\",\"oldLimit\":\"TIER_1K\"}}}}}}"
        );
        assert_eq!(String::from_utf8_lossy(&shop.arrivals()[0].body), expected);
    });
}

#[test]
fn throughput_is_one_event_without_an_old_limit_byte_for_byte_as_the_seed_shows_it() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("throughput")).await;
        let events = arrived(&world, &shop).await;
        let id = events[0]["eventId"].as_str().unwrap();
        let expected = format!(
            "{{\"eventId\":\"{id}\",\"timestamp\":\"2025-05-28T17:46:35.00Z\",\"provider\":\"WhatsApp\",\
             \"businessAccountId\":\"102290129340398\",\"accountId\":\"{ACCOUNT}\",\
             \"eventType\":\"phone_number_quality_update\",\"eventDetails\":{{\"displayPhoneNumber\":\"15550783881\",\
             \"meta\":{{\"event\":\"THROUGHPUT_UPGRADE\",\"currentLimit\":\"TIER_UNLIMITED\"}}}}}}"
        );
        assert_eq!(String::from_utf8_lossy(&shop.arrivals()[0].body), expected);
    });
}

#[test]
fn the_portfolios_limit_alone_fills_the_current_one_and_is_told_itself() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("new-field-only")).await;
        let events = arrived(&world, &shop).await;
        let told = json!({"event": "ONBOARDING", "currentLimit": "TIER_2K", "maxDailyConversationsPerBusiness": "TIER_2K"});
        assert_eq!((events.len(), meta(&events[0])), (1, &told));
    });
}

#[test]
fn a_bare_flag_has_no_limits_unless_the_numbers_limit_is_known() {
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("flagged-bare")).await;
        let known =
            json!({"display_phone_number": "15550783881", "event": "UPGRADE", "current_limit": "TIER_10K"});
        world.notify(known).await;
        world.notify(json!({"display_phone_number": "15550783881", "event": "FLAGGED"})).await;
        let events = arrived(&world, &shop).await;
        assert_eq!(meta(&events[0]), &json!({"event": "FLAGGED"}));
        assert_eq!(meta(&events[2]), &json!({"event": "FLAGGED", "currentLimit": "TIER_10K"}));
    });
}

#[test]
fn limits_that_disagree_are_all_told_as_sent() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("disagreeing")).await;
        let events = arrived(&world, &shop).await;
        let told = json!({
            "event": "UPGRADE", "currentLimit": "TIER_10K", "oldLimit": "TIER_1K",
            "maxDailyConversationsPerBusiness": "TIER_100K",
        });
        assert_eq!(meta(&events[0]), &told);
    });
}

#[test]
fn the_test_button_is_answered_200_and_kept_unrouted() {
    simulate(|world| async move {
        let receipt = post(&world, sample!("test-button")).await;
        assert_eq!(receipt["unrouted"], 1);
        let unrouted = world.get("/v1/unrouted").await;
        assert_eq!(unrouted["items"][0]["businessAccountId"], "0");
    });
}

#[test]
fn values_of_tomorrow_are_told_as_sent_an_integer_as_text() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("unknown-values")).await;
        let mut events = arrived(&world, &shop).await;
        events.sort_by_key(|event| event["eventDetails"]["displayPhoneNumber"].to_string());
        assert_eq!(meta(&events[0]), &json!({"event": "THROUGHPUT_DOWNGRADE", "currentLimit": "TIER_7K"}));
        let told =
            json!({"event": "DOWNGRADE", "currentLimit": "1000", "maxDailyConversationsPerBusiness": "1000"});
        assert_eq!(meta(&events[1]), &told);
    });
}

#[test]
fn each_change_of_a_batch_goes_its_own_way_and_a_late_registration_routes_what_waited() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let receipt = post(&world, sample!("batch")).await;
        assert_eq!((receipt["accepted"].as_i64(), receipt["unrouted"].as_i64()), (Some(3), Some(1)));
        let events = arrived(&world, &shop).await;
        let types: Vec<&str> = events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
        assert_eq!(types, ["phone_number_quality_update", "account_update", "phone_number_quality_update"]);
        assert_eq!(shop.arrivals().iter().map(|a| a.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        let body = json!({"accountId": ACCOUNT});
        let (status, _) = world.call("PUT", "/v1/business-accounts/999999999999999", body).await;
        assert_eq!(status, StatusCode::CREATED);
        world.advance(std::time::Duration::from_secs(1)).await;
        let events = arrived(&world, &shop).await;
        assert_eq!(events[3]["businessAccountId"], "999999999999999");
        assert!(world.get("/v1/unrouted").await["items"].as_array().unwrap().is_empty());
    });
}

#[test]
fn a_change_without_a_number_is_kept_unparsed_with_its_reason() {
    simulate(|world| async move {
        let receipt = post(&world, sample!("no-number")).await;
        assert_eq!(receipt["unparsed"], 1);
        let unparsed = world.get("/v1/unparsed").await;
        let reason = unparsed["items"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("display_phone_number"), "{reason}");
    });
}

#[test]
fn an_inbound_message_is_answered_200_counted_and_not_stored() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("messages")).await;
        assert!(arrived(&world, &shop).await.is_empty());
        assert!(world.get("/v1/unparsed").await["items"].as_array().unwrap().is_empty());
        let (_, metrics) = world.call("GET", "/metrics", Value::Null).await;
        assert!(
            metrics.as_str().unwrap().contains("bellwether_changes_total{result=\"ignored\"} 1"),
            "{metrics}"
        );
    });
}

#[test]
fn a_change_without_a_time_is_stamped_with_its_arrival() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        world.advance(std::time::Duration::from_secs(90)).await;
        post(&world, sample!("no-time")).await;
        let events = arrived(&world, &shop).await;
        assert_eq!(events[0]["timestamp"], "2025-06-01T00:01:30.00Z");
    });
}

#[test]
fn odd_escapes_and_white_space_leave_the_signature_and_the_event_whole() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        post(&world, sample!("escaped")).await;
        let events = arrived(&world, &shop).await;
        assert_eq!(meta(&events[0]), &json!({"event": "UPGRADE", "currentLimit": "TIER_10K"}));
    });
}
