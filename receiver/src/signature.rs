//! Standard Webhooks signatures: HMAC-SHA256 over the id, the time and the bytes of the body.
//!
//! A signature alone lets an old request be played again for ever, so its time is judged too. Both secrets
//! of a rotation may be given; the sender meanwhile signs with both, so either order of changing them works.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// How far a timestamp may be off, unless said otherwise.
const TOLERANCE: Duration = Duration::from_mins(5);

const SECRET_PREFIX: &str = "whsec_";

/// Checks signatures by one or more secrets. Cheap to clone; shows no secret in `Debug`.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Vec<hmac::Key>,
    tolerance: Duration,
}

/// The text is no signing secret. It says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no signing secret; hint: it is `whsec_` and the base64 of 24 to 64 bytes, as the webhook's owner sees it"
)]
pub struct BadSecret;

/// Why a request is not believed. Answer it with 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A header is not there.
    #[error("the header {0} is missing; hint: only Bellwether may post here")]
    Missing(&'static str),
    /// `webhook-timestamp` is no number of seconds.
    #[error("webhook-timestamp is no number of seconds since 1970")]
    NoTime,
    /// Signed too long ago.
    #[error("signed too long ago; hint: is this an old request, or does this machine's clock run ahead?")]
    TooOld,
    /// Signed too far in the future.
    #[error("signed in the future; hint: does this machine's clock run behind?")]
    TooNew,
    /// No signature is right.
    #[error(
        "no signature matches; hint: check the secret, and that the bytes of the body are as they came, before any parsing"
    )]
    Wrong,
}

impl Verifier {
    /// By the secret that the webhook's owner sees, `whsec_` and base64; white space around it is ignored.
    pub fn new(secret: &str) -> Result<Self, BadSecret> {
        Ok(Self { keys: vec![key(secret)?], tolerance: TOLERANCE })
    }

    /// By another secret as well: the one before, or the one to come.
    pub fn or(mut self, secret: &str) -> Result<Self, BadSecret> {
        self.keys.push(key(secret)?);
        Ok(self)
    }

    /// Believes timestamps up to `tolerance` off; five minutes unless said otherwise.
    #[must_use]
    pub fn tolerating(self, tolerance: Duration) -> Self {
        Self { tolerance, ..self }
    }

    /// Whether the request is genuine and fresh. `header` gives a header's value by its name in lower case;
    /// `body` is the body's bytes as they came; `now` is what the caller's clock shows.
    pub fn verify<'h>(
        &self,
        header: impl Fn(&'static str) -> Option<&'h str>,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let asked = |name| header(name).ok_or(SignatureError::Missing(name));
        let id = asked("webhook-id")?;
        let timestamp = asked("webhook-timestamp")?;
        let signatures = asked("webhook-signature")?;
        self.is_fresh(timestamp, now)?;
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        let tags = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        let mut tags = tags.filter_map(|tag| STANDARD.decode(tag).ok());
        let good = tags.any(|tag| self.keys.iter().any(|key| hmac::verify(key, &signed, &tag).is_ok()));
        if good { Ok(()) } else { Err(SignatureError::Wrong) }
    }

    fn is_fresh(&self, timestamp: &str, now: SystemTime) -> Result<(), SignatureError> {
        let seconds = timestamp.parse().map_err(|_| SignatureError::NoTime)?;
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(SignatureError::TooNew)?;
        match now.duration_since(at) {
            Ok(age) if age > self.tolerance => Err(SignatureError::TooOld),
            Err(ahead) if ahead.duration() > self.tolerance => Err(SignatureError::TooNew),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn key(secret: &str) -> Result<hmac::Key, BadSecret> {
    let text = secret.trim().strip_prefix(SECRET_PREFIX).ok_or(BadSecret)?;
    let bytes = STANDARD.decode(text).map_err(|_| BadSecret)?;
    let right = (24..=64).contains(&bytes.len());
    if right { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(BadSecret) }
}

#[cfg(test)]
mod tests;
