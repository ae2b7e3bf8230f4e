//! A page of numbers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use url::Url;

use super::super::json::{self, Json, Members};
use crate::model::number::Subject;
use crate::model::reading::NumberReading;
use crate::model::reconciliation::{Failure, Trouble};

/// A value longer than this, in bytes, is none of Meta's words.
const LONGEST_VALUE: usize = 64;

/// A cursor longer than this, in bytes, fits into no URL of ours.
const LONGEST_CURSOR: usize = 1024;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its numbers, in its order.
    pub numbers: Vec<NumberReading>,
    /// Entries that name no number: left out.
    pub nameless: u64,
    /// What comes after it.
    pub next: Next,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    End,
    /// The page behind this cursor.
    After(String),
}

pub(super) fn read(body: &[u8]) -> Result<Page, Failure> {
    let text = std::str::from_utf8(body).map_err(|_| unreadable("it is no UTF-8"))?;
    let members = Members::read(text).ok_or_else(|| unreadable("it is no JSON object, or not all of one"))?;
    let entries = members.get("data").and_then(|data| json::items(data.get()));
    let entries = entries.ok_or_else(|| unreadable("it has no list of numbers (data)"))?;
    let mut page = Page { numbers: Vec::new(), nameless: 0, next: next(&members)? };
    for entry in entries {
        let entry = Members::read(entry.get()).ok_or_else(|| unreadable("a number in it is no object"))?;
        match number(&entry) {
            Some(number) => page.numbers.push(number),
            None => page.nameless += 1,
        }
    }
    Ok(page)
}

fn unreadable(why: &str) -> Failure {
    Failure::noted(Trouble::Unreadable, why)
}

/// `None` if it does not name a number.
fn number(entry: &Members<'_>) -> Option<NumberReading> {
    let shown = entry.get("display_phone_number").and_then(value)?;
    Subject::number(&shown)?;
    let said = |name| entry.get(name).and_then(value);
    let throughput = entry.get("throughput").and_then(|raw| {
        // An object in the Graph API; a bare word is as good.
        Members::read(raw.get()).map_or_else(|| value(raw), |inner| inner.get("level").and_then(value))
    });
    let of_portfolio = said("whatsapp_business_manager_messaging_limit");
    Some(NumberReading {
        display_phone_number: shown,
        quality_rating: said("quality_rating"),
        throughput,
        status: said("status"),
        // The second is the name of before the limits were the portfolio's.
        of_portfolio: of_portfolio.is_some(),
        limit: of_portfolio.or_else(|| said("messaging_limit_tier")),
    })
}

/// A short string, or a whole number's digits; `None` for `null` and all else.
fn value(raw: &RawValue) -> Option<String> {
    let json = Json::read(raw)?;
    let text = json.text().or(json.digits())?;
    let fits = (1..=LONGEST_VALUE).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// There is a next page if `paging.next` says so; `cursors` are on the last one,
/// too.
fn next(members: &Members<'_>) -> Result<Next, Failure> {
    let paging = members.get("paging").and_then(|paging| Members::read(paging.get()));
    let Some(paging) = paging else { return Ok(Next::End) };
    let next = paging.get("next").and_then(Json::read);
    let Some(next) = next.filter(|next| *next != Json::Plain("null")) else { return Ok(Next::End) };
    let cursors = paging.get("cursors").and_then(|cursors| Members::read(cursors.get()));
    let after = cursors.and_then(|cursors| Json::read(cursors.get("after")?)?.text().map(str::to_owned));
    let after = after.or_else(|| cursor_in(next.text()?));
    let fits =
        |after: &String| (1..=LONGEST_CURSOR).contains(&after.len()) && !after.chars().any(char::is_control);
    let after = after.filter(fits).ok_or_else(|| unreadable("it has a next page and no cursor to it"))?;
    Ok(Next::After(after))
}

fn cursor_in(next: &str) -> Option<String> {
    let url = Url::parse(next).ok()?;
    url.query_pairs().find(|(name, _)| name == "after").map(|(_, cursor)| cursor.into_owned())
}

/// Each number once. Of a number that comes again (pages shift while they are
/// read, and one that was moved may be listed twice) the connected entry counts,
/// among such the later.
pub fn once(numbers: Vec<NumberReading>) -> Vec<NumberReading> {
    let mut places: BTreeMap<Subject, usize> = BTreeMap::new();
    let mut kept: Vec<NumberReading> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let Some(subject) = Subject::number(&number.display_phone_number) else { continue };
        let connected = |number: &NumberReading| number.status.as_deref() == Some("CONNECTED");
        match places.get(&subject) {
            Some(at) if connected(&kept[*at]) && !connected(&number) => {}
            Some(at) => kept[*at] = number,
            None => {
                places.insert(subject, kept.len());
                kept.push(number);
            }
        }
    }
    kept
}
