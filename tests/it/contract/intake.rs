//! Meta's side: limits, resends, what can't be read, several accounts
//! (contract.md 3 and 5). Handshakes, signatures, repeats and raw bytes are in
//! `hostile`.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::env::{Fault, Faults, Point};
use bellwether::policy::signature::MetaKey;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::sim::simulate;
use crate::sim::world::{
    ACCOUNT, APP_SECRET, EPOCH_MS, Terms, WABA, World, answer, notification, simulate_unregistered, upgrade,
};

async fn post(world: &World, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, Value) {
    let mut request = Request::post("/ingest/meta/main");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(world.router(), request.body(Body::from(body)).unwrap()).await
}

#[test]
fn a_compressed_body_is_answered_415_and_one_over_4_mib_413() {
    simulate(|world| async move {
        let (status, _) = post(&world, &[("content-encoding", "gzip")], vec![1, 2, 3]).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let (status, _) = post(&world, &[], vec![b' '; (4 << 20) + 1]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        let (status, _) = post(&world, &[("content-length", "99999999")], Vec::new()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "refused by what it announces");
    });
}

#[test]
fn fault_40_a_thousand_changes_in_3_mb_are_taken_whole() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let padded = |n| {
            let mut value = upgrade(n, "TIER_10K");
            value["note"] = json!("x".repeat(2_900));
            value
        };
        let values: Vec<Value> = (0..1_000).map(padded).collect();
        let body = notification(EPOCH_MS / 1000, &values);
        assert!(body.len() > 3_000_000 && body.len() < 4 << 20, "{}", body.len());
        let (status, receipt) = world.post_signed(&body).await;
        assert_eq!((status, &receipt["accepted"]), (StatusCode::OK, &json!(1_000)));
        world.quiesce().await;
        assert_eq!(shop.limits_seen().len(), 1_000);
    });
}

#[test]
fn the_latest_value_stamped_anew_is_counted_and_visible_and_no_event() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let at = |time: i64, limit| notification(EPOCH_MS / 1000 + time, &[upgrade(1, limit)]);
        world.post_signed(&at(0, "TIER_10K")).await;
        let (_, resent) = world.post_signed(&at(60, "TIER_10K")).await;
        assert_eq!(resent["resent"], 1);
        let account = crate::sim::world::ACCOUNT;
        let events = world.get(&format!("/v1/accounts/{account}/events")).await;
        assert_eq!(events["items"][0]["resends"], 1, "{events}");
        world.post_signed(&at(120, "TIER_1K")).await;
        let (_, again) = world.post_signed(&at(180, "TIER_10K")).await;
        assert_eq!(again["accepted"], 1, "after a different value it is news again");
        let (_, old) = world.post_signed(&at(180 + 8 * 86_400 + 1, "TIER_10K")).await;
        assert_eq!(old["accepted"], 1, "after 8 days it is news again");
        world.quiesce().await;
        assert_eq!(shop.limits_seen(), ["TIER_10K", "TIER_1K", "TIER_10K", "TIER_10K"]);
    });
}

#[test]
fn a_signed_body_that_is_no_notification_is_kept_raw_and_answered_200() {
    simulate(|world| async move {
        let bodies: [&[u8]; 6] =
            [b"", b"not json", b"{", b"[]", b"{\"object\":\"page\",\"entry\":[]}", b"\xff\xfe"];
        for body in bodies {
            let (status, receipt) = world.post_signed(body).await;
            assert_eq!((status, &receipt["unparsed"]), (StatusCode::OK, &json!(1)), "{body:?}");
        }
        let shown = world.get("/v1/unparsed").await;
        assert_eq!(shown["items"].as_array().unwrap().len(), bodies.len());
    });
}

#[test]
fn an_unknown_app_is_answered_404_before_its_body_is_read() {
    simulate(|world| async move {
        let request = Request::post("/ingest/meta/other").body(Body::new(Silent)).unwrap();
        assert_eq!(answer(world.router(), request).await.0, StatusCode::NOT_FOUND);
    });
}

/// A body that never sends anything.
struct Silent;

impl hyper::body::Body for Silent {
    type Data = hyper::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[test]
fn fault_41_changes_of_two_accounts_in_one_post_go_to_their_own() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let other = "77777777-0000-4000-8000-000000000007";
        world.call("PUT", &format!("/v1/accounts/{other}"), json!({"name": "Other"})).await;
        let webhooks = json!([{"subAccountId": "*", "url": "https://other.example.com/", "type": "CABM"}]);
        world.call("POST", &format!("/api/v1/accounts/{other}/webhooks"), webhooks).await;
        world.call("PUT", "/v1/business-accounts/777", json!({"accountId": other})).await;
        let change = |n| json!([{"field": "phone_number_quality_update", "value": upgrade(n, "TIER_10K")}]);
        let entry = |id: &str, n| json!({"id": id, "time": EPOCH_MS / 1000, "changes": change(n)});
        let entries = [entry(WABA, 1), entry("777", 2), entry("888", 3), entry(WABA, 4)];
        let body = json!({"object": "whatsapp_business_account", "entry": entries});
        let (_, receipt) = world.post_signed(body.to_string().as_bytes()).await;
        assert_eq!((&receipt["accepted"], &receipt["unrouted"]), (&json!(3), &json!(1)));
        world.advance(std::time::Duration::from_secs(1)).await;
        let theirs = world.terms.receivers.at("https://other.example.com/").arrivals();
        assert_eq!((shop.arrivals().len(), theirs.len()), (2, 1));
        assert_eq!(theirs[0].json()["accountId"], other);
        assert!(shop.arrivals().iter().all(|arrival| arrival.json()["accountId"] == ACCOUNT));
    });
}

#[test]
fn a_store_that_cannot_write_is_answered_503_with_a_time_to_come_back() {
    let faults = Faults::planned(|at| (at == Point::BeforeCommit).then_some(Fault::Error));
    let body = notification(EPOCH_MS / 1000, &[upgrade(1, "TIER_10K")]);
    let runtime = Terms { faults, ..Terms::default() };
    simulate_unregistered(runtime, |world| async move {
        let request = Request::post("/ingest/meta/main")
            .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
            .body(Body::from(body.clone()))
            .unwrap();
        let response = world.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "5");
    });
}
