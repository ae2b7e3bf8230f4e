//! Accounts, business accounts and keys.

use rusqlite::{Connection, OptionalExtension, Row};

use super::brought::bring;
use super::rows::{account_key, instant, known_account, one_more, page, parsed};
use super::webhooks;
use super::writer::Turn;
use crate::model::account::{Account, ApiKey, BusinessAccount, Role};
use crate::model::id::{AccountId, AccountKey, BusinessAccountId, SubAccountId};
use crate::model::time::Timestamp;
use crate::store::catalog::Page;
use crate::store::{Error, ErrorKind};

pub(super) fn put_account(turn: &mut Turn<'_>, account: &Account) -> Result<bool, Error> {
    let sql = turn.sql;
    let new = account_key(sql, account.id)?.is_none();
    let key: i64 = sql
        .prepare_cached(
            "INSERT INTO accounts (id, name, chat_apps, created_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (id) DO UPDATE SET name = ?2, chat_apps = ?3 RETURNING key",
        )?
        .query_row(
            (account.id.to_string(), &account.name, account.chat_apps, account.created_at.ms()),
            |row| row.get(0),
        )?;
    if account.chat_apps {
        // What waits is routed before anything newer, so that order holds.
        sql.prepare_cached(
            "UPDATE business_accounts SET waiting = 1 WHERE account = ?1 AND waiting = 0 AND EXISTS \
             (SELECT 1 FROM unrouted u WHERE u.business_account = business_accounts.id)",
        )?
        .execute([key])?;
    }
    turn.forget_routes();
    Ok(new)
}

const ACCOUNT: &str = "SELECT id, name, chat_apps, created_at FROM accounts";

fn read_account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: parsed(row, 0, |text| text.parse().ok())?,
        name: row.get(1)?,
        chat_apps: row.get(2)?,
        created_at: instant(row, 3)?,
    })
}

pub(super) fn account(sql: &Connection, id: AccountId) -> Result<Option<Account>, Error> {
    let mut select = sql.prepare_cached(&format!("{ACCOUNT} WHERE id = ?1"))?;
    Ok(select.query_row([id.to_string()], read_account).optional()?)
}

pub(super) fn accounts(
    sql: &Connection,
    after: Option<AccountId>,
    limit: usize,
) -> Result<Page<Account, AccountId>, Error> {
    let mut select = sql.prepare_cached(&format!("{ACCOUNT} WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
    let after = after.map_or_else(String::new, |id| id.to_string());
    let items = select.query_map((after, one_more(limit)), read_account)?.collect::<rusqlite::Result<_>>()?;
    Ok(page(items, limit, None, |account: &Account| account.id))
}

/// Takes what is the account's own with it. Its events and idempotency keys
/// name a key that is never given again: they are out of reach and age out.
pub(super) fn delete_account(turn: &mut Turn<'_>, id: AccountId, now: Timestamp) -> Result<(), Error> {
    let sql = turn.sql;
    let Some(account) = account_key(sql, id)? else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no account {id}")));
    };
    let registered: i64 =
        sql.query_row("SELECT count(*) FROM business_accounts WHERE account = ?1", [account.0], |row| {
            row.get(0)
        })?;
    if registered > 0 {
        let noun = if registered == 1 { "business account is" } else { "business accounts are" };
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("{registered} {noun} registered to account {id}; move or unregister them first"),
        ));
    }
    webhooks::delete_all(turn, account, now)?;
    sql.execute("DELETE FROM api_keys WHERE account = ?1", [account.0])?;
    sql.execute("DELETE FROM replays WHERE account = ?1", [account.0])?;
    sql.execute("DELETE FROM business_accounts_left WHERE account = ?1", [account.0])?;
    sql.execute("DELETE FROM capabilities WHERE account = ?1", [account.0])?;
    sql.execute("DELETE FROM accounts WHERE key = ?1", [account.0])?;
    turn.forget_routes();
    Ok(())
}

pub(super) fn put_business_account(
    turn: &mut Turn<'_>,
    business_account: &BusinessAccount,
    now: Timestamp,
) -> Result<bool, Error> {
    let account = known_account(turn.sql, business_account.account)?;
    let id = business_account.id.as_str();
    bring(turn, id, account, now)?;
    let sql = turn.sql;
    sql.prepare_cached("DELETE FROM business_accounts_left WHERE id = ?1")?.execute([id])?;
    let new = !sql.prepare_cached("SELECT 1 FROM business_accounts WHERE id = ?1")?.exists([id])?;
    // What waits is routed before anything newer, so that order holds.
    sql.prepare_cached(
        "INSERT INTO business_accounts (id, account, sub_account, created_at, waiting) \
         VALUES (?1, ?2, ?3, ?4, EXISTS (SELECT 1 FROM unrouted WHERE business_account = ?1)) \
         ON CONFLICT (id) DO UPDATE SET account = ?2, sub_account = ?3, waiting = excluded.waiting, \
         reconcile_at = CASE WHEN account = ?2 THEN reconcile_at ELSE coalesce(held_until, 0) END",
    )?
    .execute((
        id,
        account.0,
        business_account.sub_account.as_ref().map(SubAccountId::as_str),
        business_account.created_at.ms(),
    ))?;
    turn.forget_routes();
    Ok(new)
}

const BUSINESS_ACCOUNT: &str = "SELECT b.id, a.id, b.sub_account, b.created_at \
     FROM business_accounts b JOIN accounts a ON a.key = b.account";

fn read_business_account(row: &Row<'_>) -> rusqlite::Result<BusinessAccount> {
    let sub_account = match row.get_ref(2)?.as_str_or_null()? {
        Some(_) => Some(parsed(row, 2, |text| text.parse().ok())?),
        None => None,
    };
    Ok(BusinessAccount {
        id: parsed(row, 0, |text| text.parse().ok())?,
        account: parsed(row, 1, |text| text.parse().ok())?,
        sub_account,
        created_at: instant(row, 3)?,
    })
}

pub(super) fn business_account(
    sql: &Connection,
    id: &BusinessAccountId,
) -> Result<Option<BusinessAccount>, Error> {
    let mut select = sql.prepare_cached(&format!("{BUSINESS_ACCOUNT} WHERE b.id = ?1"))?;
    Ok(select.query_row([id.as_str()], read_business_account).optional()?)
}

pub(super) fn business_accounts(
    sql: &Connection,
    after: Option<&BusinessAccountId>,
    limit: usize,
    unreconciled: bool,
) -> Result<Page<BusinessAccount, BusinessAccountId>, Error> {
    let failing = if unreconciled {
        "JOIN reconciliations r ON r.business_account = b.id AND r.failures > 0"
    } else {
        ""
    };
    let select = format!("{BUSINESS_ACCOUNT} {failing} WHERE b.id > ?1 ORDER BY b.id LIMIT ?2");
    let mut select = sql.prepare_cached(&select)?;
    let after = after.map_or("", BusinessAccountId::as_str);
    let items = select
        .query_map((after, one_more(limit)), read_business_account)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(page(items, limit, None, |business_account: &BusinessAccount| business_account.id.clone()))
}

pub(super) fn delete_business_account(turn: &mut Turn<'_>, id: &BusinessAccountId) -> Result<(), Error> {
    let account: Option<i64> = turn
        .sql
        .prepare_cached("DELETE FROM business_accounts WHERE id = ?1 RETURNING account")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    let Some(account) = account else {
        return Err(Error::new(ErrorKind::NotFound, format!("business account {id} is not registered")));
    };
    let mut keep =
        turn.sql.prepare_cached("INSERT INTO business_accounts_left (id, account) VALUES (?1, ?2)")?;
    keep.execute((id.as_str(), account))?;
    turn.forget_routes();
    Ok(())
}

pub(super) fn sub_accounts(sql: &Connection, account: AccountId) -> Result<Vec<SubAccountId>, Error> {
    let Some(account) = account_key(sql, account)? else { return Ok(Vec::new()) };
    let mut select = sql.prepare_cached(
        "SELECT DISTINCT sub_account FROM business_accounts \
         WHERE account = ?1 AND sub_account IS NOT NULL ORDER BY sub_account",
    )?;
    let read = |row: &Row<'_>| parsed(row, 0, |text| text.parse().ok());
    Ok(select.query_map([account.0], read)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn put_key(turn: &mut Turn<'_>, key: &ApiKey, hash: &[u8; 32]) -> Result<(), Error> {
    let sql = turn.sql;
    let account = key.account.map(|id| known_account(sql, id)).transpose()?;
    let inserted = sql
        .prepare_cached(
            "INSERT INTO api_keys (id, name, role, account, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute((
            &key.id,
            &key.name,
            key.role.as_str(),
            account.map(|AccountKey(key)| key),
            hash,
            key.created_at.ms(),
        ))?;
    if inserted == 0 {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("there is a key {} already; delete it first", key.id),
        ));
    }
    Ok(())
}

const KEY: &str = "SELECT k.id, k.name, k.role, a.id, k.created_at, k.hash \
     FROM api_keys k LEFT JOIN accounts a ON a.key = k.account";

fn read_key(row: &Row<'_>) -> rusqlite::Result<(ApiKey, [u8; 32])> {
    let account = match row.get_ref(3)?.as_str_or_null()? {
        Some(_) => Some(parsed(row, 3, |text| text.parse().ok())?),
        None => None,
    };
    let key = ApiKey {
        id: row.get(0)?,
        name: row.get(1)?,
        role: parsed(row, 2, Role::parse)?,
        account,
        created_at: instant(row, 4)?,
    };
    Ok((key, row.get(5)?))
}

pub(super) fn key(sql: &Connection, id: &str) -> Result<Option<(ApiKey, [u8; 32])>, Error> {
    let mut select = sql.prepare_cached(&format!("{KEY} WHERE k.id = ?1"))?;
    Ok(select.query_row([id], read_key).optional()?)
}

pub(super) fn keys(
    sql: &Connection,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<ApiKey, String>, Error> {
    let mut select = sql.prepare_cached(&format!("{KEY} WHERE k.id > ?1 ORDER BY k.id LIMIT ?2"))?;
    let items = select
        .query_map((after.unwrap_or(""), one_more(limit)), |row| read_key(row).map(|(key, _)| key))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(page(items, limit, None, |key: &ApiKey| key.id.clone()))
}

pub(super) fn delete_key(turn: &mut Turn<'_>, id: &str) -> Result<(), Error> {
    let deleted = turn.sql.prepare_cached("DELETE FROM api_keys WHERE id = ?1")?.execute([id])?;
    if deleted == 0 {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no key {id}")));
    }
    Ok(())
}
