//! Paths and queries of the API, made of what people type.

use url::Url;
use url::form_urlencoded::Serializer;

/// The path of these segments, each escaped as it must be.
pub(super) fn path(segments: &[&str]) -> String {
    let mut url = Url::parse("http://server").expect("it is one");
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(segments);
    }
    url.path().to_owned()
}

/// The path below an account.
pub(super) fn of_account(account: &str, segments: &[&str]) -> String {
    path(&[&["v1", "accounts", account], segments].concat())
}

/// `path`, which may have parameters already, with those that are given.
pub(super) fn query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    let query = query.finish();
    let joint = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path.to_owned() } else { format!("{path}{joint}{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_leads_to_another_path() {
        assert_eq!(
            of_account("a b", &["events", "x/../../y?z#"]),
            "/v1/accounts/a%20b/events/x%2F..%2F..%2Fy%3Fz%23"
        );
        assert_eq!(query("/a", &[("b", None)]), "/a");
        assert_eq!(query("/a?b=1", &[("c", Some("2"))]), "/a?b=1&c=2");
        assert_eq!(
            query("/a", &[("b", Some("+1 5")), ("c", Some("2026-01-01T00:00:00+01:00"))]),
            "/a?b=%2B1+5&c=2026-01-01T00%3A00%3A00%2B01%3A00"
        );
    }
}
