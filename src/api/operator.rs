//! What operators look at: changes without a home, what could not be read, and the
//! apps that it comes through.

use axum::Json;
use axum::extract::State;

use super::auth::Operator;
use super::errors::Problem;
use super::input::Params;
use super::openapi::Routes;
use super::{App, paging, wire};

const UNROUTED: &str = "unrouted";
const UNPARSED: &str = "unparsed";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Operation")
        .add::<__path_unrouted, _, _>(unrouted)
        .add::<__path_unparsed, _, _>(unparsed)
        .add::<__path_apps, _, _>(apps)
}

/// Lists changes that wait for their business account, oldest first.
#[utoipa::path(get, path = "/v1/unrouted", operation_id = "listUnrouted", params(wire::ListQuery),
    responses((status = 200, description = "A page of changes", body = wire::Page<wire::Unrouted>)),
    security(("bearer" = ["operator"])))]
async fn unrouted(
    _: Operator,
    State(app): State<App>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::Unrouted>>, Problem> {
    let after = paging::place(UNROUTED, query.cursor.as_deref())?;
    let page = app.store.unrouted(after, paging::limit(query.limit)?).await?;
    let next_cursor = page.next.map(|row| paging::cursor(UNROUTED, row));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::Unrouted::from).collect(), next_cursor }))
}

/// Lists what was validly signed and could not be read, newest first.
#[utoipa::path(get, path = "/v1/unparsed", operation_id = "listUnparsed", params(wire::ListQuery),
    responses((status = 200, description = "A page of bodies", body = wire::Page<wire::Unparsed>)),
    security(("bearer" = ["operator"])))]
async fn unparsed(
    _: Operator,
    State(app): State<App>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::Unparsed>>, Problem> {
    let before = paging::place(UNPARSED, query.cursor.as_deref())?;
    let page = app.store.unparsed(before, paging::limit(query.limit)?).await?;
    let next_cursor = page.next.map(|row| paging::cursor(UNPARSED, row));
    Ok(Json(wire::Page { items: page.items.into_iter().map(wire::Unparsed::from).collect(), next_cursor }))
}

/// Lists the Meta apps of the configuration.
#[utoipa::path(get, path = "/v1/apps", operation_id = "listApps",
    responses((status = 200, description = "All of them, on one page", body = wire::Page<wire::MetaApp>)),
    security(("bearer" = ["operator"])))]
async fn apps(_: Operator, State(app): State<App>) -> Json<wire::Page<wire::MetaApp>> {
    Json(wire::Page { items: app.apps.iter().cloned().map(wire::MetaApp::from).collect(), next_cursor: None })
}
