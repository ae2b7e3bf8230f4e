//! Going round: accounts take turns, and within an account its webhooks do.

use std::collections::{HashMap, VecDeque};

use crate::model::id::{AccountKey, WebhookKey};

/// Webhooks that wait, each account's in their order, and the order of accounts.
#[derive(Default)]
pub(super) struct Rounds {
    webhooks: HashMap<AccountKey, VecDeque<WebhookKey>>,
    /// Accounts with a webhook that waits, the next first.
    accounts: VecDeque<AccountKey>,
}

impl Rounds {
    /// The webhook waits, behind the others of its account. Whether it is the
    /// first of them.
    pub(super) fn push(&mut self, account: AccountKey, webhook: WebhookKey) -> bool {
        let waiting = self.webhooks.entry(account).or_default();
        waiting.push_back(webhook);
        let first = waiting.len() == 1;
        if first {
            self.accounts.push_back(account);
        }
        first
    }

    /// The longest waiting webhook of the next account that `may`. Those that may
    /// not keep their turn; the one that has had it is the last then.
    pub(super) fn next(&mut self, may: impl FnMut(AccountKey) -> bool) -> Option<(AccountKey, WebhookKey)> {
        let at = self.accounts.iter().copied().position(may)?;
        let account = self.accounts.remove(at)?;
        let waiting = self.webhooks.get_mut(&account)?;
        let webhook = waiting.pop_front()?;
        if waiting.is_empty() {
            self.webhooks.remove(&account);
        } else {
            self.accounts.push_back(account);
        }
        Some((account, webhook))
    }

    /// Whether a webhook of the account waits.
    pub(super) fn has(&self, account: AccountKey) -> bool {
        self.webhooks.contains_key(&account)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_go_round_and_their_webhooks_within_them() {
        let mut rounds = Rounds::default();
        for (account, webhook) in [(1, 11), (1, 12), (1, 13), (2, 21), (3, 31), (3, 32)] {
            rounds.push(AccountKey(account), WebhookKey(webhook));
        }
        let order = std::iter::from_fn(|| rounds.next(|_| true)).map(|(_, webhook)| webhook.0);
        assert_eq!(order.collect::<Vec<_>>(), [11, 21, 31, 12, 32, 13]);
        assert!(rounds.is_empty());
    }

    #[test]
    fn an_account_that_may_not_keeps_its_turn() {
        let mut rounds = Rounds::default();
        for (account, webhook) in [(1, 11), (2, 21), (2, 22)] {
            rounds.push(AccountKey(account), WebhookKey(webhook));
        }
        assert_eq!(rounds.next(|account| account.0 == 2), Some((AccountKey(2), WebhookKey(21))));
        assert_eq!(rounds.next(|account| account.0 == 3), None);
        assert_eq!(rounds.next(|_| true), Some((AccountKey(1), WebhookKey(11))));
        assert!(!rounds.has(AccountKey(1)) && rounds.has(AccountKey(2)));
    }
}
