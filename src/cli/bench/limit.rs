//! The limit: the least that a forwarder of notifications can do. It accepts,
//! answers 200 and posts the body on, on the same HTTP library in both
//! directions as the server, in a process of its own. It verifies nothing,
//! reads nothing, keeps nothing: what it costs is HTTP and the kernel.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::cli::{Exit, Failure, runtime};

/// Posts to one target at once: as many as the server makes to one webhook.
const AT_ONCE: usize = 16;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to post on to, in turn
    #[arg(required = true)]
    to: Vec<Uri>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = arguments.to.iter().map(|uri| (uri.clone(), Arc::new(Semaphore::new(AT_ONCE))));
    let forwarder = Forwarder { targets: targets.collect(), turn: AtomicUsize::new(0), client: client() };
    runtime()?.block_on(serve(Arc::new(forwarder)))
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

struct Forwarder {
    targets: Vec<(Uri, Arc<Semaphore>)>,
    turn: AtomicUsize,
    client: Client<HttpConnector, Full<Bytes>>,
}

async fn serve(forwarder: Arc<Forwarder>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Listen, error);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    announce(listener.local_addr().map_err(failed)?);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream, Arc::clone(&forwarder)));
        }
    }
}

/// Says where it listens, as the server's log does.
fn announce(address: SocketAddr) {
    let _ = writeln!(std::io::stderr(), "{{\"address\":\"{address}\"}}");
}

async fn connection(stream: TcpStream, forwarder: Arc<Forwarder>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| take(request, Arc::clone(&forwarder)));
    // Broken connections are the other side's.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers as soon as the body is there; posting on comes after.
async fn take(
    request: Request<Incoming>,
    forwarder: Arc<Forwarder>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    if let Ok(body) = request.into_body().collect().await {
        tokio::spawn(async move { forwarder.post(body.to_bytes()).await });
    }
    Ok(Response::new(Empty::new()))
}

impl Forwarder {
    async fn post(&self, body: Bytes) {
        let (target, places) = &self.targets[self.turn.fetch_add(1, Relaxed) % self.targets.len()];
        let Ok(_place) = places.acquire().await else { return };
        let request = Request::post(target).header("content-type", "application/json").body(Full::new(body));
        // A failed post is lost: this forwarder promises nothing.
        let Ok(request) = request else { return };
        if let Ok(answer) = self.client.request(request).await {
            let _ = answer.into_body().collect().await;
        }
    }
}
