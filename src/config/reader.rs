//! From what was set to values: each of the kind and in the range that the
//! table of keys says, or a problem and the default in its place, so that one
//! start shows everything that is wrong.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::found::{Found, Raw, kind_of};
use super::keys::{self, Key, Kind, Standard};
use super::problem::{Origin, Problem};

/// Of the one kind of key that must be set.
const WHERE_SECRET_IS: &str =
    "it is in the Meta app's settings, under Basic, as docs/guide/operator.md shows";

/// Reads values and collects what is wrong with them.
pub(super) struct Reader {
    pub found: Found,
}

/// What is wrong with a value: a fragment that fits after its key, and what to
/// do about it where that is more than leaving it out.
pub(super) struct Wrong {
    reason: String,
    hint: Option<String>,
}

impl Wrong {
    /// With a hint of its own, if there is one.
    pub fn new(reason: impl Into<String>, hint: Option<String>) -> Self {
        Self { reason: reason.into(), hint }
    }
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(reason: T) -> Self {
        Self::new(reason, None)
    }
}

/// The one key at a path of this program's own.
fn known(path: &str) -> &'static Key {
    keys::at(path).expect("config reads only keys that are in its table")
}

impl Reader {
    fn set(&self, path: &str) -> Option<(Raw, Origin)> {
        self.found.values.get(path).cloned()
    }

    /// Whether the key was set at all.
    pub fn is_set(&self, path: &str) -> bool {
        self.found.values.contains_key(path)
    }

    fn standard(path: &str) -> Option<(Raw, Origin)> {
        match known(path).default {
            Standard::Is(word) => Some((Raw::Word(word.to_owned()), Origin::Default)),
            Standard::Unset | Standard::Follows(_) | Standard::Required => None,
        }
    }

    /// Says that the value at `path` is wrong.
    pub fn refuse(&mut self, path: &str, origin: &Origin, wrong: impl Into<Wrong>) {
        let Wrong { reason, hint } = wrong.into();
        let hint = hint.unwrap_or_else(|| match known(path).default {
            Standard::Is("") => "leave it out for none".to_owned(),
            Standard::Is(word) => format!("leave it out for the default, {word}"),
            Standard::Unset => "leave it out to do without".to_owned(),
            Standard::Follows(what) => format!("leave it out for the default, {what}"),
            Standard::Required => WHERE_SECRET_IS.to_owned(),
        });
        self.found.problems.push(Problem::new(format!("`{path}` {origin} {reason}"), hint));
    }

    /// The value as `read` understands it; else a problem, and the default.
    fn value<T, E: Into<Wrong>>(&mut self, path: &str, read: impl Fn(&Raw) -> Result<T, E>) -> Option<T> {
        if let Some((raw, origin)) = self.set(path) {
            match read(&raw) {
                Ok(value) => return Some(value),
                Err(wrong) => self.refuse(path, &origin, wrong),
            }
        }
        Self::standard(path).and_then(|(raw, _)| read(&raw).ok())
    }

    /// An integer.
    pub fn number(&mut self, path: &str) -> u64 {
        let Kind::Number(least, most) = known(path).kind else { unreachable!("{path} is a number") };
        self.value(path, |raw| number(raw, least, most)).unwrap_or(least)
    }

    /// An integer, where there may be none.
    pub fn number_if_set(&mut self, path: &str) -> Option<u64> {
        let Kind::Number(least, most) = known(path).kind else { unreachable!("{path} is a number") };
        self.value(path, |raw| number(raw, least, most))
    }

    /// An integer that counts things in memory.
    pub fn count(&mut self, path: &str) -> usize {
        usize::try_from(self.number(path)).unwrap_or(usize::MAX)
    }

    /// A span in milliseconds.
    pub fn millis(&mut self, path: &str) -> Duration {
        Duration::from_millis(self.number(path))
    }

    /// A boolean.
    pub fn switch(&mut self, path: &str) -> bool {
        let read = |raw: &Raw| {
            let on = match raw {
                Raw::Typed(value) => value.as_bool(),
                Raw::Word(word) => word.trim().parse().ok(),
            };
            on.ok_or_else(|| format!("must be true or false, found {}", shown(raw)))
        };
        self.value(path, read).unwrap_or(false)
    }

    /// One of the words that the table lists.
    pub fn choice<T: FromStr>(&mut self, path: &str) -> Option<T> {
        let Kind::Choice(words) = known(path).kind else { unreachable!("{path} is a choice") };
        let wrong = |raw: &Raw| format!("must be one of {}, found {}", words.join(", "), shown(raw));
        self.value(path, |raw| match text(raw) {
            Some(word) if words.contains(&word) => word.parse().map_err(|_| wrong(raw)),
            _ => Err(wrong(raw)),
        })
    }

    /// A text as `parse` understands it, of which nothing is shown if it is
    /// wrong: `parse` says what is.
    pub fn text<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        self.value(path, |raw| match (raw, text(raw)) {
            (_, Some(text)) if !text.trim().is_empty() => parse(text.trim()),
            (Raw::Typed(value), None) => {
                Err(format!("must be {}, found {}", expected(path), kind_of(value)).into())
            }
            _ => Err(format!("must be {}, found nothing", expected(path)).into()),
        })
    }

    /// A list of texts, each as `parse` understands it; every one that is wrong
    /// is named.
    pub fn texts<T>(&mut self, path: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        self.texts_or(path, parse, |_| None)
    }

    /// A list of networks. An address alone may mean itself or its network, so it
    /// is not taken; its author is told how to write it.
    pub fn networks<T: FromStr>(&mut self, path: &str) -> Vec<T> {
        let hint = |text: &str| {
            let address: IpAddr = text.trim().parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            Some(format!("write {address}/{bits} for this address alone"))
        };
        self.texts_or(path, |text| text.parse().ok(), hint)
    }

    fn texts_or<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&str) -> Option<T>,
        hint: impl Fn(&str) -> Option<String>,
    ) -> Vec<T> {
        let wrong = |found: &str| format!("must be a list of {}, found {found}", expected(path));
        let one = |text: &str| parse(text.trim()).ok_or_else(|| format!("{text:?}"));
        let read = |raw: &Raw| -> Result<Vec<T>, Wrong> {
            let items: Vec<Result<T, String>> = match raw {
                Raw::Word(word) => words(word).map(one).collect(),
                Raw::Typed(toml::Value::Array(items)) => {
                    let typed = |item: &toml::Value| match item.as_str() {
                        Some(text) => one(text),
                        None => Err(kind_of(item).to_owned()),
                    };
                    items.iter().map(typed).collect()
                }
                Raw::Typed(other) => return Err(wrong(kind_of(other)).into()),
            };
            all(items).map_err(|bad| Wrong::new(wrong(&bad), items_of(raw).find_map(&hint)))
        };
        self.value(path, read).unwrap_or_default()
    }

    /// A list of integers; every item that is wrong is named.
    pub fn numbers(&mut self, path: &str) -> Vec<u64> {
        let Kind::Numbers { count, each } = known(path).kind else { unreachable!("{path} is numbers") };
        let read = |raw: &Raw| -> Result<Vec<u64>, String> {
            let items: Vec<Raw> = match raw {
                Raw::Word(word) => words(word).map(|item| Raw::Word(item.to_owned())).collect(),
                Raw::Typed(toml::Value::Array(items)) => items.iter().cloned().map(Raw::Typed).collect(),
                Raw::Typed(other) => {
                    return Err(format!("must be a list of integers, found {}", kind_of(other)));
                }
            };
            if !(count.0..=count.1).contains(&items.len()) {
                let (least, most) = count;
                return Err(format!("must have {least} to {most} items, found {}", items.len()));
            }
            let (least, most) = each;
            all(items.iter().map(|item| integer(item, least, most).ok_or_else(|| shown(item))))
                .map_err(|bad| format!("must hold integers from {least} to {most}, found {bad}"))
        };
        self.value(path, read).unwrap_or_default()
    }

    /// A secret, of which nothing is ever shown.
    pub fn secret(&mut self, path: &str) -> Option<SecretString> {
        let Kind::Secret(least) = known(path).kind else { unreachable!("{path} is a secret") };
        if !self.is_set(path) && matches!(known(path).default, Standard::Required) {
            let hint = format!("{WHERE_SECRET_IS}; set it in the file or as {}", keys::variable(path));
            self.found.problems.push(Problem::new(format!("`{path}` is missing"), hint));
        }
        self.value(path, |raw| {
            let secret = match (raw, text(raw)) {
                (Raw::Typed(other), None) => return Err(format!("must be text, found {}", kind_of(other))),
                (_, text) => text.unwrap_or_default(),
            };
            if secret.is_empty() {
                return Err("must not be empty".to_owned());
            }
            // A line's end that came along would fail every comparison.
            if secret.trim() != secret {
                return Err("must not begin or end with white space".to_owned());
            }
            if secret.contains(char::REPLACEMENT_CHARACTER) {
                return Err("must be UTF-8".to_owned());
            }
            let length = secret.chars().count();
            if length < least {
                return Err(format!("must have at least {least} characters, has {length}"));
            }
            Ok(SecretString::from(secret))
        })
    }

    /// Where the key was set, if it was.
    pub fn origin(&self, path: &str) -> Origin {
        self.set(path).map_or(Origin::Default, |(_, origin)| origin)
    }
}

/// What a text at `path` must be.
fn expected(path: &str) -> &'static str {
    match known(path).kind {
        Kind::Text(what) | Kind::Texts(what) => what,
        Kind::Secret(_) | Kind::Switch | Kind::Choice(_) | Kind::Number(..) | Kind::Numbers { .. } => "text",
    }
}

fn text(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Typed(value) => value.as_str(),
        Raw::Word(word) => Some(word),
    }
}

/// The texts in a list, in a variable or in a file.
fn items_of(raw: &Raw) -> Box<dyn Iterator<Item = &str> + '_> {
    match raw {
        Raw::Word(word) => Box::new(words(word)),
        Raw::Typed(value) => {
            Box::new(value.as_array().into_iter().flatten().filter_map(|item| item.as_str()))
        }
    }
}

/// The items of a list in a variable: between commas.
fn words(word: &str) -> impl Iterator<Item = &str> {
    word.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// All that is good, or all that is bad, between commas.
fn all<T>(items: impl IntoIterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Ok(item) => good.push(item),
            Err(item) => bad.push(item),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad.join(", ")) }
}

fn number(raw: &Raw, least: u64, most: u64) -> Result<u64, String> {
    integer(raw, least, most)
        .ok_or_else(|| format!("must be an integer from {least} to {most}, found {}", shown(raw)))
}

fn integer(raw: &Raw, least: u64, most: u64) -> Option<u64> {
    let number = match raw {
        Raw::Typed(toml::Value::Integer(number)) => Some(i128::from(*number)),
        Raw::Word(word) => word.trim().parse().ok(),
        Raw::Typed(_) => None,
    };
    number.and_then(|n| u64::try_from(n).ok()).filter(|n| (least..=most).contains(n))
}

/// A value that is no secret, for a message: its kind and, if short, itself.
fn shown(raw: &Raw) -> String {
    const SHORT: usize = 40;
    let (kind, value) = match raw {
        Raw::Typed(value @ toml::Value::Integer(_)) => return value.to_string(),
        Raw::Typed(value) => (kind_of(value), value.to_string()),
        Raw::Word(word) => ("text", format!("{word:?}")),
    };
    if value.len() <= SHORT && !value.contains('\n') { format!("{kind}: {value}") } else { kind.to_owned() }
}
