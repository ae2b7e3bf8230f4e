//! Bodies of every size on raw connections (faults 40, 49): what is too long is
//! refused before it is held, and what is compressed is not inflated.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use bellwether::intake::BODIES_IN_MEMORY_BYTES;
use bellwether::policy::signature::MetaKey;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::measured::Measured;
use crate::process::running::long;
use crate::sim::world::{APP_SECRET, notification, upgrade};
use crate::support::raw::say;

const MIB: usize = 1 << 20;

/// The head of a post that is signed for `body`, with these header lines.
fn head(body: &[u8], lines: &str) -> Vec<u8> {
    let signature = MetaKey::new(APP_SECRET).sign(body);
    format!("POST /ingest/meta/main HTTP/1.1\r\nhost: a\r\nx-hub-signature-256: {signature}\r\n{lines}\r\n")
        .into_bytes()
}

fn whole(body: &[u8]) -> Vec<u8> {
    let lines = format!("connection: close\r\ncontent-length: {}\r\n", body.len());
    [&head(body, &lines)[..], body].concat()
}

/// A notification of a thousand changes in 3 MB, the most that Meta sends.
fn largest() -> String {
    let change = |at| {
        let mut value = upgrade(at, "TIER_10K");
        value["note"] = json!("x".repeat(2_900));
        value
    };
    let body = notification(1_748_736_000, &(0..1_000).map(change).collect::<Vec<_>>());
    assert!((3_000_000..3_200_000).contains(&body.len()), "{}", body.len());
    String::from_utf8(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_the_largest_notifications_all_at_once_are_taken_or_refused_within_memory() {
    let posts = if long() { 300 } else { 60 };
    let mut measured = Measured::start(&[], None).await;
    let before = measured.events().await;
    measured.begin();
    let mut posting = JoinSet::new();
    let largest = largest();
    for n in 0..posts {
        // About numbers of their own.
        let body = largest.replace("\"1555000", &format!("\"1555{:03}", n + 1));
        let at = measured.at;
        posting.spawn(async move { say(at, [&whole(body.as_bytes())[..]]).await.answers().remove(0) });
    }
    let answers = posting.join_all().await;
    measured.kept_its_memory(BODIES_IN_MEMORY_BYTES);
    let mut accepted = 0;
    for answer in &answers {
        match answer.status {
            200 => {
                let receipt: Value = serde_json::from_slice(&answer.body).unwrap();
                accepted += usize::try_from(receipt["accepted"].as_u64().unwrap()).unwrap();
            }
            503 => assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head),
            status => panic!("{status}"),
        }
    }
    assert!(accepted >= 1_000, "at least one went through");
    assert_eq!(accepted % 1_000, 0, "whole or not at all");
    measured.works("TIER_AFTER").await;
    assert_eq!(measured.events().await, before + accepted + 1, "LOST or PHANTOM");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_a_byte_over_4_mib_is_413_before_it_is_held_however_it_comes() {
    let mut measured = Measured::start(&[("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "10000")], None).await;
    let limit = 4 * MIB;
    let exact = [br#"{"pad":""#.to_vec(), vec![b'x'; limit - 10], br#""}"#.to_vec()].concat();
    assert_eq!(exact.len(), limit);
    assert_eq!(say(measured.at, [&whole(&exact)[..]]).await.statuses(), [200], "the limit itself is taken");
    measured.begin();
    // Announced: nothing of it needs to come.
    for length in ["4194305", "10000000000", "9223372036854775807"] {
        let announced = head(b"", &format!("content-length: {length}\r\n"));
        assert_eq!(say(measured.at, [&announced[..]]).await.statuses(), [413], "{length}");
        let asking = head(b"", &format!("expect: 100-continue\r\ncontent-length: {length}\r\n"));
        assert_eq!(say(measured.at, [&asking[..]]).await.statuses(), [413], "never told to go on");
    }
    // In chunks, which say nothing of the end: cut off at the limit.
    let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 65_536], b"\r\n"].concat();
    let chunked = head(b"", "transfer-encoding: chunked\r\n");
    let pieces = std::iter::once(&chunked[..]).chain(std::iter::repeat_n(&chunk[..], 4_096));
    let said = say(measured.at, pieces).await;
    assert_eq!(said.statuses(), [413]);
    assert!(said.taken < 64 * MIB, "hung up on after {} bytes", said.taken);
    measured.kept_its_memory(0);
    measured.works("TIER_AFTER").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_40_lengths_that_are_only_announced_take_no_memory() {
    let mut measured = Measured::start(&[("BELLWETHER_SERVER__BODY_TIMEOUT_MS", "3000")], None).await;
    measured.begin();
    let announced = head(b"", "content-length: 4194304\r\n");
    let mut waiting = Vec::new();
    // Together 1.6 GiB, of which nothing comes.
    for _ in 0..400 {
        let mut stream = TcpStream::connect(measured.at).await.unwrap();
        stream.write_all(&announced).await.unwrap();
        waiting.push(stream);
    }
    measured.works("TIER_MEANWHILE").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    measured.kept_its_memory(0);
    drop(waiting);
    measured.let_go().await;
}

/// What `gzip` makes of so many MiB of zeros.
fn gzip(mib: usize) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let writing = std::thread::spawn(move || (0..mib).for_each(|_| input.write_all(&vec![0; MIB]).unwrap()));
    let output = gzip.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_49_a_compressed_body_is_415_in_any_writing_and_never_inflated() {
    let mut measured = Measured::start(&[], None).await;
    // Members of gzip may follow each other: 3 MB that stand for 3 GB.
    let bomb = gzip(64).repeat(48);
    assert!((2 * MIB..4 * MIB).contains(&bomb.len()), "{}", bomb.len());
    measured.begin();
    for encoding in [
        "gzip",
        "GZIP",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "identity, gzip",
        "gzip, identity",
        "aws-chunked",
        "\u{e4}",
        "identity\r\ncontent-encoding: gzip",
    ] {
        let lines = format!(
            "connection: close\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n",
            bomb.len()
        );
        let said = say(measured.at, [&head(&bomb, &lines)[..], &bomb]).await;
        assert_eq!(said.statuses(), [415], "{encoding}");
    }
    // Signed and not said to be compressed, it is bytes like any others.
    let said = say(measured.at, [&whole(&bomb)[..]]).await.answers().remove(0);
    let receipt: Value = serde_json::from_slice(&said.body).unwrap();
    assert_eq!((said.status, &receipt["unparsed"]), (200, &json!(1)));
    let plain = notification(1_748_736_000, &[upgrade(1, "TIER_1K")]);
    let lines =
        format!("connection: close\r\ncontent-encoding: identity\r\ncontent-length: {}\r\n", plain.len());
    assert_eq!(say(measured.at, [&head(&plain, &lines)[..], &plain]).await.statuses(), [200]);
    measured.kept_its_memory(0);
    measured.works("TIER_AFTER").await;
}
