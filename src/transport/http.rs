//! Deliveries over HTTP.
//!
//! The road of a request: the URL is judged; an idle connection to its host is
//! reused or a new one dialled (`dial`: resolve, judge, connect, secure); the
//! request goes out; the head of the answer decides; up to [`ANSWER_LIMIT`]
//! bytes of its body are kept for the customer to see. All of it happens under
//! one absolute deadline, and whatever a receiver does ends in an [`Outcome`].
//!
//! Connections are pooled because a TLS handshake costs more than a delivery.
//! The pool knows hosts, not addresses: a connection that was judged when it was
//! made serves its host until it has been idle for [`Limits::idle`]. When the
//! rules change, each request is judged by the new ones, and so is each open
//! connection, which ends if it would not be made any more (`revocable`).
//!
//! Nothing is ever sent twice. The client below repeats a request only if it
//! finds that the idle connection it had chosen was closed before a byte of
//! the request was written. Redirects, proxies, cookies, compression: this
//! client has none of these, so there is nothing to switch off.

mod dial;
mod failure;
mod inquiry;
mod judged;
mod revocable;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::uri::Uri;
use axum::http::{Method, Request as HttpRequest, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::ClientConfig;

use super::resolve::Resolver;
use super::{Request, Transport};
use crate::model::attempt::{Outcome, OutcomeClass};
use crate::policy::address::{Rules, Target};
use dial::Dialer;
use judged::Judged;

/// How much of an answer's body is read; then the connection is dropped.
pub const ANSWER_LIMIT: usize = 16 * 1024;

/// How long an answer's head may be, in bytes; of HTTP/1.1 it may have 100
/// fields besides.
pub const HEAD_LIMIT: u32 = 64 * 1024;

/// How long a kept `Retry-After` or redirect may be, in bytes.
const NOTE_LIMIT: usize = 512;

/// A deadline beyond this is cut: nothing waits so long.
const LONGEST_DEADLINE: Duration = Duration::from_hours(1);

/// The HTTP/2 windows: how much a receiver may send unasked, per request and
/// per connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// An HTTP/2 connection on which a request waits is probed this often, and
/// given up if the probe is not answered: one dead connection must not swallow
/// every attempt until TCP notices.
const PROBE_EVERY: Duration = Duration::from_secs(4);
const PROBE_PATIENCE: Duration = Duration::from_secs(4);

/// The client's own limits, besides each request's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one address is waited for before the next is tried.
    pub connect: Duration,
    /// How long dialling may take: name, all addresses and TLS.
    pub dial: Duration,
    /// How long a connection is kept idle.
    pub idle: Duration,
    /// How many idle connections are kept per scheme, host and port.
    pub idle_per_host: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            dial: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            idle_per_host: 8,
        }
    }
}

/// The transport of production. Many requests may be under way at once; how
/// many is the caller's to limit.
pub struct HttpTransport {
    rules: watch::Receiver<Arc<Rules>>,
    judged: Judged,
    client: Client<Dialer, Full<Bytes>>,
}

impl HttpTransport {
    /// A transport with an empty pool, under rules that may change at any time.
    /// Needs a tokio runtime only once used.
    pub fn new(
        rules: watch::Receiver<Arc<Rules>>,
        resolver: Resolver,
        tls: Arc<ClientConfig>,
        limits: Limits,
    ) -> Self {
        let dialer = Dialer::new(rules.clone(), resolver, tls, limits);
        let head_limit = usize::try_from(HEAD_LIMIT).unwrap_or(usize::MAX);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle)
            .pool_max_idle_per_host(limits.idle_per_host)
            // Only what was never begun is repeated: see the module's docs.
            .retry_canceled_requests(true)
            .http1_max_buf_size(head_limit)
            .http2_max_header_list_size(HEAD_LIMIT)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PROBE_EVERY)
            .http2_keep_alive_timeout(PROBE_PATIENCE)
            .build(dialer);
        Self { rules, judged: Judged::default(), client }
    }

    /// Those of this moment.
    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.borrow())
    }

    async fn attempt(&self, request: Request) -> Outcome {
        let deadline = Instant::now() + request.deadline.min(LONGEST_DEADLINE);
        let to = match self.judged.judge(&self.rules(), &request.url) {
            Ok(to) => to,
            Err(refusal) => return failure::refused(refusal),
        };
        let message = compose(Method::POST, to.uri.clone(), request.headers, request.body);
        match timeout_at(deadline, self.client.request(message)).await {
            Ok(Ok(response)) => answered(response, &to.target, deadline).await,
            Ok(Err(error)) => failure::outcome(&error),
            Err(_) => Outcome::failed(OutcomeClass::Timeout, "no answer before the deadline"),
        }
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(self.attempt(request))
    }
}

/// The message on the wire: the client below adds `host` and `content-length`,
/// and nothing else.
fn compose(
    method: Method,
    to: Uri,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
) -> HttpRequest<Full<Bytes>> {
    let mut message = HttpRequest::new(Full::new(body));
    *message.method_mut() = method;
    *message.uri_mut() = to;
    let headers = message.headers_mut();
    headers.reserve(fields.len() + 3);
    for (name, value) in fields {
        if !is_ours(&name) {
            headers.append(name, value);
        }
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    message
}

/// Whether a header frames the message or names its host: that is only for
/// the transport to say.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 12] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
        HeaderName::from_static("keep-alive"),
    ];
    OURS.contains(name)
}

/// The outcome of an answer whose head has arrived: that head decides,
/// whatever becomes of the body.
async fn answered(response: Response<Incoming>, target: &Target, deadline: Instant) -> Outcome {
    let (head, body) = response.into_parts();
    let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = field(header::RETRY_AFTER).map(|text| cut(text.to_owned()));
    let note = (OutcomeClass::of_status(head.status.as_u16()) == OutcomeClass::Redirect)
        .then(|| redirect_note(head.status, field(header::LOCATION), target));
    let answer = read(body, deadline).await;
    Outcome { retry_after, note, ..Outcome::answered(head.status.as_u16(), answer) }
}

/// The first bytes of a body. A body that has not ended by then is dropped,
/// and its connection with it.
async fn read(mut body: Incoming, deadline: Instant) -> Vec<u8> {
    let mut kept = Vec::new();
    while kept.len() < ANSWER_LIMIT {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else { break };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_LIMIT - kept.len();
            kept.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    kept
}

/// Where a redirect pointed, without what could be secret in it.
fn redirect_note(status: StatusCode, location: Option<&str>, target: &Target) -> String {
    let Some(mut to) = location.and_then(|location| target.url.join(location).ok()) else {
        return format!("answer {} is a failure: redirects are not followed", status.as_u16());
    };
    to.set_query(None);
    to.set_fragment(None);
    // These fail only for URLs that can't have any.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    format!("redirect to {} not followed", cut(to.into()))
}

/// The first [`NOTE_LIMIT`] bytes, at a character's end.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(NOTE_LIMIT));
    text
}

#[cfg(test)]
mod tests;
