//! Entries of the tail as bytes: a kind, then its fields. Only this program
//! writes here, so what can't be read is damage: passing over it would forget
//! deduplication keys.

use crate::model::change::Fingerprint;
use crate::model::id::NumberKey;
use crate::model::number::NumberState;
use crate::store::sqlite::bytes::{Reader, write_state};

const SEEN: u8 = 1;
/// A number as the second schema knew it: only a limit.
const OLD_NUMBER: u8 = 2;
const NUMBER: u8 = 3;

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
    write_state(to, state);
}

/// The entries in `bytes`; `None` if one can't be read.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Record>> {
    let mut from = Reader(bytes);
    let mut records = Vec::new();
    while !from.0.is_empty() {
        records.push(record(&mut from)?);
    }
    Some(records)
}

fn record(from: &mut Reader<'_>) -> Option<Record> {
    match from.byte()? {
        SEEN => Some(Record::Seen { time: from.i64()?, fingerprint: from.array()?, at: from.i64()? }),
        OLD_NUMBER => Some(Record::Number { key: NumberKey(from.i64()?), state: from.old_state()? }),
        NUMBER => Some(Record::Number { key: NumberKey(from.i64()?), state: from.state()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::number::What;

    #[test]
    fn what_is_written_is_read_again() {
        let known = NumberState { sequence: 7, revision: 2, ..NumberState::default() };
        let mut bytes = Vec::new();
        write_number(&mut bytes, NumberKey(5), &known);
        write_seen(&mut bytes, -1, &[7; 16], 8);
        write_number(&mut bytes, NumberKey(6), &NumberState::default());
        let whole = read(&bytes).unwrap();
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
    fn what_is_cut_short_or_of_no_known_kind_is_not_read_at_all() {
        let mut bytes = Vec::new();
        write_seen(&mut bytes, 1, &[1; 16], 1);
        let whole = bytes.len();
        write_number(&mut bytes, NumberKey(1), &NumberState { sequence: 1, ..NumberState::default() });
        for end in whole + 1..bytes.len() {
            assert!(read(&bytes[..end]).is_none(), "of {end} bytes");
        }
        assert_eq!(read(&bytes[..whole]).map(|records| records.len()), Some(1));
        assert!(read(&[77]).is_none() && read(&[]).is_some());
    }

    #[test]
    fn what_the_second_schema_wrote_is_read_too() {
        let old: &[&[u8]] = &[
            &[2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 1, 8],
            b"TIER_10K",
            &[0, 0, 0, 0, 0, 0, 0, 99, 1, 1],
            b"f",
            &[9; 16],
            &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4],
        ];
        let bytes = old.concat();
        let read = read(&bytes).unwrap();
        let [Record::Number { key: NumberKey(5), state }] = &read[..] else { panic!("not read") };
        let limit = state.known(What::Limit).unwrap();
        assert_eq!((state.sequence, limit.value.as_str(), limit.since.ms()), (7, "TIER_10K", 99));
        assert_eq!((state.latest[0].field.as_str(), state.latest[0].event), ("f", 4));
    }
}
