//! A webhook's signing secret: shown, and rotated with a day of overlap in
//! which both sign.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use secrecy::{ExposeSecret, SecretString};

use super::auth::Owner;
use super::errors::{Code, Problem};
use super::input::{Id, Nothing, Params};
use super::openapi::Routes;
use super::webhooks::find;
use super::{App, wire};
use crate::model::id::{AccountId, WebhookId};
use crate::model::webhook::Webhook;
use crate::policy::signature::WebhookKey;
use crate::secrets::{OpenError, Place};

/// How long the secret before a rotation signs too.
const OVERLAP: Duration = Duration::from_hours(24);

/// The columns that hold sealed secrets; a secret opens in its own only.
pub(super) mod column {
    /// The signing secret.
    pub(in crate::api) const SECRET: &str = "secret";
    /// The signing secret before the last rotation.
    pub(in crate::api) const PREVIOUS_SECRET: &str = "previous_secret";
    /// A fixed `Authorization` header.
    pub(in crate::api) const HTTP_AUTHORIZATION: &str = "http_authorization";
    /// OAuth client credentials, as JSON.
    pub(in crate::api) const OAUTH: &str = "oauth";
}

/// The routes.
pub(super) fn register(routes: Routes) -> Routes {
    routes.chapter("Webhooks").add::<__path_show, _, _>(show).add::<__path_rotate, _, _>(rotate)
}

/// Seals a secret of a webhook.
pub(super) fn seal(app: &App, account: AccountId, id: WebhookId, column: &str, plain: &str) -> Vec<u8> {
    let (row, account) = (id.to_string(), account.to_string());
    app.vault.seal(&app.env.entropy, Place { row: &row, account: &account, column }, plain)
}

/// Opens a secret of a webhook. A failure is told to operators here.
pub(super) fn open(
    app: &App,
    account: AccountId,
    id: WebhookId,
    column: &str,
    sealed: &[u8],
) -> Result<SecretString, OpenError> {
    let (row, account) = (id.to_string(), account.to_string());
    let opened = app.vault.open(Place { row: &row, account: &account, column }, sealed);
    opened
        .inspect_err(|error| tracing::error!(webhook = %id, column, %error, "a sealed secret does not open"))
}

/// A new signing secret, sealed.
pub(super) fn fresh(app: &App, account: AccountId, id: WebhookId) -> Vec<u8> {
    seal(app, account, id, column::SECRET, &WebhookKey::text(app.env.entropy.bytes()))
}

fn shown(app: &App, webhook: &Webhook) -> Result<Json<wire::Secret>, Problem> {
    let opened = open(app, webhook.account, webhook.id, column::SECRET, &webhook.secret);
    let secret = opened.map_err(|_| unopened())?.expose_secret().to_owned();
    let now = app.env.clock.now();
    let until = webhook.previous_secret.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    Ok(Json(wire::Secret { secret, previous_secret_until: until.map(|until| until.to_string()) }))
}

fn unopened() -> Problem {
    Problem::new(Code::Internal, "the webhook's secret does not open")
        .hint("tell the operator: the log says why")
}

/// Shows the secret that signs what is sent to this webhook.
#[utoipa::path(get, path = "/v1/accounts/{accountId}/webhooks/{webhookId}/secret",
    operation_id = "getWebhookSecret",
    responses((status = 200, description = "The secret", body = wire::Secret)),
    security(("bearer" = ["operator", "account"])))]
async fn show(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
) -> Result<Json<wire::Secret>, Problem> {
    shown(&app, &find(&app, account.id, id).await?)
}

/// Makes a new signing secret. The one before signs too for 24 hours.
///
/// Within these hours a further rotation is refused, because it would end the
/// first secret at once, unless `force` asks for just that.
#[utoipa::path(post, path = "/v1/accounts/{accountId}/webhooks/{webhookId}/secret/rotate",
    operation_id = "rotateWebhookSecret",
    params(wire::RotateQuery),
    responses((status = 200, description = "The new secret", body = wire::Secret),
        (status = 409, description = "The secret before the last rotation still signs", body = wire::Problem,
            content_type = "application/problem+json")),
    security(("bearer" = ["operator", "account"])))]
async fn rotate(
    Owner(account): Owner,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    Params(asked): Params<wire::RotateQuery>,
    _: Nothing,
) -> Result<Json<wire::Secret>, Problem> {
    let _alone = app.webhook_writes().lock().await;
    let mut webhook = find(&app, account.id, id).await?;
    let now = app.env.clock.now();
    let overlap = webhook.previous_secret.as_ref().map(|(_, until)| *until).filter(|until| *until > now);
    if let Some(until) = overlap.filter(|_| !asked.force.unwrap_or(false)) {
        let what = format!("the secret was rotated already, and the one before it signs until {until}");
        return Err(Problem::new(Code::Conflict, what)
            .hint("wait until then; or, if a secret is known to others, rotate with ?force=true"));
    }
    let before = open(&app, account.id, id, column::SECRET, &webhook.secret).map_err(|_| unopened())?;
    let before = seal(&app, account.id, id, column::PREVIOUS_SECRET, before.expose_secret());
    webhook.previous_secret = Some((before, now.plus(OVERLAP)));
    webhook.secret = fresh(&app, account.id, id);
    webhook.updated_at = now;
    app.store.put_webhooks(vec![webhook.clone()]).await?;
    shown(&app, &webhook)
}
