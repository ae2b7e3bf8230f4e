//! Secrets that would be recognised anywhere, and a look everywhere.

use axum::http::Method;
use bellwether::env::Clock;
use serde_json::json;

use super::running::{Caller, Listening, Running};
use crate::sim::world::{ACCOUNT, APP_SECRET, OPERATOR, notification, tempdir::TempDir, upgrade};
use crate::support::graph::Graph;
use crate::support::hostile::bounded;

const HEADER: &str = "Basic canary-header-5d1f";
const CLIENT: &str = "canary-client-77ab";
const TOKEN: &str = "EAAJcanaryOwn41c0";
const TOKEN_FOR_ALL: &str = "EAAJcanaryForAll93e7";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_shows_in_a_log_a_metric_an_error_or_the_files_of_the_store() {
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    // It takes neither token, and says so by repeating it.
    let graph = Graph::new("another");
    let served = graph.serves().await;
    let running = Running::start(
        directory.path(),
        &[
            ("BELLWETHER_LOG__LEVEL", "trace"),
            ("BELLWETHER_GRAPH__ACCESS_TOKEN", TOKEN_FOR_ALL),
            ("BELLWETHER_GRAPH__BASE_URL", served.url("").trim_end_matches('/')),
            ("BELLWETHER_GRAPH__ALLOW_NETWORKS", "127.0.0.0/8"),
        ],
    );
    caller.register(&running.base, None).await;
    let webhooks = format!("/api/v1/accounts/{ACCOUNT}/webhooks");
    let oauth = json!({"url": "http://127.0.0.1:9/token", "clientId": "me", "clientSecret": CLIENT, "credentialsLocation": "body"});
    let configured = json!([
        {"subAccountId": "*", "url": receiver.url, "type": "CABM", "httpAuthorization": HEADER},
        {"subAccountId": "*", "url": receiver.url, "type": "MSG", "oauth": oauth},
        {"subAccountId": "one", "url": receiver.url, "type": "CABM", "oauth": oauth},
    ]);
    let (status, answer) = caller.call(&running.base, Method::POST, &webhooks, configured).await.unwrap();
    assert!(status.is_success(), "{answer}");
    let body = json!({"accountId": ACCOUNT, "subAccountId": "one"});
    let waba = format!("/v1/business-accounts/{}", crate::sim::world::WABA);
    caller.call(&running.base, Method::PUT, &waba, body).await.unwrap();
    running.logs("could not be read").await;
    let token = json!({"accessToken": TOKEN});
    let set = caller.call(&running.base, Method::PUT, &format!("{waba}/access-token"), token).await.unwrap();
    assert!(set.0.is_success(), "{}", set.1);
    asked_with_both(&graph).await;
    let path = format!("/v1/accounts/{ACCOUNT}/webhooks");
    let listed = caller.all(&running.base, &path).await;
    let id = listed[0]["webhookId"].as_str().unwrap();
    let secret =
        caller.call(&running.base, Method::GET, &format!("{path}/{id}/secret"), json!(null)).await.unwrap();
    let signing = secret.1["secret"].as_str().unwrap().to_owned();
    let signed = notification(Clock::system().now().seconds(), &[upgrade(1, "TIER_10K")]);
    caller.notify(&running.base, signed).await.unwrap();
    receiver.has(1).await;
    // The webhook without a token fails, and the log says so.
    running.logs("an attempt failed").await;
    let mut places = vec![
        ("the log", running.log()),
        ("the webhooks", format!("{listed:?}")),
        ("the answer to a token", set.1.to_string()),
    ];
    for path in [
        "/metrics",
        &webhooks,
        &format!("/v1/accounts/{ACCOUNT}/deliveries"),
        "/v1/api-keys",
        "/readyz",
        &waba,
        &format!("{waba}/reconciliation"),
    ] {
        let answer = caller.call(&running.base, Method::GET, path, json!(null)).await.unwrap();
        places.push(("an answer", answer.1.to_string()));
    }
    for name in ["store.db", "store.db-wal"] {
        let bytes = std::fs::read(directory.path().join(name)).unwrap();
        places.push(("a file of the store", String::from_utf8_lossy(&bytes).into_owned()));
    }
    for (place, text) in places {
        for canary in [HEADER, CLIENT, APP_SECRET, OPERATOR, TOKEN, TOKEN_FOR_ALL, &signing] {
            assert!(!text.contains(canary), "{canary} shows in {place}");
        }
    }
}

/// Waits until the stand-in was asked with either token: both were on the wire.
async fn asked_with_both(graph: &Graph) {
    let asked = |token: &str| graph.with(|meta| meta.asked.iter().any(|asked| asked.2 == token));
    bounded(async {
        while !(asked(TOKEN) && asked(TOKEN_FOR_ALL)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
