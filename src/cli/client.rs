//! A client of a server's public API, for the commands. Not a delivery: it talks
//! to the server that the person at the keyboard named.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Exit, Failure};

/// The longest answer that is read.
const ANSWER_BYTES: usize = 8 << 20;

pub(super) struct Client {
    http: HyperClient<HttpConnector, Body>,
    base: String,
    key: Option<SecretString>,
}

impl Client {
    /// A client of the server at `base` (`http://127.0.0.1:8700`).
    pub(super) fn new(base: &str, key: Option<SecretString>) -> Self {
        let http = HyperClient::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { http, base: base.trim_end_matches('/').to_owned(), key }
    }

    /// Calls the API with a JSON body; anything but success is a failure that
    /// says what the server said.
    pub(super) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.request(method, path).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose_secret()));
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let (status, answer) = self.send(request, body).await?;
        if !status.is_success() {
            return Err(refused(path, status, &answer));
        }
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// Posts a signed notification.
    pub(super) async fn notify(&self, app: &str, signature: String, body: Vec<u8>) -> Result<Value, Failure> {
        let path = format!("/ingest/meta/{app}");
        let request = self
            .request(Method::POST, &path)
            .header(CONTENT_TYPE, "application/json")
            .header("x-hub-signature-256", signature);
        let (status, answer) = self.send(request, body.into()).await?;
        if status != StatusCode::OK {
            return Err(refused(&path, status, &answer));
        }
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// A page that is no JSON, such as `/metrics`.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let (status, answer) = self.send(self.request(Method::GET, path), Bytes::new()).await?;
        if !status.is_success() {
            return Err(refused(path, status, &answer));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    async fn send(
        &self,
        request: axum::http::request::Builder,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let unreachable = |why: String| {
            let base = &self.base;
            let hint = "hint: is the server running? `bellwether dev` starts one; --url names another";
            Failure::new(Exit::Server, format!("cannot reach {base}: {why}\n{hint}"))
        };
        let request = request.body(Body::from(body)).map_err(|error| unreachable(error.to_string()))?;
        let answer = self.http.request(request).await.map_err(|error| {
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            unreachable(cause)
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        Ok((status, body.map_err(|error| unreachable(error.to_string()))?.to_bytes()))
    }
}

fn refused(path: &str, status: StatusCode, answer: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(answer);
    let said = if text.trim().is_empty() { "nothing" } else { text.trim() };
    let hint = "hint: is that a Bellwether server, and does it have the configuration that was used here?";
    Failure::new(Exit::Server, format!("{path} answered {status}: {said}\n{hint}"))
}
