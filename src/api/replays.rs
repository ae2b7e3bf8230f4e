//! Bulk replays: counted first if wanted, at a bounded rate, visible and
//! cancelable while they run.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Owner, Scope};
use super::errors::Problem;
use super::input::{Id, Input, Name, Nothing, number, span, webhook};
use super::openapi::Routes;
use super::{App, wire};
use crate::model::delivery::DeliveryState;
use crate::model::id::AccountId;
use crate::store::catalog::{DeliveryQuery, Replay, ReplayState};

const DEFAULT_PER_SECOND: u32 = 50;
const MOST_PER_SECOND: u32 = 1000;

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Replays")
        .add::<__path_create, _, _>(create)
        .add::<__path_show, _, _>(show)
        .add::<__path_cancel, _, _>(cancel)
}

/// Replays what matches at this moment, or only counts it.
///
/// Test events are deliveries like any other. Replays are not listed: keep the
/// replayId.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/replays", operation_id = "createReplay",
    request_body = wire::NewReplay,
    responses(
        (status = 200, description = "The count of a dry run", body = wire::Counted),
        (status = 202, description = "Under way", body = wire::Replay)),
    security(("bearer" = ["operator", "account"])))]
async fn create(
    Owner(account): Owner,
    State(app): State<App>,
    Input(wanted): Input<wire::NewReplay>,
) -> Result<(StatusCode, Json<wire::ReplayAnswer>), Problem> {
    let per_second = wanted.per_second.unwrap_or(DEFAULT_PER_SECOND);
    if !(1..=MOST_PER_SECOND).contains(&per_second) {
        return Err(Problem::field("perSecond", format!("must be from 1 to {MOST_PER_SECOND}")));
    }
    let dry_run = wanted.dry_run;
    let query = query(account.id, &wanted).map_err(Problem::in_body)?;
    if dry_run {
        let matched = app.store.count(query).await?;
        let counted = wire::Counted { dry_run, matched };
        return Ok((StatusCode::OK, Json(wire::ReplayAnswer::Counted(counted))));
    }
    let replay = Replay {
        id: app.env.entropy.uuid().to_string(),
        query,
        per_second,
        matched: 0,
        replayed: 0,
        skip_superseded: wanted.superseded == Some(wire::Obsolete::Skip),
        superseded: 0,
        state: ReplayState::Running,
        created_at: app.env.clock.now(),
    };
    let begun = app.store.put_replay(replay).await?;
    (app.errand)();
    Ok((StatusCode::ACCEPTED, Json(wire::ReplayAnswer::Begun(begun.into()))))
}

fn query(account: AccountId, wanted: &wire::NewReplay) -> Result<DeliveryQuery, Problem> {
    let state = wanted.status.map_or(DeliveryState::Exhausted, DeliveryState::from);
    if wanted.superseded.is_some() && state != DeliveryState::Exhausted {
        return Err(Problem::field("superseded", "goes with exhausted deliveries only"));
    }
    let (since, until) = span(wanted.since.as_deref(), wanted.until.as_deref())?;
    Ok(DeliveryQuery {
        account,
        state: Some(state),
        webhook: webhook(wanted.webhook_id.as_deref())?,
        number: number(wanted.phone_number.as_deref())?,
        since,
        until,
        before: None,
        limit: usize::MAX,
    })
}

/// Shows how far a bulk replay is.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/replays/{id}", operation_id = "getReplay",
    responses((status = 200, description = "The replay", body = wire::Replay)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(
    Scope(account): Scope,
    State(app): State<App>,
    Id(Name(id)): Id<Name>,
) -> Result<Json<wire::Replay>, Problem> {
    let found = app.store.bulk_replay(account.id, id).await?;
    found.map(|replay| Json(replay.into())).ok_or_else(|| Problem::not_found("replay"))
}

/// Stops a bulk replay that still runs; what it has replayed stays replayed.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/replays/{id}/cancel", operation_id = "cancelReplay",
    responses((status = 200, description = "How it stands now", body = wire::Replay)),
    security(("bearer" = ["operator", "account"])))]
async fn cancel(
    Owner(account): Owner,
    State(app): State<App>,
    Id(Name(id)): Id<Name>,
    _: Nothing,
) -> Result<Json<wire::Replay>, Problem> {
    let found = app.store.cancel_replay(account.id, id).await?;
    found.map(|replay| Json(replay.into())).ok_or_else(|| Problem::not_found("replay"))
}
