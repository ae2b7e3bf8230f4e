//! Access tokens of the Graph API, and how readings went.

use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::{fact, instant, parsed};
use super::writer::Turn;
use crate::model::id::BusinessAccountId;
use crate::model::reconciliation::{Failure, Gain, Reconciliation, Trouble};
use crate::model::time::Timestamp;
use crate::policy::reconciliation::LONGEST_HOLD;
use crate::store::reconciliations::{Agenda, Due, Look, Note, Reconciliations};
use crate::store::{Error, ErrorKind, Reply};

impl Reconciliations for Sqlite {
    fn put_graph_token(&self, id: BusinessAccountId, sealed: Option<Vec<u8>>, now: Timestamp) -> Reply<()> {
        self.add_apart(move |turn| put_token(turn, &id, sealed.as_deref(), now))
    }

    fn reconciliation(&self, id: BusinessAccountId) -> Reply<Option<Reconciliation>> {
        self.look_up(move |sql| reconciliation(sql, &id))
    }

    fn ask_reconciliation(&self, id: BusinessAccountId, now: Timestamp) -> Reply<()> {
        self.write_apart(move |turn| ask(turn, &id, now))
    }

    fn use_token_for_all(&self, mark: Option<i64>, now: Timestamp) -> Reply<()> {
        self.add_apart(move |turn| use_token_for_all(turn, mark, now))
    }

    fn agenda(&self, look: Look) -> Reply<Agenda> {
        self.survey(move |sql| agenda(sql, look))
    }

    fn note_reconciliation(&self, note: Note) -> Reply<()> {
        self.add_apart(move |turn| keep(turn, &note))
    }
}

fn registered(changed: usize, id: &BusinessAccountId) -> Result<(), Error> {
    if changed == 0 {
        return Err(Error::new(ErrorKind::NotFound, format!("business account {id} is not registered")));
    }
    Ok(())
}

fn put_token(
    turn: &Turn<'_>,
    id: &BusinessAccountId,
    sealed: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), Error> {
    let set_at = sealed.map(|_| now.ms());
    // What Meta asked for, it asked of the token before.
    let changed = turn
        .sql
        .prepare_cached(
            "UPDATE business_accounts SET graph_token = ?2, graph_token_at = ?3, held_until = NULL, \
             reconcile_at = coalesce(?3, reconcile_at) WHERE id = ?1",
        )?
        .execute((id.as_str(), sealed, set_at))?;
    registered(changed, id)?;
    if sealed.is_none() {
        // What failed with it fails no more.
        turn.sql
            .prepare_cached("UPDATE reconciliations SET failures = 0 WHERE business_account = ?1")?
            .execute([id.as_str()])?;
    }
    Ok(())
}

fn ask(turn: &Turn<'_>, id: &BusinessAccountId, now: Timestamp) -> Result<(), Error> {
    let changed = turn
        .sql
        .prepare_cached(
            "UPDATE business_accounts SET reconcile_at = max(?2, coalesce(held_until, 0)) WHERE id = ?1",
        )?
        .execute((id.as_str(), now.ms()))?;
    registered(changed, id)
}

fn reconciliation(sql: &Connection, id: &BusinessAccountId) -> Result<Option<Reconciliation>, Error> {
    let mut select = sql.prepare_cached(
        "SELECT b.graph_token_at, b.held_until, b.reconcile_at, coalesce(r.failures, 0), \
                r.succeeded_at, r.numbers, r.learned, r.events, r.nameless, \
                r.failed_at, r.trouble, r.code, r.subcode, r.note \
         FROM business_accounts b LEFT JOIN reconciliations r ON r.business_account = b.id WHERE b.id = ?1",
    )?;
    let at =
        |row: &Row<'_>, column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_ms));
    let read = |row: &Row<'_>| {
        let succeeded_at = at(row, 4)?;
        let gain = |succeeded_at| Ok::<_, rusqlite::Error>((succeeded_at, gain(row, 5)?));
        let failed_at = at(row, 9)?;
        let failure = |failed_at| Ok::<_, rusqlite::Error>((failed_at, failure(row, 10)?));
        Ok(Reconciliation {
            token_at: at(row, 0)?,
            success: succeeded_at.map(gain).transpose()?,
            failure: failed_at.map(failure).transpose()?,
            failures: row.get(3)?,
            held_until: at(row, 1)?,
            next_at: instant(row, 2)?,
        })
    };
    let mut standing = select.query_row([id.as_str()], read).optional()?;
    if let Some(standing) = standing.as_mut().filter(|standing| standing.token_at.is_none())
        && let Some(until) = fact(sql, ALL_HELD_UNTIL)?.map(Timestamp::from_ms)
    {
        standing.held_until = standing.held_until.max(Some(until));
        standing.next_at = standing.next_at.max(until);
    }
    Ok(standing)
}

/// From four columns.
fn gain(row: &Row<'_>, from: usize) -> rusqlite::Result<Gain> {
    let count = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Gain {
        numbers: count(from)?,
        learned: count(from + 1)?,
        events: count(from + 2)?,
        nameless: count(from + 3)?,
    })
}

/// From four columns.
fn failure(row: &Row<'_>, from: usize) -> rusqlite::Result<Failure> {
    Ok(Failure {
        trouble: parsed(row, from, Trouble::parse)?,
        codes: (row.get(from + 1)?, row.get(from + 2)?),
        note: row.get(from + 3)?,
    })
}

/// Facts of the token for all: what tells it from another, and until when Meta
/// wants nobody to ask with it.
const TOKEN_FOR_ALL: &str = "graph_token";
const ALL_HELD_UNTIL: &str = "graph_held_until";

fn use_token_for_all(turn: &Turn<'_>, mark: Option<i64>, now: Timestamp) -> Result<(), Error> {
    if fact(turn.sql, TOKEN_FOR_ALL)? == mark {
        return Ok(());
    }
    turn.sql
        .prepare_cached("DELETE FROM facts WHERE name IN (?1, ?2)")?
        .execute((TOKEN_FOR_ALL, ALL_HELD_UNTIL))?;
    let Some(mark) = mark else { return Ok(()) };
    turn.sql
        .prepare_cached("INSERT INTO facts (name, value) VALUES (?1, ?2)")?
        .execute((TOKEN_FOR_ALL, mark))?;
    turn.sql
        .prepare_cached(
            "UPDATE business_accounts SET held_until = NULL, reconcile_at = min(reconcile_at, ?1) \
             WHERE graph_token IS NULL AND id IN (SELECT business_account FROM reconciliations WHERE failures > 0)",
        )?
        .execute([now.ms()])?;
    Ok(())
}

/// With a token for all, every business account is looked at in the order in
/// which they are due; else those with a token of their own, by an index of these.
const OF_ALL: &str = "FROM business_accounts b INDEXED BY business_accounts_to_reconcile \
     CROSS JOIN accounts a ON a.key = b.account AND a.chat_apps = 1 WHERE";
const OF_SOME: &str = "FROM business_accounts b INDEXED BY business_accounts_with_token \
     CROSS JOIN accounts a ON a.key = b.account AND a.chat_apps = 1 WHERE b.graph_token IS NOT NULL AND";

fn agenda(sql: &Connection, look: Look) -> Result<Agenda, Error> {
    // A hold beyond the horizon was reckoned by a clock that was ahead.
    let held_until = fact(sql, ALL_HELD_UNTIL)?
        .map(Timestamp::from_ms)
        .filter(|until| look.everyone && *until > look.now && *until <= look.horizon);
    let of_whom = if look.everyone && held_until.is_none() { OF_ALL } else { OF_SOME };
    let mut due = Vec::new();
    // What is due beyond the horizon comes first: it was never meant to be so late.
    for (from, until) in [(look.horizon.ms() + 1, i64::MAX), (0, look.now.ms())] {
        let mut select = sql.prepare_cached(&format!(
            "SELECT b.id, b.graph_token, b.graph_token_at, b.reconcile_at, \
             coalesce((SELECT failures FROM reconciliations r WHERE r.business_account = b.id), 0) \
             {of_whom} b.reconcile_at BETWEEN ?1 AND ?2 ORDER BY b.reconcile_at LIMIT ?3"
        ))?;
        let room = i64::try_from(look.limit - due.len()).unwrap_or(i64::MAX);
        for row in select.query_map((from, until, room), read_due)? {
            due.push(row?);
        }
    }
    let mut select = sql.prepare_cached(&format!(
        "SELECT b.reconcile_at {of_whom} b.reconcile_at > ?1 ORDER BY b.reconcile_at LIMIT 1"
    ))?;
    let next = select.query_row([look.now.ms()], |row| instant(row, 0)).optional()?;
    let failing: i64 =
        sql.query_row("SELECT count(*) FROM reconciliations WHERE failures > 0", [], |row| row.get(0))?;
    Ok(Agenda { due, next, failing: failing.cast_unsigned(), held_until })
}

fn read_due(row: &Row<'_>) -> rusqlite::Result<Due> {
    let token: Option<Vec<u8>> = row.get(1)?;
    let token_at: Option<i64> = row.get(2)?;
    Ok(Due {
        business_account: parsed(row, 0, |text| text.parse().ok())?,
        token: token.zip(token_at.map(Timestamp::from_ms)),
        due_at: instant(row, 3)?,
        failures: row.get(4)?,
    })
}

fn keep(turn: &Turn<'_>, note: &Note) -> Result<(), Error> {
    let id = note.business_account.as_str();
    let same = turn
        .sql
        .prepare_cached(
            "UPDATE business_accounts SET held_until = ?4, \
             reconcile_at = CASE WHEN reconcile_at = ?3 THEN ?5 ELSE max(reconcile_at, coalesce(?4, 0)) END \
             WHERE id = ?1 AND graph_token_at IS ?2",
        )?
        .execute((
            id,
            note.token_at.map(Timestamp::ms),
            note.due_at.ms(),
            note.held_until.map(Timestamp::ms),
            note.next_at.ms(),
        ))?;
    if let Some(until) = note.all_held_until {
        turn.sql
            .prepare_cached(
                // One beyond any was reckoned by a clock that was ahead.
                "INSERT INTO facts (name, value) VALUES (?1, ?2) \
                 ON CONFLICT (name) DO UPDATE SET value = iif(value > ?3, ?2, max(value, ?2))",
            )?
            .execute((ALL_HELD_UNTIL, until.ms(), note.at.plus(LONGEST_HOLD).ms()))?;
    }
    if same == 0 {
        return Ok(());
    }
    match &note.result {
        Ok(gain) => keep_gain(turn, id, note.at, gain),
        Err(failure) => keep_failure(turn, id, note.at, failure),
    }
}

fn keep_gain(turn: &Turn<'_>, id: &str, at: Timestamp, gain: &Gain) -> Result<(), Error> {
    let count = u64::cast_signed;
    turn.sql
        .prepare_cached(
            "INSERT INTO reconciliations (business_account, succeeded_at, numbers, learned, events, nameless, failures) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT (business_account) DO UPDATE SET \
             succeeded_at = ?2, numbers = ?3, learned = ?4, events = ?5, nameless = ?6, failures = 0",
        )?
        .execute((id, at.ms(), count(gain.numbers), count(gain.learned), count(gain.events), count(gain.nameless)))?;
    Ok(())
}

fn keep_failure(turn: &Turn<'_>, id: &str, at: Timestamp, failure: &Failure) -> Result<(), Error> {
    let (code, subcode) = failure.codes;
    turn.sql
        .prepare_cached(
            "INSERT INTO reconciliations (business_account, failed_at, trouble, code, subcode, note, failures) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1) ON CONFLICT (business_account) DO UPDATE SET \
             failed_at = ?2, trouble = ?3, code = ?4, subcode = ?5, note = ?6, failures = failures + 1",
        )?
        .execute((id, at.ms(), failure.trouble.as_str(), code, subcode, &failure.note))?;
    Ok(())
}
