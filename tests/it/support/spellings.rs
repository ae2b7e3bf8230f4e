//! The zoo of spellings (fault 65): ways to write a URL that must not be
//! reached, as they are and with a port where a listener waits for them.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

/// The zoo, each spelling with the kind of its refusal.
pub fn zoo() -> Vec<(String, String)> {
    let text = include_str!("../../samples/spellings.json");
    let zoo: BTreeMap<String, Vec<String>> = serde_json::from_str(text).unwrap();
    zoo.into_iter()
        .flat_map(|(kind, texts)| texts.into_iter().map(move |text| (kind.clone(), text)))
        .collect()
}

/// The spelling with this port instead of the one that it says or implies, if
/// it has a place for one.
pub fn at_port(spelling: &str, port: u16) -> Option<String> {
    let (scheme, rest) = spelling.split_once("://")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = match authority.rsplit_once(':') {
        Some((host, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            // Within brackets it is part of the address.
            if host.contains('[') && !host.ends_with(']') { authority } else { host }
        }
        _ => authority,
    };
    (!host.is_empty()).then(|| format!("{scheme}://{host}:{port}{path}"))
}

/// This machine's own addresses, as far as it would speak to the outside from
/// them. Nothing is sent.
pub fn own_addresses() -> Vec<IpAddr> {
    let from = |any: &str, to: &str| -> Option<IpAddr> {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    [from("0.0.0.0:0", "192.0.2.1:9"), from("[::]:0", "[2001:db8::1]:9")].into_iter().flatten().collect()
}

#[test]
fn a_spelling_gets_the_port_where_it_has_a_place_for_one() {
    for (spelling, moved) in [
        ("http://127.1/a:b", Some("http://127.1:7/a:b")),
        ("http://127.1:80?x", Some("http://127.1:7?x")),
        ("http://[::1]", Some("http://[::1]:7")),
        ("http://[::1]:80/", Some("http://[::1]:7/")),
        ("http://a:b@127.1/", Some("http://a:b@127.1:7/")),
        ("http:127.1", None),
        ("http://", None),
    ] {
        assert_eq!(at_port(spelling, 7).as_deref(), moved, "{spelling}");
    }
}
