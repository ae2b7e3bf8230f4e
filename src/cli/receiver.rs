//! The receiver that `dev` brings: verifies each webhook's signature and prints
//! it, as a good receiver would before acting on it.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::sync::mpsc;

use super::say;
use crate::env::Clock;
use crate::model::time::Timestamp;
use crate::policy::signature::{WebhookKey, sign_webhook};

/// A signature is good for this long: replayed ones are refused.
const TOLERANCE_S: i64 = 300;

/// What the receiver needs; the secret is known once the webhook is made.
#[derive(Clone)]
pub(super) struct Receiver {
    pub(super) key: Arc<OnceLock<WebhookKey>>,
    pub(super) arrived: mpsc::UnboundedSender<Value>,
}

/// The path that the receiver serves.
pub(super) const PATH: &str = "/dev-receiver";

pub(super) fn router(receiver: Receiver) -> Router {
    Router::new().route(PATH, post(receive)).with_state(receiver)
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some(key) = receiver.key.get() else { return StatusCode::SERVICE_UNAVAILABLE };
    if !is_genuine(key, &headers, &body) {
        say("webhook refused: its signature does not match");
        return StatusCode::UNAUTHORIZED;
    }
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    let (attempt, sequence) = (header("bellwether-attempt"), header("bellwether-sequence"));
    let derived = match headers.get("bellwether-derived") {
        Some(_) => format!(", derived from {}", header("bellwether-derived")),
        None => String::new(),
    };
    say(format_args!(
        "webhook arrived: signature verified, attempt {attempt}, sequence {sequence}{derived}\n{}\n",
        String::from_utf8_lossy(&body)
    ));
    // Whoever waits for the first ones may have gone.
    let _ = receiver.arrived.send(serde_json::from_slice(&body).unwrap_or_default());
    StatusCode::NO_CONTENT
}

/// Whether the signature is ours and fresh (Standard Webhooks 1.0).
pub(super) fn is_genuine(key: &WebhookKey, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(id), Some(seconds), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return false;
    };
    let signed_at = seconds.parse().ok().and_then(Timestamp::from_seconds);
    let Some(at) =
        signed_at.filter(|at| (Clock::system().now().seconds() - at.seconds()).abs() <= TOLERANCE_S)
    else {
        return false;
    };
    let expected = sign_webhook(std::slice::from_ref(key), id, at, body);
    signatures.split(' ').any(|signature| signature == expected)
}
