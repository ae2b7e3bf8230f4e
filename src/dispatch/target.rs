//! Webhooks as attempts need them: secrets opened, keys ready. Remembered until
//! the webhook is configured anew.

use std::sync::Arc;

use axum::http::HeaderValue;
use secrecy::ExposeSecret;

use super::Means;
use super::remembered::{Recall, Remembered};
use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;
use crate::model::webhook::{Authorization, Webhook};
use crate::policy::signature;
use crate::secrets::oauth::Client;
use crate::secrets::{Place, Vault};

/// Where a delivery goes, and how it identifies itself.
pub(super) struct Target {
    /// For the log: the webhook's and the account's public ids.
    pub(super) webhook: String,
    pub(super) account: String,
    pub(super) url: String,
    pub(super) authorize: Authorize,
    key: signature::WebhookKey,
    previous: Option<(signature::WebhookKey, Timestamp)>,
}

/// How a delivery authorises itself.
pub(super) enum Authorize {
    No,
    Header(HeaderValue),
    OAuth(Client),
}

impl Target {
    /// The keys that sign at `now`: two while the secret is being rotated.
    pub(super) fn keys(&self, now: Timestamp) -> Vec<signature::WebhookKey> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until).map(|(key, _)| key);
        std::iter::once(&self.key).chain(previous).cloned().collect()
    }

    fn open(vault: &Vault, webhook: &Webhook) -> Result<Self, String> {
        let (row, account) = (webhook.id.to_string(), webhook.account.to_string());
        let open = |column: &str, sealed: &[u8]| {
            let place = Place { row: &row, account: &account, column };
            vault.open(place, sealed).map_err(|error| format!("{column} of webhook {row}: {error}"))
        };
        let key = |column: &str, sealed: &[u8]| {
            let text = open(column, sealed)?;
            signature::WebhookKey::parse(text.expose_secret())
                .ok_or_else(|| format!("{column} of webhook {row} is no signing secret"))
        };
        let authorize = match &webhook.authorization {
            Authorization::None => Authorize::No,
            Authorization::Header(sealed) => {
                let text = open("http_authorization", sealed)?;
                let mut value = HeaderValue::try_from(text.expose_secret())
                    .map_err(|_| format!("httpAuthorization of webhook {row} is no header value"))?;
                value.set_sensitive(true);
                Authorize::Header(value)
            }
            Authorization::OAuth(sealed) => {
                let text = open("oauth", sealed)?;
                let client = Client::from_json(text.expose_secret());
                Authorize::OAuth(client.ok_or_else(|| format!("oauth of webhook {row} can't be read"))?)
            }
        };
        let previous = match &webhook.previous_secret {
            Some((sealed, until)) => Some((key("previous_secret", sealed)?, *until)),
            None => None,
        };
        let signing = key("secret", &webhook.secret)?;
        let url = webhook.url.clone();
        Ok(Self { url, authorize, key: signing, previous, webhook: row.clone(), account: account.clone() })
    }
}

/// Webhooks read so far.
#[derive(Default)]
pub(super) struct Targets(Remembered<Target>);

impl Targets {
    /// The webhook to send to; `None` if it is deleted or disabled. The error
    /// says why it can't be used, without saying a secret.
    pub(super) async fn get(
        &self,
        means: &Means,
        webhook: WebhookKey,
    ) -> Result<Option<Arc<Target>>, String> {
        let leave = match self.0.recall(webhook) {
            Recall::Known(target) => return Ok(Some(target)),
            Recall::Unknown(leave) => leave,
        };
        let found = means.store.webhook(webhook).await.map_err(|error| error.to_string())?;
        let Some(found) = found.filter(|webhook| webhook.enabled) else { return Ok(None) };
        let target = Arc::new(Target::open(&means.vault, &found)?);
        self.0.remember(leave, webhook, &target);
        Ok(Some(target))
    }

    /// To be read again.
    pub(super) fn forget(&self, webhook: WebhookKey) {
        self.0.forget(webhook);
    }
}
