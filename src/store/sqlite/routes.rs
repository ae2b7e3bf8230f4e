//! Where the changes of a business account go.

use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::rows::unreadable;
use super::writer::{ROUTES, Turn};
use crate::model::id::{AccountId, AccountKey, SubAccountId, WebhookKey};
use crate::model::webhook::WebhookType;
use crate::policy::routing::{Candidate, route};

/// Where the changes of a business account go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) account: AccountKey,
    pub(super) account_id: AccountId,
    /// Whether the account is configured for Chat Apps.
    pub(super) configured: bool,
    /// Whether earlier changes still wait unrouted.
    pub(super) waiting: bool,
    /// To whom they go.
    pub(super) webhooks: Vec<WebhookKey>,
    /// Of these, the ones that want the latest only.
    pub(super) latest: Vec<WebhookKey>,
}

/// The route of a business account, remembered until anything is configured.
pub(super) fn find_route(
    turn: &mut Turn<'_>,
    business_account: &str,
) -> rusqlite::Result<Option<Arc<Route>>> {
    if let Some(route) = turn.memory.routes.get(business_account) {
        return Ok(route.clone());
    }
    let route = read_route(turn, business_account)?.map(Arc::new);
    if turn.memory.routes.len() >= ROUTES {
        turn.memory.routes.clear();
    }
    turn.memory.routes.insert(business_account.to_owned(), route.clone());
    Ok(route)
}

fn read_route(turn: &Turn<'_>, business_account: &str) -> rusqlite::Result<Option<Route>> {
    let mut select = turn.sql.prepare_cached(
        "SELECT a.key, a.id, a.chat_apps, b.waiting, b.sub_account \
         FROM business_accounts b JOIN accounts a ON a.key = b.account WHERE b.id = ?1",
    )?;
    let found = select
        .query_row([business_account], |row| {
            let account_id: String = row.get(1)?;
            let sub_account: Option<String> = row.get(4)?;
            let route = Route {
                account: AccountKey(row.get(0)?),
                account_id: account_id.parse().map_err(|_| unreadable(1))?,
                configured: row.get(2)?,
                waiting: row.get(3)?,
                webhooks: Vec::new(),
                latest: Vec::new(),
            };
            Ok((route, sub_account))
        })
        .optional()?;
    let Some((mut account_route, sub_account)) = found else { return Ok(None) };
    let sub_account: Option<SubAccountId> = sub_account.and_then(|id| id.parse().ok());
    let (candidates, latest) = candidates(turn, account_route.account)?;
    account_route.webhooks = route(&candidates, sub_account.as_ref()).collect();
    account_route.latest = latest;
    Ok(Some(account_route))
}

/// The account's webhooks, and those among them that want the latest only.
fn candidates(turn: &Turn<'_>, account: AccountKey) -> rusqlite::Result<(Vec<Candidate>, Vec<WebhookKey>)> {
    let mut select = turn.sql.prepare_cached(
        "SELECT key, sub_account, type, enabled, latest FROM webhooks \
         WHERE account = ?1 AND deleted_at IS NULL ORDER BY key",
    )?;
    let rows = select.query_map([account.0], |row| {
        let (scope, kind): (String, String) = (row.get(1)?, row.get(2)?);
        let candidate = Candidate {
            key: WebhookKey(row.get(0)?),
            scope: scope.parse().map_err(|_| unreadable(1))?,
            kind: WebhookType::parse(&kind).ok_or_else(|| unreadable(2))?,
            enabled: row.get(3)?,
        };
        Ok((candidate, row.get(4)?))
    })?;
    let rows: Vec<(Candidate, bool)> = rows.collect::<rusqlite::Result<_>>()?;
    let latest = rows.iter().filter(|(_, latest)| *latest).map(|(candidate, _)| candidate.key).collect();
    Ok((rows.into_iter().map(|(candidate, _)| candidate).collect(), latest))
}
