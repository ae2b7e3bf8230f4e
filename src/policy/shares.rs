//! Who may take one more of what all accounts share.
//!
//! An account may, while it holds fewer than are still free. So one that takes
//! whatever it gets has half at most, k of them have a (k + 1)th each, and one
//! more such share stays free for whoever comes next: at once, without knowing
//! who is well and who hangs, and without a number that has to be configured.
//! The last one free goes to an account that holds none.

use std::collections::HashMap;

use crate::model::id::AccountKey;

/// Whether an account that holds so many may take one more while so many are
/// free.
pub fn may_take(held: usize, free: usize) -> bool {
    held < free
}

/// So many of something, and what each account holds of them.
#[derive(Debug)]
pub struct Shares {
    all: usize,
    taken: usize,
    held: HashMap<AccountKey, usize>,
}

impl Shares {
    /// `all` of them, free.
    pub fn new(all: usize) -> Self {
        Self { all, taken: 0, held: HashMap::new() }
    }

    /// How many are free.
    pub fn free(&self) -> usize {
        self.all.saturating_sub(self.taken)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// How many the account holds.
    pub fn held(&self, account: AccountKey) -> usize {
        self.held.get(&account).copied().unwrap_or(0)
    }

    /// Whether the account may take one more.
    pub fn allow(&self, account: AccountKey) -> bool {
        // Nobody holds more than all do: while most are free none need be asked.
        self.taken < self.free() || may_take(self.held(account), self.free())
    }

    /// The account holds `count` more from now on.
    pub fn take(&mut self, account: AccountKey, count: usize) {
        if count > 0 {
            self.taken += count;
            *self.held.entry(account).or_default() += count;
        }
    }

    /// The account holds `count` fewer.
    pub fn leave(&mut self, account: AccountKey, count: usize) {
        let Some(held) = self.held.get_mut(&account) else { return };
        let count = count.min(*held);
        *held -= count;
        self.taken -= count;
        if *held == 0 {
            self.held.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of so many accounts gets that take, in turn, all they may.
    fn grabbed(shares: &mut Shares, accounts: i64) -> Vec<usize> {
        let mut more = true;
        while std::mem::take(&mut more) {
            for account in (0..accounts).map(AccountKey) {
                if shares.allow(account) {
                    shares.take(account, 1);
                    more = true;
                }
            }
        }
        (0..accounts).map(|account| shares.held(AccountKey(account))).collect()
    }

    #[test]
    fn whoever_takes_all_they_may_leave_as_much_again_as_each_of_them_has() {
        for (accounts, each) in [(1, 32), (3, 16), (7, 8), (15, 4)] {
            let mut shares = Shares::new(64);
            let held = grabbed(&mut shares, accounts);
            assert!(held.iter().all(|held| *held == each), "{accounts}: {held:?}");
            assert_eq!(shares.free(), each);
            assert!(shares.allow(AccountKey(99)));
        }
    }

    #[test]
    fn of_however_few_one_is_always_usable_and_the_last_goes_to_who_has_none() {
        for (all, alone) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
            let mut shares = Shares::new(all);
            assert_eq!(grabbed(&mut shares, 1), [alone], "of {all}");
        }
        let mut shares = Shares::new(3);
        assert_eq!(grabbed(&mut shares, 9).iter().sum::<usize>(), 3);
        assert_eq!(shares.free(), 0);
        shares.leave(AccountKey(0), 1);
        assert!(!shares.allow(AccountKey(1)) && shares.allow(AccountKey(5)));
    }

    #[test]
    fn what_is_given_back_is_free_and_nothing_is_given_back_twice() {
        let mut shares = Shares::new(4);
        shares.take(AccountKey(1), 9);
        assert_eq!(
            (shares.free(), shares.allow(AccountKey(2))),
            (0, false),
            "one large thing may be too much"
        );
        shares.leave(AccountKey(1), 9);
        shares.leave(AccountKey(1), 9);
        assert_eq!((shares.free(), shares.taken(), shares.held(AccountKey(1))), (4, 0, 0));
    }
}
