//! What can't be saved because of where it would lead or what it would smuggle
//! onto the wire (faults 65, 73): the real judge behind the real router.

use axum::http::StatusCode;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::sim::simulate;
use crate::sim::world::{ACCOUNT, World};
use crate::support::spellings::zoo;

async fn save(world: &World, webhook: Value) -> (StatusCode, Value) {
    world.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), json!([webhook])).await
}

async fn saved(world: &World) -> Value {
    world.get(&format!("/api/v1/accounts/{ACCOUNT}/webhooks")).await
}

fn token(changes: &Value) -> Value {
    let mut token = json!({"url": "https://login.example.com/", "clientId": "i", "clientSecret": "s",
        "credentialsLocation": "header", "scope": "a b"});
    token.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    token
}

fn webhook(changes: &Value) -> Value {
    let mut webhook = json!({"subAccountId": "*", "url": "https://hooks.example.com/", "type": "CABM"});
    webhook.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    webhook
}

#[test]
fn fault_65_no_spelling_can_be_saved_as_a_webhook_or_as_a_token_endpoint() {
    simulate(|world| async move {
        let mut refused = 0;
        for (_, spelling) in zoo() {
            let secured = spelling.replacen("http://", "https://", 1);
            for url in [spelling, secured] {
                for body in
                    [webhook(&json!({"url": url})), webhook(&json!({"oauth": token(&json!({"url": url}))}))]
                {
                    let (status, answer) = save(&world, body).await;
                    assert_eq!(status, StatusCode::BAD_REQUEST, "{url:?}: {answer}");
                    let code = answer["code"].as_u64().unwrap();
                    assert!([1014, 3020].contains(&code), "{url:?}: {answer}");
                    let message = answer["message"].as_str().unwrap();
                    assert!(!message.contains("127.") && !message.contains("10."), "a fixed text: {message}");
                    refused += 1;
                }
            }
        }
        assert!(refused >= 800, "{refused}");
        assert_eq!(saved(&world).await, json!([]));
    });
}

/// Ends of lines and the like, on their own and before what would follow them.
const SMUGGLED: [&str; 14] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\u{1}",
    "\u{b}",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\r\nHost: evil.example",
    "\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n",
    "\nTransfer-Encoding: chunked",
    "\r\n X-Folded: 1",
    "\r\nMetadata-Flavor: Google",
];

#[test]
fn fault_73_what_would_break_out_of_a_header_or_a_request_line_is_refused_when_it_is_saved() {
    simulate(|world| async move {
        for smuggled in SMUGGLED {
            for text in [
                smuggled.to_owned(),
                format!("Basic a{smuggled}"),
                format!("{smuggled}a"),
                format!("a{smuggled}b"),
            ] {
                let control = text.chars().any(char::is_control);
                let mut bodies = vec![
                    json!({"httpAuthorization": text}),
                    json!({"url": format!("https://hooks.example.com/{text}")}),
                    json!({"url": format!("https://hooks.example.com{text}/")}),
                    json!({"oauth": token(&json!({"url": format!("https://login.example.com/{text}")}))}),
                ];
                let texts = ["clientId", "clientSecret", "scope"];
                bodies.extend(
                    texts
                        .iter()
                        .filter(|_| control)
                        .map(|name| json!({"oauth": token(&json!({*name: text}))})),
                );
                for body in bodies {
                    let (status, answer) = save(&world, webhook(&body)).await;
                    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
                    assert!(answer["message"].as_str().unwrap().starts_with("[0]."), "{body}: {answer}");
                }
            }
        }
        assert_eq!(saved(&world).await, json!([]));
    });
}

#[test]
fn fault_73_there_is_no_field_for_headers_of_ones_own() {
    simulate(|world| async move {
        let many: serde_json::Map<_, _> = (0..10_000).map(|n| (format!("x-{n}"), json!("1"))).collect();
        for field in
            ["headers", "customHeaders", "host", "Host", "httpauthorization", "transferEncoding", "metadata"]
        {
            for value in [json!({"Host": "evil"}), json!([["Content-Length", "0"]]), json!(many)] {
                for body in [
                    webhook(&json!({field: value})),
                    webhook(&json!({"oauth": token(&json!({field: value}))})),
                ] {
                    let (status, answer) = save(&world, body).await;
                    assert_eq!(
                        (status, &answer["code"]),
                        (StatusCode::BAD_REQUEST, &json!(1000)),
                        "{answer}"
                    );
                    assert!(answer["message"].as_str().unwrap().contains("unknown field"), "{answer}");
                }
            }
        }
        assert_eq!(saved(&world).await, json!([]));
    });
}

/// Whatever is accepted as a header's value is one line, and is what was asked
/// for, to the byte.
#[test]
fn fault_73_whatever_is_saved_as_an_authorization_is_one_line_and_sent_as_it_is() {
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let texts = "(Basic |Bearer )?[ -~\r\n\t\u{0}\u{7f}\u{e4}]{0,12}";
    runner
        .run(&texts, |text| {
            simulate(|mut world| async move {
                let (status, _) = save(&world, webhook(&json!({"httpAuthorization": text}))).await;
                let line = !text.is_empty() && text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~'));
                assert_eq!(status == StatusCode::OK, line, "{text:?}");
                if line && text != "***" {
                    let shop = world.terms.receivers.at("https://hooks.example.com/");
                    world.notify(crate::sim::world::upgrade(1, "TIER_10K")).await;
                    world.quiesce().await;
                    assert_eq!(shop.arrivals()[0].headers["authorization"], text);
                }
            });
            Ok(())
        })
        .unwrap();
}
