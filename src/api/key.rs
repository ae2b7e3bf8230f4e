//! An API key's text: `bwk_<id>_<secret><checksum>`. The prefix and the
//! checksum let scanners find a leaked key offline, and let a mistyped one be
//! refused without asking the store. The store keeps the id and the SHA-256 of
//! the text: a secret of 256 random bits needs no slower hash.

use ring::{digest, hmac};

use crate::env::Entropy;

const PREFIX: &str = "bwk_";
const ID_CHARS: usize = 11;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new key: its id and its text.
pub(super) fn generate(entropy: &Entropy) -> (String, String) {
    let id = base62(&entropy.bytes::<8>(), ID_CHARS);
    let head = format!("{PREFIX}{id}_{}", base62(&entropy.bytes::<32>(), SECRET_CHARS));
    let text = format!("{head}{}", checksum(&head));
    (id, text)
}

/// The id within a key's text; `None` if it is no key or mistyped.
pub(super) fn id(text: &str) -> Option<&str> {
    let length = PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS + CHECKSUM_CHARS;
    if text.len() != length || !text.is_ascii() {
        return None;
    }
    let (head, sum) = text.split_at(length - CHECKSUM_CHARS);
    let (id, secret) = head.strip_prefix(PREFIX)?.split_once('_')?;
    let whole = id.len() == ID_CHARS && secret.len() == SECRET_CHARS && checksum(head) == sum;
    whole.then_some(id)
}

/// What the store keeps of a key.
pub(super) fn hash(text: &str) -> [u8; 32] {
    sha256(text.as_bytes())
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
pub(super) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"bellwether api keys");
    hmac::verify(&key, b, hmac::sign(&key, a).as_ref()).is_ok()
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn checksum(head: &str) -> String {
    base62(&sha256(head.as_bytes())[..4], CHECKSUM_CHARS)
}

/// `bytes` as one number in base 62, `width` digits, which must hold it.
fn base62(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![0; width];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_usize;
        for byte in &mut number {
            let value = rest * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).expect("rest is below 62");
            rest = value % 62;
        }
        *digit = DIGITS[rest];
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_id_and_no_two_are_alike() {
        let entropy = Entropy::seeded(7);
        let (first, text) = generate(&entropy);
        let (second, other) = generate(&entropy);
        assert_eq!(id(&text), Some(first.as_str()));
        assert!(text.starts_with("bwk_") && text.len() == 65, "{text}");
        assert!(first != second && text != other);
        assert!(same(&hash(&text), &hash(&text)) && !same(&hash(&text), &hash(&other)));
    }

    #[test]
    fn a_mistyped_key_is_told_from_its_text_alone() {
        let (_, text) = generate(&Entropy::seeded(7));
        for at in 0..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(id(&String::from_utf8(typed).unwrap()), None, "at {at}");
        }
        for bad in ["", "bwk_", &text[1..], &format!("{text}0"), &"ä".repeat(33)] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }

    #[test]
    fn digits_are_those_of_the_number() {
        assert_eq!(base62(&[0], 2), "00");
        assert_eq!(base62(&[61], 2), "0z");
        assert_eq!(base62(&[1, 0], 2), "48");
        assert_eq!(base62(&[255; 32], SECRET_CHARS).len(), SECRET_CHARS);
    }
}
