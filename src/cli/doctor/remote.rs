//! What a running server tells: whether it is ready, what its clock shows, whether the
//! key is good, and whether Meta's handshake comes about.

use axum::http::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Findings, Verdict};
use crate::cli::client::Client;
use crate::cli::output::clean;
use crate::cli::server::Server;
use crate::cli::{Exit, Failure, route};
use crate::config::Config;
use crate::env::Env;
use crate::model::time::Timestamp;

/// Clocks differ by this at most, in seconds, without a word; a webhook's signature is
/// refused by receivers beyond the other.
const CLOSE: u64 = 5;
const FAR: u64 = 240;

/// What Meta would ask to be told back.
const CHALLENGE: &str = "1158201444";

/// Whether the server can be asked for more.
pub(super) async fn look(server: &Server, env: &Env, findings: &mut Findings) -> bool {
    let ready = match server.client.look("/readyz").await {
        Ok(ready) => ready,
        Err(failure) => {
            findings.failed("server", &failure);
            return false;
        }
    };
    let said = clean(String::from_utf8_lossy(&ready.body).trim());
    let at = server.client.base();
    match ready.status {
        StatusCode::OK if said == "ready" => findings.ok("server", format!("{at} is ready")),
        StatusCode::OK => findings.add("server", Verdict::Note, format!("{at} says: {said}"), None),
        // A proxy that passes on the API only.
        StatusCode::NOT_FOUND => {
            findings.ok("server", format!("{at} answers; whether it is ready is not told there"));
        }
        status => {
            let hint = "its log says more";
            findings.add("server", Verdict::Wrong, format!("{at} answers {status}: {said}"), Some(hint));
        }
    }
    if let Some(date) = ready.date() {
        clocks("clock", date, env.clock.wall(), findings);
    }
    match server.client.call(Method::GET, "/v1/accounts?limit=1", &Value::Null).await {
        Ok(_) => {
            findings.ok("api key", "is taken");
            true
        }
        Err(failure) => {
            findings.failed("api key", &failure);
            false
        }
    }
}

/// Holds another's clock against the one here.
pub(super) fn clocks(what: &str, theirs: Timestamp, ours: Timestamp, findings: &mut Findings) {
    let apart = theirs.seconds().abs_diff(ours.seconds());
    let detail = format!("it shows {theirs}, the one here {ours}: {apart} s apart");
    let hint =
        "set one of them right (chrony, systemd-timesyncd): receivers refuse signatures of five minutes ago";
    if apart <= CLOSE {
        return findings.ok(what, format!("no more than {CLOSE} s from the one here"));
    }
    let verdict = if apart < FAR { Verdict::Note } else { Verdict::Wrong };
    findings.add(what, verdict, detail, Some(hint));
}

/// Asks as Meta does when a callback URL is entered, for each app.
pub(super) async fn shake_hands(
    server: &Server,
    config: &Config,
    public: Option<&str>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let elsewhere = match public {
        Some(url) if url.starts_with("http") => Some(Client::new(url, None)),
        Some(_) => {
            return Err(Failure::new(
                Exit::Usage,
                "--public-url is no address\nhint: https://hooks.example.com",
            ));
        }
        None => None,
    };
    let client = elsewhere.as_ref().unwrap_or(&server.client);
    for (name, app) in &config.meta.apps {
        let what = format!("handshake {name}");
        let Some(token) = &app.verify_token else {
            let hint = format!("set meta.apps.{name}.verify_token: Meta takes no callback URL without it");
            findings.add(&what, Verdict::Note, "there is no verify token", Some(&hint));
            continue;
        };
        let said = [
            ("hub.mode", Some("subscribe")),
            ("hub.verify_token", Some(token.expose_secret())),
            ("hub.challenge", Some(CHALLENGE)),
        ];
        let path = route::path(&["ingest", "meta", name]);
        match client.look(&route::query(&path, &said)).await {
            Ok(answer) if answer.status == StatusCode::OK && *answer.body == *CHALLENGE.as_bytes() => {
                findings.ok(&what, format!("{}{path} answers Meta's challenge", client.base()));
            }
            Ok(answer) => {
                let hint =
                    "does the server run with this configuration, and does the proxy pass /ingest/ on?";
                findings.add(
                    &what,
                    Verdict::Wrong,
                    format!("{}{path} answers {}", client.base(), answer.status),
                    Some(hint),
                );
            }
            Err(failure) => findings.failed(&what, &failure),
        }
    }
    Ok(())
}
