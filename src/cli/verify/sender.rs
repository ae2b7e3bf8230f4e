//! One request over a connection of its own, to the address that was given and nowhere else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::{HeaderValue, Request};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use url::Url;

use super::super::{Exit, Failure};
use super::letter::{Letter, Posted};
use crate::transport::tls;

/// As long as a real attempt has, and the slow delivery needs.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a receiver answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// With a status, so long after the last byte of the body could be sent.
    Status(u16, Duration),
    /// The connection was closed before there was an answer.
    Closed,
    /// Not within fifteen seconds.
    Silent,
    /// There was no connection.
    Unreachable(String),
}

/// Sends letters to one address.
pub(super) struct Sender {
    url: Url,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authorization: Option<HeaderValue>,
}

impl Sender {
    pub(super) fn new(
        url: Url,
        tls: &Arc<ClientConfig>,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, Failure> {
        let no_host = || Failure::new(Exit::Usage, format!("{url} names no host"));
        let host = url.host_str().ok_or_else(no_host)?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or_else(no_host)?;
        let tls = if url.scheme() == "https" {
            let mut config = ClientConfig::clone(tls);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let name = ServerName::try_from(host.clone()).map_err(|_| no_host())?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self { url, host, port, tls, authorization })
    }

    /// Host and port.
    pub(super) fn host(&self) -> String {
        format!("{} at port {}", self.host, self.port)
    }

    pub(super) async fn send(&self, letter: Letter) -> Answer {
        timeout(PATIENCE, self.exchange(letter.post())).await.unwrap_or(Answer::Silent)
    }

    async fn exchange(&self, posted: Posted) -> Answer {
        let unreachable = |error: std::io::Error| Answer::Unreachable(error.to_string());
        let stream = match TcpStream::connect((self.host.as_str(), self.port)).await {
            Ok(stream) => stream,
            Err(error) => return unreachable(error),
        };
        match &self.tls {
            None => self.converse(TokioIo::new(stream), posted).await,
            Some((connector, name)) => match connector.connect(name.clone(), stream).await {
                Ok(stream) => self.converse(TokioIo::new(stream), posted).await,
                Err(error) => Answer::Unreachable(failed_tls(&error)),
            },
        }
    }

    async fn converse(&self, stream: impl Read + Write + Unpin + Send, posted: Posted) -> Answer {
        let Ok((mut requests, connection)) = http1::handshake(stream).await else { return Answer::Closed };
        let Ok(request) = self.request(posted) else { return Answer::Closed };
        let sent = request.body().last_part_after();
        let began = Instant::now();
        let mut connection = std::pin::pin!(connection);
        let answered = async {
            let mut answer = std::pin::pin!(requests.send_request(request));
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                // The connection's end may still bring the answer that it had read.
                _ = &mut connection => answer.await,
            }
        };
        match answered.await {
            Ok(answer) => Answer::Status(answer.status().as_u16(), began.elapsed().saturating_sub(sent)),
            Err(_) => Answer::Closed,
        }
    }

    fn request(&self, posted: Posted) -> Result<Request<Parts>, axum::http::Error> {
        let target = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let host = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut request = Request::post(target)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_LENGTH, posted.body.len());
        for (name, value) in &posted.headers {
            request = request.header(*name, value);
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Parts::new(posted))
    }
}

/// Why there is no TLS, in the words in which an owner is told of it.
fn failed_tls(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), |inner| tls::reason(inner).to_owned())
}

/// How many parts a body is sent in.
const PARTS: usize = 4;

/// A body in parts, with a pause before each but the first.
struct Parts {
    left: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Parts {
    fn new(posted: Posted) -> Self {
        let size = posted.body.len().div_ceil(PARTS).max(1);
        let body = Bytes::from(posted.body);
        let cuts = (0..body.len()).step_by(size);
        let left = cuts.map(|at| body.slice(at..(at + size).min(body.len()))).collect();
        Self { left, pause: posted.pause, waiting: None }
    }

    fn last_part_after(&self) -> Duration {
        self.pause * u32::try_from(self.left.len().saturating_sub(1)).unwrap_or(0)
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
        }
        self.waiting = (!self.pause.is_zero()).then(|| Box::pin(sleep(self.pause)));
        Poll::Ready(self.left.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.left.iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}
