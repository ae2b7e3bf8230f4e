//! [`Delivery`] as an extractor for axum: a handler that takes one runs for genuine requests only.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::{Delivery, Refusal, Verifier};

/// What the extractor needs of the router's state: whom to believe, and what time it is.
#[derive(Clone)]
pub struct Receiving {
    verifier: Arc<Verifier>,
    clock: fn() -> SystemTime,
}

impl Receiving {
    /// Judges by the system's clock.
    pub fn new(verifier: Verifier) -> Self {
        Self::with_clock(verifier, system_clock)
    }

    /// Judges by the clock that is given, as tests want it.
    pub fn with_clock(verifier: Verifier, clock: fn() -> SystemTime) -> Self {
        Self { verifier: Arc::new(verifier), clock }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this crate reads a clock, for who gives none"
)]
fn system_clock() -> SystemTime {
    SystemTime::now()
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").finish_non_exhaustive()
    }
}

/// Answers 401 to what is not believed, 400 to what is no event, 413 to what is larger than the router's
/// `DefaultBodyLimit`, each with its reason, which the webhook's owner sees.
impl<S> FromRequest<S> for Delivery
where
    Receiving: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let receiving = Receiving::from_ref(state);
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        let header = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
        let read = Self::read(&receiving.verifier, header, &body, (receiving.clock)());
        read.map_err(IntoResponse::into_response)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_REQUEST);
        (status, format!("{self}\n")).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use axum::Router;
    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const AT: i64 = 1_748_454_395;
    const BODY: &str = r#"{"eventId":"e","timestamp":"t","provider":"WhatsApp","businessAccountId":"1","accountId":"2","eventType":"security","eventDetails":{}}"#;

    async fn answer(secret: &str, id: &str, body: &str) -> (StatusCode, String) {
        let clock = || UNIX_EPOCH + Duration::from_secs(AT.cast_unsigned());
        let receiving = Receiving::with_clock(Verifier::new(SECRET).unwrap(), clock);
        let handler = |delivery: Delivery| async move { format!("took {}", delivery.event.event_id) };
        let router = Router::new().route("/", post(handler)).layer(DefaultBodyLimit::max(1000));
        let signature =
            standardwebhooks::Webhook::new(secret).unwrap().sign(id, AT, body.as_bytes()).unwrap();
        let request = Request::post("/").header("webhook-id", id).header("webhook-timestamp", AT);
        let request = request.header("webhook-signature", signature).header("bellwether-attempt", "1");
        let request = request.header("bellwether-sequence", "1").body(Body::from(body.to_owned())).unwrap();
        let response = router.with_state(receiving).oneshot(request).await.unwrap();
        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_a_genuine_event_reaches_the_handler_and_all_else_is_told_why() {
        assert_eq!(answer(SECRET, "e", BODY).await, (StatusCode::OK, "took e".to_owned()));
        let forged = answer("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "e", BODY).await;
        assert_eq!(forged.0, StatusCode::UNAUTHORIZED);
        assert!(forged.1.contains("hint: check the secret"), "{}", forged.1);
        assert_eq!(answer(SECRET, "f", BODY).await.0, StatusCode::BAD_REQUEST, "another event's id");
        assert_eq!(answer(SECRET, "e", "[]").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(
            answer(SECRET, "e", &BODY.replace('t', &"t".repeat(900))).await.0,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }
}
