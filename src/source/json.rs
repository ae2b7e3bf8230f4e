//! JSON that keeps what it was written with.
//!
//! `serde_json::Value` would lose what must not be lost: it refuses `1e400` and
//! lone surrogates, rounds integers beyond 64 bits, and takes one string for
//! another's neighbour in a batch down with it. Here a document is cut along
//! its raw parts, numbers stay the digits they came as, and a string that is no
//! Unicode stays its escapes. Of duplicate keys the last counts, as nearly
//! everywhere.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Containers within containers that a value may have. The event wraps three
/// more around it, and receivers commonly stop at 128.
pub const NESTING_LIMIT: usize = 120;

/// An object's members in their order, their values unread.
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of the object that `text` is; `None` if it is no object.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The last member of that name.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// All values, in their order.
    pub fn values(&self) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    // A key that is no Unicode is none that is asked for: its escapes will do.
                    let name = unescaped(key.get()).unwrap_or(Cow::Borrowed(key.get()));
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// The items of the array that `text` is, unread; `None` if it is no array.
pub fn items(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// A value, read.
#[derive(Debug, PartialEq, Eq)]
pub enum Json<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number, as written.
    Number(&'a str),
    /// `true`, `false`, `null`, and strings that are no Unicode, as written.
    Plain(&'a str),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Object(BTreeMap<Cow<'a, str>, Self>),
}

impl<'a> Json<'a> {
    /// Reads `raw`; `None` if it is nested deeper than [`NESTING_LIMIT`].
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        Self::within(raw, NESTING_LIMIT)
    }

    fn within(raw: &'a RawValue, depth: usize) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'{' => {
                let depth = depth.checked_sub(1)?;
                let Members(members) = Members::read(text)?;
                let members =
                    members.into_iter().map(|(key, value)| Some((key, Self::within(value, depth)?)));
                Self::Object(members.collect::<Option<_>>()?)
            }
            b'[' => {
                let depth = depth.checked_sub(1)?;
                Self::List(
                    items(text)?.into_iter().map(|item| Self::within(item, depth)).collect::<Option<_>>()?,
                )
            }
            b'"' => unescaped(text).map_or(Self::Plain(text), Self::Text),
            b't' | b'f' | b'n' => Self::Plain(text),
            _ => Self::Number(text),
        })
    }

    /// An object's member of that name, unless it is `null`.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name).filter(|value| **value != Self::Plain("null")),
            Self::Text(_) | Self::Number(_) | Self::Plain(_) | Self::List(_) => None,
        }
    }

    /// The string that this is, unless it has a NUL, which not every store can
    /// keep in a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.contains('\0') => Some(text),
            Self::Text(_) | Self::Number(_) | Self::Plain(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The digits of the whole number, not negative, that this is.
    pub fn digits(&self) -> Option<&'a str> {
        match self {
            Self::Number(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits),
            Self::Text(_) | Self::Number(_) | Self::Plain(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The one way to write this value: keys sorted, no white space, each
    /// character of a string escaped only where it must be.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => quote(text, out),
            Self::Number(text) | Self::Plain(text) => out.extend_from_slice(text.as_bytes()),
            Self::List(items) => {
                out.push(b'[');
                for item in items {
                    item.write(out);
                    out.push(b',');
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (key, value) in members {
                    quote(key, out);
                    out.push(b':');
                    value.write(out);
                    out.push(b',');
                }
                out.push(b'}');
            }
        }
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string can always be written to memory");
}

/// The string that the JSON text `quoted` stands for; `None` if it is no Unicode.
fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    if quoted.contains('\\') {
        return serde_json::from_str(quoted).ok().map(Cow::Owned);
    }
    quoted.get(1..quoted.len().checked_sub(1)?).map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        Json::read(raw).map(|json| String::from_utf8(json.canonical()).unwrap())
    }

    #[test]
    fn order_white_space_and_escapes_make_no_difference() {
        let plain = canonical(r#"{"a":"é/","b":[1,true]}"#);
        assert_eq!(canonical("{ \"b\" :\r\n[1 , true],\t\"\\u0061\":\"\\u00e9\\/\" }"), plain);
        assert!(plain.is_some());
    }

    #[test]
    fn numbers_keep_their_digits_and_broken_strings_their_escapes() {
        for text in ["1e400", "184467440737095516150000001", "-0.10", r#""\ud800""#, "null"] {
            assert_eq!(canonical(text).as_deref(), Some(text));
        }
        assert_ne!(canonical(r#""\\ud800""#), canonical(r#""\ud800""#));
    }

    #[test]
    fn of_duplicate_keys_the_last_counts() {
        assert_eq!(canonical(r#"{"a":1,"b":0,"a":2}"#), canonical(r#"{"a":2,"b":0}"#));
        let members = Members::read(r#"{"a":1,"\u0061":2,"\ud800":3}"#).unwrap();
        assert_eq!(members.get("a").map(RawValue::get), Some("2"));
    }

    #[test]
    fn nesting_beyond_the_limit_is_not_read() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(canonical(&nested(NESTING_LIMIT)).is_some());
        assert!(canonical(&nested(NESTING_LIMIT + 1)).is_none());
        assert!(canonical(&nested(100_000)).is_none());
    }
}
