//! Every page, as everybody must be able to use it: in light and dark, on a phone,
//! with a keyboard, with a screen reader (as far as axe-core can tell).
//!
//! `SCREENSHOTS=1 ./test every_page` takes the pictures of the documents anew.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{Visit, change};
use crate::sim::world::{ACCOUNT, OPERATOR};

const AXE: &str = include_str!("../../vendor/axe-4.14.1.min.js");

/// What axe-core finds serious or critical: rule and elements.
const FINDINGS: &str = "
    const done = arguments[arguments.length - 1];
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ').slice(0, 600)}`)));";

/// A page has come to rest: it has its heading, and nothing is being read.
const AT_REST: &str = "
    const heading = document.querySelector('h1')?.textContent;
    return heading === arguments[0] && !document.querySelector('.loading, .trouble')
        && document.getAnimations().every(({ playState }) => playState !== 'running');";

const TOO_WIDE: &str = "
    const width = document.documentElement.clientWidth;
    return [...document.querySelectorAll('main *')].filter((element) => element.getBoundingClientRect().right > width + 1
        && !element.closest('.written, .plot, .unseen, .tabs')).map((element) => element.outerHTML.slice(0, 120));";

const DAY: i64 = 86_400;

/// A shop with something of everything.
async fn furnish(visit: &Visit, receiver: &Receiver) {
    visit.call(Method::PUT, &format!("/v1/accounts/{ACCOUNT}"), json!({"name": "Harbour Florists"})).await;
    visit.webhook(&receiver.url).await;
    let steps = ["TIER_250", "TIER_2K", "TIER_10K", "TIER_100K", "TIER_UNLIMITED"];
    for (at, number) in
        ["15550783881", "4915112345678", "442079460123", "33612345678"].into_iter().enumerate()
    {
        for second in 0..=at {
            let day = i64::try_from(10 * at + 17 * second).unwrap();
            visit.notify(day * DAY, change(number, "UPGRADE", steps[second], steps[second + 1])).await;
        }
    }
    let put = |number: &str, known: Value| (format!("/v1/accounts/{ACCOUNT}/phone-numbers/{number}"), known);
    let waba = crate::sim::world::WABA;
    for (path, known) in [
        put(
            "15550783881",
            json!({"businessAccountId": waba, "rating": "GREEN", "throughput": "STANDARD", "flagged": false}),
        ),
        put("4915112345678", json!({"businessAccountId": waba, "rating": "YELLOW", "throughput": "HIGH"})),
    ] {
        visit.call(Method::PUT, &path, known).await;
    }
    visit.caller.quiesce(&visit.server.base).await;
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE, "the database is being moved");
    visit.notify(90 * DAY, change("33612345678", "FLAGGED", "TIER_UNLIMITED", "TIER_UNLIMITED")).await;
    visit.caller.quiesce(&visit.server.base).await;
    let key = json!({"name": "Florists' own", "role": "account", "accountId": ACCOUNT});
    visit.call(Method::POST, "/v1/api-keys", key).await;
    let entry = json!({"id": "104857600000000", "time": 1_750_000_100, "changes": [
        {"field": "phone_number_quality_update", "value": change("34911234567", "ONBOARDING", "TIER_250", "TIER_250")}]});
    let unrouted = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
    for body in [unrouted, "{\"object\": \"whatsapp_business_account\", \"entry\": 1}".to_owned()] {
        let answer = visit.caller.notify(&visit.server.base, body.into_bytes()).await.unwrap();
        assert!(answer.0.is_success(), "{answer:?}");
    }
}

/// Each page with its heading and what it is called in the documents.
async fn pages(visit: &Visit) -> Vec<(String, &'static str, &'static str)> {
    let base = &visit.server.base;
    let deliveries =
        visit.caller.all(base, &format!("/v1/accounts/{ACCOUNT}/deliveries?status=exhausted")).await;
    let webhooks = visit.caller.all(base, &format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
    let delivery = deliveries[0]["deliveryId"].as_str().unwrap();
    let webhook = webhooks[0]["webhookId"].as_str().unwrap();
    let own = |page: &str| format!("#/{ACCOUNT}/{page}");
    vec![
        (own("numbers"), "Numbers", "numbers"),
        (own("numbers/33612345678"), "+33 612 345 678", "number"),
        (own("deliveries"), "Deliveries", "deliveries"),
        (own(&format!("deliveries/{delivery}")), "Flagged, +33 612 345 678", "delivery"),
        (own("webhooks"), "Webhooks", "webhooks"),
        (own(&format!("webhooks/{webhook}")), "All sub-accounts, CABM", "webhook"),
        (own(&format!("webhooks/{webhook}/edit")), "Edit webhook", "webhook-edit"),
        (own("webhooks/new"), "New webhook", "webhook-new"),
        ("#/operator/overview".to_owned(), "Overview", "operator"),
        ("#/operator/accounts".to_owned(), "Accounts", "accounts"),
        ("#/operator/business-accounts".to_owned(), "Business accounts", "business-accounts"),
        ("#/operator/keys".to_owned(), "Keys", "keys"),
        ("#/operator/apps".to_owned(), "Apps", "apps"),
        ("#/operator/unparsed".to_owned(), "Unparsed", "unparsed"),
    ]
}

/// Whether the run takes the pictures of the documents, too.
fn pictures_are_wanted() -> bool {
    std::env::var_os("SCREENSHOTS").is_some()
}

/// What the documents call a picture of that page; those that they show.
fn picture(page: &str, width: u32, scheme: &str) -> Option<String> {
    let shown = ["numbers", "number", "deliveries", "delivery", "webhooks", "operator"];
    match (width, scheme) {
        (1280, "light") => shown.contains(&page).then(|| page.to_owned()),
        (1280, "dark") => (page == "number").then(|| "number-dark".to_owned()),
        (390, "light") => (page == "numbers").then(|| "numbers-phone".to_owned()),
        _ => None,
    }
}

impl Visit {
    /// Has the charts of the operator's page show something.
    async fn bustle(&self) {
        let rates = "return /changes accepted: [^0]/.test(document.body.innerText) === arguments[0]";
        for round in 0..4 {
            for step in 0..6 * (1 + round % 3) {
                let (event, limit) =
                    if step % 2 == 0 { ("UPGRADE", "TIER_10K") } else { ("DOWNGRADE", "TIER_2K") };
                let day = 100 + 20 * round + step;
                self.notify(day * DAY, change("15550783881", event, "TIER_2K", limit)).await;
            }
            for seen in [true, false] {
                self.browser.until("the changes on the chart", rates, json!([seen])).await;
            }
        }
    }

    /// What keeps people from using the page as it is shown.
    async fn obstacles(&self) -> Value {
        self.browser.run_to_the_end(FINDINGS).await
    }

    /// Keeps a picture for the documents, if they are asked for.
    async fn picture(&self, name: &str) {
        if pictures_are_wanted() {
            let file = format!("{}/docs/images/{name}.png", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(file, self.browser.screenshot().await).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_used_by_everybody_in_light_and_dark_and_on_a_phone() {
    let (visit, receiver) = (Visit::begin().await, Receiver::start().await);
    furnish(&visit, &receiver).await;
    let browser = &visit.browser;
    browser.open(&format!("{}/", visit.server.base)).await;
    browser.sees("API key").await;
    browser.run(AXE, json!([])).await;
    assert_eq!(visit.obstacles().await, json!([]), "signing in");
    // With the keyboard alone: the field has the focus.
    browser.press(&format!("{OPERATOR}\u{e007}")).await;
    browser.sees("Sign out").await;

    let pages = pages(&visit).await;
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.looks_like(width, scheme).await;
        for (page, heading, name) in &pages {
            browser.go(page).await;
            browser.until(&format!("{heading} at {page}"), AT_REST, json!([heading])).await;
            let found = visit.obstacles().await;
            assert_eq!(found, json!([]), "{page}, {width} wide, {scheme}");
            if width == 390 {
                let wide = browser.run(TOO_WIDE, json!([])).await;
                assert_eq!(wide, json!([]), "{page} is wider than a phone");
            }
            if pictures_are_wanted() && *name == "operator" && (width, scheme) == (1280, "light") {
                receiver.answers(StatusCode::OK, "");
                visit.bustle().await;
            }
            if let Some(picture) = picture(name, width, scheme) {
                visit.picture(&picture).await;
            }
        }
    }

    browser.looks_like(1280, "light").await;
    browser.go(&pages[2].0).await;
    browser.click("button", "Replay exhausted ones…").await;
    browser.sees("1 exhausted delivery matches").await;
    assert_eq!(visit.obstacles().await, json!([]), "a dialog");
    browser.press("\u{e00c}").await;
    let closed = "return !document.querySelector('dialog') && document.activeElement.textContent === 'Replay exhausted ones…'";
    browser.until("the focus where it was", closed, json!([])).await;
    browser.go(&pages[0].0).await;
    browser.sees("+49 151 123 456 78").await;
    browser.press("/4420").await;
    browser.until("one row", "return document.querySelectorAll('tbody tr').length === 1", json!([])).await;
    browser.sees("+44 207 946 0123").await;
    assert_eq!(browser.complaints(&["401 (Unauthorized)"]).await, [""; 0]);
}
