//! The main job, done by a person with nothing but the dashboard.

use axum::http::StatusCode;
use serde_json::json;

use super::receiver::Receiver;
use super::{Visit, change};
use crate::sim::world::{ACCOUNT, OPERATOR};

/// The first time of the page is the viewer's, to the second, and says on hover which instant it is.
const OWN_TIME: &str = "
    const time = document.querySelector('tbody time');
    const own = new Date(time.dateTime).toLocaleTimeString('en-GB', { timeZone: arguments[0] });
    return time.textContent === own && time.title.startsWith(`${time.dateTime} (`) && time.dateTime.endsWith('Z');";

const NUMBER: &str = "15550783881";

/// The first question of a page is whether anyone is signed in; nobody is.
const NOT_SIGNED_IN: &str = "401 (Unauthorized)";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_created_fed_broken_and_mended_and_everything_is_seen_live() {
    // Time to see it wait, however busy the machine is.
    let (visit, receiver) = (Visit::begin_with("1, 6").await, Receiver::start().await);
    let browser = &visit.browser;
    browser.is_in("Pacific/Auckland").await;
    browser.open(&format!("{}/", visit.server.base)).await;
    browser.fill("API key", "bwk_mistyped…").await;
    browser.click("button", "Sign in").await;
    browser.sees("this key is none, or no longer").await;
    visit.sign_in(OPERATOR).await;
    browser.sees("No number is known yet.").await;
    browser.sees("live").await;

    browser.click("a", "Webhooks").await;
    browser.click("a", "Create the first one").await;
    browser.fill("URL", "ftp://nowhere").await;
    browser.click("button", "Create").await;
    browser.sees("[0].url").await;
    browser.fill("URL", &receiver.url).await;
    browser.click("button", "Create").await;
    browser.sees("All sub-accounts, CABM").await;

    browser.click("button", "Test now").await;
    browser.click("a", "The test is on its way").await;
    browser.sees("answered 200").await;
    browser.sees("bellwether-test: true").await;

    browser.click("a", "Numbers").await;
    browser.sees("No number is known yet.").await;
    visit.notify(1, change(NUMBER, "UPGRADE", "TIER_1K", "TIER_10K")).await;
    browser.sees_in_row("+1 555 078 3881", "10K").await;
    browser.sees_in_row("+1 555 078 3881", "all arrived").await;
    browser.until("the viewer's time", OWN_TIME, json!(["Pacific/Auckland"])).await;
    assert_eq!(receiver.arrived().len(), 2, "the test and the change");

    receiver.answers(StatusCode::INTERNAL_SERVER_ERROR, "no space left");
    visit.notify(2, change(NUMBER, "DOWNGRADE", "TIER_10K", "TIER_1K")).await;
    browser.sees_in_row("+1 555 078 3881", "waiting").await;
    browser.click("a", "Deliveries").await;
    browser.sees_in_row("pending", "the receiver answered 500").await;
    browser.sees_in_row("exhausted", "the receiver answered 500").await;

    receiver.answers(StatusCode::OK, "");
    browser.click("button", "Replay exhausted ones…").await;
    browser.sees("1 exhausted delivery matches").await;
    browser.click("button", "Replay 1").await;
    browser.sees("Through: all are queued again").await;
    browser.sees("1 of 1 replayed").await;
    browser.click("button", "Close").await;
    browser.sees_in_row("delivered", "4").await;

    browser.click("a", "Exhausted").await;
    browser.sees("Nothing is exhausted.").await;
    browser.go(&format!("#/{ACCOUNT}/deliveries?until=2020-01-01T00:00:00Z")).await;
    browser.sees("No delivery is like that.").await;
    browser.click("a", "See all deliveries.").await;
    browser.sees_in_row("delivered", "4").await;
    assert_eq!(browser.complaints(&[NOT_SIGNED_IN, "400 (Bad Request)"]).await, [""; 0]);

    browser.click("button", "Sign out").await;
    browser.sees("API key").await;
    browser.open(&format!("{}/#/operator", visit.server.base)).await;
    browser.sees("API key").await;
}
