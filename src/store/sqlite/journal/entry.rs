//! Entries of the journal as bytes: a kind, then whole numbers of seven bits a
//! byte, the low ones first. An event takes some six bytes, an outcome some ten.
//! What can't be read ends the reading: who reads sees how far it came.

use crate::model::delivery::DeliveryState;
use crate::model::id::{AccountKey, DeliveryId, NumberKey, Position};

const EVENT: u8 = 1;
const NUMBER: u8 = 2;
/// And the state's code.
const DELIVERY: u8 = 16;

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Entry {
    /// Accepted an event.
    Event { account: AccountKey, position: Position },
    /// Left a delivery in `state`, after so many attempts.
    Delivery { account: AccountKey, delivery: DeliveryId, state: DeliveryState, attempts: u32 },
    /// Learned something of a number of which no event tells.
    Number { account: AccountKey, number: NumberKey },
}

impl Entry {
    /// The same of a delivery that ended otherwise.
    pub(in crate::store::sqlite) fn ended(self, state: DeliveryState) -> Self {
        match self {
            Self::Delivery { account, delivery, attempts, .. } => {
                Self::Delivery { account, delivery, state, attempts }
            }
            Self::Event { .. } | Self::Number { .. } => self,
        }
    }

    pub(super) fn account(self) -> AccountKey {
        match self {
            Self::Event { account, .. } | Self::Delivery { account, .. } | Self::Number { account, .. } => {
                account
            }
        }
    }

    pub(in crate::store::sqlite) fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Event { account, position } => {
                to.push(EVENT);
                write_number(to, account.0);
                write_number(to, position);
            }
            Self::Delivery { account, delivery, state, attempts } => {
                to.push(DELIVERY + u8::try_from(state.code()).unwrap_or(0));
                write_number(to, account.0);
                write_number(to, delivery.0);
                write_number(to, attempts.into());
            }
            Self::Number { account, number } => {
                to.push(NUMBER);
                write_number(to, account.0);
                write_number(to, number.0);
            }
        }
    }
}

fn write_number(to: &mut Vec<u8>, number: i64) {
    let mut left = number.cast_unsigned();
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            return to.push(low);
        }
        to.push(0x80 | low);
    }
}

/// The entries in `bytes`, each with the length of what is read by then.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = (Entry, usize)> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        let entry = entry(&mut left)?;
        Some((entry, bytes.len() - left.len()))
    })
}

fn entry(from: &mut &[u8]) -> Option<Entry> {
    let kind = byte(from)?;
    let account = AccountKey(number(from)?);
    match kind {
        EVENT => Some(Entry::Event { account, position: number(from)? }),
        NUMBER => Some(Entry::Number { account, number: NumberKey(number(from)?) }),
        _ => {
            let state = DeliveryState::from_code(kind.checked_sub(DELIVERY)?.into())?;
            let delivery = DeliveryId(number(from)?);
            Some(Entry::Delivery { account, delivery, state, attempts: u32::try_from(number(from)?).ok()? })
        }
    }
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    let (first, rest) = from.split_first()?;
    *from = rest;
    Some(*first)
}

fn number(from: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(from)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number.cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_entry() -> impl Strategy<Value = Entry> {
        let state = proptest::sample::select(&DeliveryState::ALL[..]);
        (0..3, 0..=i64::MAX, any::<i64>(), any::<u32>(), state).prop_map(
            |(kind, account, id, attempts, state)| {
                let account = AccountKey(account);
                match kind {
                    0 => Entry::Event { account, position: id },
                    1 => Entry::Number { account, number: NumberKey(id) },
                    _ => Entry::Delivery { account, delivery: DeliveryId(id), state, attempts },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_what_is_cut_short_ends_the_reading(
            entries in prop::collection::vec(any_entry(), 0..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            for entry in &entries {
                entry.write(&mut bytes);
            }
            let again: Vec<_> = read(&bytes).map(|(entry, _)| entry).collect();
            prop_assert_eq!(&again, &entries);
            let cut = cut.index(bytes.len() + 1);
            let whole: Vec<_> = read(&bytes[..cut]).map(|(entry, _)| entry).collect();
            prop_assert_eq!(&whole[..], &entries[..whole.len()]);
        }

        #[test]
        fn no_bytes_at_all_can_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(read(&bytes).count() <= bytes.len());
        }
    }

    #[test]
    fn an_event_and_its_delivery_take_some_twenty_bytes() {
        let (mut bytes, account) = (Vec::new(), AccountKey(1_000));
        Entry::Event { account, position: 1_000_000 }.write(&mut bytes);
        let delivery = DeliveryId::new(1_000_000, 0);
        Entry::Delivery { account, delivery, state: DeliveryState::Delivered, attempts: 1 }.write(&mut bytes);
        assert_eq!(bytes.len(), 15);
    }
}
