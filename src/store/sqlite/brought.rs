//! What a business account brings along that is registered to another account.
//!
//! What is known of a number is kept by account, and it is not the account's but
//! the number's: a new owner that knew nothing would be told neither what the old
//! limit was nor what a capability update changes. So it goes with the business
//! account, in the transaction that registers it; where it was, its numbers are
//! retired. Events and sequences stay whose they are.
//!
//! All of them in one transaction, though others wait meanwhile: these are some tens of
//! numbers, seldom thousands, at some ten microseconds each. In slices, what Meta
//! says in between would meet numbers that neither account knows.

use rusqlite::OptionalExtension;

use super::journal::Entry;
use super::numbers;
use super::writer::Turn;
use crate::model::id::{AccountKey, NumberKey};
use crate::model::number::{LearnedBy, NumberState, Subject};
use crate::model::time::Timestamp;
use crate::policy::transition::{Brought, brought, left};

/// Numbers looked up at once.
const STEP: usize = 500;

/// A business account on its way from one account to another.
struct Move<'a> {
    business_account: &'a str,
    from: AccountKey,
    to: AccountKey,
    now: Timestamp,
}

/// Takes what is known of the numbers of `business_account` to the account `to`,
/// if it was registered to another.
pub(super) fn bring(
    turn: &mut Turn<'_>,
    business_account: &str,
    to: AccountKey,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(from) = registered_to(turn, business_account)?.filter(|from| *from != to) else { return Ok(()) };
    let way = Move { business_account, from, to, now };
    // Who has heard of an update already finds known what it says.
    turn.sql
        .prepare_cached("UPDATE capabilities SET account = ?2, number = 0 WHERE business_account = ?1")?
        .execute((business_account, to.0))?;
    let mut after = NumberKey(0);
    loop {
        let step = numbers::of_business_account(turn.sql, from, business_account, after, STEP)?;
        let Some((last, _)) = step.last() else { return Ok(()) };
        after = *last;
        for (key, subject) in step {
            take(turn, &way, key, &subject)?;
        }
    }
}

/// To which account it is registered, or was last.
fn registered_to(turn: &Turn<'_>, business_account: &str) -> rusqlite::Result<Option<AccountKey>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT account FROM business_accounts WHERE id = ?1 \
         UNION ALL SELECT account FROM business_accounts_left WHERE id = ?1 LIMIT 1",
    )?;
    select.query_row([business_account], |row| row.get(0).map(AccountKey)).optional()
}

fn take(turn: &mut Turn<'_>, way: &Move<'_>, old: NumberKey, subject: &Subject) -> rusqlite::Result<()> {
    let &Move { business_account, from, to, now } = way;
    let Some(there) = turn.memory.tail.number(turn.sql, from, subject)? else { return Ok(()) };
    let there = there.state;
    if there.retired {
        return Ok(());
    }
    turn.memory.tail.put(old, left(&there, now));
    turn.tell(now, Entry::Number { account: from, number: old });
    let known = turn.memory.tail.number(turn.sql, to, subject)?;
    let unknown = NumberState::default();
    let before = known.as_ref().map_or(&unknown, |known| &*known.state);
    let Brought { state: next, changed, moved } = brought(before, &there, now);
    let key = match &known {
        Some(known) => {
            if moved {
                turn.memory.tail.move_to(turn.sql, known.key, business_account)?;
            }
            known.key
        }
        None => turn.memory.tail.add(turn.sql, to, subject, business_account, NumberState::default())?,
    };
    let last = turn.memory.last_position;
    for by in LearnedBy::ALL {
        let learned: Vec<_> =
            changed.iter().filter(|(of, _)| *of == by).map(|(_, changed)| changed.clone()).collect();
        numbers::observe(turn, to, key, last, (now, by), (&learned, false))?;
    }
    if changed.is_empty() {
        turn.tell(now, Entry::Number { account: to, number: key });
    }
    turn.memory.tail.put(key, next);
    Ok(())
}
