//! Events to types and back, byte for byte.

use super::*;
use crate::{Change, Limit};

fn event(event_type: &str, details: &str) -> String {
    format!(
        r#"{{"eventId":"e","timestamp":"2025-01-01T00:00:00.00Z","provider":"WhatsApp","businessAccountId":"1","accountId":"a","eventType":"{event_type}","eventDetails":{details}}}"#
    )
}

/// Reads an event of these details, and shows that it is written as it was.
fn read(event_type: &str, details: &str) -> Event {
    let text = event(event_type, details);
    let event = Event::read(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
    // By way of a value too, unless it has numbers that no value holds.
    if let Ok(value) = serde_json::to_value(&event) {
        assert_eq!(serde_json::from_value::<Event>(value).unwrap().event_type, event_type);
    }
    event
}

#[test]
fn every_kind_of_event_is_read_into_its_type_and_written_as_it_was() {
    let quality = r#"{"displayPhoneNumber":"15550783881","meta":{"event":"UPGRADE","currentLimit":"TIER_10K","oldLimit":"TIER_1K","maxDailyConversationsPerBusiness":"TIER_2K"}}"#;
    let Details::Quality(quality) = read("phone_number_quality_update", quality).details else { panic!() };
    assert_eq!(quality.meta.event, Change::Upgrade);
    assert_eq!(quality.meta.max_daily_conversations_per_business, Some(Limit::Tier2K));
    let template = |meta: &str| {
        format!(
            r#"{{"templateId":1689556908129832,"templateName":"n","templateLanguage":"en-US","meta":{meta}}}"#
        )
    };
    let status = r#"{"status":"PAUSED","reason":"NONE","disableInfo":{"disableDate":"d"},"otherInfo":{"title":"t","description":"d"}}"#;
    let status = read("template_status_update", &template(status));
    assert!(matches!(&status.details, Details::TemplateStatus(status) if status.meta.status == "PAUSED"));
    let score = read(
        "template_quality_update",
        &template(r#"{"previousQualityScore":"GREEN","newQualityScore":"UNKNOWN"}"#),
    );
    assert!(
        matches!(&score.details, Details::TemplateQuality(score) if score.meta.new_quality_score.as_str() == "UNKNOWN")
    );
    let category = read(
        "template_category_update",
        &template(r#"{"previousCategory":"UTILITY","newCategory":"MARKETING"}"#),
    );
    assert!(matches!(category.details, Details::TemplateCategory(_)));
    let correct = read(
        "template_correct_category_detection",
        &template(r#"{"category":"UTILITY","correctCategory":"MARKETING"}"#),
    );
    assert!(matches!(correct.details, Details::TemplateCorrectCategory(_)));
    let account = r#"{"event":"ACCOUNT_RESTRICTION","phoneNumber":"+1 555","businessVerificationInfo":{"businessId":"2","verificationStatus":"FAILED","rejectionReasons":["A"]},"violationInfo":{"violationType":"SPAM","remediation":"Stop."},"restrictionInfo":[{"restrictionType":"R","expiration":"x","remediation":"Wait."},{"restrictionType":"S"}]}"#;
    let account = read("account_update", account);
    assert!(matches!(account.details, Details::Account(_)));
    assert_eq!((account.subject().as_str(), status.subject().as_str()), ("a/1555", "a/waba:1"));
}

#[test]
fn values_and_members_of_tomorrow_are_kept() {
    let text = r#"{"displayPhoneNumber":"1","meta":{"event":"THROUGHPUT_DOWNGRADE","currentLimit":"250","rank":[1,{"a":null}]},"region":"EU"}"#;
    let Details::Quality(quality) = read("phone_number_quality_update", text).details else { panic!() };
    assert_eq!(quality.meta.event, Change::Other("THROUGHPUT_DOWNGRADE".to_owned()));
    assert_eq!(quality.meta.current_limit, Some(Limit::Other("250".to_owned())));
    assert_eq!(
        (quality.rest["region"].as_str(), quality.meta.rest["rank"][0].as_i64()),
        (Some("EU"), Some(1))
    );
    let text = event("account_update", r#"{"event":"E"}"#).replace("}}", r#"},"schemaVersion":2}"#);
    let event = Event::read(text.as_bytes()).unwrap();
    assert_eq!(event.rest["schemaVersion"], 2);
    assert_eq!(serde_json::to_string(&event).unwrap(), text);
}

#[test]
fn what_no_model_fits_is_kept_as_it_was_written() {
    let raw = r#"{"rawEvent":{"field":"phone_number_quality_update","value":{ "entity" :12345678901234567890123.4500}}}"#;
    let Details::Raw(raw) = read("phone_number_quality_update", raw).details else { panic!() };
    assert_eq!(raw.raw_event.value.unwrap().as_str(), r#"{ "entity" :12345678901234567890123.4500}"#);
    for odd in ["null", "[1e400]", r#""text""#, "{}", r#"{"displayPhoneNumber":7}"#] {
        assert!(
            matches!(read("phone_number_quality_update", odd).details, Details::Other(raw) if raw.as_str() == odd)
        );
        assert!(matches!(read("of_tomorrow", odd).details, Details::Other(_)));
    }
}

#[test]
fn an_alert_names_its_number_unless_it_is_metas_own_id_of_it() {
    let subject = |value: &str| {
        read("account_alerts", &format!(r#"{{"rawEvent":{{"field":"account_alerts","value":{value}}}}}"#))
            .subject()
    };
    assert_eq!(subject(r#"{"entity_type":"PHONE_NUMBER","entity_id":"15550783881"}"#), "a/15550783881");
    assert_eq!(subject(r#"{"entity_type":"PHONE_NUMBER","entity_id":"123456789012345"}"#), "a/waba:1");
    assert_eq!(subject(r#"{"entity_type":"BUSINESS","entity_id":"15550783881"}"#), "a/waba:1");
    assert_eq!(subject(r#"{"display_phone_number":"+1 555-078-3881"}"#), "a/15550783881");
}

#[test]
fn what_has_no_envelope_is_no_event() {
    for bad in ["", "[]", "{}", "null", "{\"eventId\":1}", &event("x", "1")[..40]] {
        let refused = Event::read(bad.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("hint:"), "{refused}");
    }
}

#[test]
fn whatever_json_the_details_are_they_are_kept_as_they_were_written_and_no_bytes_fail() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples/json");
    let mut kept = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(Event::read(&bytes).is_err(), "none of them has an envelope");
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        if serde_json::from_str::<&RawValue>(text).is_ok() {
            read("account_update", text.trim());
            kept += 1;
        }
    }
    assert!(kept > 90, "{kept}");
}
