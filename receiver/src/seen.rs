//! Each event once.
//!
//! Delivery is at least once, so what was worked on has to be remembered: after the work, for an id that is
//! noted before it would lose the event if the work then failed. A crash in between brings the event again.
//! Only a database closes that gap, with the work and the id in one transaction; then [`SeenIds`] is its
//! table.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Mutex;

/// Remembers the ids of events that were worked on. Those of as long as replays may come are enough: as
/// long as the sender keeps events, 30 days unless its operator changed it.
pub trait SeenIds {
    /// Why it can't say.
    type Error;

    /// Whether the event was worked on.
    fn contains(&self, event_id: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Notes that it was.
    fn insert(&self, event_id: &str) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why an event was not worked on: answer with 500 or 503, and it comes again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnceError<M, W> {
    /// The memory of ids failed.
    #[error("the ids of events seen can't be read or written: {0}")]
    Memory(M),
    /// The work failed; the event is not remembered.
    #[error("{0}")]
    Work(W),
}

/// Works on an event unless it was worked on before; `None` if it was: answer 2xx all the same. Two
/// attempts at the same time may both work; a unique key in one's own database is what prevents that.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use bellwether_receiver::{RecentIds, once};
///
/// let seen = RecentIds::new(100_000);
/// let failing = once(&seen, "event-1", async { Err::<(), _>("the database is away") });
/// assert!(failing.await.is_err());
/// let work = || async { Ok::<_, &str>("stored") };
/// assert_eq!(once(&seen, "event-1", work()).await, Ok(Some("stored")), "what failed comes again");
/// assert_eq!(once(&seen, "event-1", work()).await, Ok(None), "what was done does not");
/// # });
/// ```
pub async fn once<M: SeenIds, T, W>(
    seen: &M,
    event_id: &str,
    work: impl Future<Output = Result<T, W>>,
) -> Result<Option<T>, OnceError<M::Error, W>> {
    if seen.contains(event_id).await.map_err(OnceError::Memory)? {
        return Ok(None);
    }
    let done = work.await.map_err(OnceError::Work)?;
    seen.insert(event_id).await.map_err(OnceError::Memory)?;
    Ok(Some(done))
}

/// The latest ids, in memory: a restart forgets them.
#[derive(Debug)]
pub struct RecentIds {
    most: usize,
    ids: Mutex<(HashSet<String>, VecDeque<String>)>,
}

impl RecentIds {
    /// Remembers the latest `most` ids, about 150 bytes each.
    pub fn new(most: usize) -> Self {
        Self { most, ids: Mutex::default() }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.lock().0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (HashSet<String>, VecDeque<String>)> {
        // Nothing below can leave them half changed.
        self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl SeenIds for RecentIds {
    type Error = Infallible;

    async fn contains(&self, event_id: &str) -> Result<bool, Infallible> {
        Ok(self.lock().0.contains(event_id))
    }

    async fn insert(&self, event_id: &str) -> Result<(), Infallible> {
        let mut ids = self.lock();
        let (known, order) = &mut *ids;
        if known.insert(event_id.to_owned()) {
            order.push_back(event_id.to_owned());
        }
        while known.len() > self.most {
            let Some(oldest) = order.pop_front() else { break };
            known.remove(&oldest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_ids_are_remembered_and_no_more() {
        let seen = RecentIds::new(3);
        for id in ["a", "b", "b", "c", "d"] {
            seen.insert(id).await.unwrap();
        }
        let mut known = Vec::new();
        for id in ["a", "b", "c", "d"] {
            known.push(seen.contains(id).await.unwrap());
        }
        assert_eq!((known, seen.len()), (vec![false, true, true, true], 3));
    }

    #[tokio::test]
    async fn a_memory_of_none_remembers_none() {
        let seen = RecentIds::new(0);
        seen.insert("a").await.unwrap();
        assert!(seen.is_empty());
    }
}
