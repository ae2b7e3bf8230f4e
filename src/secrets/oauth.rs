//! OAuth 2.0 client credentials, as sealed into one secret.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// How the client identifies itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsLocation {
    /// HTTP Basic.
    Header,
    /// In the form.
    Body,
}

impl CredentialsLocation {
    /// The location's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
        }
    }

    /// The location of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Header, Self::Body].into_iter().find(|location| location.as_str() == text)
    }
}

/// A webhook's OAuth client (contract.md 2).
#[derive(Debug, Clone)]
pub struct Client {
    /// The token endpoint.
    pub url: String,
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub client_secret: SecretString,
    /// Where the two are put.
    pub location: CredentialsLocation,
    /// What for, space-separated.
    pub scope: Option<String>,
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        let parts = |client: &Self| {
            (client.url.clone(), client.client_id.clone(), client.location, client.scope.clone())
        };
        parts(self) == parts(other)
            && self.client_secret.expose_secret() == other.client_secret.expose_secret()
    }
}

impl Client {
    /// The text that is sealed.
    pub fn to_json(&self) -> SecretString {
        let value = json!({
            "url": self.url, "clientId": self.client_id, "clientSecret": self.client_secret.expose_secret(),
            "credentialsLocation": self.location.as_str(), "scope": self.scope,
        });
        SecretString::from(value.to_string())
    }

    /// From the text that was sealed.
    pub fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let field = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            url: field("url")?,
            client_id: field("clientId")?,
            client_secret: SecretString::from(field("clientSecret")?),
            location: CredentialsLocation::parse(&field("credentialsLocation")?)?,
            scope: field("scope"),
        })
    }
}
