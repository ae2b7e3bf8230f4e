//! Business accounts (WABAs) and the accounts they belong to.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Operator;
use super::errors::{Code, Problem};
use super::input::{Id, InPath, Input, Params};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::model::account::BusinessAccount;
use crate::model::id::{AccountId, BusinessAccountId, SubAccountId};
use crate::store::ErrorKind;

const LISTING: &str = "business-accounts";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Business accounts")
        .add::<__path_list, _, _>(list)
        .add::<__path_put, _, _>(put)
        .add::<__path_show, _, _>(show)
        .add::<__path_delete, _, _>(delete)
}

/// Lists business accounts.
#[utoipa::path(get, path = "/v1/business-accounts", operation_id = "listBusinessAccounts",
    params(wire::BusinessAccountsQuery),
    responses((status = 200, description = "A page of business accounts", body = wire::Page<wire::BusinessAccount>)),
    security(("bearer" = ["operator"])))]
async fn list(
    _: Operator,
    State(app): State<App>,
    Params(query): Params<wire::BusinessAccountsQuery>,
) -> Result<Json<wire::Page<wire::BusinessAccount>>, Problem> {
    let after = paging::place(LISTING, query.cursor.as_deref())?;
    let unreconciled = query.unreconciled.unwrap_or(false);
    let page = app.store.business_accounts(after, paging::limit(query.limit)?, unreconciled).await?;
    let next_cursor = page.next.map(|id| paging::cursor(LISTING, id));
    let items = page.items.into_iter().map(wire::BusinessAccount::from).collect();
    Ok(Json(wire::Page { items, next_cursor }))
}

/// Registers a business account to an account, or moves it to another one.
///
/// Changes that waited for it are routed, to the webhooks that exist then: so
/// configure those first.
#[utoipa::path(put, path = "/v1/business-accounts/{businessAccountId}", operation_id = "putBusinessAccount",
    request_body = wire::PutBusinessAccount,
    responses(
        (status = 200, description = "Changed", body = wire::BusinessAccount),
        (status = 201, description = "Registered", body = wire::BusinessAccount),
        (status = 422, description = "No such account", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator"])))]
async fn put(
    _: Operator,
    State(app): State<App>,
    Id(MetaId(id)): Id<MetaId>,
    Input(wanted): Input<wire::PutBusinessAccount>,
) -> Result<(StatusCode, Json<wire::BusinessAccount>), Problem> {
    let account: AccountId = wanted.account_id.parse().map_err(|error| Problem::field("accountId", error))?;
    let sub_account: Option<SubAccountId> = match wanted.sub_account_id {
        Some(text) => Some(text.parse().map_err(|_| Problem::field("subAccountId", SUB_ACCOUNT_RULE))?),
        None => None,
    };
    let before = app.store.business_account(id.clone()).await?;
    let created_at = before.map_or_else(|| app.env.clock.now(), |known| known.created_at);
    let business_account = BusinessAccount { id, account, sub_account, created_at };
    let new = match app.store.put_business_account(business_account.clone(), app.env.clock.now()).await {
        Ok(new) => new,
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Err(Problem::new(Code::UnknownAccount, format!("there is no account {account}"))
                .hint("register it with PUT /v1/accounts/{accountId} first"));
        }
        Err(error) => return Err(error.into()),
    };
    (app.errand)();
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(business_account.into())))
}

/// An id that can be registered. Meta's are digits: anything else is a slip by
/// which every change of the business account would wait unrouted. What Meta
/// posts is read more leniently, for nothing of that may be lost.
struct MetaId(BusinessAccountId);

impl InPath for MetaId {
    const NAME: &'static str = "businessAccountId";
}

impl FromStr for MetaId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let id = text.parse().ok().filter(|_| fits).map(Self);
        id.ok_or("must be 1 to 32 digits: Meta's WhatsApp Business Account ID")
    }
}

const SUB_ACCOUNT_RULE: &str = "must be 3 to 50 letters, digits, '-', '.', '_' or '&'";

/// Shows a business account.
#[utoipa::path(get, path = "/v1/business-accounts/{businessAccountId}", operation_id = "getBusinessAccount",
    responses((status = 200, description = "The business account", body = wire::BusinessAccount)),
    security(("bearer" = ["operator"])))]
async fn show(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
) -> Result<Json<wire::BusinessAccount>, Problem> {
    let found = app.store.business_account(id).await?;
    found.map(|known| Json(known.into())).ok_or_else(|| Problem::not_found("business account"))
}

/// Unregisters a business account: its changes wait unrouted from now on.
#[utoipa::path(delete, path = "/v1/business-accounts/{businessAccountId}", operation_id = "deleteBusinessAccount",
    responses((status = 204, description = "Unregistered")),
    security(("bearer" = ["operator"])))]
async fn delete(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
) -> Result<StatusCode, Problem> {
    match app.store.delete_business_account(id).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) if error.kind == ErrorKind::NotFound => Err(Problem::not_found("business account")),
        Err(error) => Err(error.into()),
    }
}
