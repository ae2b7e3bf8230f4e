//! Access tokens by OAuth 2.0 client credentials: fetched through the same
//! transport as deliveries, so under the same address rules; kept until shortly
//! before they expire; one request at a time for each webhook.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::form_urlencoded;

use super::Means;
use crate::model::attempt::OutcomeClass;
use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;
use crate::secrets::oauth::{Client, CredentialsLocation};
use crate::transport::Request;

/// A token is not used in its last seconds.
const MARGIN: Duration = Duration::from_secs(30);

/// The life of a token whose answer does not say (RFC 6749 leaves it open).
const LIFE: Duration = Duration::from_mins(5);

struct Token {
    /// For whom: a client configured meanwhile gets one of its own.
    client: Client,
    header: HeaderValue,
    until: Timestamp,
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// The tokens of all webhooks.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<WebhookKey, Slot>>);

impl Tokens {
    /// The `Authorization` header for deliveries to `webhook`. The error is a
    /// note for people, without any secret.
    pub(super) async fn get(
        &self,
        means: &Means,
        webhook: WebhookKey,
        client: &Client,
        deadline: Duration,
    ) -> Result<HeaderValue, String> {
        let slot = self.slot(webhook);
        let mut token = slot.lock().await;
        let now = means.env.clock.now();
        if let Some(token) = token.as_ref().filter(|token| now < token.until && token.client == *client) {
            return Ok(token.header.clone());
        }
        let fetched = fetch(means, client, deadline, now).await?;
        let header = fetched.header.clone();
        *token = Some(fetched);
        Ok(header)
    }

    /// The token is to be fetched anew: it was refused, or the webhook changed.
    pub(super) fn forget(&self, webhook: WebhookKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&webhook);
    }

    fn slot(&self, webhook: WebhookKey) -> Slot {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook).or_default())
    }
}

async fn fetch(means: &Means, client: &Client, deadline: Duration, now: Timestamp) -> Result<Token, String> {
    let outcome = means.transport.send(request(client, deadline)).await;
    if outcome.class != OutcomeClass::Success {
        let status = outcome.status.map(|status| format!(" ({status})")).unwrap_or_default();
        return Err(format!("no token: the token endpoint failed with {}{status}", outcome.class.as_str()));
    }
    let unreadable = || "no token: the token endpoint's answer has no usable access_token".to_owned();
    let answer: Value = serde_json::from_slice(&outcome.answer).map_err(|_| unreadable())?;
    let access_token = answer.get("access_token").and_then(Value::as_str).ok_or_else(unreadable)?;
    let mut header = HeaderValue::try_from(format!("Bearer {access_token}")).map_err(|_| unreadable())?;
    header.set_sensitive(true);
    let life = answer.get("expires_in").and_then(Value::as_u64).map_or(LIFE, Duration::from_secs);
    Ok(Token { client: client.clone(), header, until: now.plus(life.saturating_sub(MARGIN)) })
}

fn request(client: &Client, deadline: Duration) -> Request {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = &client.scope {
        form.append_pair("scope", scope);
    }
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ];
    match client.location {
        CredentialsLocation::Body => {
            form.append_pair("client_id", &client.client_id);
            form.append_pair("client_secret", client.client_secret.expose_secret());
        }
        CredentialsLocation::Header => headers.push((AUTHORIZATION, basic(client))),
    }
    Request { url: client.url.clone(), headers, body: form.finish().into(), deadline }
}

/// HTTP Basic with both parts form-encoded, as RFC 6749 2.3.1 asks.
fn basic(client: &Client) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(&client.client_id), encode(client.client_secret.expose_secret()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}
