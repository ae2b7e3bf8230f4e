//! The accept loop on real sockets with short limits: whoever is slow, large
//! or many costs little, and whoever was let in is served to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bellwether::server::body::{self, BodyError};
use bellwether::server::{Limits, serve};
use bellwether::telemetry::Metrics;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// No test lasts longer: a hang is a failure.
const BOUND: Duration = Duration::from_secs(10);
/// Long enough for what is sent at once, short enough to wait for.
const SHORT: Duration = Duration::from_millis(600);

const BODY_LIMIT: usize = 1000;

/// A server, with what its handlers share with the test.
struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
    /// Requests to `/wait` that were let in.
    entered: Arc<AtomicUsize>,
    /// How many requests to `/wait` may be answered.
    go: Arc<Semaphore>,
}

const PATIENT: Limits = Limits { max_connections: 100, header_timeout: BOUND, drain_timeout: BOUND };

async fn start(limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = watch::channel(false);
    let (entered, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let wait = {
        let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
        move || async move {
            entered.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
            "done"
        }
    };
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/wait", get(wait))
        .route("/take", post(take))
        .route("/much", get(async || "x".repeat(64 << 20)));
    let ended = tokio::spawn(serve(listener, router, limits, Metrics::new(), shutdown));
    Served { address, stop, ended, entered, go }
}

async fn take(request: Request<Body>) -> (StatusCode, String) {
    let (parts, body) = request.into_parts();
    match body::read(&parts.headers, body, BODY_LIMIT, SHORT).await {
        Ok(bytes) => (StatusCode::OK, format!("took {}", bytes.len())),
        Err(error) => {
            let status = match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                BodyError::Timeout => StatusCode::REQUEST_TIMEOUT,
                BodyError::NoRoom | BodyError::Broken => StatusCode::BAD_REQUEST,
            };
            (status, error.to_string())
        }
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which this was sent.
    async fn sent(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn entered(&self, count: usize) {
        let there = async {
            while self.entered.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(BOUND, there).await.unwrap();
    }
}

/// All that comes until the other side closes.
async fn to_the_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match timeout(BOUND, stream.read_to_end(&mut bytes)).await.expect("the server closes in time") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The next answer, up to `end`.
async fn answer(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            text.push(char::from(byte[0]));
        }
    };
    timeout(BOUND, reading).await.unwrap();
    text
}

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn fault_47_whoever_sends_no_whole_head_is_cut_off() {
    let served = start(Limits { header_timeout: SHORT, ..PATIENT }).await;
    // A client preface and empty settings, then no request.
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let slow: [&[u8]; 5] = [b"", b"P", b"PRI * HTTP/2.0\r\n", b"POST /take HTTP/1.1\r\nhost: a\r\n", http2];
    for bytes in slow {
        let started = Instant::now();
        let mut stream = served.sent(bytes).await;
        let text = to_the_end(&mut stream).await;
        assert!(!text.contains("200 OK"), "{text}");
        assert!(started.elapsed() >= SHORT, "not before its time");
    }
}

#[tokio::test]
async fn fault_47_a_head_that_comes_byte_by_byte_is_cut_off_at_the_deadline() {
    let served = start(Limits { header_timeout: SHORT, ..PATIENT }).await;
    let (mut reader, mut writer) = served.connect().await.into_split();
    let mut every = tokio::time::interval(SHORT / 10);
    let drip = async {
        writer.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        while writer.write_all(b"x").await.is_ok() {
            every.tick().await;
        }
    };
    let mut bytes = Vec::new();
    let (closed, ()) =
        timeout(BOUND, async { tokio::join!(reader.read_to_end(&mut bytes), drip) }).await.unwrap();
    drop(closed);
    assert!(!String::from_utf8_lossy(&bytes).contains("200 OK"));
}

#[tokio::test]
async fn a_request_in_http_2_is_answered() {
    let served = start(PATIENT).await;
    let io = TokioIo::new(served.connect().await);
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut sender, connection) = client.await.unwrap();
    let driven = tokio::spawn(connection);
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    let answer = timeout(BOUND, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    // An idle connection says goodbye when the server stops.
    served.stop.send(true).unwrap();
    timeout(BOUND, served.ended).await.unwrap().unwrap();
    driven.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let served = start(Limits { header_timeout: SHORT, ..PATIENT }).await;
    let mut waiting = served.sent(WAIT).await;
    served.entered(1).await;
    let mut idle = served.sent(HELLO).await;
    assert!(to_the_end(&mut idle).await.ends_with("hello"));
    // By now the other one has waited longer than an idle one may.
    served.go.add_permits(1);
    assert!(answer(&mut waiting, "done").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn whoever_does_not_take_the_answer_is_cut_off() {
    let served = start(Limits { header_timeout: SHORT, ..PATIENT }).await;
    let stalled = served.sent(b"GET /much HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // Stopping waits for the one connection, which reads nothing.
    timeout(BOUND, stalled.readable()).await.unwrap().unwrap();
    served.stop.send(true).unwrap();
    let started = Instant::now();
    timeout(BOUND, served.ended).await.unwrap().unwrap();
    assert!(started.elapsed() < BOUND / 2, "cut off before the drain's deadline");
}

#[tokio::test]
async fn fault_47_a_body_that_trickles_is_cut_off_at_its_deadline() {
    let served = start(PATIENT).await;
    let mut stream = served.sent(b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx").await;
    assert!(to_the_end(&mut stream).await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn fault_40_a_body_announced_too_long_is_refused_before_it_is_read() {
    let served = start(PATIENT).await;
    let head = b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-length: 4194305\r\n\r\n";
    let text = to_the_end(&mut served.sent(head).await).await;
    assert!(text.starts_with("HTTP/1.1 413 ") && text.ends_with("longer than 1000 bytes"), "{text}");
    let expect = b"POST /take HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4194305\r\n\r\n";
    let text = to_the_end(&mut served.sent(expect).await).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "never asked to go on: {text}");
}

#[tokio::test]
async fn a_body_in_pieces_is_refused_where_it_passes_the_limit() {
    let served = start(PATIENT).await;
    let head = b"POST /take HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = served.sent(head).await;
    let piece = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    stream.write_all(&piece).await.unwrap();
    stream.write_all(b"1\r\nx\r\n").await.unwrap();
    assert!(to_the_end(&mut stream).await.starts_with("HTTP/1.1 413 "));
    let whole = [head.as_slice(), &piece, b"0\r\n\r\n"].concat();
    assert!(answer(&mut served.sent(&whole).await, "took 1000").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn fault_49_a_compressed_body_is_refused_and_not_inflated() {
    let served = start(PATIENT).await;
    let post = |encoding: &str| {
        format!(
            "POST /take HTTP/1.1\r\nhost: a\r\ncontent-encoding: {encoding}\r\ncontent-length: 2\r\n\r\n{{}}"
        )
    };
    let mut gzip = served.sent(post("gzip").as_bytes()).await;
    assert!(answer(&mut gzip, "encoded").await.starts_with("HTTP/1.1 415 "));
    let mut plain = served.sent(post("identity").as_bytes()).await;
    assert!(answer(&mut plain, "took 2").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn fault_48_a_head_too_long_or_of_too_many_lines_is_refused() {
    let served = start(PATIENT).await;
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert!(to_the_end(&mut served.sent(many.as_bytes()).await).await.starts_with("HTTP/1.1 431 "));
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(64 << 10));
    assert!(to_the_end(&mut served.sent(long.as_bytes()).await).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn whoever_comes_over_the_cap_waits_until_a_place_is_free() {
    let served = start(Limits { max_connections: 1, ..PATIENT }).await;
    let mut first = served.sent(WAIT).await;
    served.entered(1).await;
    let mut second = served.sent(HELLO).await;
    let mut byte = [0];
    assert!(timeout(SHORT, second.read(&mut byte)).await.is_err(), "not served over the cap");
    served.go.add_permits(1);
    answer(&mut first, "done").await;
    drop(first);
    assert!(answer(&mut second, "hello").await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn stopping_lets_a_request_end_closes_the_idle_and_refuses_the_new() {
    let served = start(PATIENT).await;
    let mut idle = served.sent(HELLO).await;
    answer(&mut idle, "hello").await;
    let mut busy = served.sent(WAIT).await;
    served.entered(1).await;
    served.stop.send(true).unwrap();
    assert_eq!(to_the_end(&mut idle).await, "");
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
    assert!(!served.ended.is_finished());
    served.go.add_permits(1);
    assert!(to_the_end(&mut busy).await.ends_with("done"));
    timeout(BOUND, served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_the_drain_deadline() {
    let served = start(Limits { drain_timeout: SHORT, ..PATIENT }).await;
    let mut stuck = served.sent(WAIT).await;
    served.entered(1).await;
    served.stop.send(true).unwrap();
    timeout(BOUND, served.ended).await.unwrap().unwrap();
    assert_eq!(to_the_end(&mut stuck).await, "");
}
