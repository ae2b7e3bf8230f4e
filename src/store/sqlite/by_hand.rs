//! Numbers that a person enters or retires.

use rusqlite::OptionalExtension;

use super::journal::Entry;
use super::numbers;
use super::rows::account_key;
use super::writer::Turn;
use crate::model::id::{AccountId, AccountKey};
use crate::model::number::{LearnedBy, NumberState, Subject};
use crate::model::time::Timestamp;
use crate::policy::transition::{Terms, by_hand, retired};
use crate::store::catalog::{Entered, NumberEntry};

pub(super) fn put_number(turn: &mut Turn<'_>, entry: &NumberEntry) -> rusqlite::Result<Entered> {
    let NumberEntry { number, business_account, entered, now, .. } = entry;
    let whose = business_account.as_str();
    let Some(account) = owner(turn, entry.account, whose)? else {
        return Ok(Entered::UnknownBusinessAccount);
    };
    let known = turn.memory.tail.number(turn.sql, account, number)?;
    let unknown = NumberState::default();
    let before = known.as_ref().map_or(&unknown, |known| &*known.state);
    let by = LearnedBy::Hand;
    let after = turn.memory.last_position;
    let elsewhere = known.as_ref().is_some_and(|known| known.is_elsewhere(number, whose));
    let terms = Terms { now: *now, at: now.whole_seconds(), position: after + 1, by, fill: false, elsewhere };
    let learned = by_hand(before, number.as_str(), entered, &terms);
    let new = known.is_none() || before.retired;
    let key = match &known {
        Some(known) => {
            if elsewhere {
                turn.memory.tail.move_to(turn.sql, known.key, whose)?;
            }
            known.key
        }
        None => turn.memory.tail.add(turn.sql, account, number, whose, NumberState::default())?,
    };
    let untold = learned.state.revision != before.revision;
    numbers::observe(turn, account, key, after, (*now, by), (&learned.quiet, untold))?;
    if learned.state != *before {
        turn.memory.tail.put(key, learned.state);
    }
    Ok(if new { Entered::New } else { Entered::Known })
}

/// The account, if the business account is registered to it.
fn owner(
    turn: &Turn<'_>,
    account: AccountId,
    business_account: &str,
) -> rusqlite::Result<Option<AccountKey>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT a.key FROM accounts a JOIN business_accounts b ON b.account = a.key \
         WHERE a.id = ?1 AND b.id = ?2",
    )?;
    select.query_row((account.to_string(), business_account), |row| row.get(0).map(AccountKey)).optional()
}

pub(super) fn delete_number(
    turn: &mut Turn<'_>,
    account: AccountId,
    number: &Subject,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let Some(account) = account_key(turn.sql, account)? else { return Ok(false) };
    let Some(known) = turn.memory.tail.number(turn.sql, account, number)? else { return Ok(false) };
    if known.state.retired {
        return Ok(false);
    }
    turn.memory.tail.put(known.key, retired(&known.state, now));
    turn.tell(now, Entry::Number { account, number: known.key });
    Ok(true)
}
