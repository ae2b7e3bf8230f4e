//! Targets behind the router: bodies of the configuration API, and cursors of
//! the listings, on a real node with a real store.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bellwether::policy::address::Rules;
use serde_json::{Value, json};

use super::Inputs;
use crate::sim::simulate;
use crate::sim::world::{ACCOUNT, OPERATOR, World, answer, upgrade};

/// Sends bytes that need not be text.
async fn send(world: &World, method: &str, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {OPERATOR}"))
        .body(Body::from(body))
        .unwrap();
    answer(world.router(), request).await
}

/// What is refused changes nothing; what is taken can be listed, is judged the
/// same again, and may be posted back as it is shown.
#[test]
fn fuzz_configuration_api_an_array_is_taken_whole_or_refused_and_can_be_posted_back() {
    let words = [
        "{\"subAccountId\":\"*\",\"url\":\"https://a.example.com/\"}",
        "\"type\":\"CABM\"",
        "\"oauth\":{",
        "\"httpAuthorization\":\"***\"",
        "null",
        "\"clientSecret\":\"***\"",
        "\"credentialsLocation\":\"body\"",
        "\"enabled\":false",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"url\":",
        "\\u0000",
        "\\r\\n",
        "http://",
        "127.0.0.1",
        "\"scope\":\"a\"",
        "\u{e4}",
        "\"clientId\":",
        "1e400",
    ];
    simulate(|world| async move {
        let path = format!("/api/v1/accounts/{ACCOUNT}/webhooks");
        let mut inputs = Inputs::of("configuration-api", &[], &words, 1_500);
        while let Some(input) = inputs.next() {
            let before = world.get(&path).await;
            let (status, answer) = send(&world, "POST", &path, input.clone()).await;
            let after = world.get(&path).await;
            if status == StatusCode::OK {
                for webhook in after.as_array().unwrap() {
                    for url in
                        [&webhook["url"], &webhook["oauth"]["url"]].into_iter().filter_map(Value::as_str)
                    {
                        assert!(Rules::default().judge_url(url).is_ok(), "{url}");
                    }
                    assert!(webhook["httpAuthorization"].as_str().is_none_or(|shown| shown == "***"));
                }
                let (again, told) = send(&world, "POST", &path, after.to_string().into_bytes()).await;
                assert_eq!(again, StatusCode::OK, "{told}");
                assert_eq!(world.get(&path).await, after, "posting back changes nothing");
            } else {
                assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
                assert_eq!(before, after, "a refused array leaves no trace: {answer}");
                let code = answer["code"].as_u64().unwrap();
                assert!([1000, 1001, 1014, 3020].contains(&code), "{answer}");
                assert!(!answer["message"].as_str().unwrap().is_empty());
            }
            let (deleted, told) = send(&world, "DELETE", &path, input).await;
            assert!([200, 400, 404].contains(&deleted.as_u16()), "{deleted} {told}");
            inputs.showed(format!("{status} {} {deleted}", shape(&answer)));
            clear(&world, &path).await;
        }
    });
}

async fn clear(world: &World, path: &str) {
    let left: Vec<Value> = world.get(path).await.as_array().unwrap().clone();
    if left.len() > 20 {
        let named = left.iter().map(|one| json!({"subAccountId": one["subAccountId"], "type": one["type"]}));
        let body = Value::from(named.collect::<Vec<_>>()).to_string();
        let (status, answer) = send(world, "DELETE", path, body.into_bytes()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

/// Every listing with pages.
fn listings() -> Vec<String> {
    let of_account =
        ["events", "deliveries", "webhooks"].map(|name| format!("/v1/accounts/{ACCOUNT}/{name}"));
    let others = ["accounts", "business-accounts", "api-keys", "unrouted", "unparsed"]
        .map(|name| format!("/v1/{name}"));
    of_account.into_iter().chain(others).collect()
}

/// A cursor leads to a page or is refused as none; pages end.
#[test]
fn fuzz_cursor_any_text_leads_to_a_page_or_is_refused() {
    let words = [
        "1.events.",
        "1.deliveries.",
        "1.webhooks.",
        "1.accounts.",
        "1.unparsed.",
        "_",
        "-",
        "e",
        "2.",
        "%",
        "\u{ff11}",
    ];
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await;
        for n in 0..5 {
            world.notify(upgrade(n, "TIER_10K")).await;
        }
        world.post_signed(b"no JSON").await;
        world.quiesce().await;
        drop(shop);
        let mut inputs = Inputs::of("cursor", &[], &words, 1_500);
        while let Some(input) = inputs.next() {
            let told = follow(&world, &input).await;
            inputs.showed(told);
        }
    });
}

/// The first byte chooses the listing, and whether the rest is the cursor or
/// what it encodes.
async fn follow(world: &World, input: &[u8]) -> String {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    let listings = listings();
    let listing = &listings[usize::from(*first) % listings.len()];
    let cursor = if *first >= b'a' { rest.to_vec() } else { URL_SAFE_NO_PAD.encode(rest).into_bytes() };
    let escaped: String = url::form_urlencoded::byte_serialize(&cursor).collect();
    let (status, mut page) =
        send(world, "GET", &format!("{listing}?limit=2&cursor={escaped}"), Vec::new()).await;
    if status != StatusCode::OK {
        assert_eq!(status, StatusCode::BAD_REQUEST, "{page}");
        return format!("{listing} {}", shape(&page));
    }
    for _ in 0..10 {
        assert!(page["items"].as_array().unwrap().len() <= 2);
        let Some(next) = page["nextCursor"].as_str() else { return format!("{listing} pages") };
        let path = format!("{listing}?limit=2&cursor={next}");
        let (status, next_page) = send(world, "GET", &path, Vec::new()).await;
        assert_eq!(status, StatusCode::OK, "its own cursor is understood: {next_page}");
        page = next_page;
    }
    panic!("the pages of {listing} do not end");
}

/// How JSON looks without what it says: for noticing new behaviour.
fn shape(answer: &Value) -> String {
    let text = answer["message"].as_str().or(answer["title"].as_str()).unwrap_or_default();
    let words = text.split(' ').filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic()));
    format!("{} {}", answer["code"], words.take(10).collect::<Vec<_>>().join(" "))
}
