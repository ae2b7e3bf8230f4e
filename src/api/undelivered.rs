//! What has not arrived: per number the oldest event that a webhook is still owed.

use axum::Json;
use axum::extract::State;

use super::auth::Scope;
use super::errors::Problem;
use super::input::{Id, Params};
use super::openapi::Routes;
use super::{App, paging, webhooks, wire};
use crate::model::id::WebhookId;

const LISTING: &str = "undelivered";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes.add::<__path_undelivered, _, _>(undelivered)
}

/// Lists the oldest event of each number that has not arrived at a webhook.
///
/// It is pending or exhausted; canceled deliveries and test events are left out. A number of which
/// everything has arrived is not listed.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/webhooks/{webhookId}/undelivered",
    operation_id = "listUndelivered", params(wire::ListQuery),
    responses((status = 200, description = "A page of numbers", body = wire::Page<wire::Undelivered>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn undelivered(
    Scope(account): Scope,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::Undelivered>>, Problem> {
    let limit = paging::limit(query.limit)?;
    let after = paging::place(LISTING, query.cursor.as_deref())?;
    let webhook = webhooks::find(&app, account.id, id).await?;
    let page = app.store.undelivered(account.id, webhook.id, after, limit).await?;
    let now = app.env.clock.now();
    let items = page.items.into_iter().map(|item| wire::Undelivered::new(item, now)).collect();
    Ok(Json(wire::Page { items, next_cursor: page.next.map(|number| paging::cursor(LISTING, number)) }))
}
