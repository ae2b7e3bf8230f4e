//! What was read and may be used again until it changes. Reading takes a while
//! and a change may come meanwhile: what was read before a change is used once
//! and not remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::id::WebhookKey;

/// At most so many are remembered; beyond that they are forgotten and read again.
const MOST: usize = 20_000;

/// Things read, by webhook.
pub(super) struct Remembered<T>(Mutex<Inner<T>>);

struct Inner<T> {
    things: HashMap<WebhookKey, Arc<T>>,
    changes: u64,
}

/// A thing that is remembered, or leave to remember what is read now.
pub(super) enum Recall<T> {
    Known(Arc<T>),
    Unknown(Leave),
}

/// Good until the next change.
pub(super) struct Leave(u64);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { things: HashMap::new(), changes: 0 }))
    }
}

impl<T> Remembered<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of `webhook`.
    pub(super) fn recall(&self, webhook: WebhookKey) -> Recall<T> {
        let inner = self.inner();
        match inner.things.get(&webhook) {
            Some(thing) => Recall::Known(Arc::clone(thing)),
            None => Recall::Unknown(Leave(inner.changes)),
        }
    }

    /// Remembers what was read since `leave` was given, if nothing changed.
    pub(super) fn remember(&self, Leave(changes): Leave, webhook: WebhookKey, thing: &Arc<T>) {
        let mut inner = self.inner();
        if inner.changes != changes {
            return;
        }
        if inner.things.len() >= MOST {
            inner.things.clear();
        }
        inner.things.insert(webhook, Arc::clone(thing));
    }

    /// It changed.
    pub(super) fn forget(&self, webhook: WebhookKey) {
        let mut inner = self.inner();
        inner.changes += 1;
        inner.things.remove(&webhook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBHOOK: WebhookKey = WebhookKey(1);

    fn leave(remembered: &Remembered<&str>) -> Leave {
        match remembered.recall(WEBHOOK) {
            Recall::Unknown(leave) => leave,
            Recall::Known(thing) => panic!("{thing} is remembered"),
        }
    }

    #[test]
    fn what_was_read_is_remembered_until_it_changes() {
        let remembered = Remembered::default();
        remembered.remember(leave(&remembered), WEBHOOK, &Arc::new("old"));
        assert!(matches!(remembered.recall(WEBHOOK), Recall::Known(thing) if *thing == "old"));
        remembered.forget(WEBHOOK);
        leave(&remembered);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let remembered = Remembered::default();
        let reading = leave(&remembered);
        remembered.forget(WEBHOOK);
        remembered.remember(reading, WEBHOOK, &Arc::new("old"));
        leave(&remembered);
    }
}
