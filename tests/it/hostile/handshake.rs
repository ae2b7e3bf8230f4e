//! Meta's handshake from anyone (fault 50), and the exact answer to a
//! notification (fault 51).

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bellwether::policy::signature::MetaKey;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::sim::simulate;
use crate::sim::world::{APP_SECRET, EPOCH_MS, VERIFY_TOKEN, World, notification, upgrade};

/// The answer to a handshake: status, content type, body.
async fn ask(world: &World, method: Method, query: &str) -> (StatusCode, String, String) {
    let request =
        Request::builder().method(method).uri(format!("/ingest/meta/main?{query}")).body(Body::empty());
    let response = world.router().oneshot(request.unwrap()).await.unwrap();
    let status = response.status();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    if status.is_success() || status == StatusCode::FORBIDDEN {
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

fn query(mode: &str, token: &str, challenge: &str) -> String {
    format!("hub.mode={mode}&hub.verify_token={token}&hub.challenge={challenge}")
}

#[test]
fn fault_50_the_challenge_comes_back_bare_as_plain_text_to_the_right_token() {
    simulate(|world| async move {
        let longest = "9".repeat(256);
        for challenge in ["0", "1158201444", &longest] {
            for token in [VERIFY_TOKEN.replace(' ', "%20"), VERIFY_TOKEN.replace(' ', "+")] {
                let (status, kind, body) =
                    ask(&world, Method::GET, &query("subscribe", &token, challenge)).await;
                assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/plain; charset=utf-8"));
                assert_eq!(body, challenge);
            }
        }
    });
}

#[test]
fn fault_50_whatever_else_asks_is_answered_403_and_nothing_of_it_comes_back() {
    simulate(|world| async move {
        let token = VERIFY_TOKEN.replace(' ', "%20");
        let good = query("subscribe", &token, "1158201444");
        let with = |challenge: &str| query("subscribe", &token, challenge);
        let asked = [
            String::new(),
            "&&==&".to_owned(),
            "hub.mode".to_owned(),
            good.replace(&token, "canary"),
            good.replace(&token, ""),
            good.replace(&token, &token[..5]),
            good.replace(&token, &format!("{token}x")),
            good.replace(&token, &token.to_uppercase()),
            good.replace("subscribe", "unsubscribe"),
            good.replace("subscribe", "SUBSCRIBE"),
            good.replace("hub.mode=subscribe&", ""),
            good.replace("hub.verify_token", "hub.token"),
            good.replace("hub.", "hub_"),
            good.replace("hub.", "Hub."),
            good.replace("&hub.challenge=1158201444", ""),
            // Of two, neither is believed.
            format!("{good}&hub.challenge=2"),
            format!("{good}&hub.verify_token=canary"),
            with(""),
            with("%3Cscript%3Ealert(1)%3C/script%3E"),
            with("canary"),
            with("-1"),
            with("1.5"),
            with("1%0D%0ASet-Cookie:%20canary"),
            with("1%00"),
            with("%FF%FE"),
            with("%EF%BC%91"),
            with("%E2%80%AE1"),
            with("1%20"),
            with("%zz"),
            with(&"1".repeat(257)),
            with(&"1".repeat(60_000)),
        ];
        for query in asked {
            let (status, kind, body) = ask(&world, Method::GET, &query).await;
            let shown: String = query.chars().take(120).collect();
            assert_eq!(
                (status, kind.as_str()),
                (StatusCode::FORBIDDEN, "text/plain; charset=utf-8"),
                "{shown}"
            );
            assert!(!body.contains("canary") && !body.contains("script") && body.len() < 300, "{body}");
            assert!(body.contains("hint: "), "it says what to do: {body}");
        }
        let elsewhere = Request::get(format!("/ingest/meta/other?{good}")).body(Body::empty()).unwrap();
        let response = world.router().oneshot(elsewhere).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "no such app");
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let (status, _, _) = ask(&world, method.clone(), &good).await;
            assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
        let (status, _, _) = ask(&world, Method::POST, &good).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "a post needs a signature, whatever its query says");
    });
}

#[test]
fn fault_51_a_success_is_exactly_200_small_and_says_what_became_of_each_change() {
    simulate(|world| async move {
        let changes: Vec<Value> = (0..1_000).map(|n| upgrade(n, "TIER_10K")).collect();
        for body in [
            notification(EPOCH_MS / 1000, &changes[..1]),
            notification(EPOCH_MS / 1000, &changes),
            b"not json".to_vec(),
            br#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages"}]}]}"#
                .to_vec(),
        ] {
            let request = Request::post("/ingest/meta/main")
                .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
                .body(Body::from(body))
                .unwrap();
            let response = world.router().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), 200);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert!(!response.headers().contains_key("location"));
            let said = response.into_body().collect().await.unwrap().to_bytes();
            assert!(said.len() < 200, "{} bytes", said.len());
            let receipt: Value = serde_json::from_slice(&said).unwrap();
            let names: Vec<&String> = receipt.as_object().unwrap().keys().collect();
            assert_eq!(names, ["accepted", "derived", "duplicate", "ignored", "resent", "unparsed", "unrouted"]);
        }
    });
}
