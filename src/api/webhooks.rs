//! Webhooks as the native API shows them, what is sent to one alone, and what
//! the 8x8-compatible API, which configures them, has no word for.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::auth::{Owner, Scope};
use super::errors::{Code, Problem};
use super::input::{Id, Input, Nothing, Params};
use super::openapi::Routes;
use super::publish::{accepted, fingerprint, not_configured};
use super::{App, paging, wire};
use crate::model::change::{Change, Detail, QUALITY_FIELD, Quality};
use crate::model::id::{AccountId, WebhookId};
use crate::model::number::Subject;
use crate::model::webhook::Webhook;
use crate::store::queue::{Audience, Publication, Published};

const LISTING: &str = "webhooks";

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes
        .chapter("Webhooks")
        .add::<__path_list, _, _>(list)
        .add::<__path_change, _, _>(change)
        .add::<__path_test, _, _>(test)
        .add::<__path_snapshot, _, _>(snapshot)
}

/// A place in the listing, oldest first: when a webhook was made, and its id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place(i64, WebhookId);

impl Place {
    fn of(webhook: &Webhook) -> Self {
        Self(webhook.created_at.ms(), webhook.id)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, id) = text.split_once('_').ok_or(())?;
        Ok(Self(ms.parse().map_err(drop)?, id.parse().map_err(drop)?))
    }
}

/// Lists webhooks with their ids and how they fare, oldest first.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/webhooks", operation_id = "listWebhooks",
    params(wire::ListQuery),
    responses((status = 200, description = "A page of webhooks", body = wire::Page<wire::Webhook>)),
    security(("bearer" = ["operator", "account", "read"])))]
async fn list(
    Scope(account): Scope,
    State(app): State<App>,
    Params(query): Params<wire::ListQuery>,
) -> Result<Json<wire::Page<wire::Webhook>>, Problem> {
    let limit = paging::limit(query.limit)?;
    let after: Option<Place> = paging::place(LISTING, query.cursor.as_deref())?;
    let mut webhooks = app.store.webhooks(account.id).await?;
    webhooks.sort_by_key(Place::of);
    webhooks.retain(|webhook| after.as_ref().is_none_or(|after| Place::of(webhook) > *after));
    let more = webhooks.len() > limit;
    webhooks.truncate(limit);
    let last = webhooks.last().filter(|_| more).map(Place::of);
    let next_cursor = last.map(|Place(ms, id)| paging::cursor(LISTING, format_args!("{ms}_{id}")));
    let mut items = Vec::with_capacity(webhooks.len());
    for webhook in webhooks {
        let health = app.store.health(account.id, webhook.id).await?;
        items.push(wire::Webhook::new(webhook, health));
    }
    Ok(Json(wire::Page { items, next_cursor }))
}

/// The account's webhook of that id.
pub(super) async fn find(app: &App, account: AccountId, id: WebhookId) -> Result<Webhook, Problem> {
    let webhooks = app.store.webhooks(account).await?;
    webhooks.into_iter().find(|webhook| webhook.id == id).ok_or_else(|| Problem::not_found("webhook"))
}

/// Changes what only this API knows of a webhook.
///
/// With `latest`, an event that waits for the webhook is superseded as soon as a
/// newer one of its number stands for it. That begins with the next event, or the
/// next failed attempt, of each number. Configuring the webhook anew by the
/// 8x8-compatible API leaves this as it is.
#[utoipa::path(patch, path = "/v1/accounts/{accountId}/webhooks/{webhookId}", operation_id = "changeWebhook",
    request_body = wire::WebhookChange,
    responses((status = 200, description = "The webhook as it is now", body = wire::Webhook)),
    security(("bearer" = ["operator", "account"])))]
async fn change(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    Input(wanted): Input<wire::WebhookChange>,
) -> Result<Json<wire::Webhook>, Problem> {
    let now = app.env.clock.now();
    let changed = app.store.set_delivery(account.id, id, wanted.delivery.into(), now).await?;
    let webhook = changed.ok_or_else(|| Problem::not_found("webhook"))?;
    let health = app.store.health(account.id, id).await?;
    Ok(Json(wire::Webhook::new(webhook, health)))
}

/// Tells this webhook how each number in its scope stands.
///
/// By ordinary events in the order of the numbers, marked by the header
/// `bellwether-snapshot: true`, to this webhook only. Asked for again while it
/// is under way, it begins anew.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/webhooks/{webhookId}/snapshot",
    operation_id = "snapshotWebhook",
    responses(
        (status = 202, description = "Under way"),
        (status = 409, description = "The webhook is disabled or not of type CABM, or the account not configured",
            body = wire::Problem, content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn snapshot(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    _: Nothing,
) -> Result<StatusCode, Problem> {
    let webhook = find(&app, account.id, id).await?;
    if !account.chat_apps {
        return Err(not_configured());
    }
    if !app.store.put_snapshot(account.id, webhook.id, app.env.entropy.u64()).await? {
        return Err(not_deliverable());
    }
    (app.errand)();
    Ok(StatusCode::ACCEPTED)
}

fn not_deliverable() -> Problem {
    Problem::new(Code::NotDeliverable, "the webhook is disabled, or not of type CABM")
        .hint("events are only sent to enabled webhooks of type CABM")
}

/// Sends a sample event to this webhook only, marked as a test.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/webhooks/{webhookId}/test", operation_id = "testWebhook",
    responses(
        (status = 202, description = "On its way", body = wire::EventRef),
        (status = 409, description = "The webhook is disabled or not of type CABM, or the account not configured",
            body = wire::Problem, content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn test(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    _: Nothing,
) -> Result<(StatusCode, HeaderMap, Json<wire::EventRef>), Problem> {
    let webhook = find(&app, account.id, id).await?;
    let publication = Publication {
        now: app.env.clock.now(),
        account: account.id,
        change: sample(),
        timestamp: None,
        audience: Audience::Test(webhook.id),
        idempotency: None,
        random: app.env.entropy.u64(),
        fill_limits: false,
    };
    match app.store.publish(publication).await? {
        Published::Accepted(id) | Published::Repeated(id) => Ok(accepted(id, HeaderMap::new())),
        Published::NotConfigured => Err(not_configured()),
        Published::UnknownWebhook => Err(not_deliverable()),
        // Of a test only the account itself can be unknown: it was just deleted.
        Published::KeyReused | Published::UnknownBusinessAccount => Err(Problem::not_found("account")),
    }
}

/// The seed's example. Its business account is `0`, as in the sample that Meta's
/// own Test button posts.
fn sample() -> Change {
    let detail = Detail::Quality(Quality {
        display_phone_number: "15550783881".to_owned(),
        event: "UPGRADE".to_owned(),
        current_limit: Some("TIER_10K".to_owned()),
        old_limit: Some("TIER_1K".to_owned()),
        max_daily_conversations_per_business: None,
    });
    Change {
        business_account: "0".parse().expect("a digit is an id"),
        time: None,
        field: QUALITY_FIELD.to_owned(),
        subject: Subject::business_account("0"),
        fingerprint: fingerprint("test"),
        detail,
        raw: "{}".to_owned(),
    }
}
