//! Reading business accounts' numbers from the Graph API: with whose token, how it
//! went, and at once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::auth::Operator;
use super::errors::{Code, Problem};
use super::input::{Id, Input};
use super::openapi::Routes;
use super::wire::{self, ReadingState, Reconciliation, TokenOwner};
use crate::model::id::BusinessAccountId;
use crate::model::reconciliation as model;
use crate::reconcile::token_place;
use crate::store::{self, ErrorKind};

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Reconciliation")
        .add::<__path_put_token, _, _>(put_token)
        .add::<__path_delete_token, _, _>(delete_token)
        .add::<__path_show, _, _>(show)
        .add::<__path_reconcile, _, _>(reconcile)
}

/// Far longer than any of Meta's.
const LONGEST_TOKEN: usize = 4_096;

/// Sets the access token that a business account is read with.
///
/// It counts before the one of the configuration, and the business account is read
/// at once. It is not shown again.
#[utoipa::path(put, path = "/v1/business-accounts/{businessAccountId}/access-token",
    operation_id = "putAccessToken", request_body = wire::PutAccessToken,
    responses((status = 200, description = "Set", body = wire::Reconciliation)),
    security(("bearer" = ["operator"])))]
async fn put_token(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
    Input(wanted): Input<wire::PutAccessToken>,
) -> Result<Json<Reconciliation>, Problem> {
    let token = wanted.access_token;
    let fits = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if !fits {
        let rule = "must be 1 to 4096 visible ASCII characters without blanks";
        return Err(Problem::field("accessToken", rule).hint("copy it again from Meta, without a line's end"));
    }
    let sealed = app.vault.seal(&app.env.entropy, token_place(&id), &token);
    app.store.put_graph_token(id.clone(), Some(sealed), app.env.clock.now()).await.map_err(unregistered)?;
    (app.errand)();
    status(&app, id).await.map(Json)
}

/// Forgets the access token of a business account.
///
/// It is read with the one of the configuration from then on, if there is one.
#[utoipa::path(delete, path = "/v1/business-accounts/{businessAccountId}/access-token",
    operation_id = "deleteAccessToken",
    responses((status = 204, description = "Forgotten, or there was none")),
    security(("bearer" = ["operator"])))]
async fn delete_token(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
) -> Result<StatusCode, Problem> {
    app.store.put_graph_token(id, None, app.env.clock.now()).await.map_err(unregistered)?;
    (app.errand)();
    Ok(StatusCode::NO_CONTENT)
}

/// Shows how reading a business account's numbers went.
///
/// The last reading that came about, the last that did not with what is wrong and
/// what to do about it, and when the next is due.
#[utoipa::path(get, path = "/v1/business-accounts/{businessAccountId}/reconciliation",
    operation_id = "getReconciliation",
    responses((status = 200, description = "How it stands", body = wire::Reconciliation)),
    security(("bearer" = ["operator"])))]
async fn show(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
) -> Result<Json<Reconciliation>, Problem> {
    status(&app, id).await.map(Json)
}

/// Reads a business account's numbers as soon as possible.
///
/// That is at once, unless others are being read or Meta has asked to wait: `nextAt`
/// and `throttledUntil` say so. Ask how it went by GET .../reconciliation.
#[utoipa::path(post, path = "/v1/business-accounts/{businessAccountId}/reconcile",
    operation_id = "reconcile",
    responses(
        (status = 202, description = "It is due", body = wire::Reconciliation),
        (status = 409, description = "It can't be read", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator"])))]
async fn reconcile(
    _: Operator,
    State(app): State<App>,
    Id(id): Id<BusinessAccountId>,
) -> Result<(StatusCode, Json<Reconciliation>), Problem> {
    match status(&app, id.clone()).await?.state {
        ReadingState::NoToken => {
            return Err(Problem::new(Code::Conflict, "there is no access token to read it with")
                .hint("set one with PUT .../access-token, or for all as graph.access_token"));
        }
        ReadingState::Paused => {
            return Err(Problem::new(Code::Conflict, "deliveries are paused, and reading with them")
                .hint("/readyz says why; the server's log, at its start, what to do"));
        }
        ReadingState::NotConfigured => {
            return Err(Problem::new(Code::NotConfigured, "its account is not configured for Chat Apps")
                .hint("set chatApps with PUT /v1/accounts/{accountId} first"));
        }
        ReadingState::Waiting | ReadingState::Ok | ReadingState::Failing => {}
    }
    app.store.ask_reconciliation(id.clone(), app.env.clock.now()).await.map_err(unregistered)?;
    (app.errand)();
    Ok((StatusCode::ACCEPTED, Json(status(&app, id).await?)))
}

fn unregistered(error: store::Error) -> Problem {
    if error.kind == ErrorKind::NotFound {
        return Problem::not_found("business account");
    }
    error.into()
}

async fn status(app: &App, id: BusinessAccountId) -> Result<Reconciliation, Problem> {
    let missing = || Problem::not_found("business account");
    let known = app.store.business_account(id.clone()).await?.ok_or_else(missing)?;
    let account = app.store.account(known.account).await?;
    let standing = app.store.reconciliation(id.clone()).await?.ok_or_else(missing)?;
    let token = match standing.token_at {
        Some(_) => TokenOwner::Own,
        None if app.reading.token_for_all => TokenOwner::Configuration,
        None => TokenOwner::None,
    };
    let configured = account.is_some_and(|account| account.chat_apps);
    let state = state(app, token, configured, &standing);
    let is_read = matches!(state, ReadingState::Waiting | ReadingState::Ok | ReadingState::Failing);
    let model::Reconciliation { token_at, success, failure, failures, held_until, next_at } = standing;
    let now = app.env.clock.now();
    Ok(Reconciliation {
        business_account_id: id.to_string(),
        state,
        access_token: token,
        access_token_set_at: token_at.map(|at| at.to_string()),
        last_success: success.map(Into::into),
        last_failure: failure.map(Into::into),
        failures,
        throttled_until: held_until.filter(|until| now < *until).map(|until| until.to_string()),
        next_at: is_read.then(|| next_at.max(now).to_string()),
    })
}

fn state(app: &App, token: TokenOwner, configured: bool, standing: &model::Reconciliation) -> ReadingState {
    if token == TokenOwner::None {
        ReadingState::NoToken
    } else if app.reading.paused {
        ReadingState::Paused
    } else if !configured {
        ReadingState::NotConfigured
    } else if standing.failures > 0 {
        ReadingState::Failing
    } else if standing.success.is_some() {
        ReadingState::Ok
    } else {
        ReadingState::Waiting
    }
}
