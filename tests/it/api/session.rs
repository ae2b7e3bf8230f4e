//! Sessions through the real router: what a browser shows in place of a key, for how
//! long, and what other pages can't make it do.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use tokio::time::advance;

use super::{ACCOUNT, Answer, House, OPERATOR, OTHER};

const MINUTE: Duration = Duration::from_mins(1);

/// A browser that has signed in.
struct Browser<'a> {
    house: &'a House,
    cookie: String,
    token: String,
}

/// What our own page's requests say.
const OWN_PAGE: [(&str, &str); 1] = [("sec-fetch-site", "same-origin")];

impl<'a> Browser<'a> {
    async fn sign_in(house: &'a House, key: &str) -> Self {
        Self::sign_in_again(house, key, "").await
    }

    async fn sign_in_again(house: &'a House, key: &str, before: &str) -> Self {
        let request = Request::post("/v1/session")
            .header("authorization", format!("Bearer {key}"))
            .header("cookie", before)
            .body(Body::empty())
            .unwrap();
        let begun = house.answer(request).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text);
        let set = begun.header("set-cookie");
        let (cookie, terms) = set.split_once("; ").unwrap();
        assert_eq!(terms, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200");
        assert!(cookie.starts_with("__Host-bellwether="), "{cookie}");
        assert_eq!(begun.header("cache-control"), "no-store");
        let token = begun.json["csrfToken"].as_str().unwrap().to_owned();
        Self { house, cookie: cookie.to_owned(), token }
    }

    async fn asks(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("cookie", &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.house.answer(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.asks("GET", path, &OWN_PAGE, "").await
    }

    /// As our own page does it.
    async fn changes(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = [OWN_PAGE[0], ("x-csrf-token", &self.token)];
        self.asks(method, path, &headers, body).await
    }
}

fn own() -> String {
    format!("/v1/accounts/{ACCOUNT}")
}

#[tokio::test]
async fn a_session_may_what_the_key_may_that_began_it() {
    let house = House::new().await;
    house.register(OTHER, "2").await;
    let key = house.key("account", Some(ACCOUNT)).await;
    let browser = Browser::sign_in(&house, &key).await;
    let who = browser.get("/v1/session").await;
    assert_eq!((&who.json["role"], &who.json["accountId"]), (&json!("account"), &json!(ACCOUNT)));
    assert_eq!(who.json["csrfToken"], browser.token, "a page that is loaded anew needs it again");
    assert_eq!(browser.get(&own()).await.status, StatusCode::OK);
    assert_eq!(browser.get(&format!("/v1/accounts/{OTHER}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/v1/api-keys").await.status, StatusCode::FORBIDDEN);
    let webhooks = json!([{"subAccountId": "*", "type": "CABM", "url": "https://hooks.example.com/a"}]);
    let path = format!("/api{}/webhooks", own());
    let put = browser.changes("POST", &path, &webhooks.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "the 8x8-compatible API takes it too: {}", put.text);

    let operator = Browser::sign_in(&house, OPERATOR).await;
    assert_eq!(operator.get("/v1/accounts").await.status, StatusCode::OK);
    assert_eq!(operator.get("/v1/session").await.json["role"], "operator");
    let told = house.get("/v1/session").await.json;
    assert_eq!((&told["role"], told.get("csrfToken")), (&json!("operator"), None), "a key has no token");
}

#[tokio::test]
async fn who_only_reads_signs_in_and_out_and_changes_nothing() {
    let house = House::new().await;
    let browser = Browser::sign_in(&house, &house.key("read", Some(ACCOUNT)).await).await;
    assert_eq!(browser.get(&own()).await.status, StatusCode::OK);
    let test = browser.changes("POST", &format!("{}/webhooks/{OTHER}/test", own()), "").await;
    assert_eq!(test.refusal(), (403, &json!("forbidden")));
    let ended = browser.changes("DELETE", "/v1/session", "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert!(ended.header("set-cookie").ends_with("Max-Age=0"), "the browser forgets it");
    assert_eq!(browser.get(&own()).await.status, StatusCode::UNAUTHORIZED, "and so does the server");
}

#[tokio::test]
async fn nothing_is_changed_for_a_page_that_is_not_ours() {
    let house = House::new().await;
    let browser = Browser::sign_in(&house, OPERATOR).await;
    let token = ("x-csrf-token", browser.token.as_str());
    let (host, path) =
        (("host", "bellwether.example:8700"), "/v1/accounts/11111111-2222-4333-8444-555555555555");
    let refused: [(&str, &[(&str, &str)]); 10] = [
        ("no token", &[("sec-fetch-site", "same-origin")]),
        ("another token", &[("sec-fetch-site", "same-origin"), ("x-csrf-token", "AAAA")]),
        ("nothing of where it was made", &[token]),
        ("another site", &[("sec-fetch-site", "cross-site"), token]),
        ("a neighbour's site", &[("sec-fetch-site", "same-site"), token]),
        ("no page at all", &[("sec-fetch-site", "none"), token]),
        ("another origin", &[host, ("origin", "https://evil.example"), token]),
        ("another port", &[host, ("origin", "https://bellwether.example"), token]),
        ("an origin that hides", &[host, ("origin", "null"), token]),
        (
            "a word against it",
            &[host, ("origin", "https://bellwether.example:8700"), ("sec-fetch-site", "cross-site"), token],
        ),
    ];
    for (what, headers) in refused {
        let answer = browser.asks("PUT", path, headers, "{\"name\": \"Evil\"}").await;
        assert_eq!(answer.refusal(), (403, &json!("forbidden")), "{what}: {}", answer.text);
    }
    assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "nothing was made");
    let reading = browser.asks("GET", "/v1/accounts", &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(reading.status, StatusCode::FORBIDDEN);
    let by_origin = [host, ("origin", "https://bellwether.example:8700"), token];
    let made = browser.asks("PUT", path, &by_origin, "{\"name\": \"Ours\"}").await;
    assert_eq!(made.status, StatusCode::CREATED, "an older browser says the origin only: {}", made.text);
}

#[tokio::test]
async fn a_key_that_is_shown_counts_alone_and_needs_no_token() {
    let house = House::new().await;
    let browser = Browser::sign_in(&house, OPERATOR).await;
    let key = format!("Bearer {}", house.key("read", Some(ACCOUNT)).await);
    let both = browser.asks("GET", "/v1/api-keys", &[("authorization", &key)], "").await;
    assert_eq!(both.status, StatusCode::FORBIDDEN, "the session adds nothing to it");
    let operators = format!("Bearer {OPERATOR}");
    let foreign = [("authorization", operators.as_str()), ("sec-fetch-site", "cross-site")];
    let put = browser.asks("PUT", &own(), &foreign, "{\"name\": \"Shop\"}").await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    let none = browser.asks("GET", "/v1/accounts", &[("authorization", "Bearer none")], "").await;
    assert_eq!(none.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_the_key_that_began_it() {
    let house = House::new().await;
    let key = house.key("account", Some(ACCOUNT)).await;
    let browser = Browser::sign_in(&house, &key).await;
    let id = browser.get("/v1/session").await.json["keyId"].as_str().unwrap().to_owned();
    assert_eq!(house.delete(&format!("/v1/api-keys/{id}"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.get(&own()).await.refusal(), (401, &json!("unauthenticated")));
}

#[tokio::test]
async fn signing_in_gives_a_new_id_and_ends_the_session_before() {
    let house = House::new().await;
    let first = Browser::sign_in(&house, OPERATOR).await;
    let chosen = "__Host-bellwether=chosen-by-somebody-else";
    let fixed = Browser::sign_in_again(&house, OPERATOR, chosen).await;
    assert_ne!(fixed.cookie, chosen, "an id is never taken from outside");
    let second = Browser::sign_in_again(&house, OPERATOR, &first.cookie).await;
    assert_ne!(first.cookie, second.cookie);
    assert_ne!(first.token, second.token);
    assert_eq!(first.get("/v1/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(second.get("/v1/session").await.status, StatusCode::OK);
    let token = [OWN_PAGE[0], ("x-csrf-token", first.token.as_str())];
    assert_eq!(second.asks("DELETE", "/v1/session", &token, "").await.status, StatusCode::FORBIDDEN);
    let twice =
        Browser { house: &house, cookie: format!("{}; {chosen}", second.cookie), token: String::new() };
    assert_eq!(twice.get("/v1/session").await.status, StatusCode::UNAUTHORIZED, "of two, none is taken");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_an_hour_after_its_last_use_and_twelve_after_it_began() {
    let house = House::new().await;
    let idle = Browser::sign_in(&house, OPERATOR).await;
    advance(59 * MINUTE).await;
    assert_eq!(idle.get("/v1/session").await.status, StatusCode::OK, "which is a use");
    advance(59 * MINUTE).await;
    assert_eq!(idle.get("/v1/accounts").await.status, StatusCode::OK);
    advance(60 * MINUTE).await;
    assert_eq!(idle.get("/v1/accounts").await.status, StatusCode::UNAUTHORIZED);

    let busy = Browser::sign_in(&house, OPERATOR).await;
    for _ in 0..23 {
        advance(30 * MINUTE).await;
        assert_eq!(busy.get("/v1/accounts").await.status, StatusCode::OK);
    }
    advance(Duration::from_millis(30 * 60 * 1000 - 1)).await;
    assert_eq!(busy.get("/v1/accounts").await.status, StatusCode::OK);
    advance(Duration::from_millis(1)).await;
    assert_eq!(busy.get("/v1/accounts").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_operator_sees_which_apps_notifications_come_through() {
    let house = House::empty();
    let apps = house.get("/v1/apps").await.json;
    let main = json!({"name": "main", "callbackPath": "/ingest/meta/main", "secrets": 2, "handshake": true});
    assert_eq!(apps, json!({"items": [main], "nextCursor": null}));
}
