//! The dashboard's files, as the server hands them out.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bellwether::dashboard;
use http_body_util::BodyExt;
use tower::ServiceExt;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

async fn asked(path: &str, tag: Option<&str>) -> Response<Body> {
    let mut request = Request::get(path);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    dashboard::router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_a_browser_to_this_server() {
    let files = [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard/app.js", "text/javascript; charset=utf-8"),
        ("/dashboard/style.css", "text/css; charset=utf-8"),
        ("/dashboard/icon.svg", "image/svg+xml"),
        ("/dashboard/vendor/preact.js", "text/javascript; charset=utf-8"),
    ];
    for (path, kind) in files {
        let answer = asked(path, None).await;
        assert_eq!((answer.status(), header(&answer, "content-type")), (StatusCode::OK, kind), "{path}");
        assert_eq!(header(&answer, "content-security-policy"), POLICY);
        assert_eq!(header(&answer, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
        assert_eq!(header(&answer, "strict-transport-security"), "max-age=31536000");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn the_page_has_nothing_inline_and_names_no_other_host() {
    let page = asked("/", None).await.into_body().collect().await.unwrap().to_bytes();
    let page = std::str::from_utf8(&page).unwrap();
    assert!(!page.contains("://") && !page.contains("<style") && !page.contains(" on"), "{page}");
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script type=\"module\" src=\"/dashboard/").count()
    );
}

#[tokio::test]
async fn a_file_is_sent_once_until_it_is_another() {
    let first = asked("/dashboard/app.js", None).await;
    let tag = header(&first, "etag").to_owned();
    assert_eq!(header(&first, "cache-control"), "no-cache");
    let again = asked("/dashboard/app.js", Some(&tag)).await;
    assert_eq!((again.status(), header(&again, "etag")), (StatusCode::NOT_MODIFIED, tag.as_str()));
    assert_eq!(asked("/dashboard/api.js", Some(&tag)).await.status(), StatusCode::OK);
}
