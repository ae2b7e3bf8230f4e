//! Webhooks that authorise themselves: a fixed header, or OAuth tokens.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::receivers::{Answer, Receiver};
use super::world::{ACCOUNT, World, simulate, upgrade};

const URL: &str = "https://shop.example.com/hook";

async fn configure(world: &World, authorization: Value) -> Receiver {
    let mut webhook = json!({"subAccountId": "*", "url": URL, "type": "CABM"});
    webhook.as_object_mut().unwrap().extend(authorization.as_object().unwrap().clone());
    let (status, answer) =
        world.call("POST", &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), json!([webhook])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    world.terms.receivers.at(URL)
}

fn client(location: &str) -> Value {
    json!({"oauth": {
        "url": "https://login.example.com/token", "clientId": "id:1", "clientSecret": "s&cret",
        "credentialsLocation": location, "scope": "a b",
    }})
}

fn authorizations(shop: &Receiver) -> Vec<String> {
    shop.arrivals().iter().map(|arrival| arrival.headers["authorization"].clone()).collect()
}

#[test]
fn a_fixed_authorization_is_sent_verbatim_also_after_it_came_back_masked() {
    simulate(|mut world| async move {
        configure(&world, json!({"httpAuthorization": "Basic dXNlcjpwYXNz"})).await;
        let shop = configure(&world, json!({"httpAuthorization": "***"})).await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        assert_eq!(authorizations(&shop), ["Basic dXNlcjpwYXNz"]);
    });
}

#[test]
fn a_token_is_fetched_once_kept_while_it_lives_and_fetched_anew_before_it_expires() {
    simulate(|mut world| async move {
        let shop = configure(&world, client("header")).await;
        for _ in 0..3 {
            world.notify(upgrade(1, "TIER_10K")).await;
            world.notify(upgrade(1, "TIER_1K")).await;
            world.quiesce().await;
            world.advance(Duration::from_secs(250)).await;
        }
        let seen = authorizations(&shop);
        assert_eq!(seen[..4], ["Bearer token-1"; 4]);
        assert_eq!(seen[4..], ["Bearer token-1"; 2], "500 s of 570 have gone");
        world.notify(upgrade(1, "TIER_50")).await;
        world.quiesce().await;
        assert_eq!(authorizations(&shop).last().unwrap(), "Bearer token-2", "750 s have gone");
    });
}

#[test]
fn the_credentials_go_where_they_are_asked_for() {
    simulate(|mut world| async move {
        configure(&world, client("header")).await;
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        configure(&world, client("body")).await;
        world.notify(upgrade(1, "TIER_100K")).await;
        world.quiesce().await;
        let asked = world.terms.receivers.token_requests();
        let header = |at: usize| asked[at].headers.iter().find(|(name, _)| name == "authorization");
        // The base64 of id%3A1:s%26cret, each part form-encoded.
        assert_eq!(header(0).unwrap().1, "Basic aWQlM0ExOnMlMjZjcmV0");
        assert_eq!(&asked[0].body[..], b"grant_type=client_credentials&scope=a+b");
        assert!(header(1).is_none());
        let form = b"grant_type=client_credentials&scope=a+b&client_id=id%3A1&client_secret=s%26cret";
        assert_eq!(&asked[1].body[..], form);
    });
}

#[test]
fn a_refused_token_is_fetched_anew_at_the_next_attempt() {
    simulate(|mut world| async move {
        let shop = configure(&world, client("header")).await.answers([Answer::Status(401)]);
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        assert_eq!(authorizations(&shop), ["Bearer token-1", "Bearer token-2"]);
    });
}

#[test]
fn without_a_token_the_attempt_fails_by_name_and_is_retried_on_schedule() {
    simulate(|mut world| async move {
        let shop = configure(&world, client("body")).await;
        world.terms.receivers.refuse_tokens();
        world.notify(upgrade(1, "TIER_10K")).await;
        world.quiesce().await;
        assert!(shop.arrivals().is_empty());
        let exhausted = world.deliveries("status=exhausted").await;
        assert_eq!(exhausted[0]["attemptCount"], 5);
        assert_eq!(exhausted[0]["lastAttempt"]["outcome"], "oauth");
        let text = exhausted[0].to_string();
        assert!(text.contains("no token") && !text.contains("s&cret"), "{text}");
    });
}
