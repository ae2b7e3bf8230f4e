//! `/ingest/meta/{app}`: Meta's handshake and notifications (contract.md 3).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::intake::{Intake, LARGEST_NOTIFICATION_BYTES, Refusal};
use crate::server::body::{BodyError, read_with_room};
use crate::store::queue::Receipt;
use crate::telemetry::{Metrics, Refused};

/// What the routes need.
#[derive(Clone)]
pub struct Ingest {
    /// Takes notifications.
    pub intake: Arc<Intake>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Counts what is refused before the intake sees it.
    pub metrics: Metrics,
}

/// The handshake's parameters; what is missing is empty, and so refused.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Handshake {
    #[serde(rename = "hub.mode")]
    mode: String,
    #[serde(rename = "hub.verify_token")]
    token: String,
    #[serde(rename = "hub.challenge")]
    challenge: String,
}

/// The routes.
pub fn router<S: Clone + Send + Sync + 'static>(ingest: Ingest) -> Router<S> {
    Router::new().route("/ingest/meta/{app}", get(handshake).post(notify)).with_state(ingest)
}

async fn handshake(
    State(ingest): State<Ingest>,
    Path(app): Path<String>,
    query: Result<Query<Handshake>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Query(asked) = query.unwrap_or_default();
    match ingest.intake.verify(&app, &asked.mode, &asked.token, &asked.challenge) {
        Ok(challenge) => plain(StatusCode::OK, challenge),
        Err(refusal) => refused(&refusal),
    }
}

async fn notify(State(ingest): State<Ingest>, Path(app): Path<String>, request: Request<Body>) -> Response {
    if let Err(refusal) = ingest.intake.knows(&app) {
        return refused(&refusal);
    }
    let (head, body) = request.into_parts();
    // Held until the answer: what is being written takes memory too.
    let mut room = ingest.intake.room();
    let admit = |bytes| room.grow(bytes);
    let (limit, deadline) = (LARGEST_NOTIFICATION_BYTES, ingest.body_timeout);
    let body = match read_with_room(&head.headers, body, limit, deadline, admit).await {
        Ok(body) => body,
        Err(error) => return unread(&ingest.metrics, &error),
    };
    let signatures = head.headers.get_all("x-hub-signature-256").iter().map(HeaderValue::as_bytes);
    match ingest.intake.receive(&app, signatures, body).await {
        Ok(receipt) => accepted(&receipt),
        Err(refusal) => refused(&refusal),
    }
}

/// 200, and what became of the changes: for people with curl, Meta does not mind.
fn accepted(receipt: &Receipt) -> Response {
    let Receipt { accepted, duplicate, resent, unrouted, unparsed, ignored, derived, .. } = receipt;
    let told = format!(
        "{{\"accepted\":{accepted},\"duplicate\":{duplicate},\"resent\":{resent},\"unrouted\":{unrouted},\
         \"unparsed\":{unparsed},\"ignored\":{ignored},\"derived\":{derived}}}"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, told).into_response()
}

fn unread(metrics: &Metrics, error: &BodyError) -> Response {
    let (status, reason) = match error {
        BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Refused::TooLarge),
        BodyError::Encoding => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Refused::Encoding),
        BodyError::Timeout => (StatusCode::REQUEST_TIMEOUT, Refused::Timeout),
        BodyError::Broken => (StatusCode::BAD_REQUEST, Refused::Broken),
        BodyError::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, Refused::Overloaded),
    };
    metrics.refused(reason);
    later(plain(status, error.to_string()))
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::UnknownApp => StatusCode::NOT_FOUND,
        Refusal::Signature(_) => StatusCode::UNAUTHORIZED,
        Refusal::Token | Refusal::Handshake => StatusCode::FORBIDDEN,
        Refusal::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    later(plain(status, refusal.to_string()))
}

/// A 503 says when to come back.
fn later(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn plain(status: StatusCode, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text).into_response()
}
