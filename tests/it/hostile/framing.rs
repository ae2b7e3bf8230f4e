//! Requests that are framed wrongly, doubly or not at all (fault 48): each is
//! answered with a 4xx or hung up on, and the next request on the connection is
//! judged alone. What is smuggled is a request that would show: one with the
//! operator's key that makes an account.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use bellwether::policy::signature::MetaKey;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::measured::Measured;
use crate::sim::world::{APP_SECRET, OPERATOR, notification, upgrade};
use crate::support::raw::{Said, say};

const SMUGGLED: &str = "99999999-0000-4000-8000-000000000009";

/// Quick to give up on who sends half a request.
const IMPATIENT: [(&str, &str); 2] =
    [("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "1500"), ("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "1500")];

/// A whole request that makes the account [`SMUGGLED`].
fn smuggled() -> String {
    let body = r#"{"name":"smuggled"}"#;
    format!(
        "PUT /v1/accounts/{SMUGGLED} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {OPERATOR}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A signed notification of a change of number `n`, with these lines in its head.
fn signed(n: u64, lines: &str) -> String {
    let body = notification(1_748_736_000, &[upgrade(n, "TIER_10K")]);
    let signature = MetaKey::new(APP_SECRET).sign(&body);
    format!(
        "POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\nx-hub-signature-256: {signature}\r\n{lines}\
         content-length: {}\r\n\r\n{}",
        body.len(),
        String::from_utf8(body).unwrap()
    )
}

/// A post with these lines in its head.
fn posted(lines: &str, body: &str) -> String {
    format!("POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{body}")
}

/// Ways to hide a request in the body of another, by disagreement about where
/// that ends: each as one text.
fn ambiguous() -> Vec<(&'static str, String)> {
    let inner = smuggled();
    let (length, hex) = (inner.len(), format!("{:x}", inner.len()));
    let in_chunk = format!("{hex}\r\n{inner}\r\n0\r\n\r\n");
    let after_chunks = format!("0\r\n\r\n{inner}");
    let both = after_chunks.len();
    let chunked = "transfer-encoding: chunked";
    vec![
        ("both, the length first", posted(&format!("content-length: {both}\r\n{chunked}"), &after_chunks)),
        ("both, the length last", posted(&format!("{chunked}\r\ncontent-length: {both}"), &after_chunks)),
        ("both, a short length", posted(&format!("content-length: 4\r\n{chunked}"), &in_chunk)),
        ("two lengths", posted(&format!("content-length: 0\r\ncontent-length: {length}"), &inner)),
        (
            "two lengths, the other way",
            posted(&format!("content-length: {length}\r\ncontent-length: 0"), &inner),
        ),
        ("a list of lengths", posted(&format!("content-length: {length}, {length}"), &inner)),
        ("a signed length", posted(&format!("content-length: +{length}"), &inner)),
        ("a negative length", posted(&format!("content-length: -{length}"), &inner)),
        ("a hexadecimal length", posted(&format!("content-length: 0x{hex}"), &inner)),
        ("a length with a fraction", posted(&format!("content-length: {length}.0"), &inner)),
        ("an empty length", posted("content-length:", &inner)),
        ("a length beyond 64 bits", posted("content-length: 18446744073709551616", &inner)),
        ("a length that overflows", posted("content-length: 18446744073709551615", &inner)),
        ("a length that nearly overflows", posted("content-length: 18446744073709551614", &inner)),
        ("a blank within a length", posted("content-length: 1 0", &inner)),
        ("a blank before the colon", posted(&format!("content-length : {length}"), &inner)),
        (
            "a blank before the other colon",
            posted(&format!("{chunked}\r\ntransfer-encoding : x").replacen(": c", " : c", 1), &in_chunk),
        ),
        ("a folded line", posted("transfer-encoding:\r\n chunked", &in_chunk)),
        ("another coding", posted("transfer-encoding: xchunked", &in_chunk)),
        ("identity", posted("transfer-encoding: identity", &inner)),
        ("chunked is not the last", posted("transfer-encoding: chunked, identity", &in_chunk)),
        (
            "chunked and then nothing of it",
            posted("transfer-encoding: chunked\r\ntransfer-encoding: identity", &in_chunk),
        ),
        ("a vertical tab", posted("transfer-encoding: \u{b}chunked", &in_chunk)),
        ("a NUL", posted("transfer-encoding: chunked\0", &in_chunk)),
        ("an old version", posted(chunked, &in_chunk).replacen("1.1", "1.0", 1)),
        ("a bare CR", posted(&format!("x: y\r{chunked}"), &in_chunk)),
    ]
}

/// Chunks that are none.
fn bad_chunks() -> Vec<(&'static str, String)> {
    let inner = smuggled();
    let chunked = |body: String| posted("transfer-encoding: chunked", &body);
    vec![
        ("no digits", chunked(format!("zz\r\n{inner}"))),
        ("no size", chunked(format!("\r\n{inner}"))),
        ("a negative size", chunked(format!("-1\r\n{inner}"))),
        ("a signed size", chunked(format!("+0\r\n\r\n{inner}"))),
        ("a prefix", chunked(format!("0x0\r\n\r\n{inner}"))),
        ("a size beyond 64 bits", chunked(format!("10000000000000000\r\n\r\n{inner}"))),
        ("a size that overflows", chunked(format!("fffffffffffffffff\r\n{inner}"))),
        ("a size that never ends", chunked("0".repeat(1 << 20))),
        ("an extension that never ends", chunked(format!("1;{}", "x".repeat(1 << 20)))),
        ("extensions without end", chunked("1;aaaaaaaaaaaaaaaa\r\nx\r\n".repeat(100_000))),
        ("a byte too many", chunked(format!("1\r\nxx\r\n0\r\n\r\n{inner}"))),
        ("no end of line", chunked(format!("1\r\nx0\r\n\r\n{inner}"))),
        ("trailers without end", chunked(format!("0\r\n{}", "x: y\r\n".repeat(100_000)))),
        ("a trailer that never ends", chunked(format!("0\r\nx: {}", "y".repeat(1 << 20)))),
        ("a trailer that is none", chunked(format!("0\r\nno trailer\r\n\r\n{inner}"))),
    ]
}

/// Heads that are none, or too much of one.
fn bad_heads() -> Vec<(&'static str, String)> {
    let inner = smuggled();
    vec![
        ("no HTTP", format!("EHLO a\r\n\r\n{inner}")),
        ("the oldest HTTP", format!("GET /\r\n{inner}")),
        ("a version to come", format!("GET / HTTP/3.0\r\nhost: a\r\n\r\n{inner}")),
        ("a method that is none", format!("G\u{e4}T / HTTP/1.1\r\n\r\n{inner}")),
        ("a blank in the target", format!("GET / / HTTP/1.1\r\n\r\n{inner}")),
        ("a NUL in the target", format!("GET /\0 HTTP/1.1\r\n\r\n{inner}")),
        ("no colon", format!("GET / HTTP/1.1\r\nhost\r\n\r\n{inner}")),
        ("an empty name", format!("GET / HTTP/1.1\r\n: a\r\n\r\n{inner}")),
        ("a name that is none", format!("GET / HTTP/1.1\r\nho st: a\r\n\r\n{inner}")),
        ("a NUL in a value", format!("GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n{inner}")),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}".to_owned()),
        ("64 KiB of one header", format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(64 << 10))),
        (
            "64 KiB of headers",
            format!("GET / HTTP/1.1\r\n{}", "x: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(4 << 10)),
        ),
        ("101 headers", format!("GET / HTTP/1.1\r\n{}\r\n{inner}", "x: y\r\n".repeat(101))),
        ("a target of 64 KiB", format!("GET /{} HTTP/1.1\r\n\r\n{inner}", "x".repeat(64 << 10))),
        ("a method of 64 KiB", format!("{} / HTTP/1.1\r\n\r\n{inner}", "X".repeat(64 << 10))),
        ("16 MiB of nothing", "x".repeat(16 << 20)),
        ("empty lines without end", "\r\n".repeat(8 << 20)),
    ]
}

async fn no_account_was_made(measured: &Measured) {
    let path = format!("/v1/accounts/{SMUGGLED}");
    let (status, _) =
        measured.caller.call(&measured.running.base, Method::GET, &path, Value::Null).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_what_is_framed_ambiguously_is_refused_or_hung_up_on_and_smuggles_nothing() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    let before = measured.events().await;
    measured.begin();
    let mut saying = JoinSet::new();
    for (name, text) in ambiguous().into_iter().chain(bad_chunks()).chain(bad_heads()) {
        let at = measured.at;
        saying.spawn(async move { (name, say(at, [text.as_bytes()]).await) });
    }
    for (name, said) in saying.join_all().await {
        // One answer at most: what comes after is never taken for a request.
        let statuses = said.statuses();
        println!("{name}: {statuses:?}");
        assert!(statuses.len() <= 1, "{name}: {statuses:?}");
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{name}: {statuses:?}");
        no_account_was_made(&measured).await;
    }
    assert_eq!(measured.events().await, before, "and nothing is stored");
    measured.kept_its_memory(0);
    measured.let_go().await;
    measured.works("TIER_AFTER").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_the_smuggled_request_by_itself_would_have_shown() {
    let measured = Measured::start(&[], None).await;
    let alone = smuggled().replace("host: a", "host: a\r\nconnection: close");
    assert_eq!(say(measured.at, [alone.as_bytes()]).await.statuses(), [201]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_pipelined_requests_are_answered_in_order_each_judged_alone() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    let before = measured.events().await;
    let wrong = signed(2, "").replace("TIER_10K", "TIER_99K");
    let unsigned = posted("content-length: 2", "{}");
    let last = signed(4, "connection: close\r\n");
    let text =
        [&signed(1, ""), &unsigned, &signed(3, ""), &wrong, "GET /healthz HTTP/1.1\r\n\r\n", &last].concat();
    let answers = [200, 401, 200, 401, 200, 200];
    assert_eq!(say(measured.at, [text.as_bytes()]).await.statuses(), answers);
    assert_eq!(measured.events().await, before + 3);
    // And byte by byte: the same, as duplicates.
    let pieces = text.as_bytes().chunks(1);
    assert_eq!(say(measured.at, pieces).await.statuses(), answers);
    assert_eq!(measured.events().await, before + 3);
    // What follows a body that was refused unread is no request, or one of its own.
    let refused = posted("content-encoding: gzip\r\ncontent-length: 60", &"x".repeat(60));
    let said = say(measured.at, [[&refused, &last[..]].concat().as_bytes()]).await;
    assert!([&[415][..], &[415, 200]].contains(&&said.statuses()[..]), "{:?}", said.statuses());
    let hidden = format!("content-encoding: gzip\r\ncontent-length: {}", smuggled().len());
    let said = say(measured.at, [[&posted(&hidden, &smuggled()), &last[..]].concat().as_bytes()]).await;
    assert!([&[415][..], &[415, 200]].contains(&&said.statuses()[..]), "{:?}", said.statuses());
    no_account_was_made(&measured).await;
    measured.works("TIER_AFTER").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_a_client_that_half_closes_after_its_request_is_answered() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    for n in 10..30 {
        let mut stream = TcpStream::connect(measured.at).await.unwrap();
        stream.write_all(signed(n, "").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        let said = Said { bytes, taken: 0 };
        assert_eq!(said.statuses(), [200], "{n}");
    }
    // Half a body and the end: nothing of it is stored.
    let half = signed(40, "");
    let mut stream = TcpStream::connect(measured.at).await.unwrap();
    stream.write_all(&half.as_bytes()[..half.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    let said = Said { bytes, taken: 0 };
    assert!(said.statuses().iter().all(|status| *status == 400), "{:?}", said.statuses());
    assert_eq!(
        say(measured.at, [signed(40, "connection: close\r\n").as_bytes()]).await.answers()[0].status,
        200
    );
    measured.works("TIER_AFTER").await;
    measured.let_go().await;
}

/// Sends so much of `text` and is gone.
async fn leaves_after(at: SocketAddr, text: &str, bytes: usize, rudely: bool) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&text.as_bytes()[..bytes]).await.unwrap();
    if rudely {
        stream.set_zero_linger().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_clients_that_leave_anywhere_leave_nothing_half_done_behind() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    let before = measured.events().await;
    measured.begin();
    let mut leaving = JoinSet::new();
    // Each a request of its own, cut at a place of its own, before its end.
    let text = signed(50, "");
    for bytes in (0..text.len()).step_by(3) {
        for rudely in [false, true] {
            let (at, text) = (measured.at, text.clone());
            leaving.spawn(async move { leaves_after(at, &text, bytes, rudely).await });
        }
    }
    leaving.join_all().await;
    measured.let_go().await;
    assert_eq!(measured.events().await, before, "a notification that did not arrive whole is none");
    // Gone once all was sent: stored or not, but once and whole.
    let mut leaving = JoinSet::new();
    for n in 60..120 {
        let (at, text) = (measured.at, signed(n, ""));
        leaving.spawn(async move { leaves_after(at, &text, text.len(), n % 2 == 0).await });
    }
    leaving.join_all().await;
    measured.let_go().await;
    for n in 60..120 {
        assert_eq!(say(measured.at, [signed(n, "connection: close\r\n").as_bytes()]).await.statuses(), [200]);
    }
    assert_eq!(measured.events().await, before + 60);
    measured.kept_its_memory(0);
    measured.works("TIER_AFTER").await;
}
