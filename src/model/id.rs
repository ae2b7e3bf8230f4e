//! Names of things: what customers see (UUIDs and Meta's ids), and the short
//! keys by which the store refers to rows.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::time::Timestamp;

/// An account's UUID. Read with or without hyphens in any case, written in
/// lower case with hyphens (contract.md 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Uuid);

impl AccountId {
    /// An account id from a UUID.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

/// What is wrong with an id, as a fragment that fits "accountId ...".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UUID.
    #[error("must be a UUID such as 0f88f5c4-fae7-4dcf-8ff2-b2990133edea (hyphens optional)")]
    Uuid,
    /// Not a business account id.
    #[error("must be 1 to 64 letters, digits, '-' or '_', as Meta shows it: 102290129340398")]
    BusinessAccount,
    /// Not a sub-account id.
    #[error("must be 3 to 50 letters, digits, '-', '.', '_' or '&', or '*' for all sub-accounts")]
    SubAccount,
    /// Not a delivery's id.
    #[error("must be a delivery's id as this API gave it: a whole number")]
    Delivery,
}

impl FromStr for AccountId {
    type Err = IdError;

    /// `^[0-9A-Fa-f]{8}[-]?(?:[0-9A-Fa-f]{4}[-]?){3}[0-9A-Fa-f]{12}$`
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut hex = String::with_capacity(32);
        for c in text.chars() {
            let may_hyphen = matches!(hex.len(), 8 | 12 | 16 | 20);
            match c {
                '-' if may_hyphen => {}
                c if c.is_ascii_hexdigit() && hex.len() < 32 => hex.push(c),
                _ => return Err(IdError::Uuid),
            }
        }
        let doubled = text.contains("--");
        if hex.len() != 32 || doubled {
            return Err(IdError::Uuid);
        }
        Uuid::try_parse(&hex).map(Self).map_err(|_| IdError::Uuid)
    }
}

/// The public id of an event: a version 7 UUID whose counter is the event's
/// [`Position`], so that the store finds an event by its id without an index
/// of random keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// An event's place in the order of acceptance, 1, 2, 3.. over the whole store.
pub type Position = i64;

/// Positions fit 42 bits: four million million events.
const POSITION_BITS: u32 = 42;

impl EventId {
    /// The id of the event at `position`, accepted at `now`. 32 bits of
    /// `random` keep neighbours from being guessed.
    pub fn new(now: Timestamp, position: Position, random: u32) -> Self {
        let ms = now.ms().cast_unsigned() & 0xffff_ffff_ffff;
        let high = (ms << 16) | 0x7000 | u64::from(random >> 20);
        let counter = position.cast_unsigned() & ((1 << POSITION_BITS) - 1);
        let low = (0b10 << 62) | (counter << 20) | u64::from(random & 0xf_ffff);
        Self(Uuid::from_u64_pair(high, low))
    }

    /// Where the event stands. Any UUID gives some position: compare the id of
    /// what is found there.
    pub fn position(self) -> Position {
        let (_, low) = self.0.as_u64_pair();
        ((low >> 20) & ((1 << POSITION_BITS) - 1)).cast_signed()
    }

    /// The UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError::Uuid)
    }
}

/// The public id of a webhook: a random UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookId(Uuid);

impl WebhookId {
    /// A webhook id from a UUID.
    pub fn new(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for WebhookId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError::Uuid)
    }
}

macro_rules! shows_its_uuid {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
shows_its_uuid!(AccountId, EventId, WebhookId);

/// A WhatsApp Business Account's id as Meta gives it (`entry[].id`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusinessAccountId(Box<str>);

impl BusinessAccountId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BusinessAccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(Self(text.into())) } else { Err(IdError::BusinessAccount) }
    }
}

/// A sub-account's name, `^[A-Za-z0-9\-._&]{3,50}$` (contract.md 2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubAccountId(Box<str>);

impl SubAccountId {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubAccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (3..=50).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._&".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(IdError::SubAccount) }
    }
}

macro_rules! shows_its_text {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
shows_its_text!(BusinessAccountId, SubAccountId);

/// The store's key of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey(pub i64);

/// The store's key of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookKey(pub i64);

/// The store's key of a number (or of what stands in for one, see
/// [`super::number::Subject`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumberKey(pub i64);

/// A delivery's id, for the store and, in decimal, for people. The deliveries
/// of an event lie next to each other, behind its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub i64);

/// An event reaches at most this many webhooks (an account has at most 10,000).
pub const DELIVERIES_PER_EVENT: i64 = 1 << 14;

impl DeliveryId {
    /// The `ordinal`-th delivery (from 0) of the event at `position`.
    pub fn new(position: Position, ordinal: i64) -> Self {
        Self(position * DELIVERIES_PER_EVENT + ordinal)
    }

    /// The position of the event that is delivered.
    pub fn position(self) -> Position {
        self.0.div_euclid(DELIVERIES_PER_EVENT)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for DeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(|_| IdError::Delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_is_read_in_any_case_with_or_without_hyphens() {
        let plain: AccountId = "0F88F5C4FAE74DCF8FF2B2990133EDEA".parse().unwrap();
        assert_eq!(plain.to_string(), "0f88f5c4-fae7-4dcf-8ff2-b2990133edea");
        assert_eq!("0f88f5c4fae7-4dcf8ff2-b2990133edea".parse(), Ok(plain));
    }

    #[test]
    fn what_is_not_a_uuid_is_refused() {
        for bad in [
            "",
            "0",
            "0f88f5c4--fae7-4dcf-8ff2-b2990133edea",
            "0f88f5c4-fae7-4dcf-8ff2-b2990133edea-",
            "g".repeat(32).as_str(),
        ] {
            assert_eq!(bad.parse::<AccountId>(), Err(IdError::Uuid), "{bad}");
        }
    }

    #[test]
    fn an_event_id_is_a_version_7_uuid_that_knows_its_position() {
        for position in [1, 77, (1 << 42) - 1] {
            let id = EventId::new(Timestamp::from_ms(1_748_454_394_000), position, 0xdead_beef);
            assert_eq!(id.position(), position);
            assert_eq!(id.uuid().get_version_num(), 7);
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_delivery_id_knows_its_event() {
        let id = DeliveryId::new(12, 9_999);
        assert_eq!(id.position(), 12);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
