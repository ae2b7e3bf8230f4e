//! Signatures: Meta's on what arrives, Standard Webhooks' on what is sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::model::time::Timestamp;

/// Why a notification's signature is refused. None of these says anything of
/// the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No `X-Hub-Signature-256`.
    #[error(
        "the X-Hub-Signature-256 header is missing; hint: only Meta, or a sender that knows the app secret, may post here"
    )]
    Missing,
    /// More than one.
    #[error("there is more than one X-Hub-Signature-256 header")]
    Several,
    /// Not `sha256=` and 64 lower-case hex digits.
    #[error("the X-Hub-Signature-256 header must be 'sha256=' and 64 lower-case hex digits")]
    Malformed,
    /// Well-formed and wrong.
    #[error(
        "the signature does not match the body; hint: check the app secret, and that nothing between Meta and here re-writes the body"
    )]
    Wrong,
}

/// A key that Meta signs with: an app secret.
#[derive(Clone)]
pub struct MetaKey(hmac::Key);

impl MetaKey {
    /// From the app secret; white space around it (a trailing newline) is not
    /// part of it.
    pub fn new(app_secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, app_secret.trim().as_bytes()))
    }

    /// The header value that signs `body`, as Meta would.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut header = String::from("sha256=");
        for byte in hmac::sign(&self.0, body).as_ref() {
            header.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            header.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        header
    }
}

/// Checks the `X-Hub-Signature-256` headers of a notification against the raw
/// bytes of its body: HMAC-SHA256 under any of `keys` (two while rotating),
/// compared in constant time (contract.md 3).
pub fn verify_meta<'a>(
    keys: &[MetaKey],
    mut headers: impl Iterator<Item = &'a [u8]>,
    body: &[u8],
) -> Result<(), SignatureError> {
    let header = headers.next().ok_or(SignatureError::Missing)?;
    if headers.next().is_some() {
        return Err(SignatureError::Several);
    }
    let claimed = tag(header).ok_or(SignatureError::Malformed)?;
    let good = keys.iter().any(|key| hmac::verify(&key.0, body, &claimed).is_ok());
    if good { Ok(()) } else { Err(SignatureError::Wrong) }
}

fn tag(header: &[u8]) -> Option<[u8; 32]> {
    let hex: &[u8; 64] = header.strip_prefix(b"sha256=")?.try_into().ok()?;
    let mut tag = [0; 32];
    for (byte, pair) in tag.iter_mut().zip(hex.as_chunks::<2>().0) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(tag)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// A webhook's signing secret: `whsec_` and the base64 of 24 to 64 random
/// bytes (Standard Webhooks 1.0).
#[derive(Clone)]
pub struct WebhookKey(hmac::Key);

/// The prefix of a symmetric Standard Webhooks secret.
const SECRET_PREFIX: &str = "whsec_";

impl WebhookKey {
    /// A new secret's text.
    pub fn text(random: [u8; 32]) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(random))
    }

    /// From its text; `None` if that is not such a secret.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// The `webhook-signature` of a message: `v1,<base64>` by each key, over
/// `id.timestamp.body` (Standard Webhooks 1.0).
pub fn sign_webhook(keys: &[WebhookKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let signatures: Vec<String> = keys.iter().map(|key| one_signature(key, id, at, body)).collect();
    signatures.join(" ")
}

fn one_signature(key: &WebhookKey, id: &str, at: Timestamp, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&key.0);
    for part in [id.as_bytes(), b".", at.seconds().to_string().as_bytes(), b".", body] {
        context.update(part);
    }
    format!("v1,{}", STANDARD.encode(context.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = b"{\"entry\":[]}";

    fn check(headers: &[&str]) -> Result<(), SignatureError> {
        let keys = [MetaKey::new("new"), MetaKey::new("old")];
        verify_meta(&keys, headers.iter().map(|h| h.as_bytes()), BODY)
    }

    #[test]
    fn only_a_signature_by_one_of_the_apps_own_secrets_is_accepted() {
        let good = MetaKey::new("new").sign(BODY);
        let mut flipped = good.clone().into_bytes();
        flipped[20] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap();
        assert_eq!(check(&[&good]), Ok(()));
        assert_eq!(check(&[&MetaKey::new("old").sign(BODY)]), Ok(()), "the old secret while rotating");
        assert_eq!(
            check(&[&MetaKey::new("new\n").sign(BODY)]),
            Ok(()),
            "a trailing newline is not the secret"
        );
        assert_eq!(check(&[&MetaKey::new("other").sign(BODY)]), Err(SignatureError::Wrong));
        assert!(check(&[&flipped]).is_err(), "one bit off");
        assert_eq!(check(&[]), Err(SignatureError::Missing));
        assert_eq!(check(&[&good, &good]), Err(SignatureError::Several));
        let upper = format!("sha256={}", good[7..].to_uppercase());
        let truncated = &good[..good.len() - 1];
        for bad in
            [&upper, truncated, "", "sha256=", &good[7..], &good.replace("256", "1"), &format!("{good}0")]
        {
            assert_eq!(check(&[bad]), Err(SignatureError::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_other_header_is_accepted_and_none_panics(header in proptest::collection::vec(any::<u8>(), 0..100)) {
            let keys = [MetaKey::new("new")];
            prop_assert!(verify_meta(&keys, std::iter::once(header.as_slice()), BODY).is_err());
        }
    }

    #[test]
    fn a_webhook_secret_that_is_none_is_refused() {
        let text = WebhookKey::text([9; 32]);
        assert!(WebhookKey::parse(&text).is_some());
        for bad in ["", "whsec_", "whsec_AAAA", "whsec_?", &text[6..]] {
            assert!(WebhookKey::parse(bad).is_none(), "{bad}");
        }
    }
}
