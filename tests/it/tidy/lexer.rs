//! Rust's source as tokens: enough to tell code from comments and strings,
//! and no more. The checks need names, not types.

/// A piece of source code; comments are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name or keyword.
    Name(String),
    /// What a string literal holds, escapes as written.
    Text(String),
    /// `::`.
    Colons,
    /// Any other character, one by one.
    Mark(char),
}

impl Token {
    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        if let Self::Name(name) = self { Some(name) } else { None }
    }

    /// Whether it is this character.
    pub fn is(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }
}

/// Each token with its line, counted from 1.
pub fn tokens(source: &str) -> Vec<(Token, usize)> {
    let mut lexer = Lexer { rest: source, line: 1, found: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.found
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<(Token, usize)>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) {
        let rest = self.rest;
        let first = rest.chars().next().expect("only called while something is left");
        if rest.starts_with("//") {
            self.take(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.take(block_comment(rest));
        } else if let Some(quotes) = quotes(rest) {
            self.string(&quotes);
        } else if first == '\'' {
            self.take(quote(rest));
        } else if first == '_' || first.is_alphanumeric() {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            let line = self.line;
            let name = self.take(end).to_owned();
            self.found.push((Token::Name(name), line));
        } else if rest.starts_with("::") {
            self.take(2);
            self.found.push((Token::Colons, self.line));
        } else {
            self.take(first.len_utf8());
            if !first.is_whitespace() {
                self.found.push((Token::Mark(first), self.line));
            }
        }
    }

    fn string(&mut self, Quotes { open, close, raw }: &Quotes) {
        self.take(*open);
        let mut end = 0;
        while end < self.rest.len() && !self.rest[end..].starts_with(close.as_str()) {
            let escaped = !raw && self.rest[end..].starts_with('\\');
            end += self.rest[end..].chars().take(1 + usize::from(escaped)).map(char::len_utf8).sum::<usize>();
        }
        let line = self.line;
        let text = self.take(end).to_owned();
        self.found.push((Token::Text(text), line));
        self.take(close.len().min(self.rest.len()));
    }

    /// Takes this many bytes off the front.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// How a string literal begins and ends.
struct Quotes {
    /// Bytes up to its text.
    open: usize,
    close: String,
    /// A backslash is just one.
    raw: bool,
}

fn quotes(rest: &str) -> Option<Quotes> {
    ["br", "cr", "r", "b", "c", ""].into_iter().find_map(|prefix| {
        let after = rest.strip_prefix(prefix)?;
        let raw = prefix.ends_with('r');
        let hashes = if raw { after.len() - after.trim_start_matches('#').len() } else { 0 };
        let open = prefix.len() + hashes + 1;
        after[hashes..].starts_with('"').then(|| Quotes {
            open,
            close: format!("\"{}", "#".repeat(hashes)),
            raw,
        })
    })
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest[at..];
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth -= 1;
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a character literal, or of a lifetime with its tick.
fn quote(rest: &str) -> usize {
    let mut after = rest[1..].char_indices();
    match after.next() {
        Some((_, '\\')) => {
            after.next();
            after.find(|&(_, c)| c == '\'').map_or(rest.len(), |(at, _)| at + 2)
        }
        Some((_, c)) if rest[1 + c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 1 + rest[1..].find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len() - 1),
    }
}

#[test]
fn comments_strings_and_lifetimes_are_told_from_code() {
    let source = r##"
        // tokio::spawn
        /* std::fs /* nested */ still */
        fn f<'a>(c: char) -> &'a str { match c { '\'' | '"' => r#"say "hi" now"#, _ => "a \" b" } }
    "##;
    let found = tokens(source);
    let names: Vec<_> = found.iter().filter_map(|(token, _)| token.name()).collect();
    assert_eq!(names, ["fn", "f", "c", "char", "str", "match", "c", "_"]);
    let texts: Vec<_> = found.iter().filter(|(token, _)| matches!(token, Token::Text(_))).collect();
    let text = |text: &str, line| (Token::Text(text.to_owned()), line);
    assert_eq!(texts, [&text(r#"say "hi" now"#, 4), &text(r#"a \" b"#, 4)]);
}
