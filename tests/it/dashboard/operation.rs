//! What operators and owners do besides looking: whose numbers it serves, who may call,
//! how webhooks are configured, what is replayed and stopped.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{Visit, change};
use crate::sim::world::{ACCOUNT, OPERATOR};

const NOT_SIGNED_IN: &str = "401 (Unauthorized)";

/// A key as it is shown once it is made, or a secret.
const SHOWN: &str = "return document.querySelector('.secret code')?.textContent";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_registers_routes_what_waits_and_lets_a_reader_in_and_out() {
    let visit = Visit::begin().await;
    let browser = &visit.browser;
    let value = change("4915112345678", "ONBOARDING", "TIER_250", "TIER_250");
    let entry = json!({"id": "777", "time": 1_750_000_000, "changes": [
        {"field": "phone_number_quality_update", "value": value}]});
    let body = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string().into_bytes();
    visit.caller.notify(&visit.server.base, body).await.unwrap();

    visit.sign_in(OPERATOR).await;
    browser.click("a", "Operator").await;
    browser.sees("Unrouted changes").await;
    browser.sees("ready").await;
    browser.click("a", "Accounts").await;
    browser.fill("Name", "Harbour Florists").await;
    browser.click("button", "Register").await;
    browser.sees_in_row("Harbour Florists", "configured").await;
    browser.click("a", "Business accounts").await;
    browser.sees_in_row("777", "phone number quality update").await;
    browser.click("button", "Route…").await;
    browser.choose("Account", "Harbour Florists").await;
    browser.click("button", "Register and route what waits").await;
    browser.sees("Nothing waits.").await;
    browser.click("button", "Reading…").await;
    browser.sees("no token").await;
    browser.click("dialog button", "Read now").await;
    browser.sees("there is no access token to read it with").await;
    browser.click("dialog button", "Close").await;
    browser.click("a", "Harbour Florists").await;
    browser.sees_in_row("+49 151 123 456 78", "250").await;

    browser.go("#/operator/keys").await;
    browser.fill("Name", "Who only looks").await;
    browser.choose("Role", "read: reading within one account, secrets apart").await;
    browser.choose("Account", "Harbour Florists").await;
    browser.click("button", "Make it").await;
    let key = browser.until("the key", SHOWN, json!([])).await;
    browser.click("button", "Sign out").await;
    visit.sign_in(key.as_str().unwrap()).await;
    browser.sees_in_row("+49 151 123 456 78", "no webhook").await;
    let operators =
        "return [...document.querySelectorAll('a')].some((link) => link.textContent === 'Operator')";
    assert_eq!(browser.run(operators, json!([])).await, Value::Bool(false));
    browser.click("a", "Webhooks").await;
    browser.sees("The account’s owner can create one.").await;
    assert_eq!(browser.complaints(&[NOT_SIGNED_IN, "409 (Conflict)"]).await, [""; 0]);

    let keys = visit.caller.all(&visit.server.base, "/v1/api-keys").await;
    visit
        .call(Method::DELETE, &format!("/v1/api-keys/{}", keys[0]["id"].as_str().unwrap()), Value::Null)
        .await;
    // Nothing is clicked: the stream ends, and the page asks why.
    browser.sees("The session is over.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_configures_a_webhook_sees_its_secret_and_stops_a_replay() {
    let (visit, receiver) = (Visit::begin().await, Receiver::start().await);
    let browser = &visit.browser;
    visit.webhook(&receiver.url).await;
    let key = json!({"name": "owner", "role": "account", "accountId": ACCOUNT});
    let key = visit.call(Method::POST, "/v1/api-keys", key).await;
    visit.sign_in(key["key"].as_str().unwrap()).await;
    let (native, compatible) =
        (format!("/v1/accounts/{ACCOUNT}/webhooks"), format!("/api/v1/accounts/{ACCOUNT}/webhooks"));
    let id = visit.call(Method::GET, &native, Value::Null).await["items"][0]["webhookId"].clone();
    let secret = format!("{native}/{}/secret", id.as_str().unwrap());

    browser.click("a", "Webhooks").await;
    browser.click("a", "* (all)").await;
    browser.click("button", "Show").await;
    let shown = browser.until("the secret", SHOWN, json!([])).await;
    assert_eq!(shown, visit.call(Method::GET, &secret, Value::Null).await["secret"]);
    browser.click("button", "Rotate…").await;
    browser.click("button", "Rotate").await;
    browser.sees("The secret before it signs too").await;
    browser.click("button", "Rotate again…").await;
    browser.click("button", "Cancel").await;

    browser.click("a", "Edit").await;
    browser.click("label", "Fixed header").await;
    browser.fill("Authorization header", "Bearer of good news").await;
    browser.choose("Gets", "the latest only, of those that wait").await;
    browser.click("button", "Save").await;
    browser.sees("a fixed header").await;
    browser.sees("the latest only").await;
    browser.click("button", "Enabled: * CABM").await;
    browser
        .until("disabled", "return !!document.querySelector('[role=switch][aria-checked=false]')", json!([]))
        .await;
    let stored = visit.call(Method::GET, &compatible, Value::Null).await;
    assert_eq!((&stored[0]["enabled"], &stored[0]["httpAuthorization"]), (&json!(false), &json!("***")));
    browser.click("button", "Enabled: * CABM").await;
    browser
        .until("enabled", "return !!document.querySelector('[role=switch][aria-checked=true]')", json!([]))
        .await;

    receiver.answers(StatusCode::BAD_GATEWAY, "");
    for number in 1..=12 {
        visit.notify(number, change(&format!("155500000{number:02}"), "UPGRADE", "TIER_1K", "TIER_2K")).await;
    }
    visit.caller.quiesce(&visit.server.base).await;
    receiver.answers(StatusCode::OK, "");
    browser.click("a", "Deliveries").await;
    browser.click("a", "Exhausted").await;
    browser.click("button", "Replay exhausted ones…").await;
    browser.sees("12 exhausted deliveries match").await;
    browser.fill("At most so many a second", "1").await;
    browser.click("button", "Replay 12").await;
    browser.click("button", "Stop").await;
    browser.sees("Stopped").await;
    browser.click("button", "Close").await;
    browser.sees_in_row("exhausted", "the receiver answered 502").await;

    browser.click("a", "Webhooks").await;
    browser.click("a", "* (all)").await;
    browser.click("button", "Delete").await;
    browser.sees("is canceled").await;
    browser.click("dialog button", "Delete").await;
    browser.sees("There is no webhook yet.").await;
    assert_eq!(browser.complaints(&[NOT_SIGNED_IN]).await, [""; 0]);
}
