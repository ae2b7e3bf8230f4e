//! Whoever sends slowly or nothing (fault 47): by the hundred against the real
//! program, and to the second against the accept loop in time that stands still.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::config::Config;
use bellwether::server::{Limits, serve};
use bellwether::telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::measured::Measured;
use super::stage::staged;
use crate::process::nemesis;
use crate::process::running::{Caller, long};
use crate::sim::world::{notification, upgrade};
use crate::support::frozen::{catch_up, pass};
use crate::support::raw::h2;

/// Longer than any deadline here, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent at once, and what then again and again.
fn kinds() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let post = b"POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\n";
    let http2 = h2::hello(&[]);
    let opened = [&http2[..], &h2::frame(h2::HEADERS, h2::END_HEADERS, 1, h2::POST)].concat();
    vec![
        ("nothing at all", vec![], vec![]),
        ("a head byte by byte", b"GET / HTTP/1.1\r\nx: ".to_vec(), b"x".to_vec()),
        ("head lines one by one", post.to_vec(), b"x: y\r\n".to_vec()),
        ("empty lines before a head", b"\r\n".to_vec(), b"\r\n".to_vec()),
        ("no body", [&post[..], b"content-length: 1000\r\n\r\n"].concat(), vec![]),
        ("a body byte by byte", [&post[..], b"content-length: 1000\r\n\r\n"].concat(), b"x".to_vec()),
        (
            "chunks of a byte",
            [&post[..], b"transfer-encoding: chunked\r\n\r\n"].concat(),
            b"1\r\nx\r\n".to_vec(),
        ),
        ("half a preface", h2::PREFACE[..16].to_vec(), vec![]),
        ("pings", http2.clone(), h2::frame(h2::PING, 0, 0, &[0; 8])),
        ("settings", http2, h2::frame(h2::SETTINGS, 0, 0, &[])),
        ("frames of a byte", opened, h2::frame(h2::DATA, 0, 1, b"x")),
    ]
}

/// Connects, sends so, and stays until it is cut off.
async fn crawl(measured: std::net::SocketAddr, first: Vec<u8>, then: Vec<u8>) {
    let stream = TcpStream::connect(measured).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let crawling = async {
        let _ = writer.write_all(&first).await;
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        loop {
            pace.tick().await;
            // Once cut off, it only waits for the news.
            let _ = writer.write_all(&then).await;
        }
    };
    let cut_off = async {
        let mut bytes = [0; 4_096];
        while matches!(reader.read(&mut bytes).await, Ok(1..)) {}
    };
    tokio::select! {
        biased;
        () = cut_off => {}
        () = crawling => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_slow_connections_by_the_hundred_are_cut_off_and_stop_nobody() {
    let each = if long() { 400 } else { 40 };
    let mut measured = Measured::start(
        &[("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "2000"), ("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "2000")],
        None,
    )
    .await;
    measured.begin();
    let mut crawling = JoinSet::new();
    for (_, first, then) in kinds() {
        for _ in 0..each {
            crawling.spawn(crawl(measured.at, first.clone(), then.clone()));
        }
    }
    let mut n = 0;
    while crawling.try_join_next().is_none() {
        // LIVE: while all of them are there, others are served as ever.
        n += 1;
        let body = notification(1_748_736_000, &[upgrade(n, "TIER_10K")]);
        let answer = timeout(PATIENCE, measured.caller.notify(&measured.running.base, body)).await.unwrap();
        assert_eq!(answer.unwrap().0.as_u16(), 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(n >= 5, "{n} were served meanwhile");
    let all = async { while crawling.join_next().await.is_some() {} };
    timeout(PATIENCE, all).await.expect("each of them is cut off");
    // A connection's buffers, as many as were allowed.
    measured.kept_its_memory(kinds().len() * each * (16 << 10));
    measured.let_go().await;
    measured.works("TIER_AFTER").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_more_slow_connections_than_places_take_no_more_descriptors_and_leave() {
    const PLACES: usize = 60;
    let mut measured = Measured::start(
        &[
            ("BELLWETHER_SERVER__MAX_CONNECTIONS", "60"),
            ("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "500"),
            ("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "500"),
        ],
        None,
    )
    .await;
    let before = measured.open_descriptors();
    let mut crawling = JoinSet::new();
    let at = measured.at;
    let left = Arc::new(Mutex::new(Vec::new()));
    for n in 0..300 {
        let (name, first, then) = kinds().swap_remove(n % 7);
        let left = Arc::clone(&left);
        crawling.spawn(async move {
            left.lock().unwrap().push((n, name));
            crawl(at, first, then).await;
            left.lock().unwrap().retain(|(other, _)| *other != n);
        });
    }
    let mut most = 0;
    let deadline = Instant::now() + PATIENCE;
    while !crawling.is_empty() {
        assert!(Instant::now() < deadline, "these are never cut off: {:?}", left.lock().unwrap());
        most = most.max(measured.open_descriptors());
        while crawling.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(most <= before + PLACES + 10, "{most} descriptors, {before} before");
    measured.works("TIER_AFTER").await;
    measured.let_go().await;
}

/// Connections of the catalogue's slow loris, and places for them: fewer, by about as
/// many as the system lets wait.
const LORISES: usize = 10_000;
const PLACES_FOR_LORISES: usize = 9_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_47_slow_connections_by_the_ten_thousand_are_cut_off_and_stop_nobody() {
    // The short round is the same on a hundredth of the scale.
    let scale = if long() { 1 } else { 100 };
    let (lorises, places) = (LORISES / scale, PLACES_FOR_LORISES / scale);
    if long() {
        // Ours, which the server inherits.
        let pid = std::process::id().to_string();
        nemesis::run(&["prlimit", "--pid", &pid, &format!("--nofile={}:", 2 * LORISES)]);
    }
    let mut measured = Measured::start(
        &[
            ("BELLWETHER_SERVER__MAX_CONNECTIONS", &places.to_string()),
            ("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "3000"),
            ("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "3000"),
        ],
        None,
    )
    .await;
    assert!(!measured.running.log().contains("the limit of open files"), "{}", measured.running.log());
    measured.begin();
    let before = measured.open_descriptors();
    let mut crawling = JoinSet::new();
    for n in 0..lorises {
        let (_, first, then) = kinds().swap_remove(n % kinds().len());
        crawling.spawn(crawl(measured.at, first, then));
    }
    // LIVE: others come to their turn among them, each on a connection of its own.
    let (mut most, mut served, mut longest) = (0, 0, Duration::ZERO);
    while !crawling.is_empty() {
        served += 1;
        let (asked, body) = (Instant::now(), notification(1_748_736_000, &[upgrade(served, "TIER_10K")]));
        let caller = Caller::new();
        let mut asking = std::pin::pin!(caller.notify(&measured.running.base, body));
        // Looked at while it waits, too: that is when all places are taken.
        let answer = loop {
            most = most.max(measured.open_descriptors());
            tokio::select! {
                answer = &mut asking => break answer,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            assert!(asked.elapsed() < 2 * PATIENCE, "nobody is let in");
        };
        assert_eq!(answer.expect("it answers").0.as_u16(), 200);
        longest = longest.max(asked.elapsed());
        while crawling.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!(
        "{lorises} on {places} places: {most} descriptors, {before} before; {served} served, after {longest:?} at most"
    );
    assert!(most >= before + places / 2, "{most} descriptors, {before} before: they were there");
    assert!(most <= before + places + 10, "{most} descriptors, {before} before");
    // A connection's buffers, as many as were allowed.
    measured.kept_its_memory(places * (16 << 10));
    measured.let_go().await;
    measured.works("TIER_AFTER").await;
}

/// After how many seconds, of a node's time, a connection is cut off that sends
/// `first` and then this each second; the limits are those of an empty
/// configuration.
fn cut_off_after(first: &[u8], then: &[u8]) -> u64 {
    let mut seconds = 0;
    let counted = &mut seconds;
    staged(|stage| async move {
        let server = Config::read("", []).unwrap().server;
        let limits = Limits {
            max_connections: server.max_connections,
            header_timeout: server.header_timeout,
            drain_timeout: server.drain_timeout,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, stage.world.router(), limits, Metrics::new(), stopped));
        let (mut reader, mut writer) = TcpStream::connect(at).await.unwrap().into_split();
        writer.write_all(first).await.unwrap();
        let mut until_closed =
            tokio::spawn(async move { while matches!(reader.read(&mut [0; 1_024]).await, Ok(1..)) {} });
        catch_up().await;
        while !until_closed.is_finished() {
            assert!(*counted < 60, "it is never cut off");
            let _ = writer.write_all(then).await;
            pass(Duration::from_secs(1)).await;
            *counted += 1;
        }
        (&mut until_closed).await.unwrap();
    });
    seconds
}

#[test]
fn fault_47_a_head_has_10_seconds_and_a_body_20() {
    assert_eq!(cut_off_after(b"GET / HTTP/1.1\r\nx: ", b"x"), 10);
    let body =
        b"POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n";
    assert_eq!(cut_off_after(body, b"x"), 20);
    let chunks = b"POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3e7\r\n";
    assert_eq!(cut_off_after(chunks, b"x"), 20);
    assert_eq!(cut_off_after(b"\r\n", b"\r\n"), 10, "nothing begun");
}

#[test]
fn fault_47_http_2_without_a_request_is_cut_off_whatever_else_it_sends() {
    let hello = h2::hello(&[]);
    for then in [vec![], h2::frame(h2::PING, 0, 0, &[0; 8]), h2::frame(h2::SETTINGS, 0, 0, &[])] {
        let seconds = cut_off_after(&hello, &then);
        assert!((10..=20).contains(&seconds), "{seconds}");
    }
}
