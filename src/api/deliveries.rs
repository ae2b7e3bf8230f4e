//! Deliveries of an account, and replaying one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Owner, Scope};
use super::errors::{Code, Problem};
use super::input::{Id, Nothing, Params, number, span, webhook};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::model::delivery::DeliveryState;
use crate::model::id::{AccountId, DeliveryId};
use crate::store::catalog::{DeliveryQuery, Replayed};

const LISTING: &str = "deliveries";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Deliveries")
        .add::<__path_list, _, _>(list)
        .add::<__path_show, _, _>(show)
        .add::<__path_replay, _, _>(replay)
}

/// Lists deliveries, newest first.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/deliveries", operation_id = "listDeliveries",
    params(wire::DeliveriesQuery),
    responses((status = 200, description = "A page of deliveries", body = wire::Page<wire::Delivery>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    Scope(account): Scope,
    State(app): State<App>,
    Params(query): Params<wire::DeliveriesQuery>,
) -> Result<Json<wire::Page<wire::Delivery>>, Problem> {
    let (since, until) = span(query.since.as_deref(), query.until.as_deref())?;
    let query = DeliveryQuery {
        account: account.id,
        state: query.status.map(DeliveryState::from),
        webhook: webhook(query.webhook_id.as_deref())?,
        number: number(query.phone_number.as_deref())?,
        since,
        until,
        before: paging::place::<i64>(LISTING, query.cursor.as_deref())?.map(DeliveryId),
        limit: paging::limit(query.limit)?,
    };
    let page = app.store.deliveries(query).await?;
    let next_cursor = page.next.map(|id| paging::cursor(LISTING, id));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::Delivery::from).collect(), next_cursor }))
}

/// Shows a delivery with every attempt.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/deliveries/{deliveryId}", operation_id = "getDelivery",
    responses((status = 200, description = "The delivery", body = wire::DeliveryDetail)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(
    Scope(account): Scope,
    State(app): State<App>,
    Id(id): Id<DeliveryId>,
) -> Result<Json<wire::DeliveryDetail>, Problem> {
    Ok(Json(detail(&app, account.id, id).await?))
}

async fn detail(app: &App, account: AccountId, id: DeliveryId) -> Result<wire::DeliveryDetail, Problem> {
    let found = app.store.delivery(account, id).await?;
    let (delivery, attempts) = found.ok_or_else(|| Problem::not_found("delivery"))?;
    let attempts = attempts.into_iter().map(wire::Attempt::from).collect();
    Ok(wire::DeliveryDetail { delivery: delivery.into(), attempts })
}

/// Makes a settled delivery pending again, with a fresh round of attempts.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/deliveries/{deliveryId}/replay",
    operation_id = "replayDelivery",
    responses(
        (status = 202, description = "Pending again", body = wire::DeliveryDetail),
        (status = 409, description = "It is pending already, or its webhook is gone", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn replay(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<DeliveryId>,
    _: Nothing,
) -> Result<(StatusCode, Json<wire::DeliveryDetail>), Problem> {
    let replayed = app.store.replay(account.id, vec![id], app.env.clock.now()).await?;
    match replayed.first() {
        Some(Replayed::Revived) => Ok((StatusCode::ACCEPTED, Json(detail(&app, account.id, id).await?))),
        Some(Replayed::AlreadyPending) => Err(Problem::new(Code::NotReplayable, "the delivery is pending")
            .hint(
                "it is sent anyway: see its nextAttemptAt, or it waits behind an earlier one of its number",
            )),
        Some(Replayed::WebhookDeleted) => {
            Err(Problem::new(Code::NotReplayable, "the delivery's webhook was deleted")
                .hint("publish the event anew to reach the webhooks of today"))
        }
        Some(Replayed::Unknown) | None => Err(Problem::not_found("delivery")),
    }
}
