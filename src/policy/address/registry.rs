//! The independent table: the registries as IANA publishes them, and what is
//! refused besides, checked in as CSV. An update of them is a diff, and the
//! tests name the networks in which the table does not follow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

const REGISTRIES: [&str; 2] = [
    include_str!("../../../tests/samples/iana/ipv4-special-registry.csv"),
    include_str!("../../../tests/samples/iana/ipv6-special-registry.csv"),
];

const BESIDES: &str = include_str!("../../../tests/samples/iana/refused-besides.csv");

/// Every block of the registries, and whether it is to be refused for itself.
pub(super) fn blocks() -> Vec<(IpNet, bool)> {
    let registered = REGISTRIES.iter().flat_map(|text| read(text)).flat_map(|row| {
        // Terminated blocks say nothing of it, tunnels `N/A`: that is no `True`.
        let refused = !row[8].starts_with("True");
        networks(&row[0]).into_iter().map(move |net| (net, refused))
    });
    let besides = read(BESIDES).into_iter().flat_map(|row| networks(&row[0])).map(|net| (net, true));
    registered.chain(besides).collect()
}

/// Whether some block that is to be refused holds `ip`.
pub(super) fn refuses(blocks: &[(IpNet, bool)], ip: IpAddr) -> bool {
    blocks.iter().any(|(net, refused)| *refused && net.contains(&ip))
}

/// The address after `ip`, and the one before it, in its family.
pub(super) fn neighbours(ip: IpAddr) -> (Option<IpAddr>, Option<IpAddr>) {
    match ip {
        IpAddr::V4(ip) => {
            let (next, before) = (u32::from(ip).checked_add(1), u32::from(ip).checked_sub(1));
            (next.map(|n| Ipv4Addr::from(n).into()), before.map(|n| Ipv4Addr::from(n).into()))
        }
        IpAddr::V6(ip) => {
            let (next, before) = (u128::from(ip).checked_add(1), u128::from(ip).checked_sub(1));
            (next.map(|n| Ipv6Addr::from(n).into()), before.map(|n| Ipv6Addr::from(n).into()))
        }
    }
}

/// The address in the middle of a network.
pub(super) fn middle(net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            Ipv4Addr::from(first + (last - first) / 2).into()
        }
        IpNet::V6(net) => {
            let (first, last) = (u128::from(net.network()), u128::from(net.broadcast()));
            Ipv6Addr::from(first + (last - first) / 2).into()
        }
    }
}

/// The networks of a cell: several between commas, with footnotes.
fn networks(cell: &str) -> Vec<IpNet> {
    let bare = cell.split(',').map(|part| part.split_whitespace().next().expect("a block is named"));
    bare.map(|net| net.parse().unwrap_or_else(|error| panic!("{net}: {error}"))).collect()
}

/// The rows below the heading. A cell in quotes may hold commas and line ends.
fn read(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty(), "a file of rows ends with a line's end");
    let columns = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == columns), "{columns} columns in each row");
    rows.split_off(1)
}
