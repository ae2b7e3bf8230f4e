//! The messaging limit's steps. Meta says one and the same in many ways:
//! `TIER_10K`, `tier_10k`, `10000`, as a string or a number; without a limit is
//! `TIER_UNLIMITED`, `UNLIMITED` or `-1`. Limits are compared by what they
//! mean and kept as they were said.

use std::cmp::Ordering;

/// A limit by what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// None as yet: less than any (seed, `TIER_NOT_SET`).
    NotSet,
    /// So many conversations.
    Count(u64),
    /// As many as one likes.
    Unlimited,
    /// A word that is not known: it equals only itself and has no place among
    /// the others.
    Other(&'a str),
}

/// The words that events have for steps.
const WORDS: [(u64, &str); 6] = [
    (50, "TIER_50"),
    (250, "TIER_250"),
    (1_000, "TIER_1K"),
    (2_000, "TIER_2K"),
    (10_000, "TIER_10K"),
    (100_000, "TIER_100K"),
];

impl<'a> Step<'a> {
    /// What `text` means.
    pub fn of(text: &'a str) -> Self {
        let word = text.trim();
        let tier = word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("TIER_"));
        let amount = if tier { &word[5..] } else { word };
        if amount.eq_ignore_ascii_case("NOT_SET") {
            return Self::NotSet;
        }
        if amount.eq_ignore_ascii_case("UNLIMITED") || amount == "-1" {
            return Self::Unlimited;
        }
        count(amount).map_or(Self::Other(text), Self::Count)
    }

    /// The word for it in events; `None` if there is none, and it is told as said.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Count(count) => WORDS.into_iter().find(|(known, _)| *known == count).map(|(_, word)| word),
            Self::NotSet => Some("TIER_NOT_SET"),
            Self::Unlimited => Some("TIER_UNLIMITED"),
            Self::Other(_) => None,
        }
    }

    /// Its place in the order of limits, for sorting; what is not known comes first.
    pub fn rank(self) -> u64 {
        match self {
            Self::Other(_) => 0,
            Self::NotSet => 1,
            Self::Count(count) => count.saturating_add(2).min(u64::MAX - 1),
            Self::Unlimited => u64::MAX,
        }
    }
}

impl PartialOrd for Step<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Other(one), Self::Other(other)) => (one == other).then_some(Ordering::Equal),
            (Self::Other(_), _) | (_, Self::Other(_)) => None,
            (
                Self::NotSet | Self::Count(_) | Self::Unlimited,
                Self::NotSet | Self::Count(_) | Self::Unlimited,
            ) => Some(self.rank().cmp(&other.rank())),
        }
    }
}

/// `10000`, `10K`, `1M`.
fn count(text: &str) -> Option<u64> {
    let (digits, times) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 1_000),
        b'M' | b'm' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(times)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_the_same_however_it_is_spelled() {
        let same: [&[&str]; 6] = [
            &["TIER_10K", "tier_10k", "10000", "10K", "TIER_10000", " 10000 "],
            &["TIER_2K", "2000", "Tier_2k"],
            &["TIER_250", "250"],
            &["TIER_UNLIMITED", "UNLIMITED", "unlimited", "-1", "TIER_-1"],
            &["TIER_1M", "1000000"],
            &["TIER_NOT_SET", "not_set"],
        ];
        for (at, spellings) in same.iter().enumerate() {
            for spelling in *spellings {
                assert_eq!(Step::of(spelling), Step::of(spellings[0]), "{spelling}");
                for other in same.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other)
                {
                    assert_ne!(Step::of(spelling), Step::of(other[0]), "{spelling}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_value_equals_only_itself_and_is_neither_more_nor_less() {
        for text in ["UNTIERED", "", "TIER_", "K", "-2", "10.5K", "1e4", "99999999999999999999"] {
            assert_eq!(Step::of(text), Step::Other(text));
            assert_eq!(Step::of(text).partial_cmp(&Step::of("TIER_10K")), None);
            assert_eq!(Step::of(text).word(), None);
        }
        assert_ne!(Step::of("UNTIERED"), Step::of("UNHEARD_OF"));
    }

    #[test]
    fn limits_are_in_order_and_have_the_words_of_events() {
        let rising =
            ["TIER_NOT_SET", "0", "TIER_50", "250", "tier_1k", "2000", "TIER_10K", "100000", "1M", "-1"];
        for pair in rising.windows(2) {
            assert!(Step::of(pair[0]) < Step::of(pair[1]), "{pair:?}");
        }
        assert_eq!(Step::of("10000").word(), Some("TIER_10K"));
        assert_eq!((Step::of("-1").word(), Step::of("12345").word()), (Some("TIER_UNLIMITED"), None));
    }

    proptest! {
        #[test]
        fn any_text_has_a_meaning_and_equals_itself(text in "\\PC{0,24}") {
            prop_assert_eq!(Step::of(&text).partial_cmp(&Step::of(&text)), Some(Ordering::Equal));
        }
    }
}
