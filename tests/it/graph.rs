//! Reading business accounts' numbers from the Graph API, against a stand-in that
//! pages, throttles, fails and lies.
//!
//! In `answers` a whole node asks over sockets, by the transport of production, in
//! time that stands still until it is moved. In `schedule` there is no socket and
//! time is virtual: days go by.

mod answers;
mod limits;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::Clock;
use bellwether::policy::address::Rules;
use bellwether::transport::http::{HttpTransport, Limits};
use bellwether::transport::resolve::Resolver;
use bellwether::transport::tls;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::sim::world::{ACCOUNT, Terms, WABA, World, played, simulate_unregistered};
use crate::support::frozen::{Frozen, pass, until};
use crate::support::graph::Graph;

/// The configuration's token.
const TOKEN: &str = "EAAJcanaryForAll";

/// A node, its stand-in, and what is known of both.
struct Stage {
    world: World,
    graph: Graph,
}

/// Plays a story with sockets, in time that stands still; `TOKEN` is for all.
fn staged<F: Future<Output = ()>>(story: impl FnOnce(Stage) -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let _frozen = Frozen::now();
        let graph = Graph::new(TOKEN);
        let server = graph.serves().await;
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let rules = Rules { allow_http: true, allow_networks: networks, ..Rules::default() };
        let mut terms = Terms { inquirer: Arc::new(transport(rules)), ..Terms::default() };
        terms.reconcile.base_url = server.url("");
        terms.reconcile.token_for_all = Some(TOKEN.into());
        played(terms, |world| story(Stage { world, graph })).await;
    });
}

fn transport(rules: Rules) -> HttpTransport {
    let resolver = Resolver::new(&["127.0.0.1:9".parse().unwrap()]).unwrap();
    let tls = tls::client_config(None, Clock::system()).unwrap();
    HttpTransport::new(watch::channel(Arc::new(rules)).1, resolver, tls, Limits::default())
}

/// Plays a story without sockets, on virtual time; `TOKEN` is for all.
fn simulated<F: Future<Output = ()>>(change: impl FnOnce(&mut Terms), story: impl FnOnce(Stage) -> F) {
    let graph = Graph::new(TOKEN);
    let mut terms = Terms { inquirer: Arc::new(graph.clone()), ..Terms::default() };
    terms.reconcile.token_for_all = Some(TOKEN.into());
    change(&mut terms);
    simulate_unregistered(terms, |world| story(Stage { world, graph }));
}

impl Stage {
    async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.world.call(method, path, body).await
    }

    /// Registers a business account of the account, which exists from then on.
    async fn registers(&self, business_account: &str) {
        let account = json!({"name": "Shop", "chatApps": true});
        self.call("PUT", &format!("/v1/accounts/{ACCOUNT}"), account).await;
        let path = format!("/v1/business-accounts/{business_account}");
        let (status, answer) = self.call("PUT", &path, json!({"accountId": ACCOUNT})).await;
        assert!(status.is_success(), "{answer}");
    }

    /// How reading that business account stands.
    async fn standing_of(&self, business_account: &str) -> Value {
        self.world.get(&format!("/v1/business-accounts/{business_account}/reconciliation")).await
    }

    async fn standing(&self) -> Value {
        self.standing_of(WABA).await
    }

    /// Waits until so many readings have failed in a row.
    async fn fails(&self, times: u64) -> Value {
        until("it fails", async || self.standing().await["failures"] == times).await;
        self.standing().await["lastFailure"].clone()
    }

    /// Waits until the last reading came about.
    async fn succeeds(&self) -> Value {
        until("it is read", async || self.standing().await["state"] == "ok").await;
        self.standing().await["lastSuccess"].clone()
    }

    /// Asks for a reading.
    async fn reads(&self) -> (StatusCode, Value) {
        self.call("POST", &format!("/v1/business-accounts/{WABA}/reconcile"), Value::Null).await
    }

    /// All events of the account, oldest first: event, number, limits.
    async fn events(&self) -> Vec<(String, String, Value, Value)> {
        let page = self.world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=500")).await;
        let mut told = Vec::new();
        for item in page["items"].as_array().unwrap() {
            let details = &item["body"]["eventDetails"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let meta = &details["meta"];
            told.push((
                text(&meta["event"]),
                text(&details["displayPhoneNumber"]),
                meta["oldLimit"].clone(),
                meta["currentLimit"].clone(),
            ));
        }
        told.reverse();
        told
    }
}

/// Moves time a little further than the longest jitter of a wait.
async fn past(wait: Duration) {
    pass(wait + wait / 10 + Duration::from_secs(1)).await;
}
