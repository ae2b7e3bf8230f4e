//! Words that stay out of the repository: what only insiders could look up,
//! and what would tie a build to somebody's machine.

use super::{Complaints, complaint, files, none, root};

/// A word, in lower case and split so that this file does not hold it.
const WORDS: [(&str, &str); 8] = [
    (KEPT_BY_BROWSERS, "browsers have them, and what deals with these says so; elsewhere say what is meant"),
    (concat!("crates", ".io"), REGISTRY),
    (concat!("npmjs", ".com"), REGISTRY),
    (concat!("npmjs", ".org"), REGISTRY),
    (concat!("pypi", ".org"), REGISTRY),
    (concat!("pythonhosted", ".org"), REGISTRY),
    (concat!("golang", ".org"), REGISTRY),
    (concat!("maven", ".org"), REGISTRY),
];

const KEPT_BY_BROWSERS: &str = concat!("sess", "ion");

/// What deals with browsers that have signed in.
const OF_BROWSERS: [&str; 19] = [
    "src/api.rs",
    "src/api/auth.rs",
    "src/api/openapi.rs",
    concat!("src/api/sess", "ion"),
    "src/api/wire.rs",
    concat!("src/api/wire/sess", "ion.rs"),
    "src/dashboard.rs",
    "assets/dashboard/",
    "tests/it/api.rs",
    concat!("tests/it/api/sess", "ion.rs"),
    "tests/it/dashboard",
    "docs/decisions/0024-a-dashboard-that-is-a-client.md",
    "docs/guide/dashboard.md",
    "docs/reference/limits.md",
    "docs/reference/security.md",
    "docs/threat-model.md",
    "SECURITY.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
];

const REGISTRY: &str = "where packages come from is the builder's configuration (and Cargo.lock's)";

const NUMBER: &str = "a number of a list elsewhere: write down what it says";

/// Where others wrote.
const NOT_OURS: [&str; 5] = ["Cargo.lock", "assets/vendor/", "tests/samples/", "tests/vendor/", "LICENSE-"];

fn check(file: &str, text: &str) -> Complaints {
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        for (word, why) in WORDS {
            let of_browsers =
                word == KEPT_BY_BROWSERS && OF_BROWSERS.iter().any(|place| file.starts_with(place));
            if !of_browsers && whole_word(&lower, word) {
                complaints.push(complaint(file, at + 1, &format!("`{word}`: {why}")));
            }
        }
        // In styles and pages, `#` is a colour or an anchor.
        let page = [".html", ".css", ".js", ".svg"].iter().any(|end| file.ends_with(end));
        if !page && names_issue(&lower) {
            complaints.push(complaint(file, at + 1, NUMBER));
        }
    }
    complaints
}

/// Whether the word, or its plural, stands alone.
fn whole_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        let after = after.strip_prefix('s').unwrap_or(after);
        !line[..at].ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
    })
}

/// Whether a lower-case line says a hash and a number, or the word and a number.
fn names_issue(line: &str) -> bool {
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let hash = line.match_indices('#').any(|(at, _)| {
        // Not of an entity, a format or an anchor.
        let before = line[..at].chars().next_back();
        let alone = before.is_none_or(|before| before.is_whitespace() || "([,;`\"".contains(before));
        alone && digit(&line[at + 1..]) && !line[at + 1..].starts_with("0x")
    });
    let word = concat!("iss", "ue ");
    hash || line.match_indices(word).any(|(at, _)| digit(&line[at + word.len()..]))
}

#[test]
fn no_line_needs_an_insider() {
    for file in files().iter().filter(|file| !NOT_OURS.iter().any(|place| file.starts_with(place))) {
        // What is not text has no words.
        if let Ok(text) = std::fs::read_to_string(root().join(file)) {
            none(&check(file, &text));
        }
    }
}

#[test]
fn an_insiders_word_is_found() {
    let found = |text: &str| check("src/a.rs", text).len();
    let word = concat!("Sess", "ion");
    assert_eq!(found(&format!("// as said in the {word}s before")), 1);
    assert_eq!(found(&format!("struct {word}Cache;")), 0, "part of a name");
    assert_eq!(check("src/dashboard.rs", &format!("a browser's {word}")).len(), 0, "which is one");
    assert_eq!(found(concat!("url = \"https://index.crates", ".io/\"")), 1);
    assert_eq!(found(concat!("// see iss", "ue 12")), 1);
    assert_eq!(found(concat!("// fixes #", "12, and more")), 1);
    for fine in
        ["r#\"a\"#", "format!(\"{:#06x}\")", "a&#39;", "\"#/components/1\"", "#[test]", "the issue is old"]
    {
        assert_eq!(found(fine), 0, "{fine}");
    }
    assert_eq!(check("assets/a.css", concat!("color: #", "123456")).len(), 0);
}
