//! Webhooks as the native API shows them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Attempt;
use super::compat::WebhookType;
use crate::model::webhook::{self, Authorization};
use crate::store::catalog;

/// How a webhook authorises itself at its receiver.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum AuthorizationKind {
    /// Not at all.
    None,
    /// By a fixed `Authorization` header.
    Header,
    /// By OAuth 2.0 client credentials.
    Oauth,
}

/// Which events a webhook gets when several of a number wait for it.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum DeliveryMode {
    /// Each, one after another.
    All,
    /// Those that no newer one stands for; the others are superseded.
    Latest,
}

impl From<DeliveryMode> for webhook::DeliveryMode {
    fn from(mode: DeliveryMode) -> Self {
        match mode {
            DeliveryMode::All => Self::All,
            DeliveryMode::Latest => Self::Latest,
        }
    }
}

impl From<webhook::DeliveryMode> for DeliveryMode {
    fn from(mode: webhook::DeliveryMode) -> Self {
        match mode {
            webhook::DeliveryMode::All => Self::All,
            webhook::DeliveryMode::Latest => Self::Latest,
        }
    }
}

/// What the 8x8-compatible API has no word for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"delivery": "latest"}))]
pub(in crate::api) struct WebhookChange {
    /// Which events it gets of those that wait.
    pub delivery: DeliveryMode,
}

/// A webhook and how it fares.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Webhook {
    /// Its id.
    #[schema(format = "uuid")]
    pub webhook_id: String,
    /// Whose events it gets: a sub-account's, or `*` for all.
    pub sub_account_id: String,
    /// What for; only CABM webhooks are sent anything.
    pub r#type: WebhookType,
    /// Where to.
    pub url: String,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Which events it gets of those that wait.
    pub delivery: DeliveryMode,
    /// How it authorises itself.
    pub authorization: AuthorizationKind,
    /// Until when the signing secret before the last rotation signs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub previous_secret_until: Option<String>,
    /// Since when it exists.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last configured.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// How its deliveries fare.
    pub health: Health,
}

impl Webhook {
    pub(in crate::api) fn new(webhook: webhook::Webhook, health: catalog::Health) -> Self {
        Self {
            webhook_id: webhook.id.to_string(),
            sub_account_id: webhook.scope.as_str().to_owned(),
            r#type: webhook.kind.into(),
            url: webhook.url,
            enabled: webhook.enabled,
            delivery: webhook.delivery.into(),
            authorization: match webhook.authorization {
                Authorization::None => AuthorizationKind::None,
                Authorization::Header(_) => AuthorizationKind::Header,
                Authorization::OAuth(_) => AuthorizationKind::Oauth,
            },
            previous_secret_until: webhook.previous_secret.map(|(_, until)| until.to_string()),
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
            health: health.into(),
        }
    }
}

/// How deliveries to a webhook fare, over its last 100 that were attempted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Health {
    /// Deliveries waiting.
    pub pending: u64,
    /// Of the last 100 attempted ones, how many were delivered.
    pub delivered: u64,
    /// Of the last 100 attempted ones, how many are exhausted.
    pub exhausted: u64,
    /// When one was last delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_delivered_at: Option<String>,
    /// The last failed attempt among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Attempt>,
}

impl From<catalog::Health> for Health {
    fn from(health: catalog::Health) -> Self {
        Self {
            pending: health.pending,
            delivered: health.delivered,
            exhausted: health.exhausted,
            last_delivered_at: health.last_delivered_at.map(|at| at.to_string()),
            last_failure: health.last_failure.map(Attempt::from),
        }
    }
}

/// How to rotate.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct RotateQuery {
    /// Rotate even while the secret before the last rotation still signs, which
    /// ends that one at once.
    pub force: Option<bool>,
}

/// A webhook's signing secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Secret {
    /// The secret, for any Standard Webhooks library.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    pub secret: String,
    /// Until when the secret before it signs too, if it was rotated lately.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub previous_secret_until: Option<String>,
}
