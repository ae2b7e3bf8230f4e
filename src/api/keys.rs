//! API keys: made and shown once, listed without their text, forgotten.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Operator;
use super::errors::{Code, Problem};
use super::input::{Id, Input, Name, Params, label};
use super::openapi::Routes;
use super::{App, key, paging, wire};
use crate::model::account::{ApiKey, Role};
use crate::model::id::AccountId;
use crate::store::ErrorKind;

const LISTING: &str = "api-keys";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("API keys")
        .add::<__path_list, _, _>(list)
        .add::<__path_create, _, _>(create)
        .add::<__path_delete, _, _>(delete)
}

/// Lists API keys, without their texts.
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "listApiKeys", params(wire::ListQuery),
    responses((status = 200, description = "A page of keys", body = wire::Page<wire::ApiKey>)),
    security(("bearer" = ["operator"])))]
async fn list(
    _: Operator,
    State(app): State<App>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::ApiKey>>, Problem> {
    let after = paging::place(LISTING, query.cursor.as_deref())?;
    let page = app.store.keys(after, paging::limit(query.limit)?).await?;
    let next_cursor = page.next.map(|id| paging::cursor(LISTING, id));
    let items = page.items.into_iter().map(wire::ApiKey::from).collect();
    Ok(Json(wire::Page { items, next_cursor }))
}

/// Makes an API key. Its text is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "createApiKey", request_body = wire::NewApiKey,
    responses(
        (status = 201, description = "Made", body = wire::NewKey),
        (status = 422, description = "No such account", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator"])))]
async fn create(
    _: Operator,
    State(app): State<App>,
    Input(wanted): Input<wire::NewApiKey>,
) -> Result<(StatusCode, Json<wire::NewKey>), Problem> {
    let name = label("name", wanted.name, 200)?;
    let role = Role::from(wanted.role);
    let account = confined_to(&app, role, wanted.account_id.as_deref()).await?;
    let (id, text) = key::generate(&app.env.entropy);
    let made = ApiKey { id, name, role, account, created_at: app.env.clock.now() };
    app.store.put_key(made.clone(), key::hash(&text)).await?;
    Ok((StatusCode::CREATED, Json(wire::NewKey { about: made.into(), key: text })))
}

/// The account that a new key is confined to.
async fn confined_to(app: &App, role: Role, text: Option<&str>) -> Result<Option<AccountId>, Problem> {
    let text = match (role, text) {
        (Role::Operator, None) => return Ok(None),
        (Role::Operator, Some(_)) => {
            return Err(Problem::field("accountId", "must be left out: an operator's key is of no account"));
        }
        (Role::Account | Role::Read, None) => {
            return Err(Problem::new(Code::MissingField, "accountId is needed unless role is 'operator'"));
        }
        (Role::Account | Role::Read, Some(text)) => text,
    };
    let id: AccountId = text.parse().map_err(|error| Problem::field("accountId", error))?;
    match app.store.account(id).await? {
        Some(_) => Ok(Some(id)),
        None => Err(Problem::new(Code::UnknownAccount, format!("there is no account {id}"))
            .hint("register it with PUT /v1/accounts/{accountId} first")),
    }
}

/// Forgets an API key: whoever holds it is refused from now on.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", operation_id = "deleteApiKey",
    responses((status = 204, description = "Forgotten")),
    security(("bearer" = ["operator"])))]
async fn delete(_: Operator, State(app): State<App>, Id(Name(id)): Id<Name>) -> Result<StatusCode, Problem> {
    match app.store.delete_key(id).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) if error.kind == ErrorKind::NotFound => Err(Problem::not_found("API key")),
        Err(error) => Err(error.into()),
    }
}
