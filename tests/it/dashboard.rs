//! The dashboard as people meet it: the real program, a real Chromium, a receiver
//! that can be told to fail.

mod browser;
mod hostile;
mod operation;
mod pages;
mod receiver;
mod serving;
mod story;

use axum::http::Method;
use serde_json::{Value, json};

use crate::process::running::{Caller, Running};
use crate::sim::world::tempdir::TempDir;
use crate::sim::world::{ACCOUNT, WABA};
use browser::Browser;

/// A server of its own with an account and its business account, and a browser.
struct Visit {
    server: Running,
    caller: Caller,
    browser: Browser,
    _directory: TempDir,
}

impl Visit {
    /// Retries come after a second each, and three attempts are all.
    async fn begin() -> Self {
        Self::begin_with("1, 1").await
    }

    /// Retries come after so many seconds.
    async fn begin_with(schedule: &str) -> Self {
        let directory = TempDir::new();
        let server = Running::start(directory.path(), &[("BELLWETHER_DELIVERY__RETRY_SCHEDULE_S", schedule)]);
        let caller = Caller::new();
        caller.register(&server.base, None).await;
        let browser = Browser::start().await;
        Self { server, caller, browser, _directory: directory }
    }

    /// Opens the page there and signs in.
    async fn sign_in(&self, key: &str) {
        self.browser.open(&format!("{}/", self.server.base)).await;
        self.browser.fill("API key", key).await;
        self.browser.click("button", "Sign in").await;
        self.browser.sees("Sign out").await;
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.caller.call(&self.server.base, method, path, body).await.unwrap();
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    /// A webhook to `url` for everything of the account.
    async fn webhook(&self, url: &str) {
        let webhooks = json!([{"subAccountId": "*", "url": url, "type": "CABM"}]);
        self.call(Method::POST, &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), webhooks).await;
    }

    /// What Meta would say, some seconds ago; the story's own order of things.
    async fn notify(&self, second: i64, value: Value) {
        let change = json!({"field": "phone_number_quality_update", "value": value});
        let entry = json!({"id": WABA, "time": 1_750_000_000 + second, "changes": [change]});
        let body = json!({"object": "whatsapp_business_account", "entry": [entry]});
        let answer = self.caller.notify(&self.server.base, body.to_string().into_bytes()).await.unwrap();
        assert!(answer.0.is_success(), "{answer:?}");
    }
}

/// A change of a number's limit.
fn change(number: &str, event: &str, from: &str, to: &str) -> Value {
    json!({"display_phone_number": number, "event": event, "old_limit": from, "current_limit": to})
}
