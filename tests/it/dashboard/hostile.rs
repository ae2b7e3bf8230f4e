//! What others wrote is shown to the letter and runs nowhere: in the words of Meta's
//! notifications, of receivers' answers, of those who name things.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{Visit, change};
use crate::sim::world::{ACCOUNT, OPERATOR};

const NUMBER: &str = "15550783881";

/// Would say so in the window, if it ran.
const HOSTILE: &str = "<img src=x onerror=window.hurt=1><script>window.hurt=1</script>\"'`${window.hurt=1}";

const NOT_SIGNED_IN: &str = "401 (Unauthorized)";

/// Whatever was written has become no element and has run nowhere.
const HARMLESS: &str = "
    document.querySelectorAll('details').forEach((details) => { details.open = true; });
    return window.hurt === undefined && !document.querySelector('img[src=x], script:not([src]), [onerror], iframe');";

async fn everything_hostile(visit: &Visit, receiver: &Receiver) {
    let path = format!("/v1/accounts/{ACCOUNT}");
    visit.call(Method::PUT, &path, json!({"name": HOSTILE})).await;
    let key = json!({"name": HOSTILE, "role": "read", "accountId": ACCOUNT});
    visit.call(Method::POST, "/v1/api-keys", key).await;
    visit.webhook(&format!("{}?<script>window.hurt=1</script>", receiver.url)).await;
    receiver.answers(StatusCode::INTERNAL_SERVER_ERROR, HOSTILE);
    visit.notify(1, change(NUMBER, HOSTILE, HOSTILE, HOSTILE)).await;
    let value = change(NUMBER, HOSTILE, HOSTILE, HOSTILE);
    let entry = json!({"id": "77", "time": 1_750_000_000, "changes": [{"field": HOSTILE, "value": value}]});
    let unrouted = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
    for body in [unrouted, HOSTILE.to_owned()] {
        let answer = visit.caller.notify(&visit.server.base, body.into_bytes()).await.unwrap();
        assert!(answer.0.is_success(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_others_wrote_runs_and_all_of_it_is_shown_to_the_letter() {
    let (visit, receiver) = (Visit::begin().await, Receiver::start().await);
    everything_hostile(&visit, &receiver).await;
    let browser = &visit.browser;
    visit.sign_in(OPERATOR).await;
    let delivery = visit.caller.all(&visit.server.base, &format!("/v1/accounts/{ACCOUNT}/deliveries")).await;
    let delivery = delivery[0]["deliveryId"].as_str().unwrap();
    let webhook = visit.caller.all(&visit.server.base, &format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
    let webhook = webhook[0]["webhookId"].as_str().unwrap();
    let account = format!("#/{ACCOUNT}");
    let pages = [
        (format!("{account}/numbers"), HOSTILE),
        (format!("{account}/numbers/{NUMBER}"), "<img src=x"),
        (format!("{account}/deliveries/{delivery}"), HOSTILE),
        (format!("{account}/webhooks/{webhook}"), "window.hurt=1"),
        (format!("{account}/deliveries/{HOSTILE}"), "deliveryId"),
        ("#/operator/accounts".to_owned(), HOSTILE),
        ("#/operator/business-accounts".to_owned(), "<img src=x"),
        ("#/operator/keys".to_owned(), HOSTILE),
        ("#/operator/unparsed".to_owned(), HOSTILE),
    ];
    for (page, shown) in pages {
        browser.go(&page).await;
        let text = "
            document.querySelectorAll('details').forEach((details) => { details.open = true; });
            return document.getElementById('main').textContent.includes(arguments[0]);";
        browser.until(&format!("{shown} at {page}"), text, json!([shown])).await;
        assert_eq!(browser.run(HARMLESS, json!([])).await, Value::Bool(true), "{page}");
    }
    let known = [NOT_SIGNED_IN, "400 (Bad Request)", "404 (Not Found)"];
    assert_eq!(browser.complaints(&known).await, [""; 0], "nothing even tried");

    // Had a page made elements of it, the policy would have kept them from running.
    browser.run("document.body.innerHTML = arguments[0]", json!([HOSTILE])).await;
    browser.until("the element", "return document.querySelector('img[src=x]')?.complete", json!([])).await;
    assert_eq!(browser.run("return window.hurt === undefined", json!([])).await, Value::Bool(true));
    let complaints = browser.complaints(&known).await;
    assert!(complaints.iter().any(|text| text.contains("Content Security Policy")), "{complaints:?}");
}
