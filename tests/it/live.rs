//! The live stream on real sockets: connections that break at any byte, clients
//! that do not read, an end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::env::Entropy;
use bellwether::node::Phase;
use bellwether::server::{Limits, serve};
use bellwether::store::sqlite::Mode;
use bellwether::telemetry::Metrics;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sim::world::{ACCOUNT, EPOCH_MS, OPERATOR, Terms, WABA, World, simulate_with, upgrade};
use crate::support::frozen::{Frozen, catch_up, pass, until};
use crate::support::sse::{Message, Reader};

/// A hang is a failure.
const BOUND: Duration = Duration::from_secs(20);

/// The server's usual limits.
const LIMITS: Limits = Limits {
    max_connections: 100,
    header_timeout: Duration::from_secs(10),
    drain_timeout: Duration::from_secs(15),
};

/// A world's node behind a socket.
struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

async fn served(world: &World) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = watch::channel(false);
    let ended = tokio::spawn(serve(listener, world.router(), LIMITS, Metrics::new(), shutdown));
    Served { address, stop, ended }
}

/// Plays a story in time that stands still but for what the story moves.
fn frozen<F: Future<Output = ()>>(story: impl FnOnce(World) -> F) {
    simulate_with(Terms::default(), |world| async move {
        let _frozen = Frozen::now();
        story(world).await;
    });
}

/// A client of the stream in HTTP/1, byte by byte.
struct Client {
    stream: TcpStream,
    raw: Vec<u8>,
    /// Bytes of the body that were read as messages.
    read: usize,
    reader: Reader,
}

impl Client {
    async fn connect(at: SocketAddr, last: Option<String>) -> Self {
        Self::on(TcpStream::connect(at).await.unwrap(), last).await
    }

    async fn on(mut stream: TcpStream, last: Option<String>) -> Self {
        let resume = last.as_ref().map_or(String::new(), |last| format!("last-event-id: {last}\r\n"));
        let head = format!(
            "GET /v1/accounts/{ACCOUNT}/stream HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {OPERATOR}\r\n{resume}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, raw: Vec::new(), read: 0, reader: Reader::behind(last) }
    }

    /// The messages in what comes next; `None` at the end.
    async fn next(&mut self, most: usize) -> Option<Vec<Message>> {
        let mut bytes = vec![0; most];
        // A reset ends a connection as well as a goodbye.
        let count = self.stream.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        self.raw.extend_from_slice(&bytes[..count]);
        let (body, ended) = unchunked(&self.raw);
        let messages = self.reader.feed(&body[self.read..]);
        self.read = body.len();
        if ended && messages.is_empty() { None } else { Some(messages) }
    }
}

/// What of a chunked body has come, and whether that is all.
fn unchunked(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let line = |bytes: &[u8]| bytes.windows(2).position(|two| two == b"\r\n");
    let Some(head) = raw.windows(4).position(|four| four == b"\r\n\r\n") else { return (body, false) };
    assert!(raw.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(raw));
    let mut left = &raw[head + 4..];
    while let Some(end) = line(left) {
        let size = usize::from_str_radix(std::str::from_utf8(&left[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        left = &left[end + 2..];
        body.extend_from_slice(&left[..size.min(left.len())]);
        left = left.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}

/// The number of the event that a message tells of.
fn numbers(messages: &[Message]) -> Vec<i64> {
    let events = messages.iter().filter(|message| message.event == "event");
    events.map(|message| message.data["sequence"].as_i64().unwrap()).collect()
}

#[test]
fn a_client_whose_connection_breaks_at_any_byte_sees_every_event_once_and_in_order() {
    const EVENTS: i64 = 120;
    let chance = Entropy::seeded(7);
    simulate_with(Terms { mode: Mode::Threads, ..Terms::default() }, |mut world| async move {
        let _shop = world.receiver("shop").await;
        let served = served(&world).await;
        let (mut seen, mut connections) = (Vec::new(), 0);
        // From the beginning: before the first event nothing has happened.
        let mut client = Client::connect(served.address, None).await;
        while client.reader.last.is_none() {
            client.next(512).await.unwrap();
        }
        let mut sent = 0;
        let all = async {
            while numbers(&seen).len() < usize::try_from(EVENTS).unwrap() || seen.len() < 2 * 120 {
                if sent < EVENTS {
                    world.notify(upgrade(1, &format!("TIER_{sent}"))).await;
                    sent += 1;
                }
                for _ in 0..chance.below(4) {
                    let most = usize::try_from(1 + chance.below(700)).unwrap();
                    if let Ok(Some(messages)) = timeout(Duration::from_millis(20), client.next(most)).await {
                        seen.extend(messages);
                    }
                }
                // A connection that is gone is noticed when something is written.
                if sent < EVENTS && chance.below(3) == 0 {
                    client.stream.set_zero_linger().unwrap();
                    client = Client::connect(served.address, client.reader.last.take()).await;
                    connections += 1;
                }
            }
        };
        timeout(BOUND, all).await.expect("all of it comes in time");
        assert!(numbers(&seen).into_iter().eq(1..=EVENTS), "{:?}", numbers(&seen));
        let delivered = seen.iter().filter(|message| message.event == "delivery").count();
        assert_eq!(
            (seen.len(), delivered),
            (240, 120),
            "each delivery once, after {connections} connections"
        );
        assert!(connections > 20, "{connections}");
    });
}

/// An event so large that a few of them fill what the system buffers.
async fn notify_of_much(world: &World, nth: i64) {
    let value = json!({"nth": nth, "text": "x".repeat(600_000)});
    let changes = json!([{"field": "account_alerts", "value": value}]);
    let entry = json!([{"id": WABA, "time": EPOCH_MS / 1000 + nth, "changes": changes}]);
    let body = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
    assert_eq!(world.post_signed(body.as_bytes()).await.0, StatusCode::OK);
}

/// What a client sees, read by a task of its own until the stream ends.
struct Watched {
    seen: Arc<Mutex<Vec<Message>>>,
    reading: JoinHandle<Client>,
}

impl Watched {
    fn new(mut client: Client) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        let reading = tokio::spawn(async move {
            while let Some(messages) = client.next(1 << 20).await {
                shared.lock().unwrap().extend(messages);
            }
            client
        });
        Self { seen, reading }
    }

    fn numbers(&self) -> Vec<i64> {
        numbers(&self.seen.lock().unwrap())
    }
}

/// Moves time until `done` says so.
async fn moves_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..300 {
        if done() {
            return;
        }
        pass(Duration::from_millis(60)).await;
    }
    panic!("this takes too long: {what}");
}

#[test]
fn a_client_that_does_not_read_is_cut_while_others_go_on_and_it_resumes_without_a_gap() {
    const EVENTS: i64 = 24;
    frozen(|world| async move {
        let served = served(&world).await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut slow = Client::on(socket.connect(served.address).await.unwrap(), None).await;
        while slow.reader.last.is_none() {
            slow.next(4096).await.unwrap();
        }
        let fast = Watched::new(Client::connect(served.address, None).await);
        catch_up().await;
        for nth in 1..=EVENTS {
            notify_of_much(&world, nth).await;
            pass(Duration::from_millis(60)).await;
        }
        moves_until("all has come to who reads", || fast.numbers().len() == 24).await;
        for _ in 0..40 {
            pass(Duration::from_secs(1)).await;
        }
        // Cut by now: this one is not for it.
        notify_of_much(&world, EVENTS + 1).await;
        let slow = Watched::new(slow);
        moves_until("the connection was closed", || slow.reading.is_finished()).await;
        let mut told = slow.numbers();
        assert!(told.len() < 24, "it was cut: {told:?}");
        let client = slow.reading.await.unwrap();
        let again = Watched::new(Client::connect(served.address, client.reader.last).await);
        moves_until("the rest has come", || told.len() + again.numbers().len() == 25).await;
        told.extend(again.numbers());
        assert!(told.iter().copied().eq(1..=EVENTS + 1), "{told:?}");
        moves_until("the other one missed nothing", || fast.numbers().into_iter().eq(1..=EVENTS + 1)).await;
    });
}

#[test]
fn a_quiet_stream_is_no_idle_connection_in_either_version_of_http() {
    frozen(|mut world| async move {
        let served = served(&world).await;
        let mut first = Client::connect(served.address, None).await;
        let io = TokioIo::new(TcpStream::connect(served.address).await.unwrap());
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        let driven = tokio::spawn(connection);
        let request = Request::get(format!("http://a/v1/accounts/{ACCOUNT}/stream"))
            .header("authorization", format!("Bearer {OPERATOR}"))
            .body(Body::empty())
            .unwrap();
        let mut second = sender.send_request(request).await.unwrap().into_body();
        for _ in 0..12 {
            pass(Duration::from_secs(3)).await;
        }
        world.notify(upgrade(1, "TIER_10K")).await;
        let mut seen = Vec::new();
        while numbers(&seen).is_empty() {
            seen.extend(first.next(4096).await.expect("it is still open"));
            pass(Duration::from_millis(60)).await;
        }
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        while numbers(&seen).is_empty() {
            let frame = second.frame().await.expect("it is still open").unwrap();
            seen.extend(reader.feed(&frame.into_data().unwrap()));
        }
        driven.abort();
    });
}

#[test]
fn a_server_that_stops_does_not_wait_for_its_streams() {
    frozen(|world| async move {
        let served = served(&world).await;
        let mut client = Client::connect(served.address, None).await;
        while client.reader.last.is_none() {
            client.next(4096).await.unwrap();
        }
        world.phase().send_replace(Phase::Draining);
        served.stop.send_replace(true);
        // Time stands still: whatever waits for it never ends.
        until("the server has ended", async || served.ended.is_finished()).await;
        assert_eq!(client.next(4096).await, None, "and so has the stream");
    });
}
