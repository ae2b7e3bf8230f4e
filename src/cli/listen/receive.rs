//! A receiver on this machine that the server delivers to: verifies each webhook, says
//! so in a line, and passes what is genuine on, if there is somewhere to pass it to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::forward::checked;
use crate::cli::client::Client;
use crate::cli::output::{Output, clean, print};
use crate::cli::receiver::is_genuine;
use crate::cli::{Exit, Failure, tell};
use crate::policy::signature::WebhookKey;
use crate::server;
use crate::telemetry::Metrics;

/// Headers that a webhook has of the server, and that go along.
const OURS: [&str; 3] = ["webhook-", "bellwether-", "content-type"];

struct Receiver {
    key: WebhookKey,
    forward: Option<(Client, String)>,
    out: Output,
    lines: mpsc::UnboundedSender<String>,
}

/// Receives at `address` until whoever reads its lines has read enough.
pub(super) async fn serve(
    address: SocketAddr,
    key: WebhookKey,
    forward_to: Option<&str>,
    out: Output,
) -> Result<(), Failure> {
    let forward = forward_to.map(checked).transpose()?.map(|url| (Client::new("", None), url));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let hint = "hint: stop what else listens there, or give --at another port";
        Failure::new(Exit::Listen, format!("cannot listen on {address}: {error}\n{hint}"))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::new(Exit::Listen, error))?;
    let (lines, mut printed) = mpsc::unbounded_channel();
    let receiver = Arc::new(Receiver { key, forward, out, lines });
    let router = Router::new().fallback(receive).with_state(receiver);
    let patience = Duration::from_secs(20);
    let limits =
        server::Limits { max_connections: 64, header_timeout: patience, drain_timeout: Duration::ZERO };
    let (_running, stop) = watch::channel(false);
    let serving = tokio::spawn(server::serve(listener, router, limits, Metrics::new(), stop));
    tell(format_args!("webhooks are received at http://{address}"));
    while let Some(line) = printed.recv().await {
        print(line)?;
    }
    serving.abort();
    Ok(())
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map_or("-".to_owned(), clean);
    let genuine = is_genuine(&receiver.key, &headers, &body);
    let status = match &receiver.forward {
        _ if !genuine => StatusCode::UNAUTHORIZED,
        None => StatusCode::NO_CONTENT,
        Some((client, url)) => {
            let ours =
                headers.iter().filter(|(name, _)| OURS.iter().any(|begin| name.as_str().starts_with(begin)));
            let ours = ours.map(|(name, value)| (name.clone(), value.clone())).collect();
            match client.post(url, &ours, body.clone()).await {
                Ok(status) => status,
                Err(why) => {
                    tell(format_args!("{} could not be passed on: {why}", header("webhook-id")));
                    StatusCode::BAD_GATEWAY
                }
            }
        }
    };
    let (id, attempt, sequence) =
        (header("webhook-id"), header("bellwether-attempt"), header("bellwether-sequence"));
    let verdict = if genuine { "genuine" } else { "REFUSED: not signed with this secret, or too old" };
    let line = if receiver.out.json {
        json!({"eventId": id, "attempt": attempt, "sequence": sequence, "genuine": genuine, "status": status.as_u16()})
            .to_string()
    } else {
        format!("{id}  sequence {sequence}  attempt {attempt}  {verdict}  -> {}", status.as_u16())
    };
    // Nobody reads it any more: the end is near.
    let _ = receiver.lines.send(line);
    status
}
