//! Events of an account.

use axum::Json;
use axum::extract::State;

use super::auth::Scope;
use super::errors::Problem;
use super::input::{Id, Params, number, span};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::model::id::EventId;
use crate::store::catalog::EventQuery;

const LISTING: &str = "events";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes.chapter("Events").add::<__path_list, _, _>(list).add::<__path_show, _, _>(show)
}

/// Lists events, newest first.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/events", operation_id = "listEvents",
    params(wire::EventsQuery),
    responses((status = 200, description = "A page of events", body = wire::Page<wire::Event>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    Scope(account): Scope,
    State(app): State<App>,
    Params(query): Params<wire::EventsQuery>,
) -> Result<Json<wire::Page<wire::Event>>, Problem> {
    let (since, until) = span(query.since.as_deref(), query.until.as_deref())?;
    let query = EventQuery {
        account: account.id,
        number: number(query.phone_number.as_deref())?,
        event_type: query.event_type,
        since,
        until,
        before: paging::place(LISTING, query.cursor.as_deref())?,
        limit: paging::limit(query.limit)?,
    };
    let page = app.store.events(query).await?;
    let next_cursor = page.next.map(|position| paging::cursor(LISTING, position));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::Event::from).collect(), next_cursor }))
}

/// Shows an event with its deliveries.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/events/{eventId}", operation_id = "getEvent",
    responses((status = 200, description = "The event", body = wire::EventDetail)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn show(
    Scope(account): Scope,
    State(app): State<App>,
    Id(id): Id<EventId>,
) -> Result<Json<wire::EventDetail>, Problem> {
    let found = app.store.event(account.id, id).await?;
    let (event, deliveries) = found.ok_or_else(|| Problem::not_found("event"))?;
    let deliveries = deliveries.into_iter().map(wire::Delivery::from).collect();
    Ok(Json(wire::EventDetail { event: event.into(), deliveries }))
}
