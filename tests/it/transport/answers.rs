//! Answers of every size and status (faults 56, 57, 58, 69), and what is sent
//! (faults 70, 73).

use std::process::Stdio;

use axum::http::{HeaderName, HeaderValue};
use bellwether::transport::http::ANSWER_LIMIT;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::support::hostile::{Hostile, flood, ok, receive};

/// A server that sends `head` and then `flood` until it is hung up on; the
/// channel says how many bytes that took.
async fn flooding(head: &'static str, bytes: &'static [u8]) -> (Hostile, mpsc::UnboundedReceiver<usize>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = Hostile::plays(move |mut stream, log| {
        let sender = sender.clone();
        async move {
            receive(&mut stream, &log).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = sender.send(flood(&mut stream, bytes).await);
        }
    })
    .await;
    (server, receiver)
}

/// What fits into the buffers of two kernels and of one hyper, generously.
const BUFFERS: usize = 32 << 20;

#[tokio::test]
async fn an_endless_answer_is_read_up_to_its_limit_and_hung_up_on() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n",
        "HTTP/1.0 500 No\r\n\r\n",
    ] {
        let (server, mut written) = flooding(head, &[b'x'; 16384]).await;
        let transport = under(loopback());
        let outcome = post(&transport, &server.url("/"), AMPLE).await;
        let status = if head.contains("500") { 500 } else { 200 };
        assert_eq!((outcome.status, outcome.answer.len()), (Some(status), ANSWER_LIMIT), "{head:?}");
        assert!(bounded(written.recv()).await.unwrap() < BUFFERS, "{head:?}");
    }
}

#[tokio::test]
async fn endless_informational_answers_are_read_up_to_a_limit_and_hung_up_on() {
    let (server, mut written) = flooding("", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
    let outcome = post_once(&server.url("/"), AMPLE).await;
    assert_eq!((outcome.class, outcome.status), (OutcomeClass::Protocol, None));
    assert!(bounded(written.recv()).await.unwrap() < BUFFERS, "hung up on");
}

#[tokio::test]
async fn a_head_with_too_many_or_too_long_fields_is_a_protocol_failure() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let endless = "z".repeat(1 << 20);
    for head in [many, long, endless] {
        let server = Hostile::says(head).await;
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!((outcome.class, outcome.status), (OutcomeClass::Protocol, None), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_compressed_answer_is_neither_asked_for_nor_inflated() {
    // A gzip stream: whatever it would become, it is kept as it came.
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xaa, 2, 0];
    for encoding in ["gzip", "br", "zstd", "nonsense"] {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 14\r\n\r\n")
                .into_bytes();
        answer.extend(body);
        let server = Hostile::answers(answer).await;
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!(outcome.answer, body);
        assert!(server.requests()[0].head.contains("accept-encoding: identity"));
    }
}

#[tokio::test]
async fn every_status_is_mapped_to_its_class() {
    let server = Hostile::plays(|mut stream, log| async move {
        while let Some(request) = receive(&mut stream, &log).await {
            let status = request.head.split([' ', '/']).nth(2).unwrap();
            let length = if matches!(status, "204" | "304") { "" } else { "content-length: 0\r\n" };
            let answer = format!("HTTP/1.1 {status} Some Reason\r\n{length}\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() || status.starts_with('1') {
                break;
            }
        }
    })
    .await;
    let transport = under(loopback());
    for status in 100..=599_u16 {
        let outcome = post(&transport, &server.url(&format!("/{status}")), AMPLE).await;
        let expected = match status {
            // An answer of its own: the receiver speaks another protocol now.
            101 => (OutcomeClass::Status, Some(101)),
            // Only an announcement, and then nothing.
            100..200 => (OutcomeClass::Reset, None),
            200..300 => (OutcomeClass::Success, Some(status)),
            300..400 => (OutcomeClass::Redirect, Some(status)),
            _ => (OutcomeClass::Status, Some(status)),
        };
        assert_eq!((outcome.class, outcome.status), expected, "{status}");
    }
    assert_eq!(server.requests().len(), 500, "one request each");
}

#[tokio::test]
async fn retry_after_is_handed_on_as_sent() {
    for (field, kept) in [
        ("retry-after: 120\r\n", Some("120".to_owned())),
        (
            "Retry-After:   Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
        ),
        ("retry-after: -1\r\n", Some("-1".to_owned())),
        ("retry-after: \u{e4}\r\n", None),
        ("", None),
    ] {
        let server = Hostile::answers(format!("HTTP/1.1 429 Slow\r\n{field}content-length: 0\r\n\r\n")).await;
        assert_eq!(post_once(&server.url("/"), AMPLE).await.retry_after, kept, "{field:?}");
    }
    let long = format!("HTTP/1.1 503 Slow\r\nretry-after: {}\r\ncontent-length: 0\r\n\r\n", "9".repeat(9000));
    let server = Hostile::answers(long).await;
    assert!(post_once(&server.url("/"), AMPLE).await.retry_after.unwrap().len() < 1000);
}

#[tokio::test]
async fn fault_69_a_redirect_is_never_followed_and_says_where_it_pointed() {
    let inside = Hostile::answers(ok("secret")).await;
    let to = inside.url("/admin?token=s");
    for status in [300, 301, 302, 303, 304, 305, 307, 308, 399] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let server = Hostile::answers(answer).await;
        let outcome = post_once(&server.url("/"), AMPLE).await;
        let note = format!("redirect to {} not followed", inside.url("/admin"));
        assert_eq!(class_and_note(&outcome), (OutcomeClass::Redirect, note.as_str()));
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn fault_69_a_redirect_in_a_circle_or_to_another_scheme_costs_one_request() {
    for location in
        ["/", "https://127.0.0.1/", "//127.0.0.1:80/", "ftp://127.0.0.1/", "http://[::1]/", "?again"]
    {
        let answer = format!("HTTP/1.1 308 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Hostile::answers(answer).await;
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!((outcome.class, outcome.status), (OutcomeClass::Redirect, Some(308)), "{location}");
        assert!(outcome.note.unwrap().starts_with("redirect to "), "{location}");
        assert_eq!((server.connections(), server.requests().len()), (1, 1), "{location}");
    }
}

#[tokio::test]
async fn fault_73_exactly_the_expected_headers_and_bytes_are_sent() {
    let server = Hostile::answers(ok("thanks")).await;
    let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let request = Request {
        url: server.url("/a%20b?c=d"),
        headers: vec![
            header("content-type", "application/json"),
            header("webhook-id", "1"),
            header("host", "evil.example"),
            header("transfer-encoding", "chunked"),
        ],
        body: Bytes::from_static("{\"a\":\"\u{e4}\"}".as_bytes()),
        deadline: AMPLE,
    };
    let outcome = bounded(under(loopback()).send(request)).await;
    assert_eq!((outcome.status, outcome.answer), (Some(200), b"thanks".to_vec()));
    let sent = server.requests().remove(0);
    let mut lines: Vec<_> = sent.head.lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: {}", server.at);
    let expected = [
        "POST /a%20b?c=d HTTP/1.1",
        "accept-encoding: identity",
        "content-length: 10",
        "content-type: application/json",
        &host,
        "webhook-id: 1",
    ];
    assert_eq!(lines, expected);
    assert_eq!(sent.body, "{\"a\":\"\u{e4}\"}".as_bytes());
}

#[tokio::test]
async fn fault_70_proxies_of_the_environment_are_ignored() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", proxy.local_addr().unwrap());
    let mut other_process = tokio::process::Command::new(std::env::current_exe().unwrap());
    other_process
        .args(["--exact", "transport::answers::fault_73_exactly_the_expected_headers_and_bytes_are_sent"])
        .envs(
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .map(|name| (name, &at)),
        )
        .env("NO_PROXY", "")
        .env("no_proxy", "")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::select! {
        biased;
        connected = proxy.accept() => panic!("the proxy was used: {connected:?}"),
        output = bounded(other_process.output()) => {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
    }
}
