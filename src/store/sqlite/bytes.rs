//! What is known of numbers, and what changed of it, as bytes: fields of fixed
//! size or led by their length, big-endian. There is one encoding of a state,
//! in the tail and in a number's row. Only this program writes here, so what
//! can't be read is damage: it reads as `None`.

use crate::model::number::{Changed, Known, Latest, LearnedBy, NumberState, Stale, Told, What};
use crate::model::time::Timestamp;
use crate::model::word::Word;

/// Set in the byte that leads a change if what it names was stale.
const STALE: u8 = 0x80;

/// Leads a word that is not known by its place.
const SPELLED: u8 = 0xff;

/// Set in the byte that says whether a number is retired, if these times follow:
/// what is said for before which does not bring it back, and for when it is said
/// whose it is.
const NOT_BEFORE: u8 = 2;
const PLACED: u8 = 4;

/// Stands for what a [`Told`] has none of.
const NOTHING: u8 = 0xff;

pub(super) fn write_state(to: &mut Vec<u8>, state: &NumberState) {
    to.extend_from_slice(&state.sequence.to_be_bytes());
    to.extend_from_slice(&state.revision.to_be_bytes());
    to.extend_from_slice(&state.changed_at.ms().to_be_bytes());
    let times = [(NOT_BEFORE, state.not_before), (PLACED, state.placed)];
    let times = times.iter().filter(|(_, time)| *time != Timestamp::default());
    to.push(times.clone().fold(u8::from(state.retired), |lead, (bit, _)| lead | bit));
    times.for_each(|(_, time)| to.extend_from_slice(&time.ms().to_be_bytes()));
    write_count(to, state.known.len());
    for known in &state.known {
        to.extend_from_slice(&[known.what.code(), known.by.code()]);
        write_word(to, &known.value);
        for number in [known.since.ms(), known.confirmed.ms(), known.event.unwrap_or(0)] {
            to.extend_from_slice(&number.to_be_bytes());
        }
    }
    write_count(to, state.told.len());
    for told in &state.told {
        to.push(told.what.map_or(NOTHING, What::code));
        write_word(to, &told.value);
        let until = told.until.map_or(-1, Timestamp::ms);
        for number in [told.since.ms(), until, told.event] {
            to.extend_from_slice(&number.to_be_bytes());
        }
    }
    write_count(to, state.latest.len());
    for Latest { field, fingerprint, time, event } in &state.latest {
        write_word(to, field);
        to.extend_from_slice(fingerprint);
        to.extend_from_slice(&time.to_be_bytes());
        to.extend_from_slice(&event.to_be_bytes());
    }
}

/// What is counted has a few dozen items at most.
fn write_count(to: &mut Vec<u8>, count: usize) {
    to.push(u8::try_from(count).unwrap_or(u8::MAX));
}

fn write_word(to: &mut Vec<u8>, word: &Word) {
    match word.place() {
        Ok(place) => to.push(place),
        Err(text) => {
            to.push(SPELLED);
            write_count(to, text.len());
            to.extend_from_slice(text.as_bytes());
        }
    }
}

pub(super) fn read_state(bytes: &[u8]) -> Option<NumberState> {
    Reader(bytes).state()
}

/// What an event or an observation changed, and what an event told late; `None`
/// if there is nothing to say.
pub(super) fn changes(changed: &[Changed], stale: Stale) -> Option<Vec<u8>> {
    if changed.is_empty() && stale.is_empty() {
        return None;
    }
    let mut to = Vec::with_capacity(8);
    for Changed { what, from, to: value } in changed {
        to.extend_from_slice(&[what.code(), u8::from(from.is_some())]);
        from.iter().chain([value]).for_each(|word| write_word(&mut to, word));
    }
    stale.iter().for_each(|what| to.push(what.code() | STALE));
    Some(to)
}

pub(super) fn read_changes(bytes: Option<&[u8]>) -> Option<(Vec<Changed>, Stale)> {
    let (mut changed, mut stale) = (Vec::new(), Stale::default());
    let mut from = Reader(bytes.unwrap_or_default());
    while let Some(lead) = from.byte() {
        let what = What::from_code(lead & !STALE)?;
        if lead & STALE != 0 {
            stale.insert(what);
            continue;
        }
        changed.push(from.change(what)?);
    }
    Some((changed, stale))
}

/// The last changes as the first schema kept them in a number's row.
pub(super) fn read_latest(bytes: &[u8]) -> Vec<Latest> {
    let mut from = Reader(bytes);
    std::iter::from_fn(|| from.old_latest()).collect()
}

/// A limit as the first schema kept it.
pub(super) fn old_limit(limit: &str, since: Timestamp) -> Known {
    let (what, value, by) = (What::Limit, Word::new(limit), LearnedBy::Notification);
    Known { what, value, since, confirmed: since, by, event: None }
}

/// Reads from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn instant(&mut self) -> Option<Timestamp> {
        self.i64().map(Timestamp::from_ms)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn word(&mut self) -> Option<Word> {
        match self.byte()? {
            SPELLED => self.text().map(|text| Word::new(&text)),
            place => Word::known(place),
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.byte()?;
        (0..count).map(|_| item(self)).collect()
    }

    pub(super) fn state(&mut self) -> Option<NumberState> {
        let (sequence, revision, changed_at) = (self.i64()?, self.i64()?, self.instant()?);
        let lead = self.byte()?;
        let mut time = |bit: u8| if lead & bit == 0 { Some(Timestamp::default()) } else { self.instant() };
        let (not_before, placed) = (time(NOT_BEFORE)?, time(PLACED)?);
        Some(NumberState {
            sequence,
            revision,
            changed_at,
            retired: lead & 1 != 0,
            not_before,
            placed,
            known: self.list(Self::known)?,
            told: self.list(Self::told)?,
            latest: self.list(Self::latest)?,
        })
    }

    fn known(&mut self) -> Option<Known> {
        let (what, by) = (What::from_code(self.byte()?)?, LearnedBy::from_code(self.byte()?)?);
        let (value, since, confirmed) = (self.word()?, self.instant()?, self.instant()?);
        let event = Some(self.i64()?).filter(|position| *position != 0);
        Some(Known { what, value, since, confirmed, by, event })
    }

    fn told(&mut self) -> Option<Told> {
        let what = match self.byte()? {
            NOTHING => None,
            code => Some(What::from_code(code)?),
        };
        let (value, since, until) = (self.word()?, self.instant()?, self.i64()?);
        let until = (until >= 0).then(|| Timestamp::from_ms(until));
        Some(Told { what, value, since, until, event: self.i64()? })
    }

    fn latest(&mut self) -> Option<Latest> {
        let (field, fingerprint) = (self.word()?, self.array()?);
        Some(Latest { field, fingerprint, time: self.i64()?, event: self.i64()? })
    }

    fn change(&mut self, what: What) -> Option<Changed> {
        let from = if self.byte()? == 0 { None } else { Some(self.word()?) };
        Some(Changed { what, from, to: self.word()? })
    }

    fn old_latest(&mut self) -> Option<Latest> {
        let (field, fingerprint) = (Word::new(&self.text()?), self.array()?);
        Some(Latest { field, fingerprint, time: self.i64()?, event: self.i64()? })
    }

    /// A state as the tail of the second schema had it.
    pub(super) fn old_state(&mut self) -> Option<NumberState> {
        let sequence = self.i64()?;
        let known = match self.byte()? {
            0 => Vec::new(),
            _ => vec![old_limit(&self.text()?, self.instant()?)],
        };
        let latest = self.list(Self::old_latest)?;
        Some(NumberState { sequence, known, latest, ..NumberState::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state of which everything is there.
    fn full() -> NumberState {
        let instant = Timestamp::from_ms;
        let known = |what, value: &str, by, event| Known {
            what,
            value: Word::new(value),
            since: instant(5),
            confirmed: instant(9),
            by,
            event,
        };
        let told = |what, until| Told { what, value: Word::new("odd"), since: instant(1), until, event: 8 };
        NumberState {
            sequence: 7,
            revision: 3,
            changed_at: instant(77),
            retired: true,
            not_before: instant(70),
            placed: instant(60),
            known: vec![
                known(What::Limit, "TIER_10K", LearnedBy::Capability, Some(4)),
                known(What::Rating, "f\u{e4}", LearnedBy::Hand, None),
            ],
            told: vec![told(Some(What::Flagged), None), told(None, Some(instant(0)))],
            latest: vec![Latest { field: Word::new("any"), fingerprint: [9; 16], time: -3, event: 4 }],
        }
    }

    #[test]
    fn a_state_that_is_written_is_read_again_and_one_cut_short_is_none() {
        for state in [full(), NumberState::default()] {
            let mut bytes = Vec::new();
            write_state(&mut bytes, &state);
            assert_eq!(read_state(&bytes), Some(state));
            for end in 0..bytes.len() {
                assert_eq!(read_state(&bytes[..end]), None, "of {end} bytes");
            }
        }
    }

    #[test]
    fn changes_that_are_written_are_read_again() {
        let changed = vec![
            Changed { what: What::Limit, from: Some(Word::new("odd")), to: Word::new("TIER_10K") },
            Changed { what: What::Status, from: None, to: Word::new("") },
        ];
        let mut stale = Stale::default();
        stale.insert(What::Limit);
        stale.insert(What::Status);
        for (changed, stale) in [(changed.clone(), stale), (vec![], stale), (changed, Stale::default())] {
            let bytes = changes(&changed, stale).unwrap();
            assert_eq!(read_changes(Some(&bytes)), Some((changed, stale)));
        }
        assert_eq!(changes(&[], Stale::default()), None);
        assert_eq!(read_changes(None), Some((vec![], Stale::default())));
        for damaged in [&[0x55, 1][..], &[0, 0], &[0, 1, 0]] {
            assert_eq!(read_changes(Some(damaged)), None, "{damaged:x?}");
        }
    }
}
