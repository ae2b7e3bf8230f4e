//! The judge against an independent table, the zoo of spellings, and chance.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

fn public() -> Rules {
    Rules { allow_http: true, ..Rules::default() }
}

fn inside(networks: &[&str]) -> Rules {
    Rules { allow_networks: networks.iter().map(|net| net.parse().unwrap()).collect(), ..public() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn refused(rules: &Rules, text: &str) -> Option<Refusal> {
    rules.judge_url(text).err()
}

/// What the registries say.
fn expected(ip: IpAddr) -> Result<(), Refusal> {
    if registry::refuses(&registry::blocks(), ip) { Err(Refusal::Address) } else { Ok(()) }
}

#[test]
fn fault_64_every_network_is_refused_from_its_first_address_to_its_last_and_no_further() {
    let blocks = registry::blocks();
    assert!(blocks.len() >= 60, "the registries have shrunk to {}", blocks.len());
    for (net, refused) in &blocks {
        let (first, last) = (net.network(), net.broadcast());
        for inside in [first, last, registry::middle(*net)] {
            assert_eq!(public().judge_ip(inside, 443), expected(inside), "{inside} in {net}");
            assert!(!refused || public().judge_ip(inside, 443).is_err(), "{inside} in {net}");
            assert_eq!(public().network(inside) == "public", expected(inside).is_ok(), "{inside}");
        }
        let outside = [registry::neighbours(first).1, registry::neighbours(last).0];
        for outside in outside.into_iter().flatten() {
            assert_eq!(public().judge_ip(outside, 443), expected(outside), "{outside} beside {net}");
        }
    }
}

/// Both tables say the same from one of their networks' ends to the next, so
/// the addresses at the ends stand for all there are.
#[test]
fn fault_64_the_table_and_the_registries_agree_on_every_address_there_is() {
    let blocks = registry::blocks();
    let own = table::V4.iter().map(|(net, _)| IpNet::from(*net));
    let own = own.chain(table::V6.iter().map(|(net, _)| IpNet::from(*net)));
    let nets = own.chain(blocks.iter().map(|(net, _)| *net)).chain(["2000::/3".parse().unwrap()]);
    let ends = nets.flat_map(|net| [net.network(), net.broadcast()]);
    let mut differences = Vec::new();
    for end in ends {
        let (next, before) = registry::neighbours(end);
        for ip in [Some(end), next, before].into_iter().flatten() {
            if public().judge_ip(ip, 443).is_err() != registry::refuses(&blocks, ip) {
                differences.push(ip);
            }
        }
    }
    assert!(differences.is_empty(), "table.rs and tests/samples/iana differ at {differences:?}");
}

#[test]
fn fault_64_of_every_first_byte_and_every_ipv6_group_the_judge_says_what_the_registries_say() {
    let blocks = registry::blocks();
    for first in 0..=u8::MAX {
        for rest in [[0, 0, 0], [0, 0, 1], [128, 0, 0], [255, 255, 255]] {
            let ip = IpAddr::from([first, rest[0], rest[1], rest[2]]);
            assert_eq!(public().judge_ip(ip, 443).is_err(), registry::refuses(&blocks, ip), "{ip}");
        }
    }
    for first in 0..=u16::MAX {
        let ip = IpAddr::from([first, 0xff, 0, 0, 0, 0, 0, 1]);
        assert_eq!(public().judge_ip(ip, 443).is_err(), registry::refuses(&blocks, ip), "{ip}");
    }
}

#[test]
fn a_denied_network_or_name_is_closed_though_it_is_public_or_allowed() {
    let rules = Rules {
        deny_networks: vec!["8.8.8.0/24".parse().unwrap(), "10.1.2.0/24".parse().unwrap()],
        deny_hosts: vec![host_name("Bellwether.Example.com.").unwrap()],
        allow_ports: vec![9443],
        ..inside(&["10.1.0.0/16", "::ffff:0:0/96"])
    };
    for closed in ["8.8.8.8", "10.1.2.3", "::ffff:10.1.2.3", "::ffff:8.8.8.8"] {
        assert_eq!(rules.judge_ip(ip(closed), 443), Err(Refusal::Address), "{closed}");
        assert_eq!(rules.network(ip(closed)), "denied");
    }
    for open in ["8.8.4.4", "10.1.3.1", "::ffff:8.8.4.4"] {
        assert_eq!(rules.judge_ip(ip(open), 443), Ok(()), "{open}");
    }
    for closed in ["bellwether.example.com", "BELLWETHER.example.com.", "a.bellwether.example.com:9443"] {
        assert_eq!(refused(&rules, &format!("https://{closed}/ingest")), Some(Refusal::Name), "{closed}");
    }
    assert_eq!(refused(&rules, "https://notbellwether.example.com/"), None);
    assert_eq!(refused(&rules, "https://example.com/"), None);
}

#[test]
fn a_host_name_is_a_public_name_and_nothing_else() {
    assert_eq!(host_name("B\u{fc}cher.Example").as_deref(), Some("xn--bcher-kva.example"));
    for bad in
        ["", "example", "10.0.0.1", "::1", "a.example/b", "a.example:80", "u@a.example", "a.local", "a b.c"]
    {
        assert_eq!(host_name(bad), None, "{bad:?}");
    }
}

#[test]
fn public_addresses_are_allowed() {
    for text in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255"] {
        assert_eq!(public().judge_ip(ip(text), 443), Ok(()), "{text}");
    }
    for text in ["2000::1", "2001:200::1", "2606:4700::1111", "2a00:1450::1", "3ffe::1", "3fff:1000::1"] {
        assert_eq!(public().judge_ip(ip(text), 443), Ok(()), "{text}");
    }
}

/// Ways to write what must not be reached, by the refusal that each meets when
/// `http://` is allowed and no network is.
fn zoo() -> Vec<(Refusal, String)> {
    let zoo: BTreeMap<String, Vec<String>> =
        serde_json::from_str(include_str!("../../../tests/samples/spellings.json")).unwrap();
    let refusal = |kind: &str| match kind {
        "address" => Refusal::Address,
        "name" => Refusal::Name,
        "character" => Refusal::Character,
        "malformed" => Refusal::Malformed,
        "userInfo" => Refusal::UserInfo,
        "scheme" => Refusal::Scheme,
        "port" => Refusal::Port,
        "fragment" => Refusal::Fragment,
        other => panic!("{other} is no refusal"),
    };
    zoo.into_iter()
        .flat_map(|(kind, texts)| texts.into_iter().map(move |text| (refusal(&kind), text)))
        .collect()
}

#[test]
fn fault_65_no_spelling_reaches_what_must_not_be_reached() {
    let zoo = zoo();
    for (refusal, text) in &zoo {
        assert_eq!(refused(&public(), text), Some(*refusal), "{text:?}");
        assert!(refused(&Rules::default(), text).is_some(), "{text:?} without http");
    }
    assert!(zoo.len() >= 200, "the zoo has shrunk to {}", zoo.len());
}

#[test]
fn an_ordinary_url_is_accepted_and_normalised() {
    for (text, url, port) in [
        ("https://example.com", "https://example.com/", 443),
        ("HTTPS://Example.COM:443/a?b=c", "https://example.com/a?b=c", 443),
        ("https://example.com./hook", "https://example.com/hook", 443),
        ("https://b\u{fc}cher.example/\u{e4}", "https://xn--bcher-kva.example/%C3%A4", 443),
        ("https://example.com:8443/?", "https://example.com:8443/?", 8443),
        ("https://127.0.0.1.nip.io/", "https://127.0.0.1.nip.io/", 443),
        ("https://1.1.1.1/", "https://1.1.1.1/", 443),
        ("https://[2606:4700:0:0::1111]:8080/", "https://[2606:4700::1111]:8080/", 8080),
        ("https://example.com/a/../b|{c}", "https://example.com/b|%7Bc%7D", 443),
        ("https://my_hooks.example.com/", "https://my_hooks.example.com/", 443),
    ] {
        let target = Rules::default().judge_url(text).unwrap();
        assert_eq!((target.url.as_str(), target.port, target.https), (url, port, true), "{text}");
    }
}

#[test]
fn http_is_refused_as_insecure_unless_allowed() {
    assert_eq!(refused(&Rules::default(), "http://example.com/"), Some(Refusal::Insecure));
    assert!(Refusal::Insecure.is_insecure_protocol());
    assert!(!Refusal::Address.is_insecure_protocol());
    let target = public().judge_url("http://example.com/").unwrap();
    assert_eq!((target.port, target.https), (80, false));
}

#[test]
fn a_url_is_at_most_2048_bytes_long_as_written_and_as_normalised() {
    let padded = |n: usize, c: &str| format!("https://example.com/{}", c.repeat(n));
    assert_eq!(refused(&public(), &padded(2028, "a")), None);
    assert_eq!(refused(&public(), &padded(2029, "a")), Some(Refusal::TooLong));
    assert_eq!(refused(&public(), &padded(700, "\u{e4}")), Some(Refusal::TooLong), "six bytes each");
    let long_label = format!("https://{}.com/", "a".repeat(64));
    assert!(refused(&public(), &long_label).is_some());
}

#[test]
fn four_ports_are_open_and_the_operator_may_add_to_them() {
    let adding = Rules { allow_ports: vec![9443, 22, 0], ..public() };
    for port in 0..=u16::MAX {
        let open = OPEN_PORTS.contains(&port);
        assert_eq!(public().judge_ip(ip("8.8.8.8"), port).is_ok(), open, "{port}");
        assert_eq!(adding.judge_ip(ip("8.8.8.8"), port).is_ok(), open || port == 9443, "{port}");
    }
    assert_eq!(refused(&adding, "https://example.com:9443/"), None);
    assert_eq!(refused(&adding, "https://example.com:22/"), Some(Refusal::Port));
}

#[test]
fn an_allowed_network_is_open_on_every_port_and_only_that_network() {
    let rules = inside(&["10.1.0.0/16", "fd00::/64"]);
    for port in [1, 22, 80, 6379, 65535] {
        assert_eq!(rules.judge_ip(ip("10.1.2.3"), port), Ok(()));
        assert_eq!(rules.judge_ip(ip("fd00::1"), port), Ok(()));
        assert_eq!(rules.judge_ip(ip("10.2.0.0"), port), Err(Refusal::Address));
        assert_eq!(rules.judge_ip(ip("::ffff:10.1.2.3"), port), Err(Refusal::Address));
    }
    assert_eq!(rules.judge_ip(ip("10.1.2.3"), 0), Err(Refusal::Port));
    assert_eq!(refused(&rules, "http://0x0a010203:6379/"), None);
    assert_eq!(refused(&rules, "http://8.8.8.8:6379/"), Some(Refusal::Port));
    // A name may lie inside: its port is judged with its addresses.
    assert_eq!(refused(&rules, "http://example.com:6379/"), None);
    assert_eq!(refused(&rules, "http://example.com:0/"), Some(Refusal::Port));
    assert_eq!(rules.judge_ip(ip("8.8.8.8"), 6379), Err(Refusal::Port));
}

#[test]
fn localhost_is_127_0_0_1_wherever_that_is_allowed() {
    let rules = inside(&["127.0.0.0/8"]);
    for text in ["http://localhost:5000/", "http://shop.localhost:5000/", "http://LOCALHOST.:5000/"] {
        let target = rules.judge_url(text).unwrap();
        assert_eq!(target.literal(), Some(ip("127.0.0.1")), "{text}");
        assert_eq!(refused(&public(), text), Some(Refusal::Address));
    }
    let named = rules.judge_url("http://notlocalhost.com/").unwrap();
    assert_eq!((named.literal(), named.host), (None, Host::Name("notlocalhost.com".into())));
}

#[test]
fn nothing_is_delivered_to_our_own_listeners() {
    let own = |text: &str| Rules {
        own: vec![text.parse().unwrap()],
        ..inside(&["127.0.0.0/8", "10.0.0.0/8", "::/0", "0.0.0.0/32"])
    };
    let exact = own("10.0.0.5:8080");
    assert_eq!(exact.judge_ip(ip("10.0.0.5"), 8080), Err(Refusal::Own));
    assert_eq!(exact.judge_ip(ip("::ffff:10.0.0.5"), 8080), Err(Refusal::Own));
    assert_eq!(exact.judge_ip(ip("10.0.0.5"), 8081), Ok(()));
    assert_eq!(exact.judge_ip(ip("10.0.0.6"), 8080), Ok(()));
    for any in [own("0.0.0.0:8080"), own("[::]:8080")] {
        for local in ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
            assert_eq!(any.judge_ip(ip(local), 8080), Err(Refusal::Own), "{local}");
        }
        assert_eq!(any.judge_ip(ip("127.0.0.1"), 8081), Ok(()));
        assert_eq!(refused(&any, "http://localhost:8080/"), Some(Refusal::Own));
        // Which other addresses are ours shows once connected.
        let connected =
            |local: &str, peer: &str| any.judge_connection(local.parse().unwrap(), peer.parse().unwrap());
        assert_eq!(connected("10.0.0.5:50000", "10.0.0.5:8080"), Err(Refusal::Own));
        assert_eq!(connected("10.0.0.5:50000", "10.0.0.6:8080"), Ok(()));
        assert_eq!(connected("10.0.0.5:50000", "10.0.0.5:8081"), Ok(()));
    }
    assert_eq!(own("127.0.0.1:8080").judge_ip(ip("0.0.0.0"), 8080), Err(Refusal::Own));
}

/// Else a customer could find out where this service listens by asking.
#[test]
fn fault_74_in_a_closed_network_our_own_listener_is_refused_like_any_other_address() {
    for own in ["127.0.0.1:8080", "0.0.0.0:8080", "10.0.0.5:8080", "[::]:8080"] {
        let rules = Rules { own: vec![own.parse().unwrap()], ..public() };
        for host in ["127.0.0.1", "10.0.0.5", "10.0.0.6", "::1", "0.0.0.0"] {
            for port in [8080, 8081, 6379] {
                assert_eq!(rules.judge_ip(ip(host), port), Err(Refusal::Address), "{host} {port}");
            }
        }
    }
}

#[test]
fn refusals_are_fixed_texts_without_addresses() {
    for (refusal, _) in zoo() {
        let text = refusal.to_string();
        assert!(!text.contains("10.") && !text.contains("127."), "{text}");
    }
}

proptest! {
    #[test]
    fn fault_64_the_judge_agrees_with_the_registries_on_any_ipv4_address(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits).into();
        prop_assert_eq!(public().judge_ip(ip, 443), expected(ip));
    }

    #[test]
    fn fault_64_the_judge_agrees_with_the_registries_on_any_ipv6_address(
        bits in any::<u128>(), block in any::<prop::sample::Index>(), kept in 0_u32..128
    ) {
        // Chance alone never comes near a block: start from one, keep its head.
        let v6: Vec<Ipv6Addr> = registry::blocks()
            .into_iter()
            .filter_map(|(net, _)| if let IpNet::V6(net) = net { Some(net.network()) } else { None })
            .collect();
        let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
        let near = (u128::from(*block.get(&v6)) & mask) | (bits & !mask);
        for bits in [bits, near] {
            let ip = Ipv6Addr::from(bits).into();
            prop_assert_eq!(public().judge_ip(ip, 443), expected(ip));
        }
    }

    #[test]
    fn a_literal_address_is_judged_alike_in_every_spelling(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits);
        let [a, b, c, d] = ip.octets();
        for text in [
            format!("http://{ip}/"), format!("http://{bits}/"), format!("http://{bits:#x}/"),
            format!("http://0{bits:o}/"), format!("http://{a:#x}.0{b:o}.{c}.{d:#X}/"),
            format!("http://{a}.{}/", bits & 0xff_ffff),
        ] {
            let text = text.replace("0X", "0x");
            prop_assert_eq!(refused(&public(), &text), expected(ip.into()).err(), "{}", text);
        }
    }

    #[test]
    fn no_text_panics_and_what_is_accepted_is_accepted_again_unchanged(
        text in "(https?://)?[a-zA-Z0-9.\\[\\]:%/@?#\\\\\u{ff11}\u{3002}\u{e4}\t -]{0,40}|.{0,60}"
    ) {
        if let Ok(target) = public().judge_url(&text) {
            prop_assert_eq!(public().judge_url(target.url.as_str()), Ok(target));
        }
    }
}
