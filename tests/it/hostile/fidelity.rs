//! Raw bytes from end to end (fault 43): the real program verifies the bytes
//! that came, and what it passes on untouched is those bytes, on the wire and in
//! the API.

use axum::http::{Method, StatusCode};
use bellwether::policy::signature::MetaKey;
use serde_json::{Value, json};

use crate::process::running::{Caller, Running};
use crate::sim::world::{ACCOUNT, APP_SECRET, OPERATOR, WABA, tempdir::TempDir};
use crate::support::hostile::{Hostile, ok};
use crate::support::raw::say;

/// Values as Meta or anyone might write them.
const VALUES: [&str; 24] = [
    r#"{"a":"\u00e4"}"#,
    r#"{"a":"ä"}"#,
    r#"{"a":"\/"}"#,
    r#"{"a":"/"}"#,
    r#"{"a":"\u003c\u0025\u0040"}"#,
    r#"{"a":"😀"}"#,
    r#"{"a":"\ud83d\ude00"}"#,
    r#"{"a":"\uD83D\uDE00"}"#,
    r#"{"a":"\ud83d"}"#,
    "{\"a\":\"\u{feff}\u{2028}\u{2029}\"}",
    r#"{"a":1,"a":2,"a":1}"#,
    r#"{"a":1e400}"#,
    r#"{"a":-0}"#,
    r#"{"a":1.0}"#,
    r#"{"a":1E+2}"#,
    r#"{"a":0.1000000000000000055511151231257827}"#,
    r#"{"a":184467440737095516150000000000001}"#,
    "{\r\n\t\"a\" :\r\n [ ] ,\n \"b\":{ }  }",
    r#"{"":""}"#,
    r#"{"\u0061":"\u0062"}"#,
    r#"{"a":"\u0000\u001f\b\f\n\r\t\"\\"}"#,
    r#""just a text""#,
    "null",
    "[[[]],{}]",
];

/// How a body may begin and end around its JSON.
const AROUND: [(&str, &str); 4] = [("", ""), ("\u{feff}", ""), ("\r\n \t", "\r\n"), ("", "   \n\n")];

fn request(body: &[u8]) -> Vec<u8> {
    let signature = MetaKey::new(APP_SECRET).sign(body);
    let head = format!(
        "POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-16\r\n\
         x-hub-signature-256: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_43_raw_bytes_are_verified_stored_shown_and_sent_as_they_came() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let receiver = Hostile::answers(ok("")).await;
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url("/hook"))).await;
    let at = running.base.trim_start_matches("http://").parse().unwrap();
    let mut expected = Vec::new();
    for (value, time) in VALUES.iter().zip(1_748_454_394_i64..) {
        for (at_app, (before, after)) in (0..).zip(AROUND) {
            // A field of its own, else equal values are one change.
            let field = format!("field_{at_app}");
            let body = format!(
                "{before}{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{WABA}\",\"time\":{time},\
                 \"changes\":[{{\"field\":\"{field}\",\"value\":{value}}}]}}]}}{after}"
            );
            let said = say(at, [&request(body.as_bytes())[..]]).await.answers().remove(0);
            let receipt: Value = serde_json::from_slice(&said.body).unwrap();
            assert_eq!((said.status, &receipt["accepted"]), (200, &json!(1)), "{body:?}: {receipt}");
            expected.push(format!(
                "\"eventDetails\":{{\"rawEvent\":{{\"field\":\"{field}\",\"value\":{value}}}}}}}"
            ));
        }
    }
    caller.quiesce(&running.base).await;
    let sent: Vec<String> =
        receiver.requests().into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect();
    assert_eq!(sent.len(), expected.len());
    for raw in &expected {
        assert!(sent.iter().any(|body| body.ends_with(raw)), "{raw} was not sent to the byte");
    }
    are_shown(&running, &sent).await;
}

/// Each event's body stands in the API's answer as it was sent.
async fn are_shown(running: &Running, sent: &[String]) {
    let at = running.base.trim_start_matches("http://").parse().unwrap();
    for body in sent {
        // A text that lone surrogates keep some libraries from reading.
        let id = body.strip_prefix("{\"eventId\":\"").unwrap().split('"').next().unwrap();
        let head = format!(
            "GET /v1/accounts/{ACCOUNT}/events/{id} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             authorization: Bearer {OPERATOR}\r\n\r\n"
        );
        let said = say(at, [head.as_bytes()]).await.answers().remove(0);
        assert_eq!(said.status, 200);
        let shown = String::from_utf8(said.body).unwrap();
        assert!(shown.contains(body.as_str()), "{body} is shown as {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_43_a_body_that_was_written_anew_on_the_way_is_refused_as_not_signed() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    let at = running.base.trim_start_matches("http://").parse().unwrap();
    let signed = |value: &str| {
        format!(
            "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{WABA}\",\"changes\":[{{\"field\":\"security\",\"value\":{value}}}]}}]}}"
        )
    };
    for (original, anew) in [
        (r#"{"a":"\u00e4"}"#, r#"{"a":"ä"}"#),
        (r#"{"a":"\/"}"#, r#"{"a":"/"}"#),
        (r#"{"a":1.0}"#, r#"{"a":1}"#),
        (r#"{"a": 1}"#, r#"{"a":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
    ] {
        let right = String::from_utf8(request(signed(original).as_bytes())).unwrap();
        let (head, _) = right.split_once("content-length").unwrap();
        let body = signed(anew);
        let rewritten = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(say(at, [rewritten.as_bytes()]).await.statuses(), [401], "{anew}");
        assert_eq!(say(at, [right.as_bytes()]).await.statuses(), [200], "{original}");
    }
    let unparsed = caller.call(&running.base, Method::GET, "/v1/unparsed", Value::Null).await.unwrap();
    assert_eq!((unparsed.0, &unparsed.1["items"]), (StatusCode::OK, &json!([])));
}
