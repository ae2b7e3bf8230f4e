//! How much of what Meta allows is used up, as the headers of its answers say:
//! `X-App-Usage: {"call_count":28,"total_time":25,"total_cputime":25}` for the
//! app, and for a business account `X-Business-Use-Case-Usage:
//! {"ID":[{"type":"whatsapp","call_count":95,...,"estimated_time_to_regain_access":0}]}`.
//! Counts are per cent, times are minutes. What can't be read says nothing.

use std::time::Duration;

use super::super::json::{self, Json, Members};

/// How much is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the most used measure, in per cent; from 100 on Meta refuses.
    pub percent: u64,
    /// How long Meta will refuse, if it does.
    pub regain: Option<Duration>,
}

impl Usage {
    /// The worse of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { percent: self.percent.max(other.percent), regain: self.regain.max(other.regain) }
    }
}

/// What the app's header says.
pub fn of_app(header: &str) -> Usage {
    Members::read(header).map_or_else(Usage::default, |members| one(&members))
}

/// What the business account's header says: of the account `id` if it is named
/// there, else of all that are.
pub fn of_business(header: &str, id: &str) -> Usage {
    let Some(members) = Members::read(header) else { return Usage::default() };
    let own = members.get(id).and_then(|list| json::items(list.get()));
    let lists = match own {
        Some(own) => vec![own],
        None => members.values().filter_map(|list| json::items(list.get())).collect(),
    };
    let all = lists.into_iter().flatten().filter_map(|item| Members::read(item.get()));
    all.fold(Usage::default(), |worst, members| worst.or(one(&members)))
}

fn one(members: &Members<'_>) -> Usage {
    let number = |name| members.get(name).and_then(Json::read).as_ref().and_then(whole).unwrap_or(0);
    let percent = ["call_count", "total_cputime", "total_time"].map(number).into_iter().max();
    let minutes = number("estimated_time_to_regain_access").min(MOST_MINUTES);
    Usage { percent: percent.unwrap_or(0), regain: (minutes > 0).then(|| Duration::from_mins(minutes)) }
}

/// Nobody is believed to refuse for longer than a week.
const MOST_MINUTES: u64 = 7 * 24 * 60;

/// The whole part of a number that is not negative, written as number or string.
fn whole(json: &Json<'_>) -> Option<u64> {
    let text = match json {
        Json::Text(text) => text,
        Json::Number(text) => *text,
        Json::Plain(_) | Json::List(_) | Json::Object(_) => return None,
    };
    text.split('.').next()?.parse().ok()
}
