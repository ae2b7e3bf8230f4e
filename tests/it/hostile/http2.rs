//! HTTP/2 by hand (fault 48): floods that cost the sender little. Each is hung up
//! on or answered, within memory, and others are served meanwhile.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::measured::Measured;
use crate::support::raw::{Said, h2, say};

const IMPATIENT: [(&str, &str); 2] =
    [("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "700"), ("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "700")];

/// Streams of clients have odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

const WHOLE: u8 = h2::END_HEADERS | h2::END_STREAM;

/// Headers whose one literal name and value, put into the table, are so long;
/// and then the table's newest entry again and again.
fn bomb() -> Vec<u8> {
    let long = b"y".repeat(3_000);
    // Length 3,000 in the prefix of seven bits: 127 and 2,873 more.
    let entry = [&[0x40, 0x01, b'x', 0x7f, 0xb9, 0x16][..], &long].concat();
    [h2::GET, &entry, &b"\xbe".repeat(12_000)].concat()
}

/// Each flood, as pieces.
fn floods() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let hello = h2::hello(&[]);
    let headers = |stream, flags| h2::frame(h2::HEADERS, flags, stream, h2::GET);
    let open = |stream| h2::frame(h2::HEADERS, h2::END_HEADERS, stream, h2::POST);
    let with = |rest: Vec<Vec<u8>>| [vec![hello.clone()], rest].concat();
    let cancel = 8_u32.to_be_bytes();
    let rapid_reset = streams(20_000)
        .map(|stream| [headers(stream, WHOLE), h2::frame(h2::RST_STREAM, 0, stream, &cancel)].concat());
    // Makes the server reset, which is as much work and not the client's deed.
    let made_to_reset = streams(20_000)
        .map(|stream| [open(stream), h2::frame(h2::WINDOW_UPDATE, 0, stream, &[0; 4])].concat());
    let continued =
        std::iter::repeat_n(h2::frame(h2::CONTINUATION, 0, 1, &b"\x00\x01x\x01y".repeat(3_000)), 4_000);
    let empty_continued = std::iter::repeat_n(h2::frame(h2::CONTINUATION, 0, 1, &[]).repeat(1_000), 200);
    let unfinished = || vec![headers(1, h2::END_STREAM)];
    vec![
        ("rapid reset", with(rapid_reset.collect())),
        ("made to reset", with(made_to_reset.collect())),
        ("continuations", with([unfinished(), continued.collect()].concat())),
        ("empty continuations", with([unfinished(), empty_continued.collect()].concat())),
        (
            "a bomb of headers",
            with(streams(200).map(|stream| h2::frame(h2::HEADERS, WHOLE, stream, &bomb())).collect()),
        ),
        ("pings", with(vec![h2::frame(h2::PING, 0, 0, &[7; 8]).repeat(1_000); 200])),
        ("settings", with(vec![h2::frame(h2::SETTINGS, 0, 0, &[]).repeat(1_000); 200])),
        (
            "empty data",
            with([vec![open(1)], vec![h2::frame(h2::DATA, 0, 1, &[]).repeat(1_000); 200]].concat()),
        ),
        ("requests without end", with(streams(20_000).map(open).collect())),
        (
            "answers that are not taken",
            [vec![h2::hello(&[(4, 0)])], streams(64).map(|stream| headers(stream, WHOLE)).collect()].concat(),
        ),
        (
            "a window beyond 31 bits",
            with(vec![h2::frame(h2::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])]),
        ),
        ("a frame too long", with(vec![h2::frame(h2::DATA, 0, 1, &[0; 20_000])])),
        ("data of nothing", with(vec![h2::frame(h2::DATA, 0, 0, b"x")])),
        ("data of a stream that is none", with(vec![h2::frame(h2::DATA, 0, 9, b"x")])),
        ("a stream of the server's", with(vec![headers(2, WHOLE)])),
        ("headers that are none", with(vec![h2::frame(h2::HEADERS, WHOLE, 1, b"\xff\xff\xff\xff\xff\xff")])),
        ("settings of half a pair", with(vec![h2::frame(h2::SETTINGS, 0, 0, &[0; 5])])),
        ("frames of an unknown kind", with(vec![h2::frame(0xbe, 0, 0, &[0; 16_000]); 500])),
        ("no preface", vec![h2::frame(h2::SETTINGS, 0, 0, &[]), headers(1, WHOLE)]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_floods_in_http_2_are_hung_up_on_within_memory_while_others_are_served() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    for (name, pieces) in floods() {
        measured.begin();
        let at = measured.at;
        let began = Instant::now();
        let flooding = tokio::spawn(async move {
            let Said { taken, bytes } = say(at, pieces.iter().map(Vec::as_slice)).await;
            (taken, bytes.len())
        });
        measured.works(&format!("TIER {name}")).await;
        let (taken, said) = timeout(Duration::from_secs(30), flooding).await.expect(name).unwrap();
        println!("{name}: {taken} bytes taken, {said} said, {:?}", began.elapsed());
        measured.kept_its_memory(0);
    }
    measured.let_go().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_48_a_rapid_reset_ends_after_a_few_streams() {
    let mut measured = Measured::start(&IMPATIENT, None).await;
    let (_, pieces) = floods().swap_remove(0);
    let said = say(measured.at, pieces.iter().map(Vec::as_slice)).await;
    // Go away, for the one reason: enough of it.
    let enough = 11_u32.to_be_bytes();
    let goodbye = said.bytes.windows(4).any(|four| four == enough);
    assert!(goodbye, "{} bytes were taken", said.taken);
    measured.works("TIER_AFTER").await;
}
