//! Secrets at rest. The store keeps only what this module has sealed:
//! `version | key id | nonce | ciphertext`, XChaCha20-Poly1305 with a random
//! nonce, and the place of the secret (row, account, column) as associated
//! data, so that a ciphertext moved to another row does not open.

pub mod oauth;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use ring::digest;
use secrecy::{ExposeSecret, SecretString};

use crate::env::Entropy;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// Where a secret lives; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The row's public id.
    pub row: &'a str,
    /// The account it belongs to.
    pub account: &'a str,
    /// The column.
    pub column: &'a str,
}

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        format!("webhooks|{}|{}|{}", self.row, self.account, self.column).into_bytes()
    }
}

/// Why a secret does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not something this version sealed.
    #[error("not a sealed secret")]
    Malformed,
    /// Sealed under another key.
    #[error("sealed under another key; hint: start with the secrets.key_file this store was made with")]
    OtherKey,
    /// Altered, or moved from where it was sealed.
    #[error("altered, or moved from another row")]
    Forged,
}

/// The key that seals and opens.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: [u8; KEY_ID_BYTES],
}

impl Vault {
    /// A vault with this 32-byte key.
    pub fn new(key: &[u8; 32]) -> Self {
        let hash = digest::digest(&digest::SHA256, key);
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&hash.as_ref()[..KEY_ID_BYTES]);
        Self { cipher: XChaCha20Poly1305::new(&Key::from(*key)), key_id }
    }

    /// Seals `plain` for `place`.
    pub fn seal(&self, entropy: &Entropy, place: Place<'_>, plain: &str) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = entropy.bytes();
        let aad = place.associated();
        let payload = Payload { msg: plain.as_bytes(), aad: &aad };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("memory holds a short secret");
        let mut out = Vec::with_capacity(HEAD_BYTES + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&self.key_id);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Opens what was sealed for `place`.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretString, OpenError> {
        if sealed.len() < HEAD_BYTES || sealed[0] != VERSION {
            return Err(OpenError::Malformed);
        }
        let (head, ciphertext) = sealed.split_at(HEAD_BYTES);
        if head[1..=KEY_ID_BYTES] != self.key_id {
            return Err(OpenError::OtherKey);
        }
        let nonce: [u8; NONCE_BYTES] =
            head[1 + KEY_ID_BYTES..].try_into().map_err(|_| OpenError::Malformed)?;
        let aad = place.associated();
        let payload = Payload { msg: ciphertext, aad: &aad };
        let plain = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| OpenError::Forged)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| OpenError::Malformed)
    }
}

/// What [`Vault::check`] seals: nothing secret.
const CHECKED: &str = "the key that seals this store's secrets";
const CHECK_PLACE: Place<'_> = Place { row: "store", account: "", column: "key_check" };

impl Vault {
    /// Something sealed, to be kept with the secrets, by which
    /// [`Vault::recognises`] tells whether they were sealed with this key.
    pub fn check(&self, entropy: &Entropy) -> Vec<u8> {
        self.seal(entropy, CHECK_PLACE, CHECKED)
    }

    /// Whether this key made that check.
    pub fn recognises(&self, check: &[u8]) -> bool {
        self.open(CHECK_PLACE, check).is_ok_and(|text| text.expose_secret() == CHECKED)
    }
}

/// Whether two secrets are equal, in a time that does not tell where they
/// differ: compares keyed hashes in constant time.
pub fn equal(a: &SecretString, b: &str) -> bool {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"bellwether equality");
    let tag = ring::hmac::sign(&key, a.expose_secret().as_bytes());
    ring::hmac::verify(&key, b.as_bytes(), tag.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row: &'static str) -> Place<'static> {
        Place { row, account: "a", column: "secret" }
    }

    #[test]
    fn a_sealed_secret_opens_where_it_was_sealed_and_nowhere_else() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(&Entropy::seeded(1), place("one"), "hush");
        assert_eq!(vault.open(place("one"), &sealed).unwrap().expose_secret(), "hush");
        assert_eq!(vault.open(place("two"), &sealed).unwrap_err(), OpenError::Forged);
    }

    #[test]
    fn another_key_is_named_as_the_reason() {
        let sealed = Vault::new(&[7; 32]).seal(&Entropy::seeded(1), place("one"), "hush");
        assert_eq!(Vault::new(&[8; 32]).open(place("one"), &sealed).unwrap_err(), OpenError::OtherKey);
    }

    #[test]
    fn a_short_or_altered_secret_is_refused_without_a_panic() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal(&Entropy::seeded(1), place("one"), "hush");
        for cut in 0..sealed.len() {
            assert!(vault.open(place("one"), &sealed[..cut]).is_err());
            let mut altered = sealed.clone();
            altered[cut] ^= 1;
            assert!(vault.open(place("one"), &altered).is_err());
        }
    }

    #[test]
    fn another_key_is_recognised_as_another() {
        let check = Vault::new(&[7; 32]).check(&Entropy::seeded(1));
        assert!(Vault::new(&[7; 32]).recognises(&check));
        assert!(!Vault::new(&[8; 32]).recognises(&check));
        assert!(!Vault::new(&[7; 32]).recognises(b""));
    }

    #[test]
    fn what_is_sealed_does_not_show_its_text() {
        let sealed = Vault::new(&[7; 32]).seal(&Entropy::seeded(1), place("one"), "canary-canary");
        assert!(!String::from_utf8_lossy(&sealed).contains("canary"));
    }

    #[test]
    fn equality_is_that_of_the_text() {
        let secret = SecretString::from("token");
        assert!(equal(&secret, "token"));
        assert!(!equal(&secret, "tokem"));
        assert!(!equal(&secret, ""));
    }
}
