//! Entries of the tail as bytes: a kind, then fields of fixed size or led by
//! their length, big-endian. What can't be read ends the reading: only this
//! program writes here, and SQLite has checked the page.

use crate::model::change::Fingerprint;
use crate::model::id::NumberKey;
use crate::model::number::{Latest, NumberState};
use crate::model::time::Timestamp;

const SEEN: u8 = 1;
const NUMBER: u8 = 2;

/// One entry.
pub(super) enum Record {
    Seen { time: i64, fingerprint: Fingerprint, at: i64 },
    Number { key: NumberKey, state: NumberState },
}

pub(super) fn write_seen(to: &mut Vec<u8>, time: i64, fingerprint: &Fingerprint, at: i64) {
    to.push(SEEN);
    to.extend_from_slice(&time.to_be_bytes());
    to.extend_from_slice(fingerprint);
    to.extend_from_slice(&at.to_be_bytes());
}

pub(super) fn write_number(to: &mut Vec<u8>, key: NumberKey, state: &NumberState) {
    to.push(NUMBER);
    to.extend_from_slice(&key.0.to_be_bytes());
    to.extend_from_slice(&state.sequence.to_be_bytes());
    match &state.limit {
        None => to.push(0),
        Some((limit, since)) => {
            to.push(1);
            write_text(to, limit);
            to.extend_from_slice(&since.ms().to_be_bytes());
        }
    }
    to.push(u8::try_from(state.latest.len()).unwrap_or(u8::MAX));
    write_latest(to, &state.latest);
}

/// The last changes: for each, the field, the fingerprint, the time and the
/// event's position.
pub(in crate::store::sqlite) fn write_latest(to: &mut Vec<u8>, latest: &[Latest]) {
    for Latest { field, fingerprint, time, event } in latest {
        write_text(to, field);
        to.extend_from_slice(fingerprint);
        to.extend_from_slice(&time.to_be_bytes());
        to.extend_from_slice(&event.to_be_bytes());
    }
}

/// A text led by its length in a byte; what is longer is cut (names and limits
/// have a few dozen characters).
fn write_text(to: &mut Vec<u8>, text: &str) {
    let cut = &text[..text.floor_char_boundary(usize::from(u8::MAX))];
    to.push(u8::try_from(cut.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(cut.as_bytes());
}

/// The entries in `bytes`.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Record> {
    let mut from = Reader(bytes);
    std::iter::from_fn(move || from.record())
}

pub(in crate::store::sqlite) fn read_latest(bytes: &[u8]) -> Vec<Latest> {
    let mut from = Reader(bytes);
    std::iter::from_fn(|| from.latest()).collect()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn latest(&mut self) -> Option<Latest> {
        Some(Latest {
            field: self.text()?,
            fingerprint: self.array()?,
            time: self.i64()?,
            event: self.i64()?,
        })
    }

    fn record(&mut self) -> Option<Record> {
        match self.byte()? {
            SEEN => Some(Record::Seen { time: self.i64()?, fingerprint: self.array()?, at: self.i64()? }),
            NUMBER => {
                let key = NumberKey(self.i64()?);
                let sequence = self.i64()?;
                let limit = match self.byte()? {
                    0 => None,
                    _ => Some((self.text()?, Timestamp::from_ms(self.i64()?))),
                };
                let count = self.byte()?;
                let latest = (0..count).map(|_| self.latest()).collect::<Option<_>>()?;
                Some(Record::Number { key, state: NumberState { sequence, limit, latest } })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let known = NumberState {
            sequence: 7,
            limit: Some(("TIER_10K".to_owned(), Timestamp::from_ms(-5))),
            latest: vec![Latest { field: "f\u{e4}".to_owned(), fingerprint: [9; 16], time: 3, event: 4 }],
        };
        let mut bytes = Vec::new();
        write_number(&mut bytes, NumberKey(5), &known);
        write_seen(&mut bytes, -1, &[7; 16], 8);
        write_number(&mut bytes, NumberKey(6), &NumberState::default());
        let whole: Vec<_> = read(&bytes).collect();
        let [
            Record::Number { key, state },
            Record::Seen { time, fingerprint, at },
            Record::Number { state: new, .. },
        ] = &whole[..]
        else {
            panic!("{} records were read", whole.len());
        };
        assert_eq!((*key, state, new), (NumberKey(5), &known, &NumberState::default()));
        assert_eq!((*time, *fingerprint, *at), (-1, [7; 16], 8));
    }

    #[test]
    fn what_is_cut_short_ends_the_reading() {
        let mut bytes = Vec::new();
        write_seen(&mut bytes, 1, &[1; 16], 1);
        let whole = bytes.len();
        write_number(&mut bytes, NumberKey(1), &NumberState { sequence: 1, ..NumberState::default() });
        for end in whole..bytes.len() {
            assert_eq!(read(&bytes[..end]).count(), 1, "of {end} bytes");
        }
        assert_eq!(read(&[77]).count(), 0);
    }
}
