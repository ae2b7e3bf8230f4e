//! `verify` beside receivers that each do one thing wrongly: it names that, says how to mend it, and nothing
//! else.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bellwether::env::Clock;
use bellwether::server;
use bellwether::telemetry::Metrics;
use bellwether_receiver::{Delivery, Details, Refusal, Verifier};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::version;

use super::running::{PATIENCE, binary};
use crate::support::certs::Authority;
use crate::support::hostile::{Hostile, ok, serve};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a receiver does wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Believes everybody.
    Trusting,
    /// Looks at no time.
    Ageless,
    /// Fails where it should refuse.
    Failing,
    /// Refuses what it has.
    NoRepeats,
    /// Refuses what is older than what it has.
    NoReplays,
    /// Refuses values that it does not know.
    Closed,
    /// Refuses types of events that it does not handle.
    OneType,
    /// Takes small bodies only.
    Small,
    /// Runs out of something when a body is huge, and stays so.
    Brittle,
    /// Sends elsewhere.
    Redirecting,
}

#[derive(Default)]
struct Memory {
    ids: BTreeSet<String>,
    sequences: BTreeSet<u64>,
    broken: bool,
}

type Shop = (Fault, Arc<Mutex<Memory>>);

async fn receive(State((fault, memory)): State<Shop>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verifier = Verifier::new(SECRET).unwrap();
    let verifier =
        if fault == Fault::Ageless { verifier.tolerating(Duration::from_hours(9)) } else { verifier };
    let header = |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok());
    let now = UNIX_EPOCH + Duration::from_millis(Clock::system().wall().ms().cast_unsigned());
    let mut memory = memory.lock().unwrap();
    memory.broken |= fault == Fault::Brittle && body.len() > 1_000_000;
    if memory.broken {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    if fault == Fault::Redirecting {
        return StatusCode::PERMANENT_REDIRECT;
    }
    let delivery = match Delivery::read(&verifier, header, &body, now) {
        Ok(delivery) => delivery,
        Err(_) if fault == Fault::Trusting => return StatusCode::OK,
        Err(_) if fault == Fault::Failing => return StatusCode::INTERNAL_SERVER_ERROR,
        Err(Refusal::Signature(_)) => return StatusCode::UNAUTHORIZED,
        Err(_) => return StatusCode::BAD_REQUEST,
    };
    let known = ["UPGRADE", "DOWNGRADE"];
    let refused = match (fault, &delivery.event.details) {
        (Fault::Closed, Details::Quality(quality)) => !known.contains(&quality.meta.event.as_str()),
        (Fault::OneType, details) => !matches!(details, Details::Quality(_)),
        (Fault::NoRepeats, _) => memory.ids.contains(&delivery.event.event_id),
        (Fault::NoReplays, _) => delivery.attempt == 1 && memory.sequences.last() > Some(&delivery.sequence),
        _ => false,
    };
    memory.ids.insert(delivery.event.event_id);
    memory.sequences.insert(delivery.sequence);
    if refused { StatusCode::CONFLICT } else { StatusCode::NO_CONTENT }
}

/// A receiver with this fault; its address, and what keeps it up.
async fn serves(fault: Fault) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?of=mine", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    let limit = [(Fault::Small, 10_000), (Fault::Brittle, 100_000_000)];
    let limit = limit.iter().find(|(of, _)| *of == fault).map_or(2_000_000, |(_, limit)| *limit);
    let router = Router::new().route("/hook", post(receive)).layer(DefaultBodyLimit::max(limit));
    let limits =
        server::Limits { max_connections: 64, header_timeout: PATIENCE, drain_timeout: Duration::ZERO };
    let router = router.with_state((fault, Arc::default()));
    tokio::spawn(server::serve(listener, router, limits, Metrics::new(), stopped));
    (url, stop)
}

async fn verify(url: &str, secret: Option<&str>, options: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(binary());
    command.arg("verify").arg(url).args(options).env_remove("WEBHOOK_SECRET").stdin(Stdio::null());
    command.envs(secret.map(|secret| ("WEBHOOK_SECRET", secret)));
    tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("it ends").unwrap()
}

/// The names of what is found wrong, and how many were asked.
async fn found(fault: Fault) -> (Vec<String>, usize) {
    let (url, _up) = serves(fault).await;
    let output = verify(&url, Some(SECRET), &["--json"]).await;
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = report["checks"].as_array().unwrap();
    let wrong = checks.iter().filter(|check| check["ok"] == false);
    let wrong: Vec<_> = wrong
        .map(|check| {
            assert!(!check["hint"].as_str().unwrap().is_empty() && check["wrong"].is_string(), "{check}");
            check["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(report["wrong"], wrong.len());
    assert_eq!(output.status.code(), Some(if wrong.is_empty() { 0 } else { 13 }), "{fault:?}: {report:#}");
    (wrong, checks.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_names_what_a_receiver_handles_wrongly_and_nothing_else() {
    let forged = ["wrong-secret", "altered-body", "other-id", "unsigned", "stale", "future"];
    let expected: [(Fault, &[&str]); 10] = [
        (Fault::None, &[]),
        (Fault::Trusting, &forged),
        (Fault::Ageless, &["stale", "future"]),
        (Fault::Failing, &forged),
        (Fault::NoRepeats, &["repeated"]),
        (Fault::NoReplays, &["out-of-order"]),
        (Fault::Closed, &["new-values"]),
        (Fault::OneType, &["other-event", "large"]),
        (Fault::Small, &["large"]),
        (Fault::Brittle, &["oversized", "genuine-again"]),
    ];
    let runs = expected.map(|(fault, names)| (fault, names, tokio::spawn(found(fault))));
    for (fault, names, run) in runs {
        let (wrong, asked) = run.await.unwrap();
        assert!(wrong == names && asked == 16, "{fault:?}: {wrong:?} of {asked}");
    }
    assert_eq!(found(Fault::Redirecting).await, (vec!["genuine".to_owned()], 1), "that is the end of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_says_in_words_what_is_wrong_and_where_a_secret_is_wanted() {
    let (url, _up) = serves(Fault::None).await;
    let other = verify(&url, Some(OTHER), &[]).await;
    let shown = String::from_utf8(other.stdout).unwrap();
    assert_eq!(other.status.code(), Some(13));
    assert!(
        shown.starts_with("WRONG  genuine        401 after ") && shown.contains("hint: is it the secret"),
        "{shown}"
    );
    assert!(String::from_utf8_lossy(&other.stderr).contains("tell nothing before this one is taken"));
    let directory = crate::sim::world::tempdir::TempDir::new();
    let file = directory.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = file.to_str().unwrap();
    for (url, secret, options, code, said) in [
        (url.as_str(), None, vec![], 2, "hint: set WEBHOOK_SECRET, or give --secret-file"),
        (&url, Some("whsec_tooshort"), vec![], 2, "what WEBHOOK_SECRET holds is no signing secret"),
        (&url, None, vec!["--secret-file", "/nowhere"], 2, "cannot read /nowhere"),
        (&url, None, vec!["--secret-file", file], 0, "16 of 16 as they should be"),
        ("127.0.0.1:3000", Some(SECRET), vec![], 2, "hint: give the receiver's address, such as http"),
        ("ftp://127.0.0.1/", Some(SECRET), vec![], 2, "ftp is neither http nor https"),
        ("http://127.0.0.1:9/", Some(SECRET), vec![], 8, "hint: is the receiver running"),
    ] {
        let output = verify(url, secret, &options).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(said), "{told}");
        assert!(!told.contains("tooshort"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_speaks_tls_and_says_in_words_why_it_can_not() {
    let authority = Authority::new();
    let identity = authority.issues("127.0.0.1", |_| {});
    let acceptor = TlsAcceptor::from(identity.server(&[&version::TLS13], &[]));
    let server = Hostile::plays(move |stream, log| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                while serve(&mut stream, &log, &ok("taken")).await {}
            }
        }
    })
    .await;
    let url = format!("https://{}/", server.at);
    let file = authority.file();
    let trusted = verify(&url, Some(SECRET), &["--ca-file", file.to_str().unwrap()]).await;
    std::fs::remove_file(file).unwrap();
    let shown = String::from_utf8(trusted.stdout).unwrap();
    assert_eq!(trusted.status.code(), Some(13), "{shown}");
    assert!(shown.starts_with("ok     genuine ") && shown.contains("WRONG  wrong-secret   200"), "{shown}");
    let (plain, _up) = serves(Fault::None).await;
    for (url, why) in [
        (url, "is self-signed, of an unknown authority"),
        (plain.replace("http:", "https:"), "does not speak TLS on this port"),
    ] {
        let output = verify(&url, Some(SECRET), &[]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(8) && told.contains(why), "{told}");
    }
}
