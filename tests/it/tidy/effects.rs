//! Where the outside may be touched: the clock, chance, the environment, files,
//! sockets. Everywhere else they come as arguments, so that tests own them.

use super::lexer::Token;
use super::source::Source;
use super::{Complaints, complaint, made_up, none, sources};

/// Names that only some places may use.
struct Rule {
    names: &'static [&'static str],
    within: Within,
    why: &'static str,
}

/// Places, as beginnings of file names.
enum Within {
    /// Only here.
    Only(&'static [&'static str]),
    /// Everywhere but here.
    Not(&'static [&'static str]),
}

const PURE: [&str; 3] = ["src/model", "src/policy", "src/source"];

const RULES: [Rule; 9] = [
    Rule {
        names: &["async", "await", "tokio", "hyper", "Future"],
        within: Within::Not(&PURE),
        why: "pure modules decide, and never wait",
    },
    Rule {
        names: &[
            "std::fs",
            "std::io::stdin",
            "std::process",
            "std::thread",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "ToSocketAddrs",
        ],
        within: Within::Not(&PURE),
        why: "pure modules do no input and output",
    },
    Rule {
        names: &["Instant", "rand", "tracing"],
        within: Within::Not(&PURE),
        why: "pure modules learn the time and chance as arguments, and log nothing",
    },
    Rule {
        names: &["SystemTime", "std::time::Instant", "jiff::Timestamp::now", "Zoned::now", "Clock::System"],
        within: Within::Only(&["src/env"]),
        why: "only env reads the clock (waiting is tokio::time, which follows the paused clock)",
    },
    Rule {
        names: &["rand", "getrandom", "SystemRandom", "OsRng", "Uuid::new_v4", "Uuid::now_v7"],
        within: Within::Only(&["src/env"]),
        why: "only env draws randomness, so that a seed repeats a run",
    },
    Rule {
        names: &["env::var", "env::var_os", "env::vars", "env::vars_os", "dotenvy"],
        within: Within::Only(&["src/config"]),
        why: "only config reads the environment",
    },
    Rule {
        names: &[
            "TcpStream::connect",
            "HttpConnector",
            "UdpSocket",
            "UnixStream::connect",
            "lookup_host",
            "hickory_resolver",
        ],
        within: Within::Only(&["src/transport", "src/cli"]),
        why: "only transport (and the command line, towards its own server) opens connections outwards",
    },
    Rule {
        names: &["TcpSocket"],
        within: Within::Only(&["src/transport", "src/cli", "src/node/process"]),
        why: "only transport opens connections outwards, and only the process listens",
    },
    Rule {
        names: &["rusqlite", "libsqlite3_sys"],
        within: Within::Only(&["src/store/sqlite"]),
        why: "only the store's adapter knows its database",
    },
];

impl Within {
    fn allows(&self, file: &str) -> bool {
        // `src/store` is the file and the directory, not `src/storefront.rs`.
        let is_in = |place: &&str| {
            file.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest.starts_with('.'))
        };
        match self {
            Self::Only(places) => places.iter().any(is_in),
            Self::Not(places) => !places.iter().any(is_in),
        }
    }
}

fn check(sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.file.starts_with("src/")) {
        for rule in RULES.iter().filter(|rule| !rule.within.allows(&source.file)) {
            for path in source.code() {
                if let Some(name) = rule.names.iter().find(|name| path.mentions(name)) {
                    complaints.push(complaint(&source.file, path.line, &format!("`{name}`: {}", rule.why)));
                }
            }
        }
    }
    complaints
}

/// `static`s that change: state of the process rather than of a node.
fn check_statics(sources: &[Source]) -> Complaints {
    let changing = ["Atomic", "Mutex", "RwLock", "Cell", "OnceLock", "mut"];
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.file.starts_with("src/")) {
        let code: Vec<_> = source.tokens.iter().filter(|placed| !placed.test).collect();
        for (at, placed) in
            code.iter().enumerate().filter(|(_, placed)| placed.token.name() == Some("static"))
        {
            let kind = code[at..].iter().take_while(|placed| !placed.token.is('=') && !placed.token.is(';'));
            let mut names = kind.filter_map(|placed| placed.token.name());
            if names.any(|name| changing.iter().any(|part| name.contains(part))) {
                let what = "a static that changes: one process holds many nodes, so state belongs to a node";
                complaints.push(complaint(&source.file, placed.line, what));
            }
        }
    }
    complaints
}

/// `#[allow(…)]` in any attribute.
fn check_allowed(sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for source in sources {
        let mut depth = 0_usize;
        for (at, placed) in source.tokens.iter().enumerate() {
            match placed.token {
                Token::Mark('[') if depth > 0 => depth += 1,
                Token::Mark('[') if opens_attribute(source, at) => depth = 1,
                Token::Mark(']') => depth = depth.saturating_sub(1),
                _ if depth > 0 && source.reads(at, &["allow", "("]) => {
                    let what = "say `expect` with a reason: it goes when it is no longer needed";
                    complaints.push(complaint(&source.file, placed.line, what));
                }
                Token::Name(_) | Token::Text(_) | Token::Colons | Token::Mark(_) => {}
            }
        }
    }
    complaints
}

fn opens_attribute(source: &Source, at: usize) -> bool {
    let before = |back: usize, mark| at >= back && source.tokens[at - back].token.is(mark);
    before(1, '#') || (before(1, '!') && before(2, '#'))
}

#[test]
fn the_outside_is_touched_only_where_it_is_said() {
    none(&check(&sources()));
}

#[test]
fn no_state_is_global() {
    none(&check_statics(&sources()));
}

#[test]
fn no_lint_is_allowed_in_silence() {
    none(&check_allowed(&sources()));
}

#[test]
fn a_touch_from_the_wrong_place_is_found() {
    let found = |file: &str, text: &str| check(&made_up(file, text)).len();
    let pure = check(&made_up("src/policy/retry.rs", "\nasync fn f() {}"));
    assert_eq!(pure, ["src/policy/retry.rs:2: `async`: pure modules decide, and never wait"]);
    assert_eq!(found("src/model.rs", "use tokio::time;"), 1);
    assert_eq!(found("src/source/meta.rs", "use std::{fmt, fs};"), 1);
    assert_eq!(found("src/policy/address.rs", "use std::net::{IpAddr, SocketAddr};"), 0, "plain types");
    assert_eq!(found("src/policy/address.rs", "use std::net::TcpStream;"), 1);
    assert_eq!(found("src/policy/retry.rs", "use std::time::{Duration, Instant};"), 2);
    assert_eq!(found("src/dispatch.rs", "use std::time::{Duration, SystemTime};"), 1);
    assert_eq!(found("src/dispatch.rs", "use tokio::time::Instant;"), 0);
    assert_eq!(found("src/store/sqlite.rs", "fn f() { std::time::Instant::now() }"), 1);
    assert_eq!(found("src/environment.rs", "use std::time::SystemTime;"), 1, "another module than env");
    assert_eq!(found("src/intake.rs", "fn f() -> u8 { rand::random() }"), 1);
    assert_eq!(found("src/cli/serve.rs", "fn f() { std::env::var_os(\"HOME\") }"), 1);
    assert_eq!(found("src/config.rs", "fn f() { std::env::var_os(\"HOME\") }"), 0);
    assert_eq!(found("src/api.rs", "async fn f() { TcpStream::connect(a).await }"), 1);
    assert_eq!(found("src/server.rs", "use tokio::net::TcpStream;"), 0, "one that was accepted");
    assert_eq!(found("src/store/queue.rs", "use rusqlite::Row;"), 1);
    assert_eq!(found("src/intake.rs", "// rand::random\nconst A: &str = \"tokio rand\";"), 0);
}

#[test]
fn a_static_that_changes_is_found() {
    let found = |text| check_statics(&made_up("src/node.rs", text)).len();
    assert_eq!(found("static SEEN: AtomicU64 = AtomicU64::new(0);"), 1);
    assert_eq!(found("static TABLE: OnceLock<Table> = OnceLock::new();"), 1);
    assert_eq!(found("static NAMES: [&str; 2] = [\"Mutex\", \"b\"]; fn f(a: &'static Mutex<u8>) {}"), 0);
}

#[test]
fn an_allowed_lint_is_found() {
    let found = |text| check_allowed(&made_up("src/node.rs", text)).len();
    assert_eq!(found("#[allow(dead_code)] fn f() {}"), 1);
    assert_eq!(found("#![cfg_attr(test, allow(clippy::unwrap_used, reason = \"a\"))]"), 1);
    assert_eq!(found("#[expect(dead_code, reason = \"allow(\")] fn f() { allow(a[0]) }"), 0);
}
