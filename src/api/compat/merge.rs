//! Brings what is asked for together with what is stored: ids and signing
//! secrets stay, `***` keeps the stored secret, new secrets are sealed.

use secrecy::{ExposeSecret, SecretString};

use super::super::secret::{column, fresh, open, seal};
use super::super::{App, wire};
use super::check::{MASK, Wanted, Wish};
use super::refusal::{Code, Refusal};
use crate::model::id::{AccountId, WebhookId};
use crate::model::webhook::{Authorization, DeliveryMode, Webhook};
use crate::secrets::oauth::Client;
use wire::compat::OAuth;

/// The webhooks to store for `wanted`.
pub(super) fn onto(
    app: &App,
    account: AccountId,
    stored: &[Webhook],
    wanted: &[Wanted],
) -> Result<Vec<Webhook>, Refusal> {
    wanted.iter().map(|one| one_onto(app, account, stored, one)).collect()
}

fn one_onto(app: &App, account: AccountId, stored: &[Webhook], wanted: &Wanted) -> Result<Webhook, Refusal> {
    let before = stored.iter().find(|known| known.scope == wanted.scope && known.kind == wanted.kind);
    let id = before.map_or_else(|| WebhookId::new(app.env.entropy.uuid()), |known| known.id);
    let now = app.env.clock.now();
    Ok(Webhook {
        id,
        account,
        scope: wanted.scope.clone(),
        kind: wanted.kind,
        url: wanted.url.clone(),
        enabled: wanted.enabled,
        // Not of this API: a webhook that is replaced keeps it.
        delivery: before.map_or(DeliveryMode::All, |known| known.delivery),
        authorization: authorization(app, account, id, before, wanted)?,
        secret: before.map_or_else(|| fresh(app, account, id), |known| known.secret.clone()),
        previous_secret: before.and_then(|known| known.previous_secret.clone()),
        created_at: before.map_or(now, |known| known.created_at),
        updated_at: now,
    })
}

fn authorization(
    app: &App,
    account: AccountId,
    id: WebhookId,
    before: Option<&Webhook>,
    wanted: &Wanted,
) -> Result<Authorization, Refusal> {
    let stored = before.map(|known| &known.authorization);
    match &wanted.authorization {
        Wish::None => Ok(Authorization::None),
        Wish::Header(plain) => {
            Ok(Authorization::Header(seal(app, account, id, column::HTTP_AUTHORIZATION, plain)))
        }
        Wish::KeepHeader => match stored {
            Some(Authorization::Header(sealed)) => Ok(Authorization::Header(sealed.clone())),
            Some(Authorization::None | Authorization::OAuth(_)) | None => {
                Err(nothing_to_keep(wanted, "httpAuthorization"))
            }
        },
        Wish::OAuth(oauth) => Ok(sealed_oauth(app, account, id, &client(oauth))),
        Wish::KeepOAuthSecret(oauth) => match stored {
            Some(Authorization::OAuth(sealed)) => {
                let client_secret = opened_oauth(app, account, id, sealed)?.client_secret;
                let client = Client { client_secret, ..client(oauth) };
                Ok(sealed_oauth(app, account, id, &client))
            }
            Some(Authorization::None | Authorization::Header(_)) | None => {
                Err(nothing_to_keep(wanted, "oauth.clientSecret"))
            }
        },
    }
}

fn nothing_to_keep(wanted: &Wanted, field: &str) -> Refusal {
    let rule = format!(
        "'{MASK}' keeps the stored secret, and sub-account {} with type {} has none stored; send the secret itself",
        wanted.scope.as_str(),
        wanted.kind.as_str()
    );
    Refusal::at(&format!("{}.{field}", wanted.place), Code::InvalidParameter, &rule)
}

fn client(oauth: &OAuth) -> Client {
    Client {
        url: oauth.url.clone(),
        client_id: oauth.client_id.clone(),
        client_secret: SecretString::from(oauth.client_secret.as_str()),
        location: oauth.credentials_location.into(),
        scope: oauth.scope.clone(),
    }
}

fn sealed_oauth(app: &App, account: AccountId, id: WebhookId, client: &Client) -> Authorization {
    Authorization::OAuth(seal(app, account, id, column::OAUTH, client.to_json().expose_secret()))
}

fn opened_oauth(app: &App, account: AccountId, id: WebhookId, sealed: &[u8]) -> Result<Client, Refusal> {
    let opened = open(app, account, id, column::OAUTH, sealed).ok();
    let client = opened.and_then(|plain| Client::from_json(plain.expose_secret()));
    client.ok_or_else(|| Refusal::internal("a stored secret does not open; the operator's log says why"))
}

/// A webhook as it is listed: with `***` for its secrets.
pub(super) fn masked(app: &App, webhook: &Webhook) -> Result<wire::compat::Webhook, Refusal> {
    let mask = || MASK.to_owned();
    let (http_authorization, oauth) = match &webhook.authorization {
        Authorization::None => (None, None),
        Authorization::Header(_) => (Some(mask()), None),
        Authorization::OAuth(sealed) => {
            let client = opened_oauth(app, webhook.account, webhook.id, sealed)?;
            let oauth = OAuth {
                url: client.url,
                client_id: client.client_id,
                client_secret: mask(),
                credentials_location: client.location.into(),
                scope: client.scope,
            };
            (None, Some(oauth))
        }
    };
    Ok(wire::compat::Webhook {
        sub_account_id: webhook.scope.as_str().to_owned(),
        url: webhook.url.clone(),
        http_authorization,
        enabled: Some(webhook.enabled),
        r#type: Some(webhook.kind.into()),
        oauth,
    })
}
