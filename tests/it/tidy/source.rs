//! One file of Rust as the checks see it: the paths it names and the text of
//! its strings, each with its line and whether only tests are built from it.

use super::lexer::{Token, tokens};

/// A Rust file.
pub struct Source {
    /// From the root of the project, with `/`.
    pub file: String,
    /// All of it.
    pub text: String,
    /// Its tokens, with lines and whether they are test code.
    pub tokens: Vec<Placed>,
    /// Files it declares as modules.
    pub declares: Vec<Declared>,
    /// The paths it names, `crate`, `self` and `super` resolved: `crate::model::id::WebhookId`
    /// is `["crate", "model", "id", "WebhookId"]`. Groups of `use` are spelt out.
    pub paths: Vec<NamedPath>,
}

/// A token and where it is.
pub struct Placed {
    /// The token.
    pub token: Token,
    /// Counted from 1.
    pub line: usize,
    /// Within `#[cfg(test)]`.
    pub test: bool,
}

/// `mod name;`.
pub struct Declared {
    /// The file without `.rs`, such as `src/store/sqlite`.
    pub stem: String,
    /// Under `#[cfg(test)]`.
    pub test: bool,
}

/// A path of names, of one or more segments.
pub struct NamedPath {
    /// Its segments.
    pub segments: Vec<String>,
    /// Counted from 1.
    pub line: usize,
    /// Within `#[cfg(test)]`.
    pub test: bool,
}

impl NamedPath {
    /// Whether `needle`, such as `std::fs`, is part of it.
    pub fn mentions(&self, needle: &str) -> bool {
        let needle: Vec<_> = needle.split("::").collect();
        self.segments.windows(needle.len()).any(|window| window == needle)
    }
}

impl Source {
    /// Reads a file's text. `of_tests`: all of it is test code.
    pub fn new(file: &str, text: &str, of_tests: bool) -> Self {
        let found = tokens(text).into_iter();
        let tokens = found.map(|(token, line)| Placed { token, line, test: of_tests }).collect();
        let mut source = Self {
            file: file.to_owned(),
            text: text.to_owned(),
            tokens,
            declares: Vec::new(),
            paths: Vec::new(),
        };
        source.mark_tests();
        source.walk();
        source
    }

    /// Its place in the crate: `["store", "sqlite"]` for `src/store/sqlite.rs`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.file.trim_start_matches("src/").trim_end_matches(".rs");
        if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
    }

    /// The texts of its strings outside tests.
    pub fn strings(&self) -> impl Iterator<Item = (&str, usize)> {
        self.tokens.iter().filter(|placed| !placed.test).filter_map(|placed| match &placed.token {
            Token::Text(text) => Some((text.as_str(), placed.line)),
            Token::Name(_) | Token::Colons | Token::Mark(_) => None,
        })
    }

    /// The paths it names outside tests.
    pub fn code(&self) -> impl Iterator<Item = &NamedPath> {
        self.paths.iter().filter(|path| !path.test)
    }

    /// Whether the tokens from `at` on are these: names, or single marks.
    pub fn reads(&self, at: usize, expected: &[&str]) -> bool {
        self.tokens.len() >= at + expected.len()
            && self.tokens[at..].iter().zip(expected).all(|(placed, expected)| match &placed.token {
                Token::Name(name) => name == expected,
                Token::Mark(mark) => expected.chars().eq([*mark]),
                Token::Colons => *expected == "::",
                Token::Text(_) => false,
            })
    }

    /// Flags what stands under `#[cfg(test)]`, up to its `;` or closing brace.
    fn mark_tests(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            if self.reads(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                let end = self.end_of_item(at + 7);
                self.tokens[at..end].iter_mut().for_each(|placed| placed.test = true);
                at = end;
            } else {
                at += 1;
            }
        }
    }

    fn end_of_item(&self, from: usize) -> usize {
        let mut depth = 0_usize;
        for (at, placed) in self.tokens.iter().enumerate().skip(from) {
            match placed.token {
                Token::Mark('{' | '(' | '[') => depth += 1,
                Token::Mark('}' | ')' | ']') => depth = depth.saturating_sub(1),
                Token::Name(_) | Token::Text(_) | Token::Colons | Token::Mark(_) => {}
            }
            if depth == 0 && matches!(placed.token, Token::Mark('}' | ';')) {
                return at + 1;
            }
        }
        self.tokens.len()
    }

    /// Finds modules and paths.
    fn walk(&mut self) {
        // Open braces; those of a module with its name.
        let mut blocks: Vec<Option<String>> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let module = || blocks.iter().flatten().cloned().collect::<Vec<_>>();
            at = match &self.tokens[at].token {
                Token::Name(name) if name == "mod" => {
                    let name = self.tokens.get(at + 1).and_then(|placed| placed.token.name());
                    let name = name.unwrap_or_default().to_owned();
                    if self.reads(at + 2, &["{"]) {
                        blocks.push(Some(name));
                    } else {
                        self.declare(at, &module(), &name);
                    }
                    at + 3
                }
                Token::Name(_) => self.path(at, &[self.module(), module()].concat(), Vec::new()),
                Token::Mark('{') => {
                    blocks.push(None);
                    at + 1
                }
                Token::Mark('}') => {
                    blocks.pop();
                    at + 1
                }
                Token::Text(_) | Token::Colons | Token::Mark(_) => at + 1,
            };
        }
    }

    /// `mod name;`, within the modules `inner`.
    fn declare(&mut self, at: usize, inner: &[String], name: &str) {
        let stem = self.file.trim_end_matches(".rs");
        let root = stem.strip_suffix("/lib").or_else(|| stem.strip_suffix("/main")).unwrap_or(stem);
        let stem = [&[root.to_owned()], inner, &[name.to_owned()]].concat().join("/");
        self.declares.push(Declared { stem, test: self.tokens[at].test });
    }

    /// A path that begins at `at`, after `before`; where it ends. Groups are spelt out.
    fn path(&mut self, mut at: usize, module: &[String], before: Vec<String>) -> usize {
        let mut segments = before;
        let (line, test) = (self.tokens[at].line, self.tokens[at].test);
        while let Some(name) = self.tokens.get(at).and_then(|placed| placed.token.name()) {
            let colons = self.reads(at + 1, &["::"]);
            match (name, segments.is_empty()) {
                ("bellwether", true) => segments.push("crate".to_owned()),
                ("self", true) if colons => segments = rooted(module),
                ("super", true) => {
                    segments = rooted(module);
                    segments.pop();
                }
                ("super", false) => drop(segments.pop()),
                (name, _) => segments.push(name.to_owned()),
            }
            at += 1;
            if !colons {
                break;
            }
            at += 1;
            if self.reads(at, &["{"]) {
                return self.group(at + 1, module, &segments);
            }
        }
        self.paths.push(NamedPath { segments, line, test });
        at
    }

    /// The members of a group; where it ends.
    fn group(&mut self, mut at: usize, module: &[String], before: &[String]) -> usize {
        while at < self.tokens.len() && !self.reads(at, &["}"]) {
            let named = self.tokens[at].token.name().is_some();
            at = if named { self.path(at, module, before.to_vec()) } else { at + 1 };
        }
        at + 1
    }
}

fn rooted(module: &[String]) -> Vec<String> {
    [&["crate".to_owned()], module].concat()
}

#[test]
fn paths_are_resolved_and_groups_spelt_out() {
    let source = Source::new(
        "src/store/sqlite.rs",
        "use crate::{model::{id::{self, Id}, time}, env}; pub mod claim; use super::queue; use std::fs;
         #[cfg(test)] mod tests { mod deep; use super::super::Error; fn f() { x::y(\"t\") } }
         fn g() { bellwether::policy::retry() }",
        false,
    );
    let named = |wanted: bool| {
        let of_kind = source.paths.iter().filter(move |path| path.test == wanted && path.segments.len() > 1);
        of_kind.map(|path| path.segments.join("::")).collect::<Vec<_>>()
    };
    let code = [
        "crate::model::id::self",
        "crate::model::id::Id",
        "crate::model::time",
        "crate::env",
        "crate::store::queue",
        "std::fs",
        "crate::policy::retry",
    ];
    assert_eq!(named(false), code);
    assert_eq!(named(true), ["crate::store::Error", "x::y"]);
    let declared: Vec<_> = source.declares.iter().map(|found| (found.stem.as_str(), found.test)).collect();
    assert_eq!(declared, [("src/store/sqlite/claim", false), ("src/store/sqlite/tests/deep", true)]);
    assert_eq!(source.strings().count(), 0, "strings of tests don't count");
    let mentioned = |needle| source.code().any(|path| path.mentions(needle));
    assert!(mentioned("fs") && mentioned("std::fs") && mentioned("store::queue"));
    assert!(!mentioned("std::f") && !mentioned("td::fs") && !mentioned("crate::queue"));
}
