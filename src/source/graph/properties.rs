//! What holds of any answer: nothing fails, and what is well written is read
//! whatever else stands beside it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::number::Subject;
use crate::model::reconciliation::Trouble;

fn answer() -> Vec<u8> {
    let number = json!({
        "id": "106540352242922", "display_phone_number": "+1 555-078-3881", "quality_rating": "GREEN",
        "throughput": {"level": "STANDARD"}, "status": "CONNECTED",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
    });
    let cursors = json!({"before": "QVFI", "after": "QVFJ"});
    let next = "https://graph.facebook.com/v23.0/1/phone_numbers?access_token=EAAJ&after=QVFJ";
    json!({"data": [number], "paging": {"cursors": cursors, "next": next}}).to_string().into_bytes()
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_can_fail_and_none_are_taken_for_numbers(
        body in prop::collection::vec(any::<u8>(), 0..300), status in 100_u16..600,
    ) {
        let read = read(status, &body);
        prop_assert!(read.is_err(), "{:?}", read);
    }

    #[test]
    fn no_damage_to_a_good_answer_can_fail(at in 0_usize..500, byte in any::<u8>(), cut in 0_usize..500) {
        let mut body = answer();
        let failed = read(200, &body[..cut.min(body.len() - 1)]).unwrap_err();
        prop_assert_eq!(failed.trouble, Trouble::Unreadable, "cut off is not taken for the end");
        if let Some(hit) = body.get_mut(at) {
            *hit = byte;
        }
        drop(read(200, &body));
    }

    #[test]
    fn no_value_of_any_kind_can_fail_and_what_names_a_number_is_kept(
        values in prop::collection::vec(any_value(), 6), top in any_value(),
    ) {
        let [shown, rating, throughput, status, limit, paging] = &values[..] else { unreachable!() };
        let entry = json!({
            "display_phone_number": shown, "quality_rating": rating, "throughput": throughput,
            "status": status, "whatsapp_business_manager_messaging_limit": limit,
        });
        let body = json!({"data": [{"display_phone_number": "1555", "status": status}, entry], "paging": paging});
        if let Ok(page) = read(200, body.to_string().as_bytes()) {
            prop_assert_eq!(page.numbers.len() as u64 + page.nameless, 2);
            prop_assert_eq!(&page.numbers[0].display_phone_number, "1555");
        }
        drop(read(200, top.to_string().as_bytes()));
        let error = json!({"error": top});
        if top.is_object() {
            prop_assert!(read(200, error.to_string().as_bytes()).is_err());
        }
    }

    #[test]
    fn no_header_can_fail(text in ".{0,200}", value in any_value()) {
        for header in [text, value.to_string(), json!({"1": [value]}).to_string()] {
            let worst = of_app(&header).or(of_business(&header, "1")).or(of_business(&header, "2"));
            prop_assert!(worst.regain.is_none_or(|span| span.as_secs() <= 7 * 24 * 3600));
        }
    }

    #[test]
    fn each_number_is_kept_once(shown in prop::collection::vec("[+ -]{0,2}[1-3]{1,2}", 0..12)) {
        let numbers = shown.iter().map(|shown| crate::model::reading::NumberReading {
            display_phone_number: shown.clone(),
            ..Default::default()
        });
        let kept = once(numbers.collect());
        let subjects = |shown: &[String]| {
            shown.iter().filter_map(|shown| Subject::number(shown)).collect::<std::collections::BTreeSet<_>>()
        };
        let kept: Vec<_> = kept.into_iter().map(|number| number.display_phone_number).collect();
        prop_assert_eq!(kept.len(), subjects(&shown).len());
        prop_assert_eq!(subjects(&kept), subjects(&shown));
    }
}
