//! Meta's notifications: the bytes of a validly signed body to changes.
//!
//! Nothing here can fail. Meta repeats what is not answered with 200 for seven
//! days and then forgets it, so a body that can't be read must still become
//! something to keep: an [`Unparsed`], as small as possible. One change that
//! can't be read never takes its neighbours in the batch along, not even when
//! its text is no UTF-8; only a body whose JSON is broken is kept whole.
//!
//! A value's bytes are kept as they came. Meaning is read from them as late and
//! as leniently as possible (see `json`), and the values of message traffic
//! are not read at all.

mod account;
mod capability;
mod change;
mod fit;
mod quality;
mod template;
mod traffic;

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::{self, Json, Members};
use crate::model::change::{Change, Unparsed};
use crate::model::id::BusinessAccountId;
use crate::model::time::Timestamp;

/// What a notification holds, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// What is to be kept.
    pub items: Vec<Item>,
    /// How many changes were message traffic: counted, not kept.
    pub ignored: u64,
}

/// One item of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A change that is understood.
    Change(Change),
    /// Something that can't be read.
    Unparsed(Unparsed),
}

/// Reads a validly signed body.
pub fn read(body: &[u8]) -> Notification {
    let posted = Posted::new(body);
    let mut notification = Notification::default();
    match posted.entries() {
        Ok(entries) => entries.into_iter().for_each(|entry| posted.read(entry, &mut notification)),
        Err(reason) => notification.items.push(unparsed(&Origin::default(), reason, body)),
    }
    notification
}

/// Reads one change that waited unrouted: its business account, time, field and
/// value as [`read`] gave them. The result is what `read` would give today, with
/// the same fingerprint.
pub fn reread(business_account: &str, time: Option<i64>, field: &str, raw: &str) -> Item {
    let origin = Origin { id: business_account, account: business_account.parse().ok(), time };
    let value = serde_json::from_str::<&RawValue>(raw).ok();
    match origin.change(field, value) {
        Ok(change) => Item::Change(change),
        Err(reason) => unparsed(&origin, &reason, raw.as_bytes()),
    }
}

/// Where a change stood.
#[derive(Default)]
struct Origin<'a> {
    /// The entry's id as written, for what can't be read.
    id: &'a str,
    /// The business account that it names.
    account: Option<BusinessAccountId>,
    /// The entry's time in seconds.
    time: Option<i64>,
}

impl<'a> Origin<'a> {
    fn of(entry: Option<&Members<'a>>) -> Self {
        let member = |name| entry.and_then(|entry| entry.get(name));
        let id = member("id");
        let account = id.and_then(Json::read).and_then(|id| id.text().or(id.digits())?.parse().ok());
        Self { id: id.map_or("", RawValue::get), account, time: member("time").and_then(time) }
    }

    fn change(&self, field: &str, value: Option<&RawValue>) -> Result<Change, Cow<'static, str>> {
        let account = self.account.as_ref().ok_or_else(|| self.nameless())?;
        let value = value.ok_or("the change has no value")?;
        change::read(account, self.time, field, value).map_err(Cow::Borrowed)
    }

    /// The change's bytes do not hold the id, so the reason does.
    fn nameless(&self) -> Cow<'static, str> {
        let id: String = self.id.chars().take(ID_SHOWN_CHARS).collect();
        if id.is_empty() {
            "the entry has no id".into()
        } else {
            format!("the entry's id is no business account's: {id}").into()
        }
    }
}

/// So much of an id that can't be read is shown.
const ID_SHOWN_CHARS: usize = 80;

/// Seconds since the epoch, as number or string, in the years 1970 to 9999.
fn time(raw: &RawValue) -> Option<i64> {
    let json = Json::read(raw)?;
    let seconds = json.text().or(json.digits())?.parse().ok()?;
    Timestamp::from_seconds(seconds).map(|_| seconds)
}

fn unparsed(origin: &Origin<'_>, reason: &str, raw: &[u8]) -> Item {
    let time = origin.time.map(|time| time.to_string()).unwrap_or_default();
    Item::Unparsed(Unparsed {
        business_account: origin.account.as_ref().map(ToString::to_string),
        time: origin.time,
        reason: reason.to_owned(),
        raw: raw.to_owned(),
        fingerprint: change::fingerprint([origin.id.as_bytes(), time.as_bytes(), raw]),
    })
}

/// A body, and a text of the same length in which a question mark stands for
/// each byte that is no UTF-8. In a string, the only place where JSON has such
/// bytes, it breaks nothing, so the text can be cut into parts and each part
/// held against its bytes.
struct Posted<'a> {
    bytes: &'a [u8],
    text: Cow<'a, str>,
}

impl<'a> Posted<'a> {
    fn new(body: &'a [u8]) -> Self {
        let bytes = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(masked(bytes)), Cow::Borrowed);
        Self { bytes, text }
    }

    /// The bytes that `part`, a slice of the text, stands for.
    fn bytes_of(&self, part: &str) -> &'a [u8] {
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        &self.bytes[start..start + part.len()]
    }

    fn entries(&self) -> Result<Vec<&RawValue>, &'static str> {
        if self.bytes.is_empty() {
            return Err("the body is empty");
        }
        let Some(body) = Members::read(&self.text) else {
            let is_json = serde_json::from_str::<&RawValue>(&self.text).is_ok();
            return Err(if is_json { "the body is no object" } else { "the body is no JSON" });
        };
        let object = body.get("object").and_then(Json::read);
        if object.as_ref().and_then(Json::text) != Some("whatsapp_business_account") {
            return Err("the object is not whatsapp_business_account");
        }
        let entries = body.get("entry").and_then(|entry| json::items(entry.get()));
        entries.filter(|entries| !entries.is_empty()).ok_or("there are no entries")
    }

    fn read(&self, raw: &RawValue, notification: &mut Notification) {
        let entry = Members::read(raw.get());
        let origin = Origin::of(entry.as_ref());
        let changes =
            entry.and_then(|entry| entry.get("changes")).and_then(|changes| json::items(changes.get()));
        let Some(changes) = changes.filter(|changes| !changes.is_empty()) else {
            let bytes = self.bytes_of(raw.get());
            notification.items.push(unparsed(&origin, "the entry has no changes", bytes));
            return;
        };
        for change in changes {
            match self.change(&origin, change) {
                Some(item) => notification.items.push(item),
                None => notification.ignored += 1,
            }
        }
    }

    /// The item that a change becomes; `None` if it is message traffic.
    fn change(&self, origin: &Origin<'_>, raw: &RawValue) -> Option<Item> {
        let bytes = self.bytes_of(raw.get());
        let members = Members::read(raw.get());
        let field = members.as_ref().and_then(|change| change.get("field")).and_then(Json::read);
        let field = field.as_ref().and_then(Json::text);
        if field.is_some_and(traffic::is_traffic) {
            return None;
        }
        let change = if raw.get().as_bytes() == bytes {
            let value = members.as_ref().and_then(|change| change.get("value"));
            field.ok_or("the change has no field".into()).and_then(|field| origin.change(field, value))
        } else {
            Err("the change is no UTF-8".into())
        };
        Some(match change {
            Ok(change) => Item::Change(change),
            Err(reason) => unparsed(origin, &reason, bytes),
        })
    }
}

/// `bytes` with a question mark for each byte that is no UTF-8.
fn masked(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

#[cfg(test)]
mod management;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
