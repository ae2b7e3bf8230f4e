//! A client of a server's public API, for the commands. Not a delivery: it talks
//! to the server that the person at the keyboard named.

mod dial;
mod refusal;

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{Exit, Failure};
use crate::model::time::Timestamp;
use crate::policy::retry::http_date;
use dial::Dialer;
use refusal::refused;

/// The longest answer that is read.
const ANSWER_BYTES: usize = 64 << 20;

/// An answer is there within this, or there is none.
const PATIENCE: Duration = Duration::from_mins(1);

/// How the library of TLS begins what is wrong with a server's certificate.
const CERTIFICATE: &str = "invalid peer certificate";

pub(super) struct Client {
    http: HyperClient<Dialer, Body>,
    base: String,
    key: Option<SecretString>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// A client of the server at `base` (`http://127.0.0.1:8700`).
    pub(super) fn new(base: &str, key: Option<SecretString>) -> Self {
        Self::trusting(base, key, None).expect("the public authorities are built in")
    }

    /// The same, which trusts the authorities of `ca_file`, too.
    pub(super) fn trusting(
        base: &str,
        key: Option<SecretString>,
        ca_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let dialer = Dialer::new(ca_file).map_err(|error| Failure::new(Exit::Usage, error))?;
        let http = HyperClient::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(dialer);
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), key })
    }

    /// Where the server is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Calls the API with a JSON body, or none if it is null; anything but success
    /// is a failure that says what the server said.
    pub(super) async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.answer(method, path, body).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// The same, to the letter.
    pub(super) async fn answer(&self, method: Method, path: &str, body: &Value) -> Result<Bytes, Failure> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = self.authorized(method, path).header(CONTENT_TYPE, "application/json");
        self.succeed(path, request, body).await
    }

    /// Posts a signed notification.
    pub(super) async fn notify(&self, app: &str, signature: String, body: Vec<u8>) -> Result<Value, Failure> {
        let path = format!("/ingest/meta/{app}");
        let request = self
            .request(Method::POST, &path)
            .header(CONTENT_TYPE, "application/json")
            .header("x-hub-signature-256", signature);
        let answer = self.succeed(&path, request, body.into()).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// A page that is no JSON, such as `/metrics`.
    pub(super) async fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.succeed(path, self.request(Method::GET, path), Bytes::new()).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The answer to a GET without a key, whatever its status.
    pub(super) async fn look(&self, path: &str) -> Result<Answer, Failure> {
        self.send(self.request(Method::GET, path), Bytes::new()).await
    }

    /// Posts to a receiver at `url`, without the key; what it answered, or why it did
    /// not.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<StatusCode, String> {
        let mut request = Request::post(url);
        request.headers_mut().into_iter().for_each(|all| all.extend(headers.clone()));
        let answer = tokio::time::timeout(PATIENCE, async {
            let answer = self.begin(request, body).await?;
            let status = answer.status();
            // To its end, so that the connection can be used again.
            let _ = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            Ok(status)
        });
        answer.await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// Opens the stream at `path` behind the message `after`.
    pub(super) async fn stream(&self, path: &str, after: Option<&str>) -> Result<Incoming, Failure> {
        let mut request = self.authorized(Method::GET, path);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let opened = tokio::time::timeout(PATIENCE, self.begin(request, Bytes::new()));
        let answer = opened.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let answer = answer.map_err(|why| self.unreachable(&why))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let body = self.whole(answer).await?.body;
        Err(refused(path, status, &body))
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.base))
    }

    fn authorized(&self, method: Method, path: &str) -> Builder {
        let request = self.request(method, path);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {}", key.expose_secret())),
            None => request,
        }
    }

    /// The body of an answer that is a success.
    async fn succeed(&self, path: &str, request: Builder, body: Bytes) -> Result<Bytes, Failure> {
        let answer = self.send(request, body).await?;
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(refused(path, answer.status, &answer.body))
        }
    }

    async fn send(&self, request: Builder, body: Bytes) -> Result<Answer, Failure> {
        let answer = async {
            let answer = self.begin(request, body).await.map_err(|why| self.unreachable(&why))?;
            self.whole(answer).await
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| Err(self.unreachable("no answer in time")))
    }

    /// An answer's head; why there is none.
    async fn begin(&self, request: Builder, body: Bytes) -> Result<Response<Incoming>, String> {
        let request = request.body(Body::from(body)).map_err(|error| error.to_string())?;
        self.http.request(request).await.map_err(|error| cause(&error))
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Answer, Failure> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn unreachable(&self, why: &str) -> Failure {
        let base = &self.base;
        let hint = if why.starts_with(CERTIFICATE) {
            "hint: --ca-file FILE trusts an authority of your own; nothing skips the check"
        } else {
            "hint: is the server running? `bellwether dev` starts one; --url names another"
        };
        Failure::new(Exit::Server, format!("cannot reach {base}: {why}\n{hint}"))
    }
}

impl Answer {
    /// What time the server's clock shows, to the second.
    pub(super) fn date(&self) -> Option<Timestamp> {
        http_date(self.headers.get(DATE)?.to_str().ok()?)
    }
}

/// The innermost reason: the outer ones say that a connection failed.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
