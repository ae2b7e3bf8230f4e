//! The sessions there are. They live in memory only: a restart signs everybody out,
//! and nothing at rest lets anyone in.
//!
//! A session is looked up by the hash of its id, so that how long a look takes says
//! nothing of the ids there are, and memory that leaks holds none.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use crate::api::key;
use crate::env::Entropy;
use crate::model::time::Timestamp;

/// Not used for so long, a session ends.
pub(super) const IDLE: Duration = Duration::from_hours(1);

/// So long after it began, a session ends.
pub(super) const LONGEST: Duration = Duration::from_hours(12);

/// Sessions at once; one more ends the one that was not used for longest.
const MOST: usize = 1_000;

/// By whose key a session was begun. It is looked at anew with every request: when
/// the key goes, so does what was begun with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) enum KeptKey {
    /// The operator's key of the configuration.
    Configured,
    /// The key of this id.
    Stored(String),
}

/// A session.
#[derive(Clone)]
pub(in crate::api) struct Session {
    /// By whose key it was begun.
    pub key: KeptKey,
    /// What requests that change anything must show.
    pub csrf: SecretString,
    began: Timestamp,
    used: Timestamp,
}

impl Session {
    /// When it ends, whatever happens.
    pub(in crate::api) fn ends_at(&self) -> Timestamp {
        self.began.plus(LONGEST)
    }

    /// When it ends unless it is used.
    pub(in crate::api) fn idle_until(&self) -> Timestamp {
        self.used.plus(IDLE).min(self.ends_at())
    }
}

/// The sessions there are.
#[derive(Default)]
pub(in crate::api) struct Sessions(Mutex<BTreeMap<[u8; 32], Session>>);

impl Sessions {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session, and its id, which is told nobody but the browser.
    pub(super) fn begin(&self, entropy: &Entropy, key: KeptKey, now: Timestamp) -> (String, Session) {
        let secret = || URL_SAFE_NO_PAD.encode(entropy.bytes::<32>());
        let id = secret();
        let session = Session { key, csrf: SecretString::from(secret()), began: now, used: now };
        let mut kept = self.kept();
        kept.retain(|_, session| now < session.idle_until());
        if kept.len() >= MOST {
            let unused = kept.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            unused.and_then(|id| kept.remove(&id));
        }
        kept.insert(key::hash(&id), session.clone());
        (id, session)
    }

    /// The session of that id, unless it is over.
    pub(super) fn find(&self, id: &str, now: Timestamp) -> Option<Session> {
        let (mut kept, hash) = (self.kept(), key::hash(id));
        let session = kept.get(&hash)?;
        if now < session.idle_until() {
            return Some(session.clone());
        }
        kept.remove(&hash);
        None
    }

    /// Notes that it was used.
    pub(super) fn used(&self, id: &str, now: Timestamp) {
        if let Some(session) = self.kept().get_mut(&key::hash(id)) {
            session.used = now.max(session.used);
        }
    }

    /// Ends it, if it is there.
    pub(super) fn end(&self, id: &str) {
        self.kept().remove(&key::hash(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_the_session_that_was_not_used_for_longest_ends() {
        let (sessions, entropy) = (Sessions::default(), Entropy::seeded(1));
        let at = |second: i64| Timestamp::from_ms(second * 1_000);
        let begin = |second| sessions.begin(&entropy, KeptKey::Configured, at(second)).0;
        let (first, second) = (begin(1), begin(2));
        (2..MOST).for_each(|_| drop(begin(3)));
        sessions.used(&first, at(4));
        assert!(sessions.find(&second, at(4)).is_some());
        begin(5);
        assert!(sessions.find(&first, at(5)).is_some(), "it was used last");
        assert!(sessions.find(&second, at(5)).is_none());
        assert_eq!(sessions.kept().len(), MOST);
    }
}
