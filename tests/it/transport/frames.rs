//! Receivers that speak HTTP/2 by hand, over TLS as HTTP/2 always is here (faults
//! 53, 55, 56): whatever frames come, an attempt ends in time, within memory, and
//! was sent once.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::version;

use super::*;
use crate::support::certs::Authority;
use crate::support::hostile::Hostile;
use crate::support::raw::h2::{self, frame};

const GOAWAY: u8 = 7;
const PUSH_PROMISE: u8 = 5;

/// Time for an answer that never comes, and for a TLS handshake before.
const DEADLINE: Duration = Duration::from_millis(1_500);

/// A server that has been sent the whole request and then says `settings`, and
/// `then` so often. Says whether the request came, by its connections.
async fn speaking(settings: Vec<u8>, then: Vec<u8>, times: usize) -> (Hostile, HttpTransport) {
    let authority = Authority::new();
    let config = authority.issues("127.0.0.1", |_| {}).server(&[&version::TLS13], &["h2"]);
    let acceptor = TlsAcceptor::from(config);
    let server = Hostile::plays(move |stream, _| {
        let (acceptor, settings, then) = (acceptor.clone(), settings.clone(), then.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.write_all(&settings).await;
            // The preface, its settings, and the head of the request.
            let mut seen: Vec<u8> = Vec::new();
            let mut bytes = [0; 4_096];
            while !seen.windows(3).any(|three| three == [h2::HEADERS, h2::END_HEADERS, 0]) {
                match stream.read(&mut bytes).await {
                    Ok(read @ 1..) => seen.extend(&bytes[..read]),
                    _ => return,
                }
            }
            for _ in 0..times {
                if stream.write_all(&then).await.is_err() {
                    return;
                }
            }
            let _ = stream.flush().await;
            while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
        }
    })
    .await;
    let file = authority.file();
    let transport = built(loopback(), "127.0.0.1:9".parse().unwrap(), Some(&file));
    std::fs::remove_file(file).unwrap();
    (server, transport)
}

/// The settings a server begins with: (identifier, value) pairs.
fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    h2::hello(pairs)[h2::PREFACE.len()..].to_vec()
}

/// `:status: 200` of the static table, on the first stream.
fn head(flags: u8) -> Vec<u8> {
    frame(h2::HEADERS, flags, 1, b"\x88")
}

/// What a server says after its settings, how often, and the outcomes that may
/// follow.
struct Script {
    name: &'static str,
    settings: Vec<u8>,
    then: Vec<u8>,
    times: usize,
    expected: &'static [OutcomeClass],
}

fn script(name: &'static str, then: Vec<u8>, expected: &'static [OutcomeClass]) -> Script {
    Script { name, settings: settings(&[]), then, times: 1, expected }
}

const WHOLE: u8 = h2::END_HEADERS | h2::END_STREAM;

const BROKEN: &[OutcomeClass] = &[OutcomeClass::Protocol, OutcomeClass::Reset];

/// A header that is put into the table, 3,000 bytes long.
fn entry() -> Vec<u8> {
    [&[0x40, 0x01, b'x', 0x7f, 0xb9, 0x16][..], &b"y".repeat(3_000)].concat()
}

/// Servers that break the rules, or off.
fn breaking() -> Vec<Script> {
    let code = |code: u32| code.to_be_bytes();
    let bomb = [b"\x88", &entry()[..], &b"\xbe".repeat(12_000)].concat();
    let continued = [head(0), frame(h2::CONTINUATION, 0, 1, &entry()).repeat(500)].concat();
    let http1 = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    vec![
        script("gone at once", frame(GOAWAY, 0, 0, &[0; 8]), BROKEN),
        script("refused", frame(h2::RST_STREAM, 0, 1, &code(7)), BROKEN),
        script("canceled", frame(h2::RST_STREAM, 0, 1, &code(8)), BROKEN),
        script("a head without end", continued, BROKEN),
        script("a bomb of headers", frame(h2::HEADERS, WHOLE, 1, &bomb), BROKEN),
        script("headers that are none", frame(h2::HEADERS, WHOLE, 1, &[0xff; 9]), BROKEN),
        script("data before a head", frame(h2::DATA, 0, 1, b"x"), BROKEN),
        script("data of a stream that is none", frame(h2::DATA, 0, 99, b"x"), BROKEN),
        script("a push", frame(PUSH_PROMISE, h2::END_HEADERS, 1, b"\0\0\0\x02\x82"), BROKEN),
        script("a frame too long", frame(h2::DATA, 0, 1, &[0; 20_000]), BROKEN),
        Script { settings: http1, ..script("another protocol", vec![], BROKEN) },
    ]
}

/// Servers that take time, or give without end.
fn endless() -> Vec<Script> {
    use OutcomeClass::{Protocol, Reset, Success, Timeout};
    const UNANSWERED: &[OutcomeClass] = &[Timeout, Protocol, Reset];
    let open = head(h2::END_HEADERS);
    let data = frame(h2::DATA, 0, 1, &[b'x'; 16_000]);
    let informed = frame(h2::HEADERS, h2::END_HEADERS, 1, b"\x08\x03103");
    let reset = frame(h2::RST_STREAM, 0, 1, &2_u32.to_be_bytes());
    let often = |name, then: Vec<u8>| Script { times: 2_000, ..script(name, then.repeat(1_000), UNANSWERED) };
    vec![
        script("well", head(WHOLE), &[Success]),
        script("silence", vec![], &[Timeout]),
        Script { settings: vec![], ..script("not even settings", vec![], &[Timeout]) },
        Script { settings: settings(&[(4, 0)]), ..script("a window of nothing", vec![], &[Timeout]) },
        Script { settings: settings(&[(3, 0)]), ..script("no streams at all", vec![], &[Timeout]) },
        often("pings", frame(h2::PING, 0, 0, &[0; 8])),
        often("settings", frame(h2::SETTINGS, 0, 0, &[])),
        often("announcements", informed),
        script("a body without end", [open.clone(), data.repeat(100)].concat(), &[Success]),
        script("a body that stops", [open.clone(), frame(h2::DATA, 0, 1, b"a")].concat(), &[Success]),
        script("reset within the body", [open, frame(h2::DATA, 0, 1, b"a"), reset].concat(), &[Success]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_56_whatever_frames_a_receiver_sends_an_attempt_ends_in_time_and_is_sent_once() {
    let mut playing = tokio::task::JoinSet::new();
    for Script { name, settings, then, times, expected } in breaking().into_iter().chain(endless()) {
        playing.spawn(async move {
            let (server, transport) = speaking(settings, then, times).await;
            let outcome = post(&transport, &format!("https://{}/", server.at), DEADLINE).await;
            assert!(expected.contains(&outcome.class), "{name}: {outcome:?}");
            assert_eq!(server.connections(), 1, "{name}");
        });
    }
    while let Some(played) = playing.join_next().await {
        played.unwrap();
    }
}
