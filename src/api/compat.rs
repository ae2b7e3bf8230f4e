//! The webhooks configuration API, compatible with 8x8's Chat Apps one
//! (contract.md 2): arrays taken whole or not at all, secrets masked, 8x8's
//! error body. A request's items are judged first ([`check`]), then brought
//! together with what is stored ([`merge`]).

mod check;
mod merge;
mod refusal;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::auth::{account_in_path, authenticate};
use super::input::{first_parameter, parse};
use super::openapi::Routes;
use super::{App, wire};
use crate::model::account::Account;
use crate::server::body::read;
use crate::store::ErrorKind;
use refusal::{Code, Refusal};

/// Where this API lives.
const ROOT: &str = "/api/";

/// At most so many webhooks in one array.
const MOST_IN_ARRAY: usize = 1_000;

/// How often a change starts anew because another process was faster.
const TRIES: usize = 3;

/// Whether errors at `path` are told in 8x8's words.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// There is nothing at `path`.
pub(super) fn unknown_path(path: &str) -> Refusal {
    Refusal::new(
        Code::NotFound,
        format!("there is nothing at {path}; try /api/v1/accounts/{{accountId}}/webhooks"),
    )
}

/// `method` is not possible here.
pub(super) fn wrong_method(method: &Method) -> Refusal {
    let message = format!("{method} is not possible here: use GET, POST or DELETE");
    Refusal::new(Code::InvalidParameter, message).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Webhooks configuration (8x8-compatible)")
        .add::<__path_list, _, _>(list)
        .add::<__path_put, _, _>(put)
        .add::<__path_delete, _, _>(delete)
}

/// Stands before every route of this API, and gives refusals their body. No
/// route has query parameters: one that is ignored would look like a filter.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match authenticate(&app, request.method(), request.headers()).await {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(denied) => return Refusal::from(denied).render(&app),
    };
    if let Some(name) = first_parameter(request.uri()) {
        let message = format!("unknown query parameter `{name}`: this API takes none");
        return Refusal::new(Code::InvalidParameter, message).render(&app);
    }
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal.render(&app),
        None => response,
    }
}

/// The account in the path: the caller may see it, and it takes part.
struct Participant(Account);

impl FromRequestParts<App> for Participant {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let (_, account) = account_in_path(app, parts).await?;
        if account.chat_apps {
            Ok(Self(account))
        } else {
            let message =
                "the account is not configured to use the Chat Apps product; ask the operator to do so";
            Err(Refusal::new(Code::Forbidden, message))
        }
    }
}

/// Reads the body's array.
async fn array<T: DeserializeOwned>(app: &App, request: Request<Body>) -> Result<Vec<T>, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = app.limits;
    let bytes = read(&parts.headers, body, limits.webhooks_bytes, limits.body_deadline).await?;
    let items: Vec<T> =
        parse(&bytes).map_err(|fault| Refusal::new(Code::InvalidParameter, fault.to_string()))?;
    if items.len() <= MOST_IN_ARRAY {
        return Ok(items);
    }
    let message = format!("{} webhooks in one array: the limit is {MOST_IN_ARRAY}", items.len());
    Err(Refusal::new(Code::InvalidParameter, message))
}

/// Lists the account's webhooks; secrets are masked.
#[utoipa::path(get, path = "/api/v1/accounts/{accountId}/webhooks", operation_id = "getWebhooks",
    responses((status = 200, description = "The webhooks", body = Vec<wire::compat::Webhook>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    Participant(account): Participant,
    State(app): State<App>,
) -> Result<Json<Vec<wire::compat::Webhook>>, Refusal> {
    let webhooks = app.store.webhooks(account.id).await?;
    let masked: Result<Vec<_>, _> = webhooks.iter().map(|webhook| merge::masked(&app, webhook)).collect();
    Ok(Json(masked?))
}

/// Creates webhooks, or replaces those of the same sub-account and type.
///
/// All of the array is taken or nothing. Without a type, CADR and MSG are meant;
/// only CABM webhooks are sent anything. A sub-account must be one that the
/// account's business accounts name; while they name none, any will do.
#[utoipa::path(post, path = "/api/v1/accounts/{accountId}/webhooks", operation_id = "postWebhooks",
    request_body(content = Vec<wire::compat::Webhook>, example = json!([
        {"subAccountId": "*", "type": "CABM", "url": "https://hooks.example.com/whatsapp"}])),
    responses((status = 200, description = "Taken, all of them")),
    security(("bearer" = ["operator", "account"])))]
async fn put(
    Participant(account): Participant,
    State(app): State<App>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let items = array(&app, request).await?;
    let wanted = check::webhooks(&app.judge, items)?;
    if wanted.iter().any(check::Wanted::names_sub_account) {
        check::ownership(&wanted, &app.store.sub_accounts(account.id).await?)?;
    }
    let _alone = app.webhook_writes().lock().await;
    for _ in 0..TRIES {
        let stored = app.store.webhooks(account.id).await?;
        let merged = merge::onto(&app, account.id, &stored, &wanted)?;
        let snapshot = app.snapshot_on_enable.then(|| app.env.entropy.u64());
        match app.store.configure(merged, snapshot).await {
            Ok(()) => {
                if snapshot.is_some() {
                    (app.errand)();
                }
                return Ok(StatusCode::OK);
            }
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::internal("the webhooks were changed by others at the same time; repeat the request"))
}

/// Deletes webhooks: all of the array or nothing.
///
/// `*` names the one webhook configured with `*`, it is no wildcard. Without a
/// type, CADR and MSG are meant.
#[utoipa::path(delete, path = "/api/v1/accounts/{accountId}/webhooks", operation_id = "deleteWebhooks",
    request_body(content = Vec<wire::compat::WebhookRef>, example = json!([
        {"subAccountId": "*", "type": "CABM"}])),
    responses((status = 200, description = "Deleted, all of them")),
    security(("bearer" = ["operator", "account"])))]
async fn delete(
    Participant(account): Participant,
    State(app): State<App>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let items = array(&app, request).await?;
    let named = check::identities(items)?;
    let _alone = app.webhook_writes().lock().await;
    let identities = named.iter().map(check::Named::identity).collect();
    match app.store.delete_webhooks(account.id, identities, app.env.clock.now()).await {
        Ok(()) => {
            (app.errand)();
            Ok(StatusCode::OK)
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            Err(check::absent(&named, error.message.parse().ok()))
        }
        Err(error) => Err(error.into()),
    }
}

impl IntoResponse for Refusal {
    /// The body is given by [`guard`], which knows the time.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
