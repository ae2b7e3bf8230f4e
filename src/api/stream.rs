//! The live stream of an account: server-sent events, read from the journal.
//!
//! Everything that is sent was durable before, and stands in the journal; so a
//! stream is nothing but a place in it. A client may be cut at any moment, by us,
//! by the network or by a proxy, and goes on behind the last message it has read.
//! Therefore nothing is kept for a client that does not read: it is cut.

mod follower;
mod message;
mod places;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};

use super::auth::{Scope, Shown};
use super::errors::{Code, Problem};
use super::input::{Params, number, webhook};
use super::openapi::Routes;
use super::{App, paging, wire};
use crate::store::journal::{Follow, Place};
use follower::Follower;
pub(super) use places::Places;

/// What a place of the stream is called in its cursor.
const LISTING: &str = "stream";

const LAST_EVENT_ID: &str = "last-event-id";

/// Has proxies pass on what comes as it comes: nginx reads it.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes.chapter("Events").add::<__path_stream, _, _>(stream)
}

/// Streams events, outcomes of deliveries and changes of numbers as they happen.
///
/// Server-sent events. Each message has an `id`; after the connection has ended, for whatever
/// reason, send the last one as `Last-Event-ID` and the stream goes on behind it, without a gap
/// as far as the journal reaches (`retention.journal_hours`). `event` names what `data` is:
/// `event` (an `Event`), `delivery` (a `Delivery` as it stood after an attempt, its end or a replay),
/// `number` (a `Number` that changed without an event, or a `Retired`), `gap` (a `Gap`: the place is
/// older than what is kept; the stream goes on with the oldest that is). A comment comes every few seconds while nothing happens.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/stream", operation_id = "streamAccount",
    params(wire::StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last message that was read.")),
    responses(
        (status = 200, description = "Messages, until the client or the server ends it",
            body = wire::StreamData, content_type = "text/event-stream"),
        (status = 429, description = "As many streams are open as are allowed: repeat after Retry-After",
            body = wire::Problem, content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account", "read"])))]
async fn stream(
    Scope(account): Scope,
    State(app): State<App>,
    headers: HeaderMap,
    Params(query): Params<wire::StreamQuery>,
) -> Result<Response, Problem> {
    let follow = Follow {
        account: account.id,
        after: place(&headers, query.after.as_deref())?,
        number: number(query.phone_number.as_deref())?,
        event_type: query.event_type,
        webhook: webhook(query.webhook_id.as_deref())?,
    };
    let taken = app.streams().take(account.id)?;
    // Known before the answer begins, so that all that happens afterwards is in it.
    let told = app.store.told();
    let first = app.store.follow(follow.clone()).await?.ok_or_else(|| Problem::not_found("account"))?;
    let body = Follower { app, shown: Shown::of(&headers), follow, told, _place: taken }.start(first);
    let kind = [(CONTENT_TYPE, "text/event-stream"), (UNBUFFERED, "no")];
    Ok((kind, Body::new(body)).into_response())
}

/// Behind which message the stream begins; an empty header is none.
fn place(headers: &HeaderMap, after: Option<&str>) -> Result<Option<Place>, Problem> {
    let text =
        match headers.get(LAST_EVENT_ID) {
            Some(value) => Some(value.to_str().map_err(|_| {
                Problem::new(Code::InvalidCursor, "Last-Event-ID is not an id of this stream")
            })?),
            None => after,
        };
    paging::place(LISTING, text.filter(|text| !text.is_empty())).map_err(|problem| {
        problem.hint("send the id of the last message that was read, or none to begin with what happens now")
    })
}
