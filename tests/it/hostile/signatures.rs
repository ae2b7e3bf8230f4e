//! Signatures of every kind of wrongness (fault 42), through the whole node:
//! 401, and no trace of it.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode};
use bellwether::env::Entropy;
use bellwether::policy::signature::MetaKey;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::process::running::long;
use crate::sim::simulate;
use crate::sim::world::{
    ACCOUNT, APP_SECRET, EPOCH_MS, PREVIOUS_SECRET, SECOND_SECRET, World, answer, notification, upgrade,
};

const SHA256: &str = "x-hub-signature-256";

/// Header lines that come with a body.
type Headers = Vec<(&'static str, Vec<u8>)>;

async fn post(world: &World, headers: &Headers, body: &[u8]) -> StatusCode {
    let mut request = Request::post("/ingest/meta/main");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
    }
    let (status, said) = answer(world.router(), request.body(Body::from(body.to_vec())).unwrap()).await;
    for secret in [APP_SECRET, PREVIOUS_SECRET, SECOND_SECRET] {
        assert!(!said.to_string().contains(secret));
    }
    status
}

/// Every wrong set of headers for `body`, by name.
fn wrong(body: &[u8]) -> Vec<(&'static str, Headers)> {
    let good = MetaKey::new(APP_SECRET).sign(body);
    let by = |secret: &str| MetaKey::new(secret).sign(body);
    let one = |text: &str| vec![(SHA256, text.as_bytes().to_vec())];
    let hex = &good["sha256=".len()..];
    // The digest that Meta's older header has, of the right length.
    let sha1 = format!("sha1={}", &hex[..40]);
    vec![
        ("missing", vec![]),
        ("only the old header", vec![("x-hub-signature", sha1.clone().into_bytes())]),
        ("the new value in the old header", vec![("x-hub-signature", good.clone().into_bytes())]),
        ("the old value in the new header", one(&sha1)),
        ("upper case", one(&good.to_uppercase())),
        ("upper-case digits", one(&format!("sha256={}", hex.to_uppercase()))),
        ("upper-case prefix", one(&format!("SHA256={hex}"))),
        ("no prefix", one(hex)),
        ("another prefix", one(&format!("sha512={hex}"))),
        ("a digit less", one(&good[..good.len() - 1])),
        ("a byte less", one(&good[..good.len() - 2])),
        ("a digit more", one(&format!("{good}0"))),
        ("doubled", one(&format!("{good}{hex}"))),
        ("two in one line", one(&format!("{good}, {good}"))),
        ("with a blank", one(&format!("sha256= {hex}"))),
        ("quoted", one(&format!("\"{good}\""))),
        ("no digits", one("sha256=")),
        ("empty", one("")),
        ("no hex", one(&format!("sha256={}", "g".repeat(64)))),
        ("bytes that are no text", vec![(SHA256, vec![0xff; 71])]),
        ("two of the right", [one(&good), one(&good)].concat()),
        ("the right one after a wrong one", [one(&by("wrong")), one(&good)].concat()),
        ("a wrong one after the right one", [one(&good), one(&by("wrong"))].concat()),
        ("a wrong secret", one(&by("wrong"))),
        ("an empty secret", one(&by(""))),
        ("another app's secret", one(&by(SECOND_SECRET))),
        ("the secret's beginning", one(&by(&APP_SECRET[..8]))),
        ("another body", one(&MetaKey::new(APP_SECRET).sign(&[body, b" "].concat()))),
    ]
}

async fn nothing_is_stored(world: &World) {
    for path in [&format!("accounts/{ACCOUNT}/events"), "unrouted", "unparsed"] {
        let listed = world.get(&format!("/v1/{path}")).await;
        assert_eq!(listed["items"], json!([]), "{path}");
    }
}

#[test]
fn fault_42_every_wrong_signature_is_answered_401_and_leaves_no_trace() {
    simulate(|world| async move {
        let bodies = [notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]), vec![], b"no json".to_vec()];
        for body in bodies {
            for (name, headers) in wrong(&body) {
                assert_eq!(post(&world, &headers, &body).await, StatusCode::UNAUTHORIZED, "{name}");
            }
        }
        nothing_is_stored(&world).await;
    });
}

#[test]
fn fault_42_the_right_secret_the_old_one_in_rotation_and_each_app_its_own_are_accepted() {
    simulate(|world| async move {
        for (n, secret) in (0..).zip([APP_SECRET, PREVIOUS_SECRET, &format!("{APP_SECRET}\n")]) {
            let body = notification(EPOCH_MS / 1000, &[upgrade(n, "TIER_10K")]);
            let good = MetaKey::new(secret).sign(&body).into_bytes();
            // What Meta sends besides does not matter, right or wrong.
            let headers = vec![("x-hub-signature", b"sha1=0".to_vec()), (SHA256, good)];
            assert_eq!(post(&world, &headers, &body).await, StatusCode::OK);
        }
        let body = notification(EPOCH_MS / 1000, &[upgrade(7, "TIER_10K")]);
        let to_second = |secret: &str| {
            Request::post("/ingest/meta/second")
                .header(SHA256, MetaKey::new(secret).sign(&body))
                .body(Body::from(body.clone()))
                .unwrap()
        };
        for (secret, expected) in [(APP_SECRET, StatusCode::UNAUTHORIZED), (SECOND_SECRET, StatusCode::OK)] {
            assert_eq!(answer(world.router(), to_second(secret)).await.0, expected);
        }
    });
}

#[test]
fn fault_42_any_single_bit_off_in_signature_or_body_is_refused() {
    simulate(|world| async move {
        let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]);
        let good = MetaKey::new(APP_SECRET).sign(&body).into_bytes();
        for bit in 0..good.len() * 8 {
            let mut off = good.clone();
            off[bit / 8] ^= 1 << (bit % 8);
            // What is no header value can't even be sent.
            if HeaderValue::from_bytes(&off).is_ok() {
                let status = post(&world, &vec![(SHA256, off)], &body).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "bit {bit}");
            }
        }
        for bit in 0..body.len() * 8 {
            let mut off = body.clone();
            off[bit / 8] ^= 1 << (bit % 8);
            let status = post(&world, &vec![(SHA256, good.clone())], &off).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "bit {bit}");
        }
        nothing_is_stored(&world).await;
    });
}

#[test]
fn fault_42_no_header_that_chance_makes_up_is_accepted() {
    simulate(|world| async move {
        let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]);
        let good = MetaKey::new(APP_SECRET).sign(&body);
        let hex = "sha256=[0-9a-f]{64}".prop_map(String::into_bytes);
        let bytes = prop::collection::vec(prop_oneof![32_u8..127, 128_u8..=255], 0..90);
        // The right one, cut and joined with something else.
        let near = (0..good.len(), "[ -~]{0,9}", any::<bool>()).prop_map(move |(at, text, before)| {
            let text =
                if before { format!("{text}{}", &good[at..]) } else { format!("{}{text}", &good[..at]) };
            text.into_bytes()
        });
        let header = prop_oneof![hex, bytes, near];
        let headers = prop::collection::vec(header, 1..4);
        let mut runner = TestRunner::deterministic();
        let right = MetaKey::new(APP_SECRET).sign(&body).into_bytes();
        let chance = Entropy::seeded(42);
        for _ in 0..if long() { 30_000 } else { 1_500 } {
            let values = headers.new_tree(&mut runner).unwrap().current();
            let name = |_| if chance.below(9) == 0 { "x-hub-signature" } else { SHA256 };
            let headers: Headers = (0..).map(name).zip(values).collect();
            if headers.iter().filter(|(name, _)| *name == SHA256).map(|(_, value)| value).eq([&right]) {
                continue;
            }
            let told = format!("{headers:?}");
            assert_eq!(post(&world, &headers, &body).await, StatusCode::UNAUTHORIZED, "{told}");
        }
        nothing_is_stored(&world).await;
    });
}
