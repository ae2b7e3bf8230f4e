//! What holds for any body: nothing fails, and a change is itself in whatever
//! batch, order, spacing and escaping it comes, and when it waited.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Values of any shape.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Values as they are posted for the field: plausible ones and any.
fn any_change() -> impl Strategy<Value = (&'static str, Value)> {
    let limit = prop_oneof![Just(json!("TIER_1K")), Just(json!(250)), Just(Value::Null)];
    let number =
        prop_oneof![Just(json!("15550783881")), Just(json!("+1 555-0")), Just(json!(15_550_783_881_u64))];
    let quality = (number, "[A-Z]{1,6}", limit.clone(), limit).prop_map(|(number, event, current, old)| {
        let value = json!({
            "display_phone_number": number, "event": event, "current_limit": current, "old_limit": old
        });
        ("phone_number_quality_update", value)
    });
    let partner = (1..99_u32, "[A-Z]{1,3}").prop_map(|(id, event)| {
        let waba_info = json!({"waba_id": id.to_string()});
        ("account_update", json!({"event": format!("PARTNER_{event}"), "waba_info": waba_info}))
    });
    let other = any_value().prop_map(|value| ("business_capability_update", value));
    prop_oneof![quality, partner, other]
}

/// `value` written differently: members backwards, white space, and every
/// character of a string escaped.
fn rewritten(value: &Value, out: &mut String) {
    let quoted = |text: &str| {
        let units = text.encode_utf16();
        let escaped = units.fold(String::new(), |escaped, unit| escaped + &format!("\\u{unit:04X}"));
        format!("\"{escaped}\"")
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(items) => {
            out.push_str("[ ");
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "\t,\r\n" } else { "" });
                rewritten(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (key, item)) in members.iter().rev().enumerate() {
                out.push_str(if at > 0 { " ,\n" } else { "" });
                out.push_str(&quoted(key));
                out.push_str(" : ");
                rewritten(item, out);
            }
            out.push_str(" }");
        }
    }
}

fn change_text(field: &str, value: &str) -> String {
    format!(r#"{{"field":"{field}","value":{value}}}"#)
}

fn entry_text(id: u8, time: u32, changes: &[String]) -> String {
    format!(r#"{{"id":"{id}","time":{time},"changes":[{}]}}"#, changes.join(","))
}

fn body_text(entries: &[String]) -> Vec<u8> {
    format!(r#"{{"object":"whatsapp_business_account","entry":[{}]}}"#, entries.join(",")).into_bytes()
}

/// What identifies an item when it comes again.
fn keys(notification: &Notification) -> Vec<(bool, Option<i64>, [u8; 16])> {
    let key = |item: &Item| match item {
        Item::Change(change) => (true, change.time, change.fingerprint),
        Item::Unparsed(unparsed) => (false, unparsed.time, unparsed.fingerprint),
    };
    notification.items.iter().map(key).collect()
}

proptest! {
    #[test]
    fn no_bytes_at_all_can_fail(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read(&body).items.len(), 1);
    }

    #[test]
    fn no_damage_to_a_good_body_can_fail(at in 0_usize..747, byte in any::<u8>(), cut in 0_usize..747) {
        let mut body = include_bytes!("../../../tests/samples/batch.json").to_vec();
        read(&body[..cut.min(body.len())]);
        if let Some(hit) = body.get_mut(at) {
            *hit = byte;
        }
        let notification = read(&body);
        prop_assert!(!notification.items.is_empty());
    }

    #[test]
    fn a_change_is_the_same_in_any_batch_and_any_writing(
        posted in prop::collection::vec((1_u8..4, 1_u32..4, any_change()), 1..12),
    ) {
        let together: Vec<String> = posted
            .iter()
            .map(|(id, time, (field, value))| entry_text(*id, *time, &[change_text(field, &value.to_string())]))
            .collect();
        let whole = read(&body_text(&together));
        prop_assert_eq!(whole.items.len(), posted.len());
        for ((id, time, (field, value)), key) in posted.iter().zip(keys(&whole)) {
            let mut text = String::new();
            rewritten(value, &mut text);
            let recut = [change_text("messages", "0"), change_text(field, &text)];
            let alone = read(&body_text(&[entry_text(*id, *time, &recut)]));
            prop_assert_eq!(alone.ignored, 1);
            prop_assert_eq!(keys(&alone), vec![key]);
        }
    }

    #[test]
    fn different_values_have_different_fingerprints(a in any_value(), b in any_value()) {
        let fingerprint = |value: &Value| {
            keys(&read(&body_text(&[entry_text(1, 1, &[change_text("security", &value.to_string())])])))
        };
        prop_assert_eq!(fingerprint(&a) == fingerprint(&b), a == b);
    }

    #[test]
    fn a_change_that_waited_is_read_as_it_was((field, value) in any_change(), time in 0_u32..5) {
        let mut text = String::new();
        rewritten(&value, &mut text);
        for text in [text, value.to_string()] {
            let notification = read(&body_text(&[entry_text(1, time, &[change_text(field, &text)])]));
            let [Item::Change(change)] = &notification.items[..] else { panic!("{notification:?}") };
            let again = reread(change.business_account.as_str(), change.time, &change.field, &change.raw);
            prop_assert_eq!(&again, &notification.items[0]);
        }
    }
}
