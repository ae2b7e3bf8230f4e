//! The dashboard: static files within the binary, which a browser runs as a client
//! of the public API like any other. Nothing is rendered here, nothing is known
//! here of who looks, and no route of this module answers with anybody's data.
//!
//! One page at `/`; where one is within it stands behind the `#` of its address,
//! which no server ever sees. A browser asks each time whether its copies are still
//! those of this binary (`ETag`): a new version is never mixed with an old one.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

/// Only what this server sends runs, styles or is asked for; nothing within a page
/// runs, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// What every answer of the dashboard says.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
    // Browsers heed it over TLS only: with the proxy in front.
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-cache"),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file: where it is served, what it is, its bytes.
type File = (&'static str, &'static str, &'static [u8]);

/// A file of our own, served under its name.
macro_rules! own {
    ($name:literal, $kind:expr) => {
        (
            concat!("/dashboard/", $name),
            $kind,
            include_bytes!(concat!("../assets/dashboard/", $name)).as_slice(),
        )
    };
}

/// A file of others, served without its version: modules name each other.
macro_rules! vendored {
    ($name:literal, $file:literal, $kind:expr) => {
        (
            concat!("/dashboard/vendor/", $name),
            $kind,
            include_bytes!(concat!("../assets/vendor/", $file)).as_slice(),
        )
    };
}

const FILES: &[File] = &[
    ("/", HTML, include_bytes!("../assets/dashboard/index.html")),
    own!("icon.svg", IMAGE),
    own!("tokens.css", CSS),
    own!("style.css", CSS),
    own!("app.js", SCRIPT),
    own!("api.js", SCRIPT),
    own!("chart.js", SCRIPT),
    own!("deliveries.js", SCRIPT),
    own!("delivery.js", SCRIPT),
    own!("format.js", SCRIPT),
    own!("html.js", SCRIPT),
    own!("keys.js", SCRIPT),
    own!("live.js", SCRIPT),
    own!("metrics.js", SCRIPT),
    own!("number.js", SCRIPT),
    own!("numbers.js", SCRIPT),
    own!("operator.js", SCRIPT),
    own!("reading.js", SCRIPT),
    own!("registry.js", SCRIPT),
    own!("replay.js", SCRIPT),
    own!("signin.js", SCRIPT),
    own!("ui.js", SCRIPT),
    own!("webhook.js", SCRIPT),
    own!("webhook-form.js", SCRIPT),
    own!("webhooks.js", SCRIPT),
    vendored!("htm.js", "htm-3.1.1.js", SCRIPT),
    vendored!("preact.js", "preact-11.2.0.js", SCRIPT),
    vendored!("preact-hooks.js", "preact-hooks-11.2.0.js", SCRIPT),
    vendored!("uplot.js", "uplot-1.6.32.js", SCRIPT),
    vendored!("uplot.css", "uplot-1.6.32.css", CSS),
];

/// The routes: `/` and all that its page loads.
pub fn router() -> Router {
    FILES
        .iter()
        .fold(Router::new(), |router, &(path, kind, bytes)| {
            let tag = tag(bytes);
            router.route(
                path,
                get(move |headers: HeaderMap| async move { answer(&headers, kind, &tag, bytes) }),
            )
        })
        .layer(from_fn(with_headers))
}

/// A name for these bytes and no others.
fn tag(bytes: &[u8]) -> HeaderValue {
    let sum = digest::digest(&digest::SHA256, bytes);
    let text = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sum));
    HeaderValue::from_str(&text).expect("base64 within quotes is a header's value")
}

fn answer(asked: &HeaderMap, kind: &'static str, tag: &HeaderValue, bytes: &'static [u8]) -> Response {
    let has_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|tags| tags.split(',').any(|held| held.trim().as_bytes() == tag.as_bytes()))
    };
    let head = [(ETAG, tag.clone()), (CONTENT_TYPE, HeaderValue::from_static(kind))];
    if asked.get_all(IF_NONE_MATCH).iter().any(has_it) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, bytes).into_response()
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_dashboard_is_served() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/dashboard");
        let there: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .collect();
        let served: BTreeSet<String> = FILES
            .iter()
            .filter_map(|(path, _, _)| path.strip_prefix("/dashboard/"))
            .filter(|name| !name.starts_with("vendor/"))
            .map(str::to_owned)
            .collect();
        assert_eq!(there, served);
    }

    /// A path that a file names and no route serves shows only in a browser.
    #[test]
    fn what_a_file_names_is_served() {
        let served: BTreeSet<&str> = FILES.iter().map(|(path, _, _)| *path).collect();
        for (path, _, bytes) in FILES.iter().filter(|(path, _, _)| !path.contains("/vendor/")) {
            let text = std::str::from_utf8(bytes).unwrap();
            let named = text.split(['"', '\'']).filter(|word| word.starts_with("/dashboard/"));
            for name in named {
                assert!(served.contains(name), "{path} names {name}");
            }
        }
    }

    /// What receivers and Meta wrote is shown as text, whatever it is: nothing here
    /// makes elements of text.
    #[test]
    fn no_module_turns_text_into_elements_or_code() {
        const NEVER: [&str; 9] = [
            "innerHTML",
            "dangerouslySet",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "javascript:",
            "style=\"",
        ];
        for (path, _, bytes) in FILES.iter().filter(|(path, _, _)| !path.contains("/vendor/")) {
            let text = std::str::from_utf8(bytes).unwrap();
            for word in NEVER {
                assert!(!text.contains(word), "{path} has {word}");
            }
        }
    }

    #[test]
    fn a_browser_that_has_the_file_is_not_sent_it_again() {
        let tag = tag(b"bytes");
        let mut asked = HeaderMap::new();
        assert_eq!(answer(&asked, CSS, &tag, b"bytes").status(), StatusCode::OK);
        asked.insert(IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(answer(&asked, CSS, &tag, b"bytes").status(), StatusCode::OK);
        asked.insert(IF_NONE_MATCH, tag.clone());
        assert_eq!(answer(&asked, CSS, &tag, b"bytes").status(), StatusCode::NOT_MODIFIED);
    }
}
