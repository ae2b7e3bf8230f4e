//! The judge against an independent table, the zoo of spellings, and chance.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::spellings::ZOO;
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

/// Every reserved range of security.md 1 by its first and last address:
/// written independently of the table, to be compared with it.
const V4_RANGES: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.31.196.0", "192.31.196.255"),
    ("192.52.193.0", "192.52.193.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("192.175.48.0", "192.175.48.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("255.255.255.255", "255.255.255.255"),
];

const V6_RANGES: &[(&str, &str)] = &[
    ("::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("::ffff:0:0", "::ffff:ffff:ffff"),
    ("::ffff:0:0:0", "::ffff:0:ffff:ffff"),
    ("64:ff9b::", "64:ff9b::ffff:ffff"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
];

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap()).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// What the ranges say, by comparing numbers.
fn expected(ip: IpAddr) -> Result<(), Refusal> {
    let ranges = if ip.is_ipv4() { V4_RANGES } else { V6_RANGES };
    let within = |(first, last): &(&str, &str)| {
        (number(first.parse().unwrap())..=number(last.parse().unwrap())).contains(&number(ip))
    };
    let unicast = ip.is_ipv4() || (0x2000..0x4000).contains(&(number(ip) >> 112));
    if ranges.iter().any(within) || !unicast { Err(Refusal::Address) } else { Ok(()) }
}

#[test]
fn every_reserved_network_is_refused_from_its_first_address_to_its_last_and_no_further() {
    for (first, last) in V4_RANGES.iter().chain(V6_RANGES) {
        let (first, last) = (ip(first), ip(last));
        let (from, to) = (number(first), number(last));
        for inside in [from, to, from + (to - from) / 2, from + (to - from) / 3] {
            let inside = address(inside, first);
            assert_eq!(public().judge_ip(inside, 443), Err(Refusal::Address), "{inside}");
            assert!(reserved(inside).is_some());
        }
        let top = if first.is_ipv4() { u32::MAX.into() } else { u128::MAX };
        let below = from.checked_sub(1);
        let above = to.checked_add(1).filter(|n| *n <= top);
        for outside in [below, above].into_iter().flatten() {
            let outside = address(outside, first);
            assert_eq!(public().judge_ip(outside, 443), expected(outside), "{outside}");
        }
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

#[test]
fn no_spelling_reaches_what_must_not_be_reached() {
    let mut spellings = 0;
    for (refusal, texts) in ZOO {
        for text in *texts {
            spellings += 1;
            assert_eq!(refused(&public(), text), Some(*refusal), "{text:?}");
            assert!(refused(&Rules::default(), text).is_some(), "{text:?} without http");
        }
    }
    assert!(spellings >= 200, "the zoo has shrunk to {spellings}");
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

#[test]
fn refusals_are_fixed_texts_without_addresses() {
    for (refusal, _) in ZOO {
        let text = refusal.to_string();
        assert!(!text.contains("10.") && !text.contains("127."), "{text}");
    }
}

proptest! {
    #[test]
    fn the_judge_agrees_with_the_independent_table_on_any_ipv4_address(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits).into();
        prop_assert_eq!(public().judge_ip(ip, 443), expected(ip));
    }

    #[test]
    fn the_judge_agrees_with_the_independent_table_on_any_ipv6_address(
        bits in any::<u128>(), range in 0..V6_RANGES.len(), kept in 0_u32..128
    ) {
        // Chance alone never comes near a range: start from one, keep its head.
        let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
        let near = (number(ip(V6_RANGES[range].0)) & mask) | (bits & !mask);
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
