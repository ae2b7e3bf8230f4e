//! Names on their way to addresses: rebound, mixed, aliased, endless, slow
//! (faults 66, 67, 68).

use std::net::{IpAddr, Ipv4Addr};

use bellwether::env::{Faults, Weakness};
use bellwether::policy::address::Refusal;
use bellwether::transport::resolve::{BUDGET, MOST_ADDRESSES, ResolveError};
use hickory_resolver::TokioResolver;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use tokio::net::TcpListener;

use super::*;
use crate::support::dns::{NameServer, Reply};
use crate::support::hostile::{Hostile, ok, serve};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A URL by name, at the server's port.
fn named(name: &str, server: &Hostile) -> String {
    format!("http://{name}:{}/", server.at.port())
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
async fn fault_67_one_forbidden_answer_rejects_the_whole_attempt() {
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
async fn fault_66_a_name_that_is_rebound_between_attempts_is_judged_anew() {
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
async fn fault_67_a_silent_name_server_is_bounded_by_the_deadline_and_by_the_dns_budget() {
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
    assert!(started.elapsed() <= BUDGET + Duration::from_millis(10));
}

#[tokio::test]
async fn fault_67_of_many_addresses_all_are_judged_and_sixteen_dialled() {
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

/// A receiver outside that hangs up after each answer, so that every attempt
/// dials, and something inside at the same port.
async fn outside_and_inside() -> (Hostile, Hostile, Rules) {
    let inside = Hostile::answers(ok("secret")).await;
    let port = inside.at.port();
    let outside = TcpListener::bind(("127.1.0.1", port)).await.unwrap();
    let outside = Hostile::on(outside, |mut stream, log| async move {
        serve(&mut stream, &log, &ok("a")).await;
    });
    let rules = Rules {
        allow_http: true,
        allow_networks: vec!["127.1.0.0/16".parse().unwrap()],
        allow_ports: vec![port],
        ..Rules::default()
    };
    (outside, inside, rules)
}

/// Leads outside when first asked, and inside every second time.
async fn rebinding() -> NameServer {
    NameServer::answers(|_, question| {
        Reply::Addresses(ips(&[if question % 2 == 0 { "127.1.0.1" } else { "127.0.0.1" }]), 0)
    })
    .await
}

#[tokio::test]
async fn fault_66_each_attempt_asks_once_and_dials_what_it_judged() {
    let (outside, inside, rules) = outside_and_inside().await;
    let dns = rebinding().await;
    let transport = built(rules, dns.at, None);
    let url = named("rebound.example.com", &inside);
    for attempt in 0..10 {
        let before = dns.questions();
        let class = post(&transport, &url, AMPLE).await.class;
        let expected = [OutcomeClass::Success, OutcomeClass::ForbiddenAddress][attempt % 2];
        assert_eq!(class, expected, "attempt {attempt}");
        assert_eq!(dns.questions() - before, 2, "one for each family: between judging and dialling none");
    }
    assert_eq!((outside.connections(), inside.connections()), (5, 0));
}

/// The control of the story above: who judges one answer and dials another is
/// led inside by the same name server.
#[tokio::test]
async fn fault_66_a_sender_that_asks_twice_would_be_led_inside() {
    let (_outside, inside, rules) = outside_and_inside().await;
    let dns = rebinding().await;
    let resolver = Resolver::new(&[dns.at]).unwrap();
    let careless = Rules { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], ..rules.clone() };
    let target = rules.judge_url(&named("rebound.example.com", &inside)).unwrap();
    assert!(bounded(resolver.resolve(&rules, &target)).await.is_ok(), "judged");
    let dialled = bounded(resolver.resolve(&careless, &target)).await.unwrap();
    tokio::net::TcpStream::connect(dialled[0]).await.unwrap();
    assert_eq!(dialled[0], inside.at, "and dialled");
}

/// And the program itself, once it judges one answer and dials the next: what is
/// counted above is not nought then.
#[tokio::test]
async fn fault_66_of_a_resolver_that_asks_twice_what_is_inside_is_connected_to() {
    let (outside, inside, rules) = outside_and_inside().await;
    let dns = rebinding().await;
    let careless = Faults::none().weakened(Weakness::ResolveTwice);
    let resolver = Resolver::new(&[dns.at]).unwrap().with_faults(careless);
    let tls = tls::client_config(None, Clock::system()).unwrap();
    let transport = HttpTransport::new(watch::channel(Arc::new(rules)).1, resolver, tls, Limits::default());
    let outcome = post(&transport, &named("rebound.example.com", &inside), AMPLE).await;
    assert_eq!(outcome.class, OutcomeClass::Success, "{outcome:?}");
    assert_eq!((outside.connections(), inside.connections()), (0, 1));
}

#[tokio::test]
async fn fault_67_of_a_thousand_answers_the_last_one_counts_too() {
    let thousand = |last: &str| {
        let mut found: Vec<IpAddr> = (0..999_u32).map(|n| Ipv4Addr::from(0x7f01_0000 + n).into()).collect();
        found.extend(ips(&[last]));
        found
    };
    let dns = NameServer::answers(move |name, _| {
        Reply::Addresses(thousand(if name.starts_with("bad") { "10.0.0.1" } else { "127.1.9.9" }), 60)
    })
    .await;
    let resolver = Resolver::new(&[dns.at]).unwrap();
    for (name, expected) in [
        ("many.example.com", Ok(MOST_ADDRESSES)),
        ("bad.example.com", Err(ResolveError::Refused(Refusal::Address))),
    ] {
        let target = loopback().judge_url(&format!("http://{name}/")).unwrap();
        let found = bounded(resolver.resolve(&loopback(), &target)).await;
        assert_eq!(found.map(|found| found.len()), expected, "{name}");
    }
}

#[tokio::test]
async fn fault_67_an_alias_that_must_be_asked_for_is_followed_and_judged() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|name, _| match name {
        "out.example.com." => Reply::AliasOnly("receiver.example.net."),
        "in.example.com." => Reply::AliasOnly("db.internal."),
        "receiver.example.net." => Reply::Addresses(ips(&["127.0.0.1"]), 60),
        _ => Reply::Addresses(ips(&["10.0.0.1"]), 60),
    })
    .await;
    let transport = built(loopback(), dns.at, None);
    for (name, class) in
        [("out.example.com", OutcomeClass::Success), ("in.example.com", OutcomeClass::ForbiddenAddress)]
    {
        assert_eq!(post(&transport, &named(name, &server), AMPLE).await.class, class, "{name}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn fault_67_aliases_in_a_circle_and_answers_that_are_never_whole_end_as_a_dns_failure() {
    let server = Hostile::answers(ok("a")).await;
    let dns = NameServer::answers(|name, _| match name {
        "a.example.com." => Reply::AliasOnly("b.example.com."),
        "b.example.com." => Reply::AliasOnly("a.example.com."),
        "self.example.com." => Reply::AliasOnly("self.example.com."),
        _ => Reply::NeverWhole,
    })
    .await;
    let transport = built(loopback(), dns.at, None);
    for name in ["a.example.com", "self.example.com", "cut.example.com"] {
        let outcome = post(&transport, &named(name, &server), AMPLE).await;
        assert_eq!(outcome.class, OutcomeClass::Dns, "{name}: {outcome:?}");
    }
    assert!(dns.questions() < 100, "{} questions", dns.questions());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn fault_67_answers_that_come_after_the_budget_come_too_late() {
    let dns = NameServer::answers(|_, _| Reply::Late(2 * BUDGET, ips(&["127.0.0.1"]))).await;
    let resolver = Resolver::new(&[dns.at]).unwrap();
    let target = loopback().judge_url("http://slow.example.com/").unwrap();
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert_eq!(resolver.resolve(&loopback(), &target).await, Err(ResolveError::Slow));
    assert!(started.elapsed() <= BUDGET + Duration::from_millis(10));
}

/// What a machine in an office may have.
const RESOLV_CONF: &str =
    "domain corp.test\nsearch corp.test office.test\noptions ndots:15\nnameserver 127.0.0.1\n";

#[tokio::test]
async fn fault_68_no_search_domain_is_appended_to_a_name() {
    let dns = NameServer::answers(|name, _| match name {
        "db.corp.test." | "hooks.example.corp.test." => Reply::Addresses(ips(&["127.0.0.1"]), 60),
        _ => Reply::NoSuchName,
    })
    .await;
    let resolver = Resolver::of_resolv_conf(RESOLV_CONF, dns.at.port()).unwrap();
    assert_eq!(loopback().judge_url("http://db/"), Err(Refusal::Name), "a name without a dot");
    let target = loopback().judge_url("http://hooks.example/").unwrap();
    assert_eq!(bounded(resolver.resolve(&loopback(), &target)).await, Err(ResolveError::NoAddress));
    assert_eq!(dns.asked(), ["hooks.example."]);
}

/// The control of the story above: asked in the usual way the same
/// configuration leads to a machine of the office.
#[tokio::test]
async fn fault_68_a_resolver_that_heeds_the_search_list_would_find_the_office() {
    let dns = NameServer::answers(|name, _| match name {
        "db.corp.test." => Reply::Addresses(ips(&["127.0.0.1"]), 60),
        _ => Reply::NoSuchName,
    })
    .await;
    let (config, options) = parse_resolv_conf(RESOLV_CONF).unwrap();
    let (domain, search, mut servers) = config.into_parts();
    for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
        connection.port = dns.at.port();
    }
    let config = hickory_resolver::config::ResolverConfig::from_parts(domain, search, servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let found = bounded(builder.build().unwrap().lookup_ip("db")).await.unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), ips(&["127.0.0.1"]));
}
