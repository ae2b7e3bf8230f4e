//! What only the server's own machine can tell: its configuration, key, store and disk,
//! and the way to Meta.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::{Findings, Verdict};
use crate::cli::check;
use crate::config::Config;
use crate::env::Env;
use crate::node::process::ways_out;
use crate::policy::retry::http_date;
use crate::transport::{Inquirer, Inquiry};

/// Below this a disk is as good as full: the log alone may take a quarter of it.
const SCARCE: u64 = 256 << 20;

/// For one look at Meta.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn look(file: Option<&Path>, config: &Config, findings: &mut Findings) {
    findings.ok("configuration", check::summary(config));
    for oddity in check::oddities(file, config) {
        findings.add("configuration", Verdict::Note, oddity, None);
    }
    match check::key(config) {
        Err(failure) => findings.failed("key", &failure),
        Ok((key, told)) => {
            findings.ok("key", if told.is_empty() { "is there".to_owned() } else { told[2..].to_owned() });
            match check::store(config, key) {
                Ok((told, note)) => {
                    findings.ok("store", told);
                    if let Some(note) = note {
                        findings.add("store", Verdict::Note, note, None);
                    }
                }
                Err(failure) => findings.failed("store", &failure),
            }
        }
    }
    disk(&config.store.path, findings);
    address(config, findings);
}

fn disk(store: &Path, findings: &mut Findings) {
    let directory = store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(directory) {
        Ok(disk) => {
            let (free, all) =
                (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
            let (verdict, detail) = room(free, all);
            let hint = "make room, or move the store: on a full disk nothing new is taken";
            findings.add("disk", verdict, detail, (verdict != Verdict::Ok).then_some(hint));
        }
        Err(error) => findings.add("disk", Verdict::Wrong, format!("{}: {error}", directory.display()), None),
    }
}

/// Whether so many bytes are enough.
fn room(free: u64, all: u64) -> (Verdict, String) {
    let mib = |bytes: u64| bytes >> 20;
    let verdict = match free {
        free if free < SCARCE => Verdict::Wrong,
        free if free < all / 20 => Verdict::Note,
        _ => Verdict::Ok,
    };
    (verdict, format!("{} MiB of {} MiB are free", mib(free), mib(all)))
}

/// Whether a server can listen where it is to, or listens there.
fn address(config: &Config, findings: &mut Findings) {
    let address = config.server.listen;
    match TcpListener::bind(address) {
        Ok(_) => findings.add(
            "address",
            Verdict::Note,
            format!("nothing listens on {address}"),
            Some("bellwether serve starts a server"),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            findings.ok("address", format!("something listens on {address}"));
        }
        Err(error) => {
            let hint = "set server.listen to an address of this machine";
            findings.add(
                "address",
                Verdict::Wrong,
                format!("cannot listen on {address}: {error}"),
                Some(hint),
            );
        }
    }
}

/// Whether the Graph API is reached, and what its clock shows: where numbers are read
/// from it.
pub(super) async fn ask_meta(config: &Config, env: &Env, findings: &mut Findings) {
    const WHAT: &str = "graph api";
    if config.graph.access_token.is_none() {
        return;
    }
    let to_graph = match ways_out(config, env) {
        Ok((_, to_graph)) => to_graph,
        Err(error) => return findings.failed(WHAT, &error.into()),
    };
    let url = format!("{}/", config.graph.base_url);
    let inquiry = Inquiry { url, headers: Vec::new(), most_bytes: 1 << 20, deadline: PATIENCE };
    match to_graph.inquire(inquiry).await {
        Ok(answer) => {
            findings.ok(WHAT, format!("{} answers", config.graph.base_url));
            let date = answer.headers.get("date").and_then(|date| http_date(date.to_str().ok()?));
            if let Some(date) = date {
                super::remote::clocks("clock against meta", date, env.clock.wall(), findings);
            }
        }
        Err(unanswered) => {
            let hint = "numbers are read from there: look at delivery.dns_servers and the firewall";
            let detail = format!(
                "{} does not answer ({}): {}",
                config.graph.base_url,
                unanswered.class.as_str(),
                unanswered.note
            );
            findings.add(WHAT, Verdict::Wrong, detail, Some(hint));
        }
    }
}

#[test]
fn a_disk_is_told_to_be_full_before_it_is() {
    let gib = 1 << 30;
    assert_eq!(room(100 * gib, 500 * gib), (Verdict::Ok, "102400 MiB of 512000 MiB are free".to_owned()));
    assert_eq!(room(10 * gib, 500 * gib).0, Verdict::Note);
    assert_eq!(room(100 << 20, gib).0, Verdict::Wrong);
}
