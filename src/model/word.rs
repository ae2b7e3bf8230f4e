//! A word of Meta's: a limit, a rating, the name of a field. The known ones
//! take a byte, in memory and in the store, and cost no allocation; all others
//! are kept as they came.

use std::fmt;

/// Their places are what the store keeps: words are added at the end, and none
/// is ever moved or taken away. At most 254.
const KNOWN: [&str; 51] = [
    "phone_number_quality_update",
    "TIER_50",
    "TIER_250",
    "TIER_1K",
    "TIER_2K",
    "TIER_10K",
    "TIER_100K",
    "TIER_UNLIMITED",
    "TIER_NOT_SET",
    "UNLIMITED",
    "UNTIERED",
    "-1",
    "50",
    "250",
    "1000",
    "2000",
    "10000",
    "100000",
    "UPGRADE",
    "DOWNGRADE",
    "FLAGGED",
    "UNFLAGGED",
    "ONBOARDING",
    "THROUGHPUT_UPGRADE",
    "THROUGHPUT_DOWNGRADE",
    "STANDARD",
    "HIGH",
    "NOT_APPLICABLE",
    "GREEN",
    "YELLOW",
    "RED",
    "NA",
    "UNKNOWN",
    "CONNECTED",
    "PENDING",
    "OFFLINE",
    "BANNED",
    "RATE_LIMITED",
    "MIGRATED",
    "DELETED",
    "DISCONNECTED",
    "UNVERIFIED",
    "RESTRICTED",
    "account_update",
    "account_alerts",
    "account_review_update",
    "business_capability_update",
    "phone_number_name_update",
    "message_template_status_update",
    "message_template_quality_update",
    "template_category_update",
];

/// A word has at most so many bytes; what is longer is cut.
pub const LONGEST_WORD: usize = 255;

/// A word of Meta's.
#[derive(Clone, PartialEq, Eq)]
pub struct Word(Text);

#[derive(Clone, PartialEq, Eq)]
enum Text {
    /// Its place among the known ones.
    Known(u8),
    Other(Box<str>),
}

impl Word {
    /// The word that `text` is.
    pub fn new(text: &str) -> Self {
        let place = KNOWN.iter().position(|known| *known == text).and_then(|place| u8::try_from(place).ok());
        Self(match place {
            Some(place) => Text::Known(place),
            None => Text::Other(text[..text.floor_char_boundary(LONGEST_WORD)].into()),
        })
    }

    /// The known word at `place`.
    pub fn known(place: u8) -> Option<Self> {
        (usize::from(place) < KNOWN.len()).then_some(Self(Text::Known(place)))
    }

    /// Its place among the known words, or else its text.
    pub fn place(&self) -> Result<u8, &str> {
        match &self.0 {
            Text::Known(place) => Ok(*place),
            Text::Other(text) => Err(text),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Known(place) => KNOWN[usize::from(*place)],
            Text::Other(text) => text,
        }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, text: &str) -> bool {
        self.as_str() == text
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, text: &&str) -> bool {
        self.as_str() == *text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_it_was_written_as_known_or_not() {
        for text in KNOWN.into_iter().chain(["tier_10k", "", "Größe"]) {
            let word = Word::new(text);
            assert_eq!(word, text);
            let again = match word.place() {
                Ok(place) => Word::known(place).unwrap(),
                Err(text) => Word::new(text),
            };
            assert_eq!(again, word);
        }
        assert!(Word::known(254).is_none());
    }

    #[test]
    fn a_word_without_measure_is_cut_between_characters() {
        let word = Word::new(&"ä".repeat(200));
        assert_eq!(word.as_str().len(), 254);
    }

    #[test]
    fn no_word_is_known_twice() {
        for (place, word) in KNOWN.iter().enumerate() {
            assert_eq!(Word::new(word).place().map(usize::from), Ok(place));
        }
    }
}
