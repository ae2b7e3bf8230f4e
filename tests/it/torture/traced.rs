//! A server under strace: killed at the n-th call of a kind, or with every call
//! written down, and what the record says of acknowledgements.
//!
//! The record is a total order: strace stops a thread at the end of a call
//! before that thread goes on, so what was caused by a call's return stands
//! below it. An acknowledgement is *covered* if the page that holds its change
//! was written to a file, a sync of that file began after that and came back
//! well, and only then the 200 began to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::process::running::{binary, within, write_config};

/// The calls that make a file durable.
pub(crate) const SYNCS: &str = "fsync,fdatasync";

/// `serve` on the configuration in `directory`, under strace with `options`. The
/// server is the child and strace its grandchild, so signals reach the server.
pub(crate) fn serve_traced(directory: &Path, options: &[&str]) -> Command {
    let mut command = binary();
    command.arg("serve").arg("--config").arg(write_config(directory));
    within(&[&["strace", "-D", "-f", "-q"], options].concat(), command)
}

/// One call, joined if it was written down in two parts.
#[derive(Debug, Default, Clone)]
struct Call {
    name: String,
    fd: u64,
    /// The arguments, as strace writes them.
    text: String,
    /// The lines on which it begins and ends.
    began: usize,
    ended: usize,
    result: String,
}

fn calls(record: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut under_way: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in record.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((_, rest)) = rest.trim_start().split_once(' ') else { continue };
        let (place, text) = if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(place) = under_way.remove(thread) else { continue };
            (place, resumed.split_once(" resumed>").map_or("", |(_, text)| text))
        } else {
            let Some((name, text)) = rest.split_once('(') else { continue };
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let fd = digits.parse().unwrap_or(u64::MAX);
            calls.push(Call { name: name.to_owned(), fd, began: at, ended: usize::MAX, ..Call::default() });
            (calls.len() - 1, text)
        };
        let call = &mut calls[place];
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            call.text.push_str(begun);
            under_way.insert(thread, place);
        } else {
            call.text.push_str(text);
            call.ended = at;
            text.rsplit(" = ").next().unwrap_or_default().clone_into(&mut call.result);
        }
    }
    calls
}

/// What a record says of the acknowledgements in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Changes whose 200 came after the sync that covers it.
    pub(crate) covered: BTreeSet<u64>,
    /// The others, with what is missing.
    pub(crate) uncovered: Vec<String>,
}

/// Reads a record in which each change was posted as the only one of its request.
pub(crate) fn read(record: &str) -> Told {
    let calls = calls(record);
    let (writes, syncs) = (first_writes(&calls), syncs(&calls));
    let mut moments: Vec<(usize, bool, &Call)> = calls.iter().map(|call| (call.began, true, call)).collect();
    moments.extend(calls.iter().map(|call| (call.ended, false, call)));
    moments.sort_by_key(|(at, begins, _)| (*at, *begins));
    let mut told = Told::default();
    // By socket: the change whose answer is owed there.
    let mut asked: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, begins, call) in moments {
        match (call.name.as_str(), begins) {
            ("recvfrom" | "read" | "recvmsg" | "readv", false) => {
                if let Some(key) = posted(&call.text) {
                    asked.insert(call.fd, key);
                }
            }
            ("write" | "writev" | "sendto" | "sendmsg", true) if call.text.contains("HTTP/1.1 200") => {
                let Some(key) = asked.remove(&call.fd) else { continue };
                match uncovered(writes.get(&key).copied(), &syncs, call) {
                    None => drop(told.covered.insert(key)),
                    Some(why) => told.uncovered.push(format!("change {key}: {why}")),
                }
            }
            _ => {}
        }
    }
    told
}

/// The change that a request's bytes are about.
fn posted(text: &str) -> Option<u64> {
    let (_, limit) = text.split_once("\\\"current_limit\\\":\\\"TIER_")?;
    limit.split('\\').next()?.parse().ok()
}

/// The first write to a file that has a change's limit, by change.
fn first_writes(calls: &[Call]) -> BTreeMap<u64, &Call> {
    let mut writes = BTreeMap::new();
    for call in calls.iter().filter(|call| call.name == "pwrite64") {
        for (at, found) in call.text.match_indices("TIER_") {
            let (digits, end) = call.text[at + found.len()..].split_once('\\').unwrap_or_default();
            if let (Ok(key), true) = (digits.parse(), end.starts_with('"')) {
                writes.entry(key).or_insert(call);
            }
        }
    }
    writes
}

/// The syncs that came back well.
fn syncs(calls: &[Call]) -> Vec<&Call> {
    let is_sync = |call: &&Call| SYNCS.split(',').any(|name| name == call.name);
    calls.iter().filter(is_sync).filter(|call| call.result == "0").collect()
}

/// Why a 200 is not covered by a sync.
fn uncovered(written: Option<&Call>, syncs: &[&Call], answer: &Call) -> Option<String> {
    let Some(written) = written.filter(|written| written.ended < answer.began) else {
        return Some("its 200 went out before it was written to a file".to_owned());
    };
    let covers =
        |sync: &&&Call| sync.fd == written.fd && sync.began > written.ended && sync.ended < answer.began;
    if syncs.iter().find(covers).is_some() {
        return None;
    }
    let (from, to) = (written.ended + 1, answer.began + 1);
    Some(format!(
        "on line {from} it is in file {}, on line {to} its 200 goes out, without a sync between",
        written.fd
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = r#"12 1.0 recvfrom(20, "POST /ingest \"current_limit\":\"TIER_17\",\"old_limit\":\"TIER_0\"", 8192, 0, NULL, NULL) = 80"#;
    const WRITTEN: &str = r#"14 1.1 pwrite64(9, "\0\1{\"currentLimit\":\"TIER_17\",\"oldLimit\":\"TIER_0\"}", 4096, 56) = 4096"#;
    const SYNCED: &str = "14   1.2 fdatasync(9)       = 0";
    const ANSWERED: &str = r#"12 1.3 writev(20, [{iov_base="HTTP/1.1 200 OK\r\n", iov_len=17}], 1) = 17"#;

    fn told(lines: &[&str]) -> (usize, usize) {
        let told = read(&lines.join("\n"));
        (told.covered.len(), told.uncovered.len())
    }

    #[test]
    fn a_record_shows_whether_an_acknowledgement_waited_for_the_sync_that_covers_it() {
        assert_eq!(told(&[ASKED, WRITTEN, SYNCED, ANSWERED]), (1, 0));
        assert_eq!(told(&[ASKED, WRITTEN, ANSWERED, SYNCED]), (0, 1), "the sync came too late");
        assert_eq!(told(&[ASKED, WRITTEN, ANSWERED]), (0, 1), "there was none");
        assert_eq!(told(&[ASKED, SYNCED, WRITTEN, ANSWERED]), (0, 1), "it was for what came before");
        assert_eq!(told(&[ASKED, ANSWERED, WRITTEN, SYNCED]), (0, 1), "it was not even written");
        let failed = SYNCED.replace("= 0", "= -1 EIO (Input/output error)");
        assert_eq!(told(&[ASKED, WRITTEN, &failed, ANSWERED]), (0, 1), "the sync failed");
        let other = SYNCED.replace("(9)", "(8)");
        assert_eq!(told(&[ASKED, WRITTEN, &other, ANSWERED]), (0, 1), "it was of another file");
        let another = WRITTEN.replace("TIER_17", "TIER_171");
        assert_eq!(told(&[ASKED, &another, SYNCED, ANSWERED]), (0, 1), "another change was written");
        let refused = ANSWERED.replace("200 OK", "503 Busy");
        assert_eq!(told(&[ASKED, &refused]), (0, 0), "nothing was acknowledged");
    }

    #[test]
    fn a_call_that_others_interrupt_in_the_record_is_read_as_one() {
        let begun = "14 1.2 fdatasync(9 <unfinished ...>";
        let ended = "14 1.4 <... fdatasync resumed>)  = 0";
        assert_eq!(told(&[ASKED, WRITTEN, begun, "13 1.2 read(3, \"\", 1) = 0", ended, ANSWERED]), (1, 0));
        assert_eq!(told(&[ASKED, WRITTEN, begun, ANSWERED, ended]), (0, 1), "not yet back");
        let (waits, gets) = ASKED.split_at(ASKED.find('"').unwrap());
        let gets = format!("12 1.0 <... recvfrom resumed>{gets}");
        let waits = format!("{waits}<unfinished ...>");
        assert_eq!(told(&[&waits, &gets, WRITTEN, SYNCED, ANSWERED]), (1, 0));
    }
}
