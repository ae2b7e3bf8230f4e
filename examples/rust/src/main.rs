//! A receiver of Bellwether's webhooks: verified, each event once, numbers never set back.
//!
//! The official Standard Webhooks library checks signatures; `bellwether-receiver` knows the rest (and could
//! check signatures too: see its README for a handler that takes a `Delivery`).

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellwether_receiver::{Event, RecentIds, Sequences, once};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

/// In bytes; the longest event has 4 MiB.
const LARGEST_BODY: usize = 5_000_000;

const MOST_REMEMBERED: usize = 100_000;

const NO_SECRET: &str = "WEBHOOK_SECRET is not set; hint: it is the webhook's signing secret, whsec_...";

struct App {
    verifier: Webhook,
    /// In earnest: a table with a unique key, in one transaction with what is stored of the event.
    seen: RecentIds,
    sequences: Mutex<Sequences>,
}

async fn receive(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if app.verifier.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let sequence = headers.get("bellwether-sequence").and_then(|value| value.to_str().ok()?.parse().ok());
    let (Ok(event), Some(sequence)) = (Event::read(&body), sequence) else { return StatusCode::BAD_REQUEST };
    let is_test = headers.contains_key("bellwether-test");
    let taken = once(&app.seen, &event.event_id, async {
        Ok::<_, Infallible>(take(&app, &event, sequence, is_test))
    });
    match taken.await {
        Ok(what) => say(&format!("{} {sequence} {}", what.unwrap_or("repeated"), event.event_type)),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE, // it comes again
    }
    StatusCode::NO_CONTENT // stored: the work on it comes afterwards
}

/// Whether the event is news or older than what its number has told. Test events count by themselves.
fn take(app: &App, event: &Event, sequence: u64, is_test: bool) -> &'static str {
    let subject = if is_test { event.event_id.clone() } else { event.subject() };
    let mut sequences = app.sequences.lock().expect("nothing panics while it is held");
    if sequences.advance(&subject, sequence) { "news" } else { "older" }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "the configuration of this program is its environment")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("WEBHOOK_SECRET").map_err(|_| NO_SECRET)?;
    let verifier = Webhook::new(&secret)?;
    let sequences = Mutex::new(Sequences::new(MOST_REMEMBERED));
    let app = App { verifier, seen: RecentIds::new(MOST_REMEMBERED), sequences };
    let port: u16 = std::env::var("PORT").unwrap_or("3000".to_owned()).parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    say(&format!("listening on http://{}/", listener.local_addr()?));
    let router = Router::new().route("/", post(receive)).layer(DefaultBodyLimit::max(LARGEST_BODY));
    Ok(axum::serve(listener, router.with_state(Arc::new(app))).await?)
}
