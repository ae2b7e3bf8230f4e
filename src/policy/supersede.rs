//! Which events of a number stand for older ones, where a receiver wants the
//! latest only.
//!
//! A quality event tells one kind of thing, by its name: the limit, the flag or
//! the throughput. It may say further values on the way, as a `FLAGGED` says the
//! limit. A newer event stands for an older one if it is of the same kind and
//! says a limit if the older one does, under whichever of its two names: then
//! nothing is missing for a receiver, whether it goes by the names or by the
//! values. Anything else would let the last value of some kind be one that is not
//! the newest.
//!
//! What is told late, when something newer is known already, stands for nothing.
//! An event without a kind (a template's, an account's, one that is unheard of)
//! neither stands for another nor is stood for: two of them may be about
//! different things of the same business account.

use crate::model::change::Detail;
use crate::model::id::Position;
use crate::model::number::{Stale, What};

/// What a quality event tells, in a byte that is kept with the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tells(u8);

/// A limit is said: the number's, or its portfolio's.
const LIMIT: u8 = 1;
/// As an earlier schema told the portfolio's from the number's.
const PORTFOLIO: u8 = 2;
const VALUES: u8 = LIMIT | PORTFOLIO;

// Kinds, by the event's name. A flag and a throughput are said by it.
const OF_LIMIT: u8 = 1 << 2;
const OF_FLAG: u8 = 2 << 2;
const OF_THROUGHPUT: u8 = 3 << 2;
const KIND: u8 = 3 << 2;

/// It came too late to be the newest of its kind.
const STALE: u8 = 1 << 4;

impl Tells {
    /// As kept.
    pub fn code(self) -> i64 {
        self.0.into()
    }

    /// What was kept as `code`.
    pub fn from_code(code: i64) -> Option<Self> {
        let known = |bits: &u8| *bits & !(VALUES | KIND | STALE) == 0 && *bits & KIND != 0;
        u8::try_from(code).ok().filter(known).map(Self)
    }

    /// Whether a newer event that tells this stands for one that tells `older`.
    pub fn stands_for(self, older: Self) -> bool {
        let same_kind = self.0 & KIND == older.0 & KIND;
        self.0 & STALE == 0 && same_kind && older.says_a_limit() <= self.says_a_limit()
    }

    fn says_a_limit(self) -> bool {
        self.0 & VALUES != 0
    }
}

/// What the event of `detail` tells; of what is `stale` in it something newer was
/// known.
pub fn tells(detail: &Detail, stale: Stale) -> Option<Tells> {
    let Detail::Quality(quality) = detail else { return None };
    let kind = kind(&quality.event)?;
    let late = |what: What| stale.iter().any(|stale| stale == what);
    // On throughput changes the current limit is the throughput's level.
    let own = quality.current_limit.is_some() && kind != OF_THROUGHPUT;
    let portfolios = quality.max_daily_conversations_per_business.is_some();
    let values = if own || portfolios { LIMIT } else { 0 };
    let limit_is_late = late(What::Limit) || late(What::PortfolioLimit);
    let own_is_late = match kind {
        OF_LIMIT => limit_is_late,
        OF_FLAG => late(What::Flagged),
        _ => late(What::Throughput),
    };
    // What it says late on the way is not worth keeping, what it is about is.
    let kept = if limit_is_late && kind != OF_LIMIT { 0 } else { values };
    Some(Tells(kind | kept | if own_is_late { STALE } else { 0 }))
}

fn kind(event: &str) -> Option<u8> {
    match event {
        "UPGRADE" | "DOWNGRADE" | "ONBOARDING" => Some(OF_LIMIT),
        "FLAGGED" | "UNFLAGGED" => Some(OF_FLAG),
        _ if event.starts_with("THROUGHPUT_") => Some(OF_THROUGHPUT),
        _ => None,
    }
}

/// For each event of a lane, oldest first, the newest one that stands for it.
pub fn superseded(lane: &[(Position, Option<Tells>)]) -> Vec<Option<Position>> {
    // The newest of each that was met on the way back: there are few different ones.
    let mut newer: Vec<(Position, Tells)> = Vec::new();
    let mut found: Vec<_> = lane
        .iter()
        .rev()
        .map(|&(position, tells)| {
            let tells = tells?;
            let by = newer.iter().find(|(_, newer)| newer.stands_for(tells)).map(|(by, _)| *by);
            if newer.iter().all(|(_, met)| *met != tells) {
                newer.push((position, tells));
            }
            by
        })
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Quality;

    /// An event as the tables below write it: its name, the limit, the portfolio's.
    type Said = (&'static str, &'static str, &'static str);

    fn detail((event, current, max): Said) -> Detail {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Detail::Quality(Quality {
            display_phone_number: "15550783881".into(),
            event: event.into(),
            current_limit: some(current),
            old_limit: None,
            max_daily_conversations_per_business: some(max),
        })
    }

    fn fresh(said: Said) -> Option<Tells> {
        tells(&detail(said), Stale::default())
    }

    /// Whether a newer event stands for an older one.
    fn stands(newer: Option<Tells>, older: Option<Tells>) -> bool {
        superseded(&[(1, older), (2, newer)]) == [Some(2), None]
    }

    #[test]
    fn a_newer_event_stands_for_an_older_one_of_its_kind_that_says_no_value_more() {
        for (older, newer, expected) in [
            (("UPGRADE", "TIER_1K", ""), ("UPGRADE", "TIER_10K", ""), true),
            (("UPGRADE", "TIER_1K", ""), ("DOWNGRADE", "TIER_250", ""), true),
            (("ONBOARDING", "TIER_1K", ""), ("UPGRADE", "TIER_10K", "TIER_10K"), true),
            (("ONBOARDING", "", ""), ("UPGRADE", "TIER_10K", ""), true),
            (("UPGRADE", "", ""), ("ONBOARDING", "", ""), true),
            (("UPGRADE", "TIER_10K", ""), ("UPGRADE", "", ""), false),
            (("UPGRADE", "TIER_10K", "TIER_10K"), ("UPGRADE", "TIER_100K", ""), true),
            (("UPGRADE", "", "TIER_10K"), ("UPGRADE", "TIER_100K", ""), true),
            (("UPGRADE", "TIER_10K", ""), ("UPGRADE", "", "TIER_100K"), true),
            (("FLAGGED", "", "TIER_10K"), ("UNFLAGGED", "TIER_10K", ""), true),
            (("FLAGGED", "", ""), ("UNFLAGGED", "", ""), true),
            (("FLAGGED", "TIER_1K", ""), ("UNFLAGGED", "TIER_1K", ""), true),
            (("FLAGGED", "TIER_1K", ""), ("UNFLAGGED", "", ""), false),
            (("FLAGGED", "", ""), ("UPGRADE", "TIER_10K", ""), false),
            (("UPGRADE", "TIER_10K", ""), ("FLAGGED", "TIER_10K", ""), false),
            (("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", ""), ("THROUGHPUT_DOWNGRADE", "", ""), true),
            (("THROUGHPUT_UPGRADE", "", ""), ("UPGRADE", "TIER_10K", ""), false),
            (("UPGRADE", "TIER_10K", ""), ("THROUGHPUT_UPGRADE", "TIER_UNLIMITED", ""), false),
            (("UPGRADE", "TIER_1K", ""), ("RENAMED", "TIER_10K", ""), false),
            (("RENAMED", "", ""), ("RENAMED", "", ""), false),
        ] {
            assert_eq!(stands(fresh(newer), fresh(older)), expected, "{newer:?} for {older:?}");
        }
    }

    #[test]
    fn what_is_told_late_stands_for_nothing_and_is_stood_for() {
        let told = |said: Said, late: &[What]| {
            let mut stale = Stale::default();
            for what in late {
                stale.insert(*what);
            }
            tells(&detail(said), stale)
        };
        let newest = fresh(("UPGRADE", "TIER_10K", ""));
        for (said, late, expected) in [
            (("UPGRADE", "TIER_1K", ""), &[What::Limit][..], false),
            (("DOWNGRADE", "TIER_1K", "TIER_1K"), &[What::Limit, What::PortfolioLimit], false),
            (("UPGRADE", "TIER_10K", ""), &[], true),
            (("UPGRADE", "TIER_10K", ""), &[What::Flagged], true),
        ] {
            let late = told(said, late);
            assert_eq!(stands(late, newest), expected, "{said:?}");
            assert!(stands(fresh(("UPGRADE", "TIER_100K", "TIER_100K")), late), "{said:?}");
        }
        let flagged = told(("FLAGGED", "TIER_1K", ""), &[What::Limit]);
        assert!(stands(flagged, fresh(("UNFLAGGED", "", ""))), "the flag is news");
        assert!(!stands(flagged, fresh(("UNFLAGGED", "TIER_10K", ""))), "the limit is not");
        let late_flag = told(("FLAGGED", "", ""), &[What::Flagged]);
        assert!(!stands(late_flag, fresh(("UNFLAGGED", "", ""))), "the flag is not news");
        let late_level = told(("THROUGHPUT_UPGRADE", "", ""), &[What::Throughput]);
        assert!(!stands(late_level, fresh(("THROUGHPUT_DOWNGRADE", "", ""))));
    }

    #[test]
    fn in_a_lane_the_newest_stands_for_each_and_others_are_left_alone() {
        let (limit, flag) = (fresh(("UPGRADE", "TIER_1K", "")), fresh(("FLAGGED", "", "")));
        let lane = [(1, limit), (2, flag), (4, None), (5, limit), (7, flag), (8, limit), (9, None)];
        assert_eq!(superseded(&lane), [Some(8), Some(7), None, Some(8), None, None, None]);
        assert_eq!(superseded(&[]), []);
    }

    #[test]
    fn what_is_kept_is_read_again_and_nothing_else_is() {
        for said in [("UPGRADE", "TIER_1K", "TIER_1K"), ("FLAGGED", "", ""), ("THROUGHPUT_UPGRADE", "", "")] {
            let tells = fresh(said).unwrap();
            assert_eq!(Tells::from_code(tells.code()), Some(tells));
        }
        for code in [-1, 0, 3, 1 << 5, 256 + 4, i64::MAX] {
            assert_eq!(Tells::from_code(code), None, "{code}");
        }
        let other = Detail::Other { event_type: "account_update".into(), details: "{}".into() };
        assert_eq!(tells(&other, Stale::default()), None);
    }
}
