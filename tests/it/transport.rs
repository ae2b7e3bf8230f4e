//! The transport against real sockets: whatever a receiver does ends in the
//! right outcome, in time, and within limits.

mod addresses;
mod answers;
mod connections;
mod frames;
mod inquiries;
mod names;
mod reuse;
mod secured;
mod versions;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether::env::Clock;
use bellwether::model::attempt::{Outcome, OutcomeClass};
use bellwether::policy::address::Rules;
use bellwether::transport::http::{HttpTransport, Limits};
use bellwether::transport::resolve::Resolver;
use bellwether::transport::{Request, Transport, tls};
use bytes::Bytes;
use tokio::sync::watch;

use crate::support::hostile::bounded;

/// Long enough for an answer that comes, on a busy machine.
const AMPLE: Duration = Duration::from_secs(10);

/// Short, for answers that never come.
const SHORT: Duration = Duration::from_millis(200);

/// Loopback allowed, http allowed.
fn loopback() -> Rules {
    Rules { allow_http: true, allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() }
}

/// A transport under these rules; nothing listens where it looks names up.
fn under(rules: Rules) -> HttpTransport {
    built(rules, "127.0.0.1:9".parse().unwrap(), None)
}

/// A transport to loopback with these limits.
fn limited(limits: Limits) -> HttpTransport {
    let resolver = Resolver::new(&["127.0.0.1:9".parse().unwrap()]).unwrap();
    let tls = tls::client_config(None, Clock::system()).unwrap();
    HttpTransport::new(watch::channel(Arc::new(loopback())).1, resolver, tls, limits)
}

/// A transport under rules that change.
fn changing(
    rules: &watch::Sender<Arc<Rules>>,
    name_server: SocketAddr,
    ca_file: Option<&Path>,
) -> HttpTransport {
    let resolver = Resolver::new(&[name_server]).unwrap();
    let tls = tls::client_config(ca_file, Clock::system()).unwrap();
    HttpTransport::new(rules.subscribe(), resolver, tls, Limits::default())
}

fn built(rules: Rules, name_server: SocketAddr, ca_file: Option<&Path>) -> HttpTransport {
    changing(&watch::Sender::new(Arc::new(rules)), name_server, ca_file)
}

/// Posts `{}`.
async fn post(transport: &HttpTransport, url: &str, deadline: Duration) -> Outcome {
    let request =
        Request { url: url.to_owned(), headers: Vec::new(), body: Bytes::from_static(b"{}"), deadline };
    bounded(transport.send(request)).await
}

/// Posts `{}` to loopback with a new transport.
async fn post_once(url: &str, deadline: Duration) -> Outcome {
    post(&under(loopback()), url, deadline).await
}

/// Waits for something that happens long before it would by itself.
async fn until(what: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + AMPLE;
    while !what() {
        assert!(tokio::time::Instant::now() < deadline, "it does not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn class_and_note(outcome: &Outcome) -> (OutcomeClass, &str) {
    (outcome.class, outcome.note.as_deref().unwrap_or_default())
}
