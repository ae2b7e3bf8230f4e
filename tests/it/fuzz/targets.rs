//! What must hold of any input, for what is a function of bytes. Each returns
//! what came of the input, by which new behaviour is noticed. This file is part
//! of `tests/guided`, too, so it names no other part of these tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bellwether::config::Config;
use bellwether::model::change::Change;
use bellwether::model::event::{Envelope, body, event_type};
use bellwether::model::id::{AccountId, EventId};
use bellwether::model::time::Timestamp;
use bellwether::policy::address::{Host, LONGEST_URL, Rules, host_name};
use bellwether::policy::signature::{MetaKey, SignatureError, WebhookKey, sign_webhook, verify_meta};
use bellwether::source::graph;
use bellwether::source::meta::{Item, Notification, read, reread};

/// The first line is a header, the rest a body.
pub fn signature(input: &[u8]) -> String {
    let (header, body) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let body = body.get(1..).unwrap_or_default();
    let keys = [MetaKey::new("new"), MetaKey::new("old")];
    let verdict = verify_meta(&keys, std::iter::once(header), body);
    let signed = keys.iter().any(|key| key.sign(body).as_bytes() == header);
    assert_eq!(verdict.is_ok(), signed, "accepted is what one of the secrets signed, and nothing else");
    let good = keys[1].sign(body);
    assert_eq!(verify_meta(&keys, std::iter::once(good.as_bytes()), body), Ok(()));
    let twice = [good.as_bytes(), header].into_iter();
    assert_eq!(verify_meta(&keys, twice, body), Err(SignatureError::Several));
    let mut longer = body.to_vec();
    longer.push(b' ');
    assert_eq!(verify_meta(&keys, std::iter::once(good.as_bytes()), &longer), Err(SignatureError::Wrong));
    let text = String::from_utf8_lossy(header);
    let secret = WebhookKey::parse(&text).map(|key| {
        // The official library takes what is taken here, and signs alike.
        let official = standardwebhooks::Webhook::new(&text).expect("a Standard Webhooks secret");
        let at = Timestamp::from_seconds(1_748_736_000).expect("in range");
        let ours = sign_webhook(&[key], "id", at, body);
        if let Ok(theirs) = official.sign("id", at.seconds(), body) {
            assert_eq!(ours, theirs);
        }
    });
    format!("{verdict:?} {}", secret.is_some())
}

/// The body of a validly signed notification.
pub fn notification(input: &[u8]) -> String {
    let notification = read(input);
    assert_eq!(read(input), notification, "reading is a function");
    let Notification { items, ignored } = &notification;
    assert!(!items.is_empty() || *ignored > 0, "nothing that was posted vanishes");
    let mut told = format!("{} ", ignored.min(&3));
    for item in items.iter().take(8) {
        match item {
            Item::Change(change) => {
                told.push_str(event_type(&change.detail));
                judge_change(change, item);
            }
            Item::Unparsed(unparsed) => {
                assert!(!unparsed.reason.is_empty());
                let kept = unparsed.raw.as_slice();
                assert!(
                    input.windows(kept.len().max(1)).any(|part| part == kept) || kept.is_empty(),
                    "its own bytes"
                );
                told.push_str(unparsed.reason.split(':').next().unwrap_or_default());
            }
        }
    }
    told
}

/// A change that waits is read again as it was, and its event is JSON.
fn judge_change(change: &Change, item: &Item) {
    let again = reread(change.business_account.as_str(), change.time, &change.field, &change.raw);
    assert_eq!(&again, item);
    let now = Timestamp::from_seconds(1_748_736_000).expect("in range");
    let timestamp = change.time.and_then(Timestamp::from_seconds).unwrap_or(now);
    let account = AccountId::new(uuid::Uuid::from_u128(7));
    let envelope = Envelope {
        id: EventId::new(now, 1, 1),
        timestamp,
        business_account: &change.business_account,
        account,
    };
    let bytes = body(envelope, &change.detail);
    let members: std::collections::BTreeMap<String, &serde_json::value::RawValue> =
        serde_json::from_slice(&bytes).expect("an event is a JSON object");
    assert_eq!(members.len(), 7);
    let kind: String = serde_json::from_str(members["eventType"].get()).expect("a string");
    assert_eq!(kind, event_type(&change.detail));
}

/// A URL as written, and the bytes of an address.
pub fn url(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let strict = Rules { allow_http: true, ..Rules::default() };
    let anywhere = ["0.0.0.0/0", "::/0"].map(|net| net.parse().expect("a network")).to_vec();
    let lax = Rules { allow_networks: anywhere, ..strict.clone() };
    let denying = Rules {
        deny_hosts: vec!["example.com".to_owned()],
        deny_networks: lax.allow_networks.clone(),
        ..lax.clone()
    };
    let verdict = strict.judge_url(&text);
    for rules in [&strict, &lax, &denying] {
        let Ok(target) = rules.judge_url(&text) else { continue };
        assert_eq!(rules.judge_url(target.url.as_str()).as_ref(), Ok(&target), "judged the same again");
        assert!(target.url.as_str().len() <= LONGEST_URL && target.port != 0);
        assert!(target.url.username().is_empty() && target.url.password().is_none());
        assert!(target.url.fragment().is_none() && target.https == (target.url.scheme() == "https"));
        if let Some(ip) = target.literal() {
            assert_eq!(rules.judge_ip(ip, target.port), Ok(()), "a literal host is judged as it is dialled");
        }
        // The parser of the client that sends sees the same host.
        let uri: axum::http::Uri = target.url.as_str().parse().expect("the client can send there");
        let host = uri.host().expect("it has a host").trim_start_matches('[').trim_end_matches(']');
        match &target.host {
            Host::Ip(ip) => assert_eq!(host.parse(), Ok(*ip)),
            Host::Name(name) => {
                assert_eq!(host, name);
                assert!(name.is_ascii() && !name.ends_with('.') && name.to_lowercase() == *name, "{name}");
                assert!(name.parse::<IpAddr>().is_err(), "{name} is an address");
            }
        }
    }
    if let Ok(target) = &verdict {
        assert!(lax.judge_url(&text).is_ok(), "what is allowed to be public is allowed anywhere");
        if let Host::Ip(ip) = target.host {
            assert!(is_public(ip), "{ip}");
        }
    }
    assert!(!denying.judge_url(&text).is_ok_and(|target| matches!(target.host, Host::Ip(_))));
    if let Some(name) = host_name(&text) {
        assert_eq!(host_name(&name).as_deref(), Some(name.as_str()));
    }
    if let Some(bytes) = input.first_chunk::<16>() {
        for ip in [IpAddr::from(*bytes), IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]])] {
            let open = strict.judge_ip(ip, 443).is_ok();
            assert!(!open || is_public(ip), "{ip}");
            assert_eq!(open, strict.network(ip) == "public", "{ip}");
        }
    }
    let kind = match verdict {
        Ok(target) => {
            format!("{} {}", if target.https { "https" } else { "http" }, target.literal().is_some())
        }
        Err(refusal) => format!("{refusal:?}"),
    };
    format!("{kind} {} {}", text.len().checked_ilog2().unwrap_or(0), host_name(&text).is_some())
}

/// An answer of the Graph API: its status, a line's end, its body. Headers that
/// tell of limits are JSON, too.
pub fn graph_answer(input: &[u8]) -> String {
    let (status, body) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let status = str::from_utf8(status).ok().and_then(|status| status.parse().ok()).unwrap_or(200);
    let text = String::from_utf8_lossy(body.get(1..).unwrap_or_default());
    let usage = graph::of_app(&text).or(graph::of_business(&text, "1"));
    assert!(usage.regain.is_none_or(|span| span.as_secs() <= 7 * 24 * 3_600));
    let read = graph::read(status, text.as_bytes());
    assert_eq!(graph::read(status, text.as_bytes()), read, "reading is a function");
    match read {
        Ok(page) => {
            assert!((200..300).contains(&status), "an error is no page");
            let numbers = page.numbers.len();
            let once = graph::once(page.numbers);
            assert!(once.len() <= numbers && graph::once(once.clone()) == once);
            format!("{} {} {:?}", once.len().min(3), page.nameless.min(3), page.next == graph::Next::End)
        }
        Err(failure) => {
            assert!(failure.note.as_ref().is_none_or(|note| note.len() < 100), "fixed text");
            format!("{:?}", failure.trouble)
        }
    }
}

/// What the standard library calls neither private nor special.
fn is_public(ip: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| {
        let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_broadcast();
        !(special || ip.is_documentation() || ip.is_unspecified() || ip.is_multicast() || ip.octets()[0] == 0)
    };
    let v6 = |ip: Ipv6Addr| {
        let special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unique_local();
        !(special || ip.is_unicast_link_local() || ip.to_ipv4().is_some())
    };
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

/// A file; below a line of three hyphens, variables.
pub fn configuration_file(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (file, variables) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let variables = || {
        // In a debug build this one plans faults, an exit among them.
        let lines = variables.lines().filter(|line| !line.contains("FAILPOINT"));
        lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let read = Config::read(file, variables());
    let again = Config::read(file, variables());
    assert_eq!(format!("{read:?}"), format!("{again:?}"), "reading is a function");
    match read {
        Ok(config) => {
            let (server, delivery) = (&config.server, &config.delivery);
            assert!((1..=65_536).contains(&server.max_connections) && delivery.max_in_flight >= 1);
            assert!(!config.store.path.as_os_str().is_empty() && !delivery.allow_ports.contains(&0));
            assert!(delivery.deny_hosts.iter().all(|name| host_name(name).as_ref() == Some(name)));
            assert!(config.meta.apps.keys().all(|name| (1..=64).contains(&name.len())));
            format!("taken {} {}", config.meta.apps.len(), delivery.allow_networks.len())
        }
        Err(error) => {
            assert!(!error.problems.is_empty(), "a refusal has a reason");
            let whole = error.to_string();
            for problem in &error.problems {
                assert!(!problem.what.is_empty() && !problem.hint.is_empty(), "{problem:?}");
                assert!(whole.contains(&problem.what), "each is said");
            }
            let words = whole.split(' ').filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
            words.take(12).collect::<Vec<_>>().join(" ")
        }
    }
}
