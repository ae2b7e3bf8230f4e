//! The 8x8-compatible JSON (contract.md 2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::webhook;
use crate::secrets::oauth;

/// What a webhook is for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::api) enum WebhookType {
    /// Delivery receipts.
    Cadr,
    /// Inbound messages.
    Msg,
    /// Chat Apps business-management updates.
    Cabm,
}

impl From<WebhookType> for webhook::WebhookType {
    fn from(kind: WebhookType) -> Self {
        match kind {
            WebhookType::Cadr => Self::Cadr,
            WebhookType::Msg => Self::Msg,
            WebhookType::Cabm => Self::Cabm,
        }
    }
}

impl From<webhook::WebhookType> for WebhookType {
    fn from(kind: webhook::WebhookType) -> Self {
        match kind {
            webhook::WebhookType::Cadr => Self::Cadr,
            webhook::WebhookType::Msg => Self::Msg,
            webhook::WebhookType::Cabm => Self::Cabm,
        }
    }
}

/// A webhook, posted or listed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = CompatibleWebhook, example = json!({
    "subAccountId": "*", "type": "CABM", "url": "https://hooks.example.com/whatsapp", "enabled": true
}))]
pub(in crate::api) struct Webhook {
    /// A sub-account, or `*` for all.
    #[schema(example = "*")]
    pub sub_account_id: String,
    /// Where events go, at most 2,048 bytes.
    #[schema(format = "uri", example = "https://hooks.example.com/whatsapp")]
    pub url: String,
    /// Sent verbatim as the `Authorization` header, at most 4,096 bytes. Shown
    /// as `***`; posting `***` keeps what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_authorization: Option<String>,
    /// Whether anything is sent; true unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(default = true)]
    pub enabled: Option<bool>,
    /// Left out it means CADR and MSG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<WebhookType>,
    /// OAuth 2.0 client credentials; not together with httpAuthorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
}

/// OAuth 2.0 client credentials.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "url": "https://login.example.com/oauth/token", "clientId": "bellwether", "clientSecret": "a secret",
    "credentialsLocation": "header"
}))]
pub(in crate::api) struct OAuth {
    /// The token endpoint, https.
    #[schema(format = "uri")]
    pub url: String,
    /// The client's id.
    pub client_id: String,
    /// The client's secret. Shown as `***`; posting `***` keeps what is stored.
    pub client_secret: String,
    /// Where the credentials go.
    pub credentials_location: CredentialsLocation,
    /// Scopes, separated by blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Where a client's credentials go in a token request.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum CredentialsLocation {
    /// HTTP Basic.
    Header,
    /// The form.
    Body,
}

impl From<CredentialsLocation> for oauth::CredentialsLocation {
    fn from(location: CredentialsLocation) -> Self {
        match location {
            CredentialsLocation::Header => Self::Header,
            CredentialsLocation::Body => Self::Body,
        }
    }
}

impl From<oauth::CredentialsLocation> for CredentialsLocation {
    fn from(location: oauth::CredentialsLocation) -> Self {
        match location {
            oauth::CredentialsLocation::Header => Self::Header,
            oauth::CredentialsLocation::Body => Self::Body,
        }
    }
}

/// Which webhook to delete.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = CompatibleWebhookRef, example = json!({"subAccountId": "*", "type": "CABM"}))]
pub(in crate::api) struct WebhookRef {
    /// A sub-account, or `*` for the webhook configured with `*`.
    #[schema(example = "*")]
    pub sub_account_id: String,
    /// Left out it means CADR and MSG.
    pub r#type: Option<WebhookType>,
}

/// 8x8's error body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CompatibleError)]
pub(in crate::api) struct Error {
    /// 1000, 1001, 1014, 1200, 1201, 1300, 2000, 3020, 7001 or 429.
    #[schema(example = 1000)]
    pub code: u16,
    /// What is wrong, and with which item.
    pub message: String,
    /// Names this answer, for support.
    #[schema(format = "uuid")]
    pub error_id: String,
    /// When.
    #[schema(format = DateTime)]
    pub timestamp: String,
}
