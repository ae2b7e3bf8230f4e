//! What is older than what was seen: for those who keep how each number stands, and no history.
//!
//! Events of a number come in order, but a replay may bring an old one. The sequence tells: what is lower than
//! the highest that was seen is history. Gaps mean nothing here: an event that did not come is not waited for.

use std::collections::{BTreeMap, HashMap};

/// The highest sequence of each subject, in memory.
///
/// ```
/// use bellwether_receiver::Sequences;
///
/// let mut sequences = Sequences::new(100_000);
/// assert!(sequences.advance("account/15550783881", 1));
/// assert!(sequences.advance("account/15550783881", 4), "a gap is none of ours to mind");
/// assert!(sequences.advance("account/15550783881", 4), "a repeat, or a snapshot, which may be several events");
/// assert!(!sequences.advance("account/15550783881", 2), "a replay tells nothing new of how it stands");
/// assert!(sequences.advance("account/15550783882", 1), "each number counts for itself");
/// ```
#[derive(Debug)]
pub struct Sequences {
    most: usize,
    turn: u64,
    /// The sequence, and the turn in which it was last heard of.
    by_subject: HashMap<String, (u64, u64)>,
    by_turn: BTreeMap<u64, String>,
}

impl Sequences {
    /// Remembers the `most` subjects heard of last, about 200 bytes each. Of one that was forgotten, the
    /// next event counts as new.
    pub fn new(most: usize) -> Self {
        Self { most, turn: 0, by_subject: HashMap::new(), by_turn: BTreeMap::new() }
    }

    /// Whether an event of this sequence may tell how the subject ([`Delivery::subject`](crate::Delivery::subject))
    /// stands: it is not older than what was seen. Notes it if so.
    pub fn advance(&mut self, subject: &str, sequence: u64) -> bool {
        let before = self.by_subject.get(subject).copied();
        let current = before.is_none_or(|(seen, _)| sequence >= seen);
        let highest = before.map_or(sequence, |(seen, _)| seen.max(sequence));
        if let Some((_, turn)) = before {
            self.by_turn.remove(&turn);
        }
        self.turn += 1;
        self.by_turn.insert(self.turn, subject.to_owned());
        self.by_subject.insert(subject.to_owned(), (highest, self.turn));
        while self.by_subject.len() > self.most {
            let Some((_, subject)) = self.by_turn.pop_first() else { break };
            self.by_subject.remove(&subject);
        }
        current
    }

    /// How many subjects are remembered.
    pub fn len(&self) -> usize {
        self.by_subject.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_not_heard_of_for_longest_is_forgotten_first() {
        let mut sequences = Sequences::new(2);
        assert!(sequences.advance("a", 5));
        assert!(sequences.advance("b", 5));
        assert!(!sequences.advance("a", 4), "old, and yet heard of");
        assert!(sequences.advance("c", 5));
        assert_eq!(sequences.len(), 2);
        assert!(!sequences.advance("a", 4), "still known");
        assert!(sequences.advance("b", 4), "forgotten");
    }
}
