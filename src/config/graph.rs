//! How the Graph API is asked: the section `graph`.
//!
//! The address is the operator's own word, unlike a webhook's, and has its own
//! networks: who reaches Meta by a gateway inside must not open that network for
//! customers' webhooks, nor the other way round.

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::Graph;
use super::reader::{Reader, Wrong};

pub(super) fn graph(from: &mut Reader) -> Option<Graph> {
    let access_token = access_token(from);
    let base_url = from.text("graph.base_url", base_url);
    let version = from.text("graph.version", version);
    Some(Graph {
        access_token,
        base_url: base_url?,
        version: version?,
        allow_networks: from.networks("graph.allow_networks"),
        reconcile_every: std::time::Duration::from_secs(from.number("graph.reconcile_every_s")),
        max_in_flight: from.count("graph.max_in_flight"),
        page_timeout: from.millis("graph.page_timeout_ms"),
    })
}

fn access_token(from: &mut Reader) -> Option<SecretString> {
    const KEY: &str = "graph.access_token";
    let token = from.secret(KEY)?;
    if token.expose_secret().bytes().all(|b| b.is_ascii_graphic()) {
        return Some(token);
    }
    let origin = from.origin(KEY);
    let hint = "copy it again: Meta's tokens are letters and digits".to_owned();
    from.refuse(KEY, &origin, Wrong::new("has characters that no access token has", Some(hint)));
    None
}

/// What is wrong is told without the text: it might hold a password.
fn base_url(text: &str) -> Result<String, Wrong> {
    let wrong = |reason: &str| {
        let hint =
            "leave it out, or write the beginning of the URLs, as https://graph.facebook.com".to_owned();
        Err(Wrong::new(reason, Some(hint)))
    };
    let Ok(url) = Url::parse(text) else { return wrong("is no URL") };
    let to_itself = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) => false,
        None => return wrong("names no host"),
    };
    if !(url.scheme() == "https" || (url.scheme() == "http" && to_itself)) {
        return wrong(
            "must begin with https:// (or http:// and a loopback address such as 127.0.0.1): anyone on the way could read the access token",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("must not have a user name or a password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("must have neither a query nor a fragment");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn version(text: &str) -> Result<String, Wrong> {
    let parts = text.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    match parts {
        Some((major, minor)) if number(major) && number(minor) => Ok(text.to_owned()),
        _ => Err(Wrong::from("must be a version such as v23.0")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(text: &str) -> Result<Graph, String> {
        Config::read(text, []).map(|config| config.graph).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_meta_is_asked_every_six_hours_with_no_token_for_all() {
        let graph = read("").unwrap();
        assert_eq!((&*graph.base_url, &*graph.version), ("https://graph.facebook.com", "v23.0"));
        assert_eq!(graph.reconcile_every, std::time::Duration::from_hours(6));
        assert!(graph.access_token.is_none() && graph.allow_networks.is_empty());
    }

    #[test]
    fn an_access_token_never_travels_readable_and_never_shows() {
        for refused in [
            "http://graph.example.com",
            "http://10.0.0.1",
            "http://localhost",
            "ftp://graph.example.com",
            "https://me:canary@graph.example.com",
            "https://graph.example.com/?access_token=canary",
            "https://graph.example.com/#canary",
            "canary",
        ] {
            let error = read(&format!("[graph]\nbase_url = \"{refused}\"")).unwrap_err();
            assert!(error.contains("graph.base_url") && error.contains("hint: "), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        for (written, kept) in [
            ("https://gateway.example.com/meta/", "https://gateway.example.com/meta"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            let graph = read(&format!("[graph]\nbase_url = \"{written}\"")).unwrap();
            assert_eq!(graph.base_url, kept);
        }
        let error = read("[graph]\naccess_token = \"canary canary\"").unwrap_err();
        assert!(error.contains("graph.access_token") && !error.contains("canary"), "{error}");
        let graph = read("[graph]\naccess_token = \"EAAJcanary\"").unwrap();
        assert!(!format!("{graph:?}").contains("canary"));
    }

    #[test]
    fn a_version_is_one_of_metas() {
        for wrong in ["23.0", "v23", "v23.0/me", "latest", "v.1", "v1234.0"] {
            assert!(read(&format!("[graph]\nversion = \"{wrong}\"")).is_err(), "{wrong}");
        }
        assert_eq!(read("[graph]\nversion = \"v26.0\"").unwrap().version, "v26.0");
    }
}
