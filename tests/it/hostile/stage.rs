//! A node whose receivers are real sockets while its time stands still, and is
//! moved: what a raw receiver does, and when the node tries again, in one test.

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

use crate::sim::world::{ACCOUNT, Terms, WABA, World, simulate_unregistered};
use crate::support::frozen::{Frozen, catch_up, pass, until};

/// A node on its stage.
pub(super) struct Stage {
    pub(super) world: World,
    _frozen: Frozen,
}

/// Plays a story with the transport of production; loopback and http are
/// allowed.
pub(super) fn staged<F: Future<Output = ()>>(story: impl FnOnce(Stage) -> F) {
    let rules =
        Rules { allow_http: true, allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() };
    let resolver = Resolver::new(&["127.0.0.1:9".parse().unwrap()]).unwrap();
    let tls = tls::client_config(None, Clock::system()).unwrap();
    let transport =
        HttpTransport::new(watch::channel(Arc::new(rules.clone())).1, resolver, tls, Limits::default());
    let terms = Terms { rules, transport: Some(Arc::new(transport)), ..Terms::default() };
    simulate_unregistered(terms, |world| async move {
        world.register().await;
        story(Stage { world, _frozen: Frozen::now() }).await;
    });
}

impl Stage {
    /// Has all of the account's events sent to `url`.
    pub(super) async fn sends_to(&self, url: &str) {
        self.webhook("*", url).await;
    }

    /// Has them sent to `url` as well, by a webhook of its own.
    pub(super) async fn sends_also_to(&self, url: &str) {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        let (status, answer) = self.world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        assert!(status.is_success(), "{answer}");
        self.webhook("second", url).await;
    }

    async fn webhook(&self, scope: &str, url: &str) {
        let webhooks = json!([{"subAccountId": scope, "url": url, "type": "CABM"}]);
        let path = format!("/api/v1/accounts/{ACCOUNT}/webhooks");
        let (status, answer) = self.world.call("POST", &path, webhooks).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// All deliveries, newest first.
    pub(super) async fn deliveries(&self) -> Vec<Value> {
        self.world.deliveries("limit=500").await
    }

    /// The only delivery.
    pub(super) async fn delivery(&self) -> Value {
        let mut deliveries = self.deliveries().await;
        assert_eq!(deliveries.len(), 1, "{deliveries:#?}");
        deliveries.remove(0)
    }

    /// The only delivery's status and count of attempts that have ended.
    pub(super) async fn state(&self) -> (String, u64) {
        let delivery = self.delivery().await;
        (delivery["status"].as_str().unwrap().to_owned(), delivery["attemptCount"].as_u64().unwrap())
    }

    /// Waits until so many attempts of the only delivery have ended.
    pub(super) async fn attempted(&self, count: u64) {
        until(&format!("attempt {count}"), async || self.state().await.1 == count).await;
    }

    /// Waits until the only delivery is delivered.
    pub(super) async fn delivered(&self) {
        until("delivered", async || self.state().await.0 == "delivered").await;
    }

    /// The failed attempts of the only delivery, as the API shows them.
    pub(super) async fn attempts(&self) -> Vec<Value> {
        let id = self.delivery().await["deliveryId"].as_str().unwrap().to_owned();
        let shown = self.world.get(&format!("/v1/accounts/{ACCOUNT}/deliveries/{id}")).await;
        shown["attempts"].as_array().unwrap().clone()
    }

    /// Follows the only delivery to its end: five attempts, each of which ends
    /// after `takes` and not before, 1, 10, 30 and 90 seconds after the one
    /// before has ended, never early. `tried` says how often a receiver was tried,
    /// if it can.
    pub(super) async fn fails_to_the_end(&self, takes: Duration, tried: impl Fn() -> Option<usize>) {
        let waits = [0, 1, 10, 30, 90].map(Duration::from_secs);
        let tick = Duration::from_millis(1);
        for (made, wait) in (1_u64..).zip(waits) {
            if wait > Duration::ZERO {
                pass(wait.saturating_sub(tick)).await;
                let tried = tried().unwrap_or_default();
                assert_eq!((self.state().await.1, tried < usize::try_from(made).unwrap()), (made - 1, true));
                pass(wait / 10 + 20 * tick).await;
            }
            if takes > Duration::ZERO {
                until("tried", async || tried().is_none_or(|count| count >= usize::try_from(made).unwrap()))
                    .await;
                catch_up().await;
                pass(takes.saturating_sub(20 * tick)).await;
                assert_eq!(self.state().await.1, made - 1, "given up before its time");
                pass(40 * tick).await;
            }
            self.attempted(made).await;
        }
        assert_eq!(self.state().await, ("exhausted".to_owned(), 5));
        pass(Duration::from_mins(10)).await;
        assert!(tried().is_none_or(|count| count == 5), "five attempts in all: {:?}", tried());
    }
}
