//! The reserved networks: what the public Internet does not route, or routes
//! to somewhere else than it says. From the IANA special-purpose registries
//! for IPv4 and IPv6 and the addresses of clouds' metadata services.
//!
//! Of IPv6 only `2000::/3` is handed out at all, so the rule there is: nothing
//! else, and of that not what is listed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(bytes: [u8; 4], prefix: u8, what: &'static str) -> (Ipv4Net, &'static str) {
    let [a, b, c, d] = bytes;
    (Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix), what)
}

/// From the first four groups; the others are 0.
const fn v6(groups: [u16; 4], prefix: u8, what: &'static str) -> (Ipv6Net, &'static str) {
    let [a, b, c, d] = groups;
    (Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix), what)
}

pub(super) const V4: [(Ipv4Net, &str); 19] = [
    v4([0, 0, 0, 0], 8, "this network"),
    v4([10, 0, 0, 0], 8, "private"),
    v4([100, 64, 0, 0], 10, "carrier-grade NAT"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([168, 63, 129, 16], 32, "Azure platform"),
    v4([169, 254, 0, 0], 16, "link-local, metadata services"),
    v4([172, 16, 0, 0], 12, "private"),
    v4([192, 0, 0, 0], 24, "protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    v4([192, 31, 196, 0], 24, "AS112"),
    v4([192, 52, 193, 0], 24, "AMT"),
    v4([192, 88, 99, 0], 24, "6to4 relay"),
    v4([192, 168, 0, 0], 16, "private"),
    v4([192, 175, 48, 0], 24, "AS112"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([240, 0, 0, 0], 4, "reserved, broadcast"),
];

const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

pub(super) const V6: [(Ipv6Net, &str); 14] = [
    v6([0, 0, 0, 0], 8, "loopback, unspecified, embedded IPv4"),
    v6([0x64, 0xff9b, 0, 0], 32, "NAT64"),
    v6([0x100, 0, 0, 0], 64, "discard"),
    v6([0x100, 0, 0, 1], 64, "dummy"),
    v6([0x2001, 0, 0, 0], 23, "protocol assignments (Teredo, ORCHID)"),
    v6([0x2001, 0xdb8, 0, 0], 32, "documentation"),
    v6([0x2002, 0, 0, 0], 16, "6to4"),
    v6([0x2620, 0x4f, 0x8000, 0], 48, "AS112"),
    v6([0x3fff, 0, 0, 0], 20, "documentation"),
    v6([0x5f00, 0, 0, 0], 16, "segment routing"),
    v6([0xfc00, 0, 0, 0], 7, "unique local, metadata services"),
    v6([0xfe80, 0, 0, 0], 10, "link-local"),
    v6([0xfec0, 0, 0, 0], 10, "site-local"),
    v6([0xff00, 0, 0, 0], 8, "multicast"),
];

/// What the reserved network that holds `ip` is for; `None` if it is public.
pub(super) fn reserved(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, what)| *what),
        IpAddr::V6(ip) => {
            let listed = V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, what)| *what);
            listed.or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some("not assigned"))
        }
    }
}
