//! Accounts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Caller, Operator, Scope};
use super::errors::{Code, Problem};
use super::input::{Id, Input, Params, label};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::model::account::Account;
use crate::model::id::AccountId;
use crate::store::ErrorKind;

const LISTING: &str = "accounts";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Accounts")
        .add::<__path_list, _, _>(list)
        .add::<__path_put, _, _>(put)
        .add::<__path_show, _, _>(show)
        .add::<__path_delete, _, _>(delete)
}

/// Lists accounts: all of them for an operator, else the key's own.
#[utoipa::path(get, path = "/v1/accounts", operation_id = "listAccounts", params(wire::ListQuery),
    responses((status = 200, description = "A page of accounts", body = wire::Page<wire::Account>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::Account>>, Problem> {
    let limit = paging::limit(query.limit)?;
    let after = paging::place(LISTING, query.cursor.as_deref())?;
    if let Some(own) = caller.account() {
        let account = if after.is_none() { app.store.account(own).await? } else { None };
        let items = account.into_iter().map(wire::Account::from).collect();
        return Ok(Json(wire::Page { items, next_cursor: None }));
    }
    let page = app.store.accounts(after, limit).await?;
    let next_cursor = page.next.map(|id| paging::cursor(LISTING, id));
    let items = page.items.into_iter().map(wire::Account::from).collect();
    Ok(Json(wire::Page { items, next_cursor }))
}

/// Registers or changes an account.
///
/// Without chatApps a new account takes part, and one that exists stays as it is.
#[utoipa::path(put, path = "/v1/accounts/{accountId}", operation_id = "putAccount",
    request_body = wire::PutAccount,
    responses(
        (status = 200, description = "Changed", body = wire::Account),
        (status = 201, description = "Registered", body = wire::Account)),
    security(("bearer" = ["operator"])))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<AccountId>,
    Input(wanted): Input<wire::PutAccount>,
) -> Result<(StatusCode, Json<wire::Account>), Problem> {
    let name = label("name", wanted.name, 200)?;
    let before = app.store.account(id).await?;
    let before_chat_apps = before.as_ref().is_none_or(|account| account.chat_apps);
    let chat_apps = wanted.chat_apps.unwrap_or(before_chat_apps);
    let created_at = before.map_or_else(|| app.env.clock.now(), |account| account.created_at);
    let account = Account { id, name, chat_apps, created_at };
    let new = app.store.put_account(account.clone()).await?;
    (app.errand)();
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(account.into())))
}

/// Shows an account.
#[utoipa::path(get, path = "/v1/accounts/{accountId}", operation_id = "getAccount",
    responses((status = 200, description = "The account", body = wire::Account)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(Scope(account): Scope) -> Json<wire::Account> {
    Json(account.into())
}

/// Removes an account, its webhooks and keys, and cancels what is pending.
#[utoipa::path(delete, path = "/v1/accounts/{accountId}", operation_id = "deleteAccount",
    responses(
        (status = 204, description = "Removed"),
        (status = 409, description = "Business accounts are registered to it", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator"])))]
async fn delete(_: Operator, State(app): State<App>, Id(id): Id<AccountId>) -> Result<StatusCode, Problem> {
    match app.store.delete_account(id, app.env.clock.now()).await {
        Ok(()) => {
            (app.errand)();
            Ok(StatusCode::NO_CONTENT)
        }
        Err(error) if error.kind == ErrorKind::NotFound => Err(Problem::not_found("account")),
        Err(error) if error.kind == ErrorKind::Conflict => {
            Err(Problem::new(Code::Conflict, "business accounts are registered to this account")
                .hint("delete them, or register them to another account, first"))
        }
        Err(error) => Err(error.into()),
    }
}
