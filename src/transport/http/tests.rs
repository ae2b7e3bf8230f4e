//! What needs no socket: the message that goes out, and the notes.

use proptest::prelude::*;

use super::judged::uri;
use super::*;

fn target(url: &str) -> Target {
    Rules { allow_http: true, ..Rules::default() }.judge_url(url).unwrap()
}

fn note(location: Option<&str>) -> String {
    redirect_note(StatusCode::FOUND, location, &target("https://example.com/hooks/a?key=1"))
}

#[test]
fn a_redirect_is_noted_without_its_query_and_credentials() {
    let to = |url: &str| format!("redirect to {url} not followed");
    assert_eq!(note(Some("/b?token=s#x")), to("https://example.com/b"));
    assert_eq!(note(Some("http://u:p@169.254.169.254/x?y")), to("http://169.254.169.254/x"));
    assert_eq!(note(Some("?a=b")), to("https://example.com/hooks/a"));
    assert_eq!(note(None), "answer 302 is a failure: redirects are not followed");
    assert_eq!(note(Some("http://[")), note(None));
    assert!(note(Some(&"\u{e4}".repeat(5000))).len() < 600);
}

#[test]
fn only_the_transport_frames_a_message_and_names_its_host() {
    let headers =
        [("host", "evil"), ("content-length", "1"), ("connection", "close"), ("x-a", "1"), ("x-a", "2")]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let request = Request {
        url: String::new(),
        headers: headers.to_vec(),
        body: Bytes::from_static(b"{}"),
        deadline: Duration::ZERO,
    };
    let message =
        compose(Method::POST, Uri::from_static("https://example.com/a"), request.headers, request.body);
    let sent: Vec<_> =
        message.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(sent, [("x-a", "1"), ("x-a", "2"), ("accept-encoding", "identity")]);
}

proptest! {
    #[test]
    fn every_accepted_url_can_be_sent_to_and_keeps_its_meaning(path in "[ -~\u{a1}-\u{ff}]{0,60}") {
        let rules = Rules::default();
        for start in ["https://example.com", "https://[2606:4700::1111]:8443", "https://1.1.1.1"] {
            let Ok(target) = rules.judge_url(&format!("{start}/{path}")) else { continue };
            let uri = uri(&target.url).unwrap();
            prop_assert_eq!(rules.judge_url(&uri.to_string()), Ok(target));
        }
    }
}
