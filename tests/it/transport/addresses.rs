//! No connection where none may go: forbidden addresses and ports, names that
//! resolve to them, our own listeners (faults 65 to 68, 71).

use std::net::IpAddr;

use bellwether::env::{Faults, Weakness};
use bellwether::policy::address::Refusal;
use bellwether::transport::resolve::{MOST_ADDRESSES, ResolveError};

use super::*;
use crate::support::dns::{NameServer, Reply};
use crate::support::hostile::{Hostile, ok};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A URL by name, at the server's port.
fn named(name: &str, server: &Hostile) -> String {
    format!("http://{name}:{}/", server.at.port())
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_connected_to() {
    let server = Hostile::answers(ok("secret")).await;
    // The server's port is open everywhere, so that only the address counts.
    let port = server.at.port();
    let rules = Rules { allow_http: true, allow_ports: vec![port], ..Rules::default() };
    let transport = under(rules);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "a.localhost",
        "LOCALHOST.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "\u{ff11}27.0.0.1",
        "%31%32%37.0.0.1",
        "127\u{3002}0.0.1",
        "ok@127.0.0.1",
        "intranet",
    ] {
        let outcome = post(&transport, &format!("http://{host}:{port}/"), AMPLE).await;
        assert_eq!((outcome.class, outcome.status), (OutcomeClass::ForbiddenAddress, None), "{host}");
        assert!(!outcome.note.unwrap().contains("127"), "a fixed text");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn our_own_listener_is_not_delivered_to_even_in_an_allowed_network() {
    let server = Hostile::answers(ok("loop")).await;
    for own in [server.at, SocketAddr::new("0.0.0.0".parse().unwrap(), server.at.port())] {
        let rules = Rules { own: vec![own], ..loopback() };
        let outcome = post(&under(rules), &server.url("/"), AMPLE).await;
        assert_eq!(
            class_and_note(&outcome),
            (OutcomeClass::ForbiddenAddress, Refusal::Own.to_string().as_str())
        );
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_resolved_as_complete_and_its_addresses_are_dialled() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(ips(&["127.0.0.1"]), 60)).await;
    let transport = built(loopback(), dns.at, None);
    let outcome = post(&transport, &named("hooks.example.com", &server), AMPLE).await;
    assert_eq!(outcome.class, OutcomeClass::Success, "{outcome:?}");
    assert_eq!(dns.asked(), ["hooks.example.com."], "no search list");
    let host = format!("host: hooks.example.com:{}", server.at.port());
    assert!(server.requests()[0].head.contains(&host));
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_refuses() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|_, _| Reply::Addresses(ips(&["127.0.0.99", "127.0.0.1"]), 60)).await;
    let transport = built(loopback(), dns.at, None);
    let outcome = post(&transport, &named("hooks.example.com", &server), AMPLE).await;
    assert_eq!(outcome.class, OutcomeClass::Success, "{outcome:?}");
}

#[tokio::test]
async fn one_forbidden_answer_rejects_the_whole_attempt() {
    let server = Hostile::answers(ok("secret")).await;
    for forbidden in ["10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1", "0.0.0.0"] {
        let dns = NameServer::answers(move |_, _| Reply::Addresses(ips(&["127.0.0.1", forbidden]), 60)).await;
        let transport = built(loopback(), dns.at, None);
        let outcome = post(&transport, &named("hooks.example.com", &server), AMPLE).await;
        let note = Refusal::Address.to_string();
        assert_eq!(class_and_note(&outcome), (OutcomeClass::ForbiddenAddress, note.as_str()), "{forbidden}");
    }
    let aliased = NameServer::answers(|_, _| Reply::Alias("db.internal.", ips(&["10.0.0.1"]))).await;
    let outcome =
        post(&built(loopback(), aliased.at, None), &named("hooks.example.com", &server), AMPLE).await;
    assert_eq!(outcome.class, OutcomeClass::ForbiddenAddress, "an alias for a name inside");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_that_is_rebound_between_attempts_is_judged_anew() {
    let server = Hostile::says(ok("a")).await;
    let dns = NameServer::answers(|_, question| {
        Reply::Addresses(ips(&[if question == 0 { "127.0.0.1" } else { "10.0.0.1" }]), 0)
    })
    .await;
    let transport = built(loopback(), dns.at, None);
    let url = named("rebound.example.com", &server);
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success);
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::ForbiddenAddress);
    assert_eq!(server.connections(), 1);
}

/// A name that answers with an allowed address first and with a forbidden one,
/// where something listens, from then on: how often it was connected to there.
async fn connections_after_rebinding(faults: Faults) -> usize {
    let inside = Hostile::answers_at("127.0.0.2", ok("secret")).await;
    let dns = NameServer::answers(|_, question| {
        Reply::Addresses(ips(&[if question == 0 { "127.0.0.1" } else { "127.0.0.2" }]), 0)
    })
    .await;
    let rules = Rules { allow_networks: vec!["127.0.0.1/32".parse().unwrap()], ..loopback() };
    let rules = Rules { allow_ports: vec![inside.at.port()], ..rules };
    let resolver = Resolver::new(&[dns.at]).unwrap().with_faults(faults);
    let tls = tls::client_config(None, Clock::system()).unwrap();
    let transport = HttpTransport::new(Arc::new(rules), resolver, tls, Limits::default());
    for _ in 0..3 {
        // Nothing listens where it may go.
        let _ = post(&transport, &named("rebound.example.com", &inside), AMPLE).await;
    }
    inside.connections()
}

#[tokio::test]
async fn fault_66_what_is_dialled_is_what_was_judged_and_resolving_twice_is_noticed() {
    assert_eq!(connections_after_rebinding(Faults::none()).await, 0);
    let weakened = Faults::none().weakened(Weakness::ResolveTwice);
    assert!(connections_after_rebinding(weakened).await > 0, "this test would not notice");
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure_and_asked_for_again() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|_, question| match question {
        0 => Reply::NoSuchName,
        1 => Reply::Addresses(Vec::new(), 60),
        _ => Reply::Addresses(ips(&["127.0.0.1"]), 60),
    })
    .await;
    let transport = built(loopback(), dns.at, None);
    let url = named("new.example.com", &server);
    for _ in 0..2 {
        let outcome = post(&transport, &url, AMPLE).await;
        assert_eq!(class_and_note(&outcome), (OutcomeClass::Dns, "the host name has no address"));
    }
    assert_eq!(post(&transport, &url, AMPLE).await.class, OutcomeClass::Success);
}

#[tokio::test]
async fn a_silent_name_server_is_bounded_by_the_deadline_and_by_the_dns_budget() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|_, _| Reply::Nothing).await;
    let transport = built(loopback(), dns.at, None);
    let url = named("slow.example.com", &server);
    assert_eq!(post(&transport, &url, SHORT).await.class, OutcomeClass::Timeout);
    let resolver = Resolver::new(&[dns.at]).unwrap();
    let target = loopback().judge_url(&url).unwrap();
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let answer = resolver.resolve(&loopback(), &target).await;
    assert_eq!(answer, Err(ResolveError::Slow));
    assert!(started.elapsed() <= bellwether::transport::resolve::BUDGET + Duration::from_millis(10));
}

#[tokio::test]
async fn of_many_addresses_all_are_judged_and_sixteen_dialled() {
    let many = |last: &str| {
        let mut found: Vec<String> = (1..40).map(|n| format!("127.0.0.{n}")).collect();
        found.push(last.to_owned());
        found.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>()
    };
    let dns = NameServer::answers(move |name, _| {
        Reply::Addresses(many(if name.starts_with("bad") { "10.0.0.1" } else { "127.0.0.40" }), 60)
    })
    .await;
    let resolver = Resolver::new(&[dns.at]).unwrap();
    let resolve = |name: &str| {
        let target = loopback().judge_url(&format!("http://{name}/")).unwrap();
        let resolver = resolver.clone();
        async move { bounded(resolver.resolve(&loopback(), &target)).await }
    };
    assert_eq!(resolve("many.example.com").await.unwrap().len(), MOST_ADDRESSES);
    assert_eq!(resolve("bad.example.com").await, Err(ResolveError::Refused(Refusal::Address)));
}
