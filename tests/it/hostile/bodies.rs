//! Validly signed bodies that no one should send (faults 45, 46): answered 200,
//! kept, visible; and what is JSON goes out.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bellwether::env::Entropy;
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::measured::Measured;
use crate::process::running::{Caller, Running, long};
use crate::sim::world::{ACCOUNT, EPOCH_MS, OPERATOR, WABA, World, simulate, tempdir::TempDir};
use crate::support::frozen::until;

/// Files of the corpus: their names and bytes, in order.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/samples/json");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

/// A notification of one change of `field`, of this value as written.
fn with_value(field: &str, value: &[u8]) -> Vec<u8> {
    let time = EPOCH_MS / 1000;
    let before = format!(
        "{{\"object\":\"whatsapp_business_account\",\"entry\":[{{\"id\":\"{WABA}\",\"time\":{time},\
         \"changes\":[{{\"field\":\"{field}\",\"value\":"
    );
    [before.as_bytes(), value, b"}]}]}"].concat()
}

/// What became of all that was posted.
#[derive(Default)]
struct Tally {
    accepted: u64,
    unrouted: u64,
    unparsed: u64,
}

impl Tally {
    /// Posts, and counts; the receipt.
    async fn post(&mut self, world: &World, told: &str, body: &[u8]) -> Value {
        let (status, receipt) = world.post_signed(body).await;
        assert_eq!(status, StatusCode::OK, "{told}: {receipt}");
        let count = |name: &str| receipt[name].as_u64().unwrap();
        let kept = ["accepted", "duplicate", "resent", "unrouted", "unparsed", "ignored"].map(count);
        assert!(kept.iter().sum::<u64>() > 0, "{told}: {receipt}");
        self.accepted += count("accepted");
        self.unrouted += count("unrouted");
        self.unparsed += count("unparsed");
        receipt
    }

    /// Holds the count against what operators and owners are shown.
    async fn is_visible(&self, world: &World) {
        let unparsed = unparsed(world).await;
        assert_eq!(unparsed.len() as u64, self.unparsed);
        assert!(unparsed.iter().all(|item| !item["reason"].as_str().unwrap().is_empty()));
        let unrouted = listed(world, "/v1/unrouted").await.len() as u64;
        let events = listed(world, &format!("/v1/accounts/{ACCOUNT}/events")).await.len() as u64;
        assert_eq!((events, unrouted), (self.accepted, self.unrouted));
    }
}

/// A page of a listing, its items unread: they may hold what is JSON and yet no
/// Unicode.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// All items of a listing, each page of which is JSON that no browser takes for
/// anything else.
async fn listed(world: &World, path: &str) -> Vec<Box<RawValue>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = Request::get(format!("{path}?limit=100{cursor}"))
            .header("authorization", format!("Bearer {OPERATOR}"))
            .body(Body::empty());
        let response = world.router().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let page: Page = serde_json::from_slice(&bytes).unwrap();
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// What could not be read, as it is shown.
async fn unparsed(world: &World) -> Vec<Value> {
    let items = listed(world, "/v1/unparsed").await;
    items.iter().map(|item| serde_json::from_str(item.get()).unwrap()).collect()
}

#[test]
fn fault_45_the_parsing_corpus_as_body_is_kept_whole_and_visible() {
    simulate(|world| async move {
        let mut tally = Tally::default();
        let corpus = corpus();
        for (name, bytes) in &corpus {
            let receipt = tally.post(&world, name, bytes).await;
            let known = receipt["unparsed"].as_u64().unwrap() + receipt["duplicate"].as_u64().unwrap();
            assert_eq!(known, 1, "{name}: no file is a notification");
        }
        assert!(corpus.len() > 300 && tally.unparsed > 300, "{}", tally.unparsed);
        tally.is_visible(&world).await;
        let raws = unparsed(&world).await;
        for (name, bytes) in &corpus {
            let shown = String::from_utf8_lossy(bytes);
            assert!(raws.iter().any(|item| item["raw"] == *shown), "{name} is shown as it came");
        }
    });
}

#[test]
fn fault_45_the_parsing_corpus_as_value_goes_out_byte_by_byte_if_it_is_json_at_all() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let (mut tally, mut expected) = (Tally::default(), Vec::new());
        for (name, bytes) in corpus() {
            for field in ["security", "phone_number_quality_update", "message_template_status_update"] {
                let receipt = tally.post(&world, &name, &with_value(field, &bytes)).await;
                if name.starts_with("y_") && field == "security" {
                    // The same value in another writing is the same change.
                    let accepted = receipt["accepted"] == 1;
                    assert!(accepted || receipt["duplicate"] == 1, "{name} parses: {receipt}");
                    expected.extend(accepted.then(|| (name.clone(), bytes.trim_ascii().to_vec())));
                }
            }
        }
        world.quiesce().await;
        tally.is_visible(&world).await;
        assert!(expected.len() > 80, "{}", expected.len());
        let sent: Vec<Vec<u8>> = shop.arrivals().into_iter().map(|arrival| arrival.body).collect();
        for (name, bytes) in expected {
            let value = [b"\"field\":\"security\",\"value\":", &bytes[..], b"}}}"].concat();
            assert!(sent.iter().any(|body| body.ends_with(&value)), "{name} went out as it came");
        }
    });
}

/// Bodies that nest as deep as they are long.
fn nested() -> Vec<(&'static str, Vec<u8>)> {
    let deep = 100_000;
    let lists = [b"[".repeat(deep), b"]".repeat(deep)].concat();
    let objects = [b"{\"a\":".repeat(deep), b"1".to_vec(), b"}".repeat(deep)].concat();
    vec![
        ("lists", lists.clone()),
        ("objects", objects.clone()),
        ("lists that never end", b"[".repeat(4 << 20)),
        ("objects that never end", b"{\"a\":".repeat(800_000)),
        ("a value of lists", with_value("security", &lists)),
        ("a value of objects", with_value("security", &objects)),
        ("a quality of lists", with_value("phone_number_quality_update", &lists)),
        ("a value of lists that never end", with_value("security", &b"[".repeat(deep))),
        (
            "an entry of lists",
            [b"{\"object\":\"whatsapp_business_account\",\"entry\":", &lists[..], b"}"].concat(),
        ),
        ("an object of lists", [b"{\"object\":", &lists[..], b",\"entry\":[1]}"].concat()),
    ]
}

#[test]
fn fault_45_nesting_a_hundred_thousand_deep_is_kept_and_visible() {
    simulate(|world| async move {
        let mut tally = Tally::default();
        for (name, body) in nested() {
            let receipt = tally.post(&world, name, &body).await;
            assert_eq!(receipt["unparsed"], 1, "{name}: no receiver could read it: {receipt}");
        }
        tally.is_visible(&world).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_45_the_program_itself_survives_any_depth() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let mut running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    for (name, body) in nested() {
        let (status, receipt) = caller.notify(&running.base, body).await.unwrap_or_else(|| panic!("{name}"));
        assert_eq!((status, &receipt["unparsed"]), (StatusCode::OK, &json!(1)), "{name}");
    }
    assert!(running.child.try_wait().unwrap().is_none(), "{}", running.log());
    assert!(!running.log().contains("panicked"), "{}", running.log());
}

#[test]
fn fault_45_whatever_chance_makes_of_a_notification_is_answered_200_and_visible() {
    let rounds = if long() { 30_000 } else { 1_000 };
    simulate(|world| async move {
        let chance = Entropy::seeded(45);
        let draw = |bound: usize| usize::try_from(chance.below(bound as u64)).unwrap();
        let good = include_bytes!("../../samples/batch.json");
        let tokens: [&[u8]; 12] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"\"",
            b"\\u0000",
            b"\\ud800",
            b"null",
            b"1e999",
            b"\xff\xfe\x00",
        ];
        let mut tally = Tally::default();
        for round in 0..rounds {
            let mut body = good.to_vec();
            for _ in 0..=draw(4) {
                if body.is_empty() {
                    break;
                }
                let (at, length) = (draw(body.len()), draw(40));
                let end = (at + length).min(body.len());
                match draw(5) {
                    0 => body[at] ^= 1 << draw(8),
                    1 => drop(body.drain(at..end)),
                    2 => drop(body.splice(at..at, tokens[draw(tokens.len())].iter().copied())),
                    3 => drop(body.splice(at..end, chance.bytes::<7>())),
                    _ => body.truncate(at.max(1)),
                }
            }
            tally.post(&world, &format!("round {round}"), &body).await;
        }
        assert!(tally.accepted > 50 && tally.unparsed > 300, "{} and {}", tally.accepted, tally.unparsed);
        tally.is_visible(&world).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_46_listings_of_the_largest_bodies_are_shown_page_by_page_within_memory() {
    const EACH: usize = 12;
    // A page and a step of routing, each of which is copied a few times on its way.
    const COPIES: usize = 16 * (4 << 20);
    let mut measured = Measured::start(&[], None).await;
    let value = |n: usize| format!("\"{n:02}{}\"", "x".repeat(4_100_000)).into_bytes();
    let elsewhere = |n| String::from_utf8(with_value("security", &value(n))).unwrap().replace(WABA, "1");
    let before = measured.events().await;
    for n in 0..EACH {
        let bodies = [with_value("security", &value(n)), elsewhere(n).into_bytes(), value(n)];
        for (body, became) in bodies.into_iter().zip(["accepted", "unrouted", "unparsed"]) {
            let (status, receipt) = measured.caller.notify(&measured.running.base, body).await.unwrap();
            assert_eq!((status, &receipt[became]), (StatusCode::OK, &json!(1)));
        }
    }
    measured.begin();
    assert_eq!(measured.events().await, before + EACH);
    assert_eq!(measured.shown("/v1/unrouted").await.len(), EACH);
    assert_eq!(measured.shown("/v1/unparsed").await.len(), EACH);
    measured.kept_its_memory(COPIES);
    // Registering routes all that waited, in order and within memory.
    measured.put("/v1/business-accounts/1", Method::PUT, json!({"accountId": ACCOUNT})).await;
    until("routed", async || measured.shown("/v1/unrouted").await.is_empty()).await;
    assert_eq!(measured.events().await, before + 2 * EACH);
    measured.kept_its_memory(COPIES);
    measured.works("TIER_AFTER").await;
}

/// A quality change, with this in place of one of its parts.
fn odd(part: &str, text: &[u8]) -> Vec<u8> {
    let mut parts = [
        ("id", WABA.as_bytes().to_vec()),
        ("field", b"phone_number_quality_update".to_vec()),
        ("number", b"15550783881".to_vec()),
        ("event", b"UPGRADE".to_vec()),
        ("limit", b"TIER_10K".to_vec()),
    ];
    parts.iter_mut().find(|(name, _)| *name == part).unwrap().1 = text.to_vec();
    let part = |name: &str| &parts.iter().find(|(other, _)| *other == name).unwrap().1[..];
    let time = (EPOCH_MS / 1000).to_string();
    [
        b"{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"",
        part("id"),
        b"\",\"time\":",
        time.as_bytes(),
        b",\"changes\":[{\"field\":\"",
        part("field"),
        b"\",\"value\":{\"display_phone_number\":\"",
        part("number"),
        b"\",\"event\":\"",
        part("event"),
        b"\",\"current_limit\":\"",
        part("limit"),
        b"\"}}]}]}",
    ]
    .concat()
}

#[test]
fn fault_46_invalid_utf_8_nul_and_huge_texts_anywhere_are_kept_and_shown_safely() {
    let huge = "9".repeat(1 << 20);
    let texts: [&[u8]; 16] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"a\xe2\x82",
        b"\x00",
        b"a\\u0000b",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\x01\x1f",
        b"\\u001b[2J\\r\\n",
        b"<script>alert(1)</script>",
        b"' OR 1=1; DROP TABLE events; --",
        "\u{202e}\u{feff}\u{0}x".as_bytes(),
        b"",
        huge.as_bytes(),
    ];
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let mut tally = Tally::default();
        for part in ["id", "field", "number", "event", "limit"] {
            for text in texts {
                let told = format!("{part}: {}", String::from_utf8_lossy(&text[..text.len().min(30)]));
                tally.post(&world, &told, &odd(part, text)).await;
            }
        }
        world.quiesce().await;
        tally.is_visible(&world).await;
        assert!(tally.accepted > 10 && tally.unparsed > 30, "{} and {}", tally.accepted, tally.unparsed);
        for arrival in shop.arrivals() {
            assert!(arrival.json()["eventId"].is_string(), "every event that went out is JSON");
        }
        assert!(world.deliveries("status=exhausted").await.is_empty());
    });
}

#[test]
fn fault_46_numbers_longer_than_any_type_are_kept_to_the_digit() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let digits = "7".repeat(200_000);
        for value in [digits.clone(), format!("-{digits}"), format!("0.{digits}"), format!("1e{digits}")] {
            let body = with_value("security", value.as_bytes());
            assert_eq!(world.post_signed(&body).await.1["accepted"], 1);
            world.advance(Duration::from_secs(1)).await;
            let sent = String::from_utf8(shop.arrivals().last().unwrap().body.clone()).unwrap();
            assert!(sent.contains(&format!("\"value\":{value}}}")), "{}", &sent[..300]);
            let limit =
                format!("{{\"display_phone_number\":\"1\",\"event\":\"UPGRADE\",\"current_limit\":{value}}}");
            let (status, _) =
                world.post_signed(&with_value("phone_number_quality_update", limit.as_bytes())).await;
            assert_eq!(status, StatusCode::OK);
        }
        world.quiesce().await;
        assert!(world.deliveries("status=exhausted").await.is_empty());
    });
}
