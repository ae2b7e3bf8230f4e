//! What comes of the samples, of every row of contract.md 3 and 4, and of
//! bodies that no one should ever send.

use serde_json::{Value, json};

use super::*;
use crate::model::change::{Detail, Quality};
use crate::model::event::{self, Envelope};
use crate::model::id::EventId;

pub(super) const WABA: &str = "102290129340398";

macro_rules! sample {
    ($name:literal) => {
        read(include_bytes!(concat!("../../../tests/samples/", $name)))
    };
}

/// A body with one change.
fn posted(field: &str, value: &str) -> String {
    let change = format!(r#"{{"value":{value},"field":{}}}"#, json!(field));
    format!(
        r#"{{"entry":[{{"id":"{WABA}","time":1748454394,"changes":[{change}]}}],"object":"whatsapp_business_account"}}"#
    )
}

fn only(notification: Notification) -> Item {
    assert_eq!((notification.items.len(), notification.ignored), (1, 0), "{notification:?}");
    notification.items.into_iter().next().unwrap()
}

#[track_caller]
pub(super) fn only_change(notification: Notification) -> Change {
    match only(notification) {
        Item::Change(change) => change,
        Item::Unparsed(unparsed) => panic!("{unparsed:?}"),
    }
}

#[track_caller]
fn only_unparsed(notification: Notification) -> Unparsed {
    match only(notification) {
        Item::Unparsed(unparsed) => unparsed,
        Item::Change(change) => panic!("{change:?}"),
    }
}

fn changes(notification: &Notification) -> Vec<&Change> {
    let items = notification.items.iter();
    items.filter_map(|item| if let Item::Change(change) = item { Some(change) } else { None }).collect()
}

/// The event's text from `businessAccountId` on.
pub(super) fn told(change: &Change) -> String {
    let account = "0f88f5c4-fae7-4dcf-8ff2-b2990133edea".parse().unwrap();
    let timestamp = Timestamp::from_seconds(change.time.unwrap_or(0)).unwrap();
    let id = EventId::new(timestamp, 1, 2);
    let envelope = Envelope { id, timestamp, business_account: &change.business_account, account };
    let body = String::from_utf8(event::body(envelope, &change.detail)).unwrap();
    let (_, told) = body.split_once("\"businessAccountId\":").unwrap();
    told.replace(r#","accountId":"0f88f5c4-fae7-4dcf-8ff2-b2990133edea","eventType":"#, " ")
}

/// Posts `value` and holds the event against `expected`, written as business
/// account, event type and details.
#[track_caller]
fn check(field: &str, value: &str, expected: &str) {
    let change = only_change(read(posted(field, value).as_bytes()));
    assert_eq!(told(&change), format!("{expected}}}"));
    assert_eq!(change.raw, value);
}

/// The same for a value that is passed on untouched.
#[track_caller]
fn check_raw(field: &str, value: &str) {
    let details = format!(r#"{{"rawEvent":{{"field":"{field}","value":{value}}}}}"#);
    check(field, value, &format!(r#""{WABA}" "{field}","eventDetails":{details}"#));
}

fn quality(change: &Change) -> &Quality {
    match &change.detail {
        Detail::Quality(quality) => quality,
        Detail::Capability(_) | Detail::Other { .. } => panic!("{change:?}"),
    }
}

#[test]
fn a_limit_change_becomes_the_event_of_the_seed() {
    let change = only_change(sample!("upgrade.json"));
    assert_eq!(change.time, Some(1_748_454_394));
    assert_eq!(change.subject.digits(), Some("15550783881"));
    assert_eq!(change.field, "phone_number_quality_update");
    assert_eq!(
        told(&change),
        concat!(
            r#""102290129340398" "phone_number_quality_update","eventDetails":{"displayPhoneNumber":"15550783881","#,
            r#""meta":{"event":"UPGRADE","currentLimit":"TIER_10K","oldLimit":"TIER_1K"}}}"#
        )
    );
}

#[test]
fn each_sample_says_what_it_says_and_nothing_is_made_up() {
    let limits = |notification: Notification| {
        let change = only_change(notification);
        let quality = quality(&change).clone();
        let or = |limit: Option<String>| limit.unwrap_or_default();
        let (current, old) = (or(quality.current_limit), or(quality.old_limit));
        (quality.event, current, old, or(quality.max_daily_conversations_per_business))
    };
    let said = |a: &str, b: &str, c: &str, d: &str| (a.into(), b.into(), c.into(), d.into());
    assert_eq!(limits(sample!("throughput.json")), said("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", "", ""));
    assert_eq!(limits(sample!("new-field-only.json")), said("ONBOARDING", "", "", "TIER_2K"));
    assert_eq!(limits(sample!("flagged-bare.json")), said("FLAGGED", "", "", ""));
    assert_eq!(limits(sample!("disagreeing.json")), said("UPGRADE", "TIER_10K", "TIER_1K", "TIER_100K"));
    assert_eq!(limits(sample!("no-time.json")), said("UNFLAGGED", "TIER_10K", "", ""));
    assert_eq!(limits(sample!("escaped.json")), said("UPGRADE", "TIER_10K", "", ""));
    assert_eq!(only_change(sample!("no-time.json")).time, None);
    assert!(only_change(sample!("escaped.json")).raw.contains(r"caf\u00e9 \/ 100\u0025"));
    assert_eq!(only_change(sample!("test-button.json")).business_account.as_str(), "0");
}

#[test]
fn values_of_tomorrow_are_passed_on_as_they_came() {
    let notification = sample!("unknown-values.json");
    let [first, second] = changes(&notification)[..] else { panic!("{notification:?}") };
    assert_eq!(quality(first).event, "THROUGHPUT_DOWNGRADE");
    assert_eq!(quality(first).current_limit.as_deref(), Some("TIER_7K"));
    assert_eq!(quality(second).max_daily_conversations_per_business.as_deref(), Some("1000"));
}

#[test]
fn each_change_of_a_batch_goes_its_own_way_in_order() {
    let notification = sample!("batch.json");
    let told: Vec<String> = changes(&notification).into_iter().map(told).collect();
    assert_eq!(told.len(), 4);
    assert!(told[0].contains(r#""currentLimit":"TIER_2K","oldLimit":"TIER_250""#), "{}", told[0]);
    assert_eq!(
        told[1],
        r#""102290129340398" "account_update","eventDetails":{"event":"VERIFIED_ACCOUNT","phoneNumber":"15550783887"}}"#
    );
    assert!(told[2].starts_with(r#""999999999999999" "phone_number_quality_update""#), "{}", told[2]);
    assert!(told[3].contains(r#""currentLimit":"TIER_10K","oldLimit":"TIER_2K""#), "{}", told[3]);
}

#[test]
fn a_message_is_counted_and_not_kept_however_broken() {
    assert_eq!(sample!("messages.json"), Notification { items: Vec::new(), ignored: 1 });
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    for value in ["null", "1e400", r#""\ud800""#, deep.as_str()] {
        assert_eq!(
            read(posted("messages", value).as_bytes()),
            Notification { items: Vec::new(), ignored: 1 }
        );
    }
    let mut garbled = posted("messages", r#"{"body":"?"}"#).into_bytes();
    let at = garbled.iter().position(|b| *b == b'?').unwrap();
    garbled[at] = 0xff;
    let without_value = posted("messages", "1").replace(r#""value":1,"#, "");
    let nameless = posted("messages", "1").replace(WABA, "");
    for body in [garbled, without_value.into_bytes(), nameless.into_bytes()] {
        assert_eq!(read(&body), Notification { items: Vec::new(), ignored: 1 });
    }
}

#[test]
fn a_change_without_a_number_or_an_event_is_kept_with_its_bytes_and_the_reason() {
    let unparsed = only_unparsed(sample!("no-number.json"));
    assert_eq!(unparsed.reason, "display_phone_number is missing");
    assert_eq!(unparsed.business_account.as_deref(), Some(WABA));
    assert_eq!(unparsed.time, Some(1_763_625_406));
    let body = include_str!("../../../tests/samples/no-number.json");
    let change = &body[body.find(r#"{"field""#).unwrap()..=body.find("}}").unwrap() + 1];
    assert_eq!(String::from_utf8(unparsed.raw).unwrap(), change);

    for (value, reason) in [
        ("[]", "the value is no object"),
        (
            r#"{"display_phone_number":"+ -","event":"A"}"#,
            "display_phone_number has no digits, or more than 32",
        ),
        (
            r#"{"display_phone_number":1.5,"event":"A"}"#,
            "display_phone_number is neither a string nor a whole number",
        ),
        (
            r#"{"display_phone_number":"\udc001","event":"A"}"#,
            "display_phone_number is neither a string nor a whole number",
        ),
        (r#"{"display_phone_number":null,"event":"A"}"#, "display_phone_number is missing"),
        (r#"{"display_phone_number":"1"}"#, "event is missing"),
        (r#"{"display_phone_number":"1","event":7}"#, "event is no string"),
        (r#"{"display_phone_number":"1","event":"A\u0000"}"#, "event is no string"),
        (
            r#"{"display_phone_number":"1","event":"A","old_limit":{}}"#,
            "a limit is neither a string nor a number",
        ),
        (
            r#"{"display_phone_number":"1","event":"A","old_limit":[1]}"#,
            "a limit is neither a string nor a number",
        ),
    ] {
        let unparsed = only_unparsed(read(posted("phone_number_quality_update", value).as_bytes()));
        assert_eq!(unparsed.reason, reason, "{value}");
    }
}

#[test]
fn limits_are_strings_or_numbers_and_null_is_none() {
    for (written, told) in [
        (r#""TIER_2K""#, Some("TIER_2K")),
        (r#""unlimited""#, Some("unlimited")),
        (r#""-1""#, Some("-1")),
        ("-1", Some("-1")),
        ("250", Some("250")),
        ("1e400", Some("1e400")),
        ("true", Some("true")),
        ("null", None),
    ] {
        for name in ["current_limit", "old_limit", "max_daily_conversations_per_business"] {
            let value =
                format!(r#"{{"display_phone_number":15550783881,"event":"UPGRADE","{name}":{written}}}"#);
            let change = only_change(read(posted("phone_number_quality_update", &value).as_bytes()));
            let quality = quality(&change);
            assert_eq!(quality.display_phone_number, "15550783881");
            let limits =
                [&quality.current_limit, &quality.old_limit, &quality.max_daily_conversations_per_business];
            let told = told.map(str::to_owned);
            assert_eq!(limits.into_iter().flatten().collect::<Vec<_>>(), told.iter().collect::<Vec<_>>());
        }
    }
}

#[test]
fn template_changes_are_told_in_8x8s_words() {
    let of = |rest: &str| {
        format!(
            r#"{{"message_template_name":"order","message_template_id":1689556908129832,"message_template_language":"en-US",{rest}}}"#
        )
    };
    let told = |event_type: &str, meta: &str| {
        format!(
            r#""{WABA}" "{event_type}","eventDetails":{{"templateId":1689556908129832,"templateName":"order","templateLanguage":"en-US","meta":{meta}}}"#
        )
    };
    for (rest, meta) in [
        (r#""event":"APPROVED","reason":"NONE""#, r#"{"status":"APPROVED","reason":"NONE"}"#),
        (
            r#""reason":null,"event":"PENDING_DELETION","message_template_category":"UTILITY""#,
            r#"{"status":"PENDING_DELETION"}"#,
        ),
        (
            r#""disable_info":{"disable_date":1751234563},"event":"DISABLED","other_info":{}"#,
            r#"{"status":"DISABLED","disableInfo":{"disableDate":"1751234563"}}"#,
        ),
        (
            r#""event":"PAUSED","reason":"NONE","other_info":{"description":"for 6 hours","title":"SECOND_PAUSE"}"#,
            r#"{"status":"PAUSED","reason":"NONE","otherInfo":{"title":"SECOND_PAUSE","description":"for 6 hours"}}"#,
        ),
    ] {
        check("message_template_status_update", &of(rest), &told("template_status_update", meta));
    }
    check(
        "message_template_quality_update",
        &of(r#""new_quality_score":"YELLOW","previous_quality_score":"GREEN""#),
        &told("template_quality_update", r#"{"previousQualityScore":"GREEN","newQualityScore":"YELLOW"}"#),
    );
    check(
        "template_category_update",
        &of(r#""new_category":"MARKETING","previous_category":"UTILITY""#),
        &told("template_category_update", r#"{"previousCategory":"UTILITY","newCategory":"MARKETING"}"#),
    );
    check(
        "template_correct_category_detection",
        &of(r#""correct_category":"MARKETING","category":"UTILITY""#),
        &told(
            "template_correct_category_detection",
            r#"{"category":"UTILITY","correctCategory":"MARKETING"}"#,
        ),
    );
}

#[test]
fn account_updates_are_told_in_8x8s_words() {
    for (value, business_account, details) in [
        (r#"{"event":"ACCOUNT_DELETED"}"#, WABA, r#"{"event":"ACCOUNT_DELETED"}"#),
        (
            r#"{"event":"ACCOUNT_VIOLATION","violation_info":{"violation_type":"ADULT"},"phone_number":"16505551111"}"#,
            WABA,
            r#"{"event":"ACCOUNT_VIOLATION","phoneNumber":"16505551111","violationInfo":{"violationType":"ADULT"}}"#,
        ),
        (
            concat!(
                r#"{"event":"ACCOUNT_RESTRICTION","restriction_info":[{"expiration":1641330498,"#,
                r#""restriction_type":"RESTRICTED_BIZ_INITIATED_MESSAGING","remediation":"Review."},"#,
                r#"{"restriction_type":"RESTRICTED_ADD_PHONE_NUMBER_ACTION"},"#,
                r#"{"restriction_type":"FOR_EVER","expiration":"253402300799"}]}"#
            ),
            WABA,
            concat!(
                r#"{"event":"ACCOUNT_RESTRICTION","restrictionInfo":[{"restrictionType":"RESTRICTED_BIZ_INITIATED_MESSAGING","#,
                r#""expiration":"2022-01-04T21:08:18.00Z","remediation":"Review."},"#,
                r#"{"restrictionType":"RESTRICTED_ADD_PHONE_NUMBER_ACTION"},"#,
                r#"{"restrictionType":"FOR_EVER","expiration":"9999-12-31T23:59:59.00Z"}]}"#
            ),
        ),
        (
            concat!(
                r#"{"event":"PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE","partner_client_certification_info":{"#,
                r#""rejection_reasons":["LEGAL NAME NOT MATCHING"],"status":"FAILED","client_business_id":"2729063490586005"}}"#
            ),
            WABA,
            concat!(
                r#"{"event":"BUSINESS_VERIFICATION_STATUS_UPDATE","businessVerificationInfo":{"businessId":"2729063490586005","#,
                r#""verificationStatus":"FAILED","rejectionReasons":["LEGAL_NAME_NOT_MATCHING"]}}"#
            ),
        ),
        (
            r#"{"event":"PARTNER_ADDED","waba_info":{"waba_id":"980198427658004"}}"#,
            "980198427658004",
            r#"{"event":"PARTNER_ADDED"}"#,
        ),
        (
            r#"{"event":"PARTNER_REMOVED","waba_info":{"waba_id":980198427658004}}"#,
            "980198427658004",
            r#"{"event":"PARTNER_REMOVED"}"#,
        ),
        (
            r#"{"event":"AD_ACCOUNT_LINKED","waba_info":{"waba_id":"980198427658004"}}"#,
            WABA,
            r#"{"event":"AD_ACCOUNT_LINKED"}"#,
        ),
    ] {
        let told = format!(r#""{business_account}" "account_update","eventDetails":{details}"#);
        check("account_update", value, &told);
    }
}

#[test]
fn what_is_not_modelled_or_does_not_fit_its_model_is_passed_on_untouched() {
    check_raw("business_capability_update", r#"{ "max_daily_conversations_per_business" : 2000 }"#);
    check_raw("account_alerts", r#"{"a":1,"a":2,"b":"\ud800 \u00e9 \/","c":1e400}"#);
    check_raw("security", "null");
    check_raw("account_update", r#"{"ban_info":{}}"#);
    check_raw(
        "account_update",
        r#"{"event":"A","restriction_info":[{"restriction_type":"B","expiration":"soon"}]}"#,
    );
    check_raw("account_update", r#"{"event":"A","violation_info":"SCAM"}"#);
    check_raw("message_template_status_update", r#"{"event":"APPROVED","message_template_name":"order"}"#);
    check_raw(
        "template_category_update",
        r#"{"message_template_id":1,"message_template_name":"a","message_template_language":"en","correct_category":"MARKETING","new_category":"UTILITY"}"#,
    );
    let quoted = only_change(read(posted("a\"b", "1").as_bytes()));
    assert!(told(&quoted).ends_with(r#" "a\"b","eventDetails":{"rawEvent":{"field":"a\"b","value":1}}}"#));
}

#[test]
fn a_receiver_that_stops_at_128_levels_reads_the_deepest_event() {
    let deepest = format!("{}{}", "[".repeat(json::NESTING_LIMIT), "]".repeat(json::NESTING_LIMIT));
    let change = only_change(read(posted("flows", &deepest).as_bytes()));
    let event = format!("{{\"eventDetails\":{}", told(&change).split_once("\"eventDetails\":").unwrap().1);
    assert!(serde_json::from_str::<Value>(&event).is_ok());
}

#[test]
fn a_change_is_about_the_number_it_names_or_else_the_business_account() {
    for (value, subject) in [
        (r#"{"display_phone_number":"+1 555-078-3881"}"#, "15550783881"),
        (r#"{"phone_number":15550783881}"#, "15550783881"),
        (r#"{"display_phone_number":"none","phone_number":"15550783881"}"#, "15550783881"),
        (r#"{"display_phone_number":{}}"#, "waba:102290129340398"),
        ("[]", "waba:102290129340398"),
    ] {
        let change = only_change(read(posted("security", value).as_bytes()));
        assert_eq!(change.subject.as_str(), subject, "{value}");
    }
    let value = r#"{"event":"PARTNER_ADDED","waba_info":{"waba_id":"7"}}"#;
    let change = only_change(read(posted("account_update", value).as_bytes()));
    assert_eq!(change.subject.as_str(), "waba:7");
}

#[test]
fn ids_and_times_are_read_as_number_or_string() {
    let body = posted("security", "{}");
    let with = |id: &str, time: &str| {
        body.replace(&format!("\"{WABA}\""), id).replace("1748454394", time).into_bytes()
    };
    for id in ["\"102290129340398\"", "102290129340398", r#""\u003102290129340398""#] {
        assert_eq!(only_change(read(&with(id, "1"))).business_account.as_str(), WABA);
    }
    for (time, seconds) in [
        ("0", Some(0)),
        ("\"1748454394\"", Some(1_748_454_394)),
        ("253402300799", Some(253_402_300_799)),
        ("253402300800", None),
        ("1748454394000", None),
        ("-1", None),
        ("1.5", None),
        ("1e400", None),
        ("\"now\"", None),
        ("null", None),
        ("[]", None),
    ] {
        let change = only_change(read(&with("\"1\"", time)));
        assert_eq!(change.time, seconds, "{time}");
        assert!(told(&change).contains("security"), "every time that is taken can be shown");
    }
    for id in ["\"\"", "null", "-1", "1.5", "1e9", "\"a b\"", "{}", r#""\u0000""#] {
        let unparsed = only_unparsed(read(&with(id, "1")));
        assert_eq!(unparsed.reason, format!("the entry's id is no business account's: {id}"));
        assert_eq!((unparsed.business_account, unparsed.time), (None, Some(1)));
        assert_eq!(unparsed.raw, br#"{"value":{},"field":"security"}"#);
    }
}

#[test]
fn what_is_no_notification_is_kept_whole() {
    for (body, reason) in [
        ("", "the body is empty"),
        ("\u{feff}", "the body is empty"),
        (" ", "the body is no JSON"),
        ("{\"entry\":[}", "the body is no JSON"),
        ("{} {}", "the body is no JSON"),
        ("[]", "the body is no object"),
        ("null", "the body is no object"),
        ("{}", "the object is not whatsapp_business_account"),
        (r#"{"object":"page","entry":[{}]}"#, "the object is not whatsapp_business_account"),
        (r#"{"object":"whatsapp_business_account"}"#, "there are no entries"),
        (r#"{"object":"whatsapp_business_account","entry":[]}"#, "there are no entries"),
        (r#"{"object":"whatsapp_business_account","entry":{}}"#, "there are no entries"),
    ] {
        let unparsed = only_unparsed(read(body.as_bytes()));
        assert_eq!((unparsed.reason.as_str(), unparsed.raw.as_slice()), (reason, body.as_bytes()));
    }
}

#[test]
fn what_cannot_be_read_leaves_its_neighbours_alone() {
    let good = r#"{"field":"security","value":{}}"#;
    let deep = format!(r#"{{"field":"flows","value":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for (bad, reason) in [
        ("7", "the change has no field"),
        (r#"{"value":{}}"#, "the change has no field"),
        (r#"{"field":7,"value":{}}"#, "the change has no field"),
        (r#"{"field":"","value":{}}"#, "the field is no name"),
        (r#"{"field":"a\nb","value":{}}"#, "the field is no name"),
        (r#"{"field":"security"}"#, "the change has no value"),
        (&deep, "the value is nested too deeply"),
    ] {
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{good},{bad}]}},5,{{"id":"2","changes":[{good}]}},{{"id":"3"}}]}}"#
        );
        let items = read(body.as_bytes()).items;
        let [
            Item::Change(_),
            Item::Unparsed(change),
            Item::Unparsed(entry),
            Item::Change(_),
            Item::Unparsed(bare),
        ] = &items[..]
        else {
            panic!("{items:?}");
        };
        assert_eq!((change.reason.as_str(), change.raw.as_slice()), (reason, bad.as_bytes()));
        assert_eq!(change.business_account.as_deref(), Some("1"));
        assert_eq!(
            (entry.reason.as_str(), entry.raw.as_slice()),
            ("the entry has no changes", b"5".as_slice())
        );
        assert_eq!(bare.business_account.as_deref(), Some("3"));
    }
}

#[test]
fn a_change_that_is_no_utf_8_is_kept_with_its_bytes_and_its_neighbours_are_read() {
    let mut body = Vec::new();
    body.extend_from_slice(br#"{"object":"whatsapp_business_account","entry":[{"id":"1","note":"#);
    body.extend_from_slice(b"\"\xf0\x9f\",\"changes\":[");
    let bad = b"{\"field\":\"flows\",\"value\":\"\xff\xed\xa0\x80?\"}";
    body.extend_from_slice(bad);
    body.extend_from_slice("\n,{\"field\":\"security\",\"value\":\"é\"}]}]}".as_bytes());
    let items = read(&body).items;
    let [Item::Unparsed(unparsed), Item::Change(change)] = &items[..] else { panic!("{items:?}") };
    assert_eq!(
        (unparsed.reason.as_str(), unparsed.raw.as_slice()),
        ("the change is no UTF-8", bad.as_slice())
    );
    assert_eq!(change.raw, "\"é\"");

    body.insert(0, 0xff);
    let whole = only_unparsed(read(&body));
    assert_eq!((whole.reason.as_str(), whole.raw), ("the body is no JSON", body));
}

#[test]
fn a_byte_order_mark_duplicate_keys_and_odd_numbers_cost_nothing() {
    let plain = read(&posted("security", r#"{"a":2}"#).into_bytes());
    let marked = format!("\u{feff}{}\r\n", posted("security", r#"{"a":2}"#));
    assert_eq!(read(marked.as_bytes()), plain);
    let twice = posted("security", r#"{"a":2}"#)
        .replace("\"time\"", "\"\\ud800\":1e400,\"changes\":1e400,\"time\":5,\"time\"")
        .replace("\"field\"", "\"field\":\"messages\",\"field\"");
    assert_eq!(read(twice.as_bytes()), plain);
}

#[test]
fn unparsed_bytes_are_recognised_when_they_come_again_in_another_batch() {
    let bad = r#"{"field":"phone_number_quality_update","value":{}}"#;
    let entry = |id: &str, time: u32| format!(r#"{{"id":"{id}","time":{time},"changes":[{bad}]}}"#);
    let body = |entries: &str| {
        format!(r#"{{"object":"whatsapp_business_account","entry":[{entries}]}}"#).into_bytes()
    };
    let first = only_unparsed(read(&body(&entry("1", 5)))).fingerprint;
    let others = read(&body(&[entry("1", 6), entry("2", 5), entry("1", 5)].join(", "))).items;
    let again: Vec<bool> = others
        .iter()
        .map(|item| matches!(item, Item::Unparsed(other) if other.fingerprint == first))
        .collect();
    assert_eq!(again, [false, false, true]);
}

#[test]
fn a_change_that_waited_and_can_no_longer_be_read_is_unparsed() {
    for (account, field, raw) in [("a b", "security", "{}"), ("1", "security", "{"), ("1", "", "{}")] {
        match reread(account, Some(5), field, raw) {
            Item::Unparsed(unparsed) => assert_eq!((unparsed.time, unparsed.raw), (Some(5), raw.into())),
            Item::Change(change) => panic!("{change:?}"),
        }
    }
}

#[test]
fn the_whole_parsing_corpus_is_survived_as_body_and_as_value() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/json");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(only_unparsed(read(&bytes)).raw, bytes, "{name}");

        let frame = posted("business_capability_update", "?");
        let (before, after) = frame.split_once('?').unwrap();
        let body = [before.as_bytes(), &bytes, after.as_bytes()].concat();
        let notification = read(&body);
        assert_eq!(notification.items.len(), 1, "{name}");
        if name.starts_with("y_") {
            let change = only_change(notification);
            assert_eq!(change.raw.as_bytes(), bytes.trim_ascii(), "{name}");
            assert!(told(&change).contains(change.raw.as_str()), "{name}");
        }
        files += 1;
    }
    assert!(files > 300, "{files}");
}
