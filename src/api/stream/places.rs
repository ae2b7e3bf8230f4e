//! How many streams are open: in all, and of one account, so that no account takes
//! the places of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::errors::{Code, Problem};
use crate::model::id::AccountId;

/// Streams at once.
const MOST: usize = 256;

/// Of one account.
const MOST_OF_ACCOUNT: usize = 16;

/// The open streams.
#[derive(Clone, Default)]
pub(in crate::api) struct Places(Arc<Mutex<HashMap<AccountId, usize>>>);

impl Places {
    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream of `account`, for as long as the result lives.
    pub(super) fn take(&self, account: AccountId) -> Result<Taken, Problem> {
        let mut open = self.open();
        let of_account = open.get(&account).copied().unwrap_or(0);
        if of_account >= MOST_OF_ACCOUNT {
            return Err(refused(format!("{MOST_OF_ACCOUNT} streams of this account are open")));
        }
        if open.values().sum::<usize>() >= MOST {
            return Err(refused(format!("{MOST} streams are open")));
        }
        open.insert(account, of_account + 1);
        Ok(Taken { places: self.clone(), account })
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(Code::TooManyStreams, detail)
        .hint("close one, or share one among those who read; then repeat after the time in Retry-After")
}

/// A place that is taken.
pub(super) struct Taken {
    places: Places,
    account: AccountId,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut open = self.places.open();
        match open.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.account)),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_account_takes_no_more_than_its_places_and_all_no_more_than_there_are() {
        let places = Places::default();
        let account = |number| AccountId::new(Uuid::from_u128(number));
        let mut taken: Vec<_> = (0..16).map(|_| places.take(account(0)).unwrap()).collect();
        assert!(places.take(account(0)).is_err_and(|problem| problem.code() == Code::TooManyStreams));
        taken.extend((16..256).map(|number| places.take(account(number / 16)).unwrap()));
        assert!(places.take(account(99)).is_err(), "no place is left");
        drop(taken.pop());
        assert!(places.take(account(99)).is_ok());
        drop(taken);
        assert!(places.open().is_empty(), "nothing is left behind");
    }
}
