//! Posts an event to a receiver as the server would: the same bytes, the same headers,
//! signed. Until it is taken: what comes after it waits, so that the receiver gets all
//! of it, and in order.

use std::fmt;
use std::time::Duration;

use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::cli::client::Client;
use crate::cli::output::cell;
use crate::cli::{Exit, Failure, tell};
use crate::env::Clock;
use crate::policy::signature::{WebhookKey, sign_webhook};

const AGENT: &str = concat!("bellwether-listen/", env!("CARGO_PKG_VERSION"));

/// Between two tries, at first and at most.
const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(10);

pub(super) struct Forwarder {
    client: Client,
    url: String,
    key: WebhookKey,
}

/// How an event was taken.
pub(super) struct Taken {
    status: StatusCode,
    attempt: u32,
    span: Duration,
}

impl Taken {
    pub(super) fn json(&self) -> Value {
        json!({"status": self.status.as_u16(), "attempt": self.attempt, "durationMs": self.span.as_millis()})
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} ms", self.status.as_u16(), self.span.as_millis())?;
        if self.attempt > 1 { write!(f, ", attempt {}", self.attempt) } else { Ok(()) }
    }
}

/// An event's own bytes, as they are sent.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
}

impl Forwarder {
    /// One to `url`, which was checked.
    pub(super) fn new(url: String, key: WebhookKey) -> Self {
        Self { client: Client::new("", None), url, key }
    }

    /// Posts `event`, which is `data` to the letter, until it is taken.
    pub(super) async fn forward(&self, event: &Value, data: &RawValue) -> Result<Taken, Failure> {
        let sent: Sent = serde_json::from_str(data.get()).map_err(|error| {
            Failure::new(Exit::Failed, format!("an event of the stream can't be read: {error}"))
        })?;
        let body = Bytes::copy_from_slice(sent.body.get().as_bytes());
        let mut wait = SOON;
        for attempt in 1.. {
            let headers = self.headers(event, &body, attempt);
            let began = Instant::now();
            let answered = self.client.post(&self.url, &headers, body.clone()).await;
            let why = match answered {
                Ok(status) if status.is_success() => {
                    return Ok(Taken { status, attempt, span: began.elapsed() });
                }
                Ok(status) => format!("it answered {status}"),
                Err(why) => why,
            };
            let id = cell(event.get("eventId"));
            tell(format_args!(
                "{id} was not taken at attempt {attempt}: {why}; again in {} ms",
                wait.as_millis()
            ));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LATER);
        }
        unreachable!("there are more attempts than seconds")
    }

    fn headers(&self, event: &Value, body: &[u8], attempt: u32) -> HeaderMap {
        let now = Clock::system().wall();
        let id = event["eventId"].as_str().unwrap_or_default();
        let signature = sign_webhook(std::slice::from_ref(&self.key), id, now, body);
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        let mark = |name: &str| (event[name] == true).then(|| "true".to_owned());
        let stale = Some(cell(event.get("stale"))).filter(|names| names != "-");
        let said = [
            ("content-type", Some("application/json".to_owned())),
            ("user-agent", Some(AGENT.to_owned())),
            ("webhook-id", Some(id.to_owned())),
            ("webhook-timestamp", Some(now.seconds().to_string())),
            ("webhook-signature", Some(signature)),
            ("bellwether-attempt", Some(attempt.to_string())),
            ("bellwether-sequence", Some(cell(event.get("sequence")))),
            ("bellwether-test", mark("test")),
            ("bellwether-derived", text("derived")),
            ("bellwether-stale", stale),
            ("bellwether-snapshot", mark("snapshot")),
        ];
        let said = said.into_iter().filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::try_from(value?).ok()?))
        });
        said.collect()
    }
}

/// An address that can be posted to.
pub(super) fn checked(text: &str) -> Result<String, Failure> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let wrong =
        || Failure::new(Exit::Usage, "--forward-to is no address\nhint: write http://localhost:3000/webhook");
    Ok(url.ok_or_else(wrong)?.into())
}
