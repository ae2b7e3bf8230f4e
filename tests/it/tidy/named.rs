//! Tests that documents name. A promise is worth the test that holds it, so each
//! is named with its place, as in `store/lease`: `a_retry_keeps_its_turn`; and a
//! test that was renamed, moved or removed makes its promise's line go red here.
//!
//! A name is a span of code or emphasis in lower case with three underscores or
//! more; its place, the span of code last before it, is a file of `src` or
//! `tests/it` without the ending, or a directory above it.

use std::collections::BTreeMap;

use super::lexer::Token;
use super::source::{Placed, Source};
use super::{Complaints, complaint, made_up, none, read, sources};

/// The documents, each with how many names it has at least: none found is no check.
const DOCUMENTS: [(&str, usize); 3] =
    [("ARCHITECTURE.md", 20), ("docs/guarantees.md", 150), ("docs/threat-model.md", 60)];

/// Metrics look like names.
const METRIC: &str = "bellwether_";

/// The places of each test, by its name.
type Tests = BTreeMap<String, Vec<String>>;

fn tests(sources: &[Source]) -> Tests {
    let mut found = Tests::new();
    for Source { file, tokens, .. } in sources {
        let place = file.strip_prefix("src/").or_else(|| file.strip_prefix("tests/it/")).unwrap_or(file);
        let place = place.trim_end_matches(".rs");
        for (at, pair) in tokens.windows(2).enumerate() {
            let [keyword, Placed { token: Token::Name(name), .. }] = pair else { continue };
            if keyword.token.name() == Some("fn") && is_test(&tokens[..at]) {
                found.entry(name.clone()).or_default().push(place.to_owned());
            }
        }
    }
    found
}

/// Whether an attribute before a function says so: `#[test]`, `#[tokio::test(...)]`.
fn is_test(before: &[Placed]) -> bool {
    let starts = |placed: &Placed| matches!(placed.token, Token::Mark('{' | '}' | ';'));
    let from = before.iter().rposition(starts).map_or(0, |at| at + 1);
    before[from..].windows(2).any(|pair| {
        (pair[0].token.is('[') || pair[0].token == Token::Colons) && pair[1].token.name() == Some("test")
    })
}

/// The spans of code and emphasis of a line: whether it is code, and its text.
fn spans(line: &str) -> Vec<(bool, &str)> {
    let (mut rest, mut found) = (line, Vec::new());
    while let Some(at) = rest.find(['`', '*']) {
        let (mark, after) = rest[at..].split_at(1);
        let Some(end) = after.find(mark) else { break };
        found.push((mark == "`", &after[..end]));
        rest = &after[end + 1..];
    }
    found
}

fn is_name(span: &str) -> bool {
    span.matches('_').count() >= 3 && !span.starts_with(METRIC) && made_of(span, "_")
}

fn made_of(span: &str, more: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c);
    !span.is_empty() && span.chars().all(known)
}

/// How many tests a document names, and which of them are not where it says.
fn check(document: &str, text: &str, tests: &Tests) -> (usize, Complaints) {
    let (mut named, mut complaints, mut place) = (0, Vec::new(), "");
    for (at, line) in text.lines().enumerate() {
        for (code, span) in spans(line) {
            if is_name(span) {
                named += 1;
                let places = tests.get(span).map(Vec::as_slice).unwrap_or_default();
                let within = |found: &String| {
                    found.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                if !places.iter().any(within) {
                    let what = match places {
                        [] => format!("there is no test `{span}`"),
                        elsewhere => format!("`{span}` is in {}, not in `{place}`", elsewhere.join(", ")),
                    };
                    complaints.push(complaint(document, at + 1, &what));
                }
            } else if code && made_of(span, "_/") {
                place = span;
            }
        }
    }
    (named, complaints)
}

#[test]
fn every_test_that_a_document_names_is_where_it_says() {
    let tests = tests(&sources());
    for (document, least) in DOCUMENTS {
        let (named, complaints) = check(document, &read(document), &tests);
        none(&complaints);
        assert!(named >= least, "{document} names only {named} tests");
    }
}

#[test]
fn a_test_that_is_missing_elsewhere_or_none_is_found() {
    let held = "#[test] fn what_is_said_holds() {} fn what_only_helps_it() {} \
                #[tokio::test(flavor = \"multi_thread\")] async fn what_is_served_holds() {}";
    let tests = tests(&made_up("src/store/lease.rs", held));
    let found = |text: &str| check("a.md", text, &tests);
    let good =
        "It *holds* (`store/lease`: *what_is_said_holds*,\n`what_is_served_holds`), and `store/*` too.";
    assert_eq!(found(good), (2, vec![]));
    assert_eq!(found("(`store`: *what_is_said_holds*) `bellwether_store_log_bytes`"), (1, vec![]));
    let missing = "a.md:2: there is no test `what_is_said_breaks`".to_owned();
    assert_eq!(found("`store`:\n*what_is_said_breaks*"), (1, vec![missing]));
    let none_at_all = "a.md:1: there is no test `what_only_helps_it`".to_owned();
    assert_eq!(found("`store`: *what_only_helps_it*"), (1, vec![none_at_all]));
    for elsewhere in ["`stor`", "`sim/stories`", "`store/lease/more`"] {
        assert_eq!(found(&format!("{elsewhere}: *what_is_said_holds*")).1.len(), 1, "{elsewhere}");
    }
    assert_eq!(found("*what_is_said_holds*").1.len(), 1, "its place is not said");
}
