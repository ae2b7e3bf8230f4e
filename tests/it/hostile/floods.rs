//! Receivers that answer without end or measure (faults 56, 57): the real program
//! reads so much and no more, keeps a little, and serves the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use bellwether::transport::http::ANSWER_LIMIT;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::measured::Measured;
use crate::process::running::long;
use crate::sim::world::{ACCOUNT, upgrade};
use crate::support::frozen::until;
use crate::support::hostile::{Hostile, ok, receive};

/// Two attempts of six seconds.
const SHORT: [(&str, &str); 2] =
    [("BELLWETHER_DELIVERY__ATTEMPT_TIMEOUT_MS", "6000"), ("BELLWETHER_DELIVERY__RETRY_SCHEDULE_S", "1")];

/// An answer: its head, what follows again and again, and what it is recorded as.
struct Flood {
    name: &'static str,
    head: Vec<u8>,
    then: Vec<u8>,
    outcome: &'static str,
}

fn flood(name: &'static str, head: &str, then: &[u8], outcome: &'static str) -> Flood {
    Flood { name, head: head.as_bytes().to_vec(), then: then.to_vec(), outcome }
}

/// On a busy machine the deadline may come before the limit does.
const EITHER: &str = "protocol or timeout";

/// A frame of zstd whose blocks say "128 KiB of this byte", each in four bytes.
fn zstd_bomb() -> Vec<u8> {
    // Magic, descriptor and window; then blocks: length << 3 | RLE << 1.
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let block = ((128_u32 << 10) << 3 | 1 << 1).to_le_bytes();
    [&head[..], &[block[0], block[1], block[2], b'0'].repeat(80_000)].concat()
}

/// A member of gzip with 64 KiB of zeros, as `gzip -9` makes it, so that it may be
/// repeated.
fn gzip_member() -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut gzip =
        Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(&vec![0; 65_536]).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

fn floods() -> Vec<Flood> {
    let many = "x: y\r\n".repeat(100_000);
    let line = "y".repeat(1 << 20);
    vec![
        flood("an endless body", "HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 65_536], "success"),
        flood(
            "10 GB announced",
            "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n",
            &[b'x'; 65_536],
            "success",
        ),
        flood(
            "10 GB of a failure",
            "HTTP/1.1 500 No\r\ncontent-length: 10000000000\r\n\r\n",
            &[b'x'; 65_536],
            "http_status",
        ),
        flood(
            "endless chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
            "success",
        ),
        flood(
            "an endless extension of a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;",
            &[b'x'; 65_536],
            "success",
        ),
        flood(
            "endless trailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            &b"x: y\r\n".repeat(10_000),
            "success",
        ),
        flood(
            "endless announcements",
            "",
            &b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000),
            EITHER,
        ),
        flood("endless continues", "", &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000), EITHER),
        flood("100,000 headers", "HTTP/1.1 200 OK\r\n", many.as_bytes(), "protocol"),
        flood("a header line of 1 MB", "HTTP/1.1 200 OK\r\nx: ", line.as_bytes(), "protocol"),
        flood("a reason of 1 MB", "HTTP/1.1 200 ", line.as_bytes(), "protocol"),
        flood("no head at all", "", line.as_bytes(), "protocol"),
        flood("endless empty lines", "", &b"\r\n".repeat(30_000), "protocol"),
    ]
}

fn bombs() -> Vec<Flood> {
    let coded = |name| format!("HTTP/1.1 200 OK\r\ncontent-encoding: {name}\r\n\r\n");
    let failed = |name| format!("HTTP/1.1 500 No\r\ncontent-encoding: {name}\r\n\r\n");
    vec![
        flood("gzip", &coded("gzip"), &gzip_member().repeat(1_000), "success"),
        flood("zstd", &coded("zstd"), &zstd_bomb(), "success"),
        flood("gzip of a failure", &failed("gzip"), &gzip_member().repeat(1_000), "http_status"),
        flood("zstd of a failure", &failed("zstd"), &zstd_bomb(), "http_status"),
        flood("deflate", &coded("deflate"), &[0; 65_536], "success"),
        flood("br", &coded("br"), &[0x1b; 65_536], "success"),
        flood(
            "gzip of transfer",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\nffff\r\n",
            &gzip_member().repeat(1_000),
            "success",
        ),
    ]
}

/// Writes without end until hung up on; counts.
async fn pour(stream: &mut TcpStream, bytes: &[u8], poured: &AtomicUsize) {
    while let Ok(written @ 1..) = stream.write(bytes).await {
        poured.fetch_add(written, Ordering::Relaxed);
    }
}

/// A receiver behind a business account of its own.
struct Flooding {
    server: Hostile,
    poured: Arc<AtomicUsize>,
}

impl Flooding {
    async fn start(measured: &Measured, n: usize, flood: &Flood) -> Self {
        let poured = Arc::new(AtomicUsize::new(0));
        let (head, then, counter) =
            (Arc::new(flood.head.clone()), Arc::new(flood.then.clone()), Arc::clone(&poured));
        let server = Hostile::plays(move |mut stream, log| {
            let (head, then, poured) = (Arc::clone(&head), Arc::clone(&then), Arc::clone(&counter));
            async move {
                receive(&mut stream, &log).await;
                let _ = stream.write_all(&head).await;
                pour(&mut stream, &then, &poured).await;
            }
        })
        .await;
        let scope = format!("flood-{n}");
        let business = json!({"accountId": ACCOUNT, "subAccountId": &scope});
        measured.put(&format!("/v1/business-accounts/7000{n}"), Method::PUT, business).await;
        let webhooks = json!([{"subAccountId": scope, "url": server.url("/hook"), "type": "CABM"}]);
        measured.put(&format!("/api/v1/accounts/{ACCOUNT}/webhooks"), Method::POST, webhooks).await;
        Self { server, poured }
    }
}

/// Sends `each` events to every flood at once, all of them also to a receiver
/// that is well, and holds the records against what is expected.
async fn survives(floods: Vec<Flood>) {
    let each: usize = if long() { 100 } else { 6 };
    let well = Hostile::answers(ok("thanks")).await;
    let mut measured = Measured::start(&SHORT, Some(&well.url("/hook"))).await;
    let mut flooding = Vec::new();
    for (n, flood) in floods.iter().enumerate() {
        flooding.push(Flooding::start(&measured, n, flood).await);
    }
    measured.begin();
    let before = well.requests().len();
    for n in 0..floods.len() {
        let change =
            |number| json!({"field": "phone_number_quality_update", "value": upgrade(number, "TIER_10K")});
        let changes: Vec<Value> = (0..each).map(|at| change((1_000 * n + at) as u64)).collect();
        let entry = json!({"id": format!("7000{n}"), "time": 1_748_736_000, "changes": changes});
        let body = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
        let (status, _) = measured.caller.notify(&measured.running.base, body.into_bytes()).await.unwrap();
        assert_eq!(status.as_u16(), 200);
    }
    let all = before + each * floods.len();
    until("the receiver that is well has all", async || well.requests().len() >= all).await;
    measured.caller.quiesce(&measured.running.base).await;
    measured.kept_its_memory(512 * ANSWER_LIMIT);
    for (n, (flood, flooding)) in floods.iter().zip(&flooding).enumerate() {
        is_recorded(&measured, n, flood, flooding, each).await;
    }
    drop((flooding, well));
    measured.let_go().await;
    measured.works("TIER_AFTER").await;
}

async fn is_recorded(measured: &Measured, n: usize, flood: &Flood, flooding: &Flooding, each: usize) {
    let Flood { name, outcome, .. } = flood;
    let (requests, connections) = (flooding.server.requests().len(), flooding.server.connections());
    assert_eq!(requests, connections, "{name}: each has a connection of its own");
    // On a busy machine a head may come too late once, and then comes again.
    let fewest = if *outcome == "success" { each } else { 2 * each };
    assert!((fewest..=2 * each).contains(&requests), "{name}: {requests} requests");
    // What two kernels and one client buffer, per connection, and no more.
    let poured = flooding.poured.load(Ordering::Relaxed);
    assert!(poured <= requests * (16 << 20), "{name}: {poured} bytes for {requests} requests");
    let path = format!("/v1/accounts/{ACCOUNT}/deliveries");
    let mut seen = 0;
    for delivery in measured.shown(&path).await {
        let digits = delivery["phoneNumber"].as_str().unwrap()["1555000".len()..].parse::<usize>().unwrap();
        let last = &delivery["lastAttempt"];
        if digits / 1_000 != n || digits == 9_999 || *outcome == "success" || last["outcome"] == "success" {
            continue;
        }
        let ended = last["outcome"].as_str().unwrap();
        assert!(delivery["status"] == "exhausted" && outcome.contains(ended), "{name}: {ended}");
        // The first KiB is kept, as it came.
        let kept: Vec<u8> = flood.then.iter().copied().cycle().take(1_024).collect();
        if *outcome == "http_status" {
            assert_eq!(last["answer"], *String::from_utf8_lossy(&kept), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, if *outcome == "success" { 0 } else { each }, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_56_answers_without_end_or_measure_are_read_up_to_a_limit_within_memory() {
    survives(floods()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_57_a_compression_bomb_in_an_answer_is_not_inflated() {
    survives(bombs()).await;
}
