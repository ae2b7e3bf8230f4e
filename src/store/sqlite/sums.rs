//! Sums of event bodies. SQLite notices a page that makes no sense, but not a bit
//! that has turned over inside a value: such a body would be signed and sent. So
//! each is kept with a sum, and is held against it whenever it is read.

use ring::digest::{SHA256, digest};

use super::rows::unreadable;

/// The sum of a body: the first four bytes of its SHA-256, which is at hand.
pub(super) fn of(body: &[u8]) -> i64 {
    let digest = digest(&SHA256, body);
    digest.as_ref().iter().take(4).fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

/// Whether the body is as it was stored; damage if not. One from before there
/// were sums has none.
pub(super) fn check(body: &[u8], sum: Option<i64>) -> rusqlite::Result<()> {
    let as_stored = sum.is_none_or(|sum| sum == of(body));
    as_stored.then_some(()).ok_or_else(|| unreadable(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_can_turn_over_unnoticed() {
        let body = b"{\"eventId\":\"1\"}".to_vec();
        let sum = of(&body);
        assert!(check(&body, Some(sum)).is_ok() && check(&body, None).is_ok());
        for bit in 0..body.len() * 8 {
            let mut turned = body.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&turned, Some(sum)).is_err(), "bit {bit}");
        }
        assert!(check(&body[1..], Some(sum)).is_err());
    }
}
