//! A receiver that answers as it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bellwether::server;
use bellwether::telemetry::Metrics;
use serde_json::Value;
use tokio::sync::watch;

use crate::process::running::PATIENCE;

type Told = Arc<Mutex<(StatusCode, String)>>;
type Arrived = Arc<Mutex<Vec<Value>>>;

pub(super) struct Receiver {
    pub(super) url: String,
    told: Told,
    arrived: Arrived,
    _stop: watch::Sender<bool>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let told: Told = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let arrived = Arrived::default();
        let router =
            Router::new().route("/hook", post(take)).with_state((Arc::clone(&told), Arc::clone(&arrived)));
        let (stop, stopped) = watch::channel(false);
        let limits =
            server::Limits { max_connections: 64, header_timeout: PATIENCE, drain_timeout: Duration::ZERO };
        tokio::spawn(server::serve(listener, router, limits, Metrics::new(), stopped));
        Self { url, told, arrived, _stop: stop }
    }

    /// Answers so from now on.
    pub(super) fn answers(&self, status: StatusCode, body: &str) {
        *self.told.lock().unwrap() = (status, body.to_owned());
    }

    /// The bodies that have arrived.
    pub(super) fn arrived(&self) -> Vec<Value> {
        self.arrived.lock().unwrap().clone()
    }
}

async fn take(State((told, arrived)): State<(Told, Arrived)>, body: String) -> (StatusCode, String) {
    arrived.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    told.lock().unwrap().clone()
}
