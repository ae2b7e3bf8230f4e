//! Answers as Meta writes them, and what comes of each.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::model::reading::NumberReading;
use crate::model::reconciliation::Trouble;

fn page(body: &Value) -> Page {
    read(200, body.to_string().as_bytes()).unwrap()
}

fn trouble(status: u16, body: &str) -> Trouble {
    read(status, body.as_bytes()).unwrap_err().trouble
}

#[test]
fn a_page_is_read_with_its_values_unchanged_and_its_cursor() {
    let body = json!({
        "data": [
            {"id": "1", "display_phone_number": "+1 555-078-3881", "quality_rating": "GREEN",
             "throughput": {"level": "HIGH"}, "status": "CONNECTED",
             "whatsapp_business_manager_messaging_limit": "TIER_2K"},
            {"id": "2", "display_phone_number": "+1 555-078-3882", "quality_rating": "PURPLE",
             "messaging_limit_tier": 10_000, "throughput": {"level": "NOT_APPLICABLE"}},
        ],
        "paging": {"cursors": {"before": "QVFI", "after": "QVFJ"},
                   "next": "https://elsewhere.example.com/?access_token=EAAJ&after=QVFJ"},
    });
    let some = |text: &str| Some(text.to_owned());
    let first = NumberReading {
        display_phone_number: "+1 555-078-3881".into(),
        quality_rating: some("GREEN"),
        throughput: some("HIGH"),
        status: some("CONNECTED"),
        limit: some("TIER_2K"),
        of_portfolio: true,
    };
    let second = NumberReading {
        display_phone_number: "+1 555-078-3882".into(),
        quality_rating: some("PURPLE"),
        throughput: some("NOT_APPLICABLE"),
        status: None,
        limit: some("10000"),
        of_portfolio: false,
    };
    let read = page(&body);
    assert_eq!(read.numbers, [first, second]);
    assert_eq!(read.next, Next::After("QVFJ".into()), "the cursor, and nothing of the address");
}

#[test]
fn a_page_is_the_last_unless_it_names_a_next_one() {
    let next = |paging: Value| page(&json!({"data": [], "paging": paging})).next;
    assert_eq!(next(json!({"cursors": {"after": "QVFJ"}})), Next::End, "cursors are on the last page, too");
    assert_eq!(next(json!({"cursors": {"after": "QVFJ"}, "next": null})), Next::End);
    assert_eq!(next(json!({"next": "https://g.example.com/?after=a%3Db&x=1"})), Next::After("a=b".into()));
    assert_eq!(page(&json!({"data": []})).next, Next::End);
    for lost in [json!({"next": "https://g.example.com/"}), json!({"next": 7}), json!({"next": "no url"})] {
        assert_eq!(
            trouble(200, &json!({"data": [], "paging": lost}).to_string()),
            Trouble::Unreadable,
            "not the end"
        );
    }
}

#[test]
fn a_value_of_another_kind_is_none_and_takes_no_other_along() {
    let body = json!({"data": [
        {"display_phone_number": "1555", "quality_rating": {"score": 1}, "throughput": [], "status": null,
         "whatsapp_business_manager_messaging_limit": "x".repeat(500)},
        {"display_phone_number": null, "quality_rating": "RED"},
        {"display_phone_number": "no digits"},
        {"id": "3"},
        {"display_phone_number": "1556", "throughput": "HIGH", "quality_rating": "RED"},
    ]});
    let read = page(&body);
    let plain = NumberReading { display_phone_number: "1555".into(), ..NumberReading::default() };
    assert_eq!((read.nameless, read.numbers.len(), &read.numbers[0]), (3, 2, &plain));
    assert_eq!(read.numbers[1].throughput.as_deref(), Some("HIGH"));
}

#[test]
fn every_error_of_the_graph_api_is_told_by_its_codes() {
    let cases = [
        (400, 190, 463, Trouble::TokenExpired),
        (401, 190, 467, Trouble::TokenInvalid),
        (400, 10, 0, Trouble::Permission),
        (403, 200, 0, Trouble::Permission),
        (403, 299, 0, Trouble::Permission),
        (400, 100, 33, Trouble::NotFound),
        (404, 803, 0, Trouble::NotFound),
        (400, 100, 0, Trouble::Rejected),
        (400, 2635, 0, Trouble::Rejected),
        (400, 4, 0, Trouble::Throttled),
        (400, 17, 0, Trouble::Throttled),
        (400, 32, 0, Trouble::Throttled),
        (400, 613, 0, Trouble::Throttled),
        (400, 80_007, 0, Trouble::Throttled),
        (400, 80_008, 0, Trouble::Throttled),
        (500, 1, 99, Trouble::Failing),
        (503, 2, 0, Trouble::Failing),
        (503, 131_000, 0, Trouble::Failing),
        (429, 131_056, 0, Trouble::Throttled),
        (200, 190, 463, Trouble::TokenExpired),
    ];
    for (status, code, subcode, expected) in cases {
        let text = json!({"error": {
            "message": "Malformed access token EAAJcanary", "type": "OAuthException", "code": code,
            "error_subcode": subcode, "fbtrace_id": "A1b2",
        }});
        let failure = read(status, text.to_string().as_bytes()).unwrap_err();
        assert_eq!(failure.trouble, expected, "{status} {code}/{subcode}");
        assert_eq!(failure.codes, (Some(code), Some(subcode)));
        assert!(!format!("{failure:?}").contains("canary"), "the message may repeat the token");
    }
    let passing = r#"{"error":{"code":999,"is_transient":true}}"#;
    assert_eq!(trouble(400, passing), Trouble::Failing);
}

#[test]
fn what_stands_before_the_graph_api_is_told_by_its_status() {
    let html = "<!DOCTYPE html><title>502 Bad Gateway</title>";
    assert_eq!(trouble(502, html), Trouble::Failing);
    assert_eq!(trouble(429, html), Trouble::Throttled);
    assert_eq!(trouble(404, html), Trouble::Rejected);
    assert_eq!(trouble(302, ""), Trouble::Rejected);
    assert_eq!(trouble(401, ""), Trouble::TokenInvalid);
    assert_eq!(trouble(200, html), Trouble::Unreadable);
    assert_eq!(trouble(200, ""), Trouble::Unreadable);
}

#[test]
fn of_a_number_that_comes_twice_the_connected_entry_counts_and_else_the_later() {
    let entry = |shown: &str, status: &str, limit: &str| NumberReading {
        display_phone_number: shown.into(),
        status: Some(status.into()),
        limit: Some(limit.into()),
        ..NumberReading::default()
    };
    let listed = vec![
        entry("+1 555", "CONNECTED", "1"),
        entry("1556", "PENDING", "2"),
        entry("1555", "MIGRATED", "3"),
        entry("+1556", "CONNECTED", "4"),
        entry("1-556", "CONNECTED", "5"),
    ];
    assert_eq!(once(listed), [entry("+1 555", "CONNECTED", "1"), entry("1-556", "CONNECTED", "5")]);
}

#[test]
fn the_headers_tell_how_much_is_used_up_and_for_how_long_meta_refuses() {
    let app = of_app(r#"{"call_count":28,"total_time":25.9,"total_cputime":"31"}"#);
    assert_eq!(app, Usage { percent: 31, regain: None });
    let header = r#"{"77":[{"type":"whatsapp","call_count":95,"total_cputime":1,"total_time":1,
        "estimated_time_to_regain_access":0}],
        "78":[{"type":"whatsapp","call_count":100,"estimated_time_to_regain_access":19}]}"#;
    assert_eq!(of_business(header, "77"), Usage { percent: 95, regain: None });
    let refusing = Usage { percent: 100, regain: Some(Duration::from_mins(19)) };
    assert_eq!(of_business(header, "78"), refusing);
    assert_eq!(of_business(header, "79"), refusing, "of an account that is not named, the worst");
    assert_eq!(of_business("{}", "77").or(of_app("-")), Usage::default());
}
