//! The way in: accepts connections, bounds what each may take, and ends them
//! all when told to.
//!
//! A connection is a place out of `max_connections`; while none is free,
//! nothing is accepted and the system's queue holds who comes. A place is kept
//! by making progress only: `pulse` cuts who neither has a request answered
//! nor takes an answer, in whichever protocol and state.

pub mod body;
mod pulse;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::Service;

use crate::telemetry::Metrics;
use pulse::{Endless, Pulse, Watched};

/// How much the server takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once.
    pub max_connections: usize,
    /// For a request's headers; and how long a connection may make no progress
    /// while no request of it is being answered.
    pub header_timeout: Duration,
    /// For connections to end once `shutdown` is true.
    pub drain_timeout: Duration,
}

/// Bytes of a request's head, HTTP/1. Its count of headers is held at 100 by
/// hyper; beyond either the answer is 431.
const HEAD_BYTES: usize = 64 * 1024;
/// Bytes of a request's headers, HTTP/2.
const HEADER_LIST_BYTES: u32 = 32 * 1024;
/// Requests at once on a connection, HTTP/2.
const STREAMS: u32 = 64;
/// Streams reset before they were answered, HTTP/2 (rapid reset).
const RESET_STREAMS: usize = 20;
/// Body bytes on their way to handlers, and answer bytes on their way out, per
/// connection, HTTP/2.
const WINDOW_BYTES: u32 = 256 * 1024;
const SEND_BYTES: usize = 256 * 1024;
/// How often an HTTP/2 peer is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to say so.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// Waits after a failed accept, so that a full table of descriptors is no
/// reason to spin.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves `router` until `shutdown` is true (or its sender is gone), then lets
/// requests under way end, for at most `limits.drain_timeout`, and returns.
/// What is left then is cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    mut shutdown: watch::Receiver<bool>,
) {
    let http = Arc::new(http(&limits));
    let mut gate = Gate { places: Arc::new(Semaphore::new(limits.max_connections)), pause: FIRST_PAUSE };
    let mut connections = JoinSet::new();
    loop {
        let stopping = shutdown.clone();
        let (stream, place) = tokio::select! {
            biased;
            () = stopped(&mut shutdown) => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = gate.accept(&listener) => accepted,
        };
        let (http, router, counted) = (Arc::clone(&http), router.clone(), metrics.connection());
        connections.spawn(async move {
            connection(stream, &http, router, limits.header_timeout, stopping).await;
            drop((place, counted));
        });
    }
    // From here on the system refuses who comes.
    drop(listener);
    drain(connections, limits.drain_timeout).await;
}

async fn drain(mut connections: JoinSet<()>, within: Duration) {
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(within, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections did not end in time and are cut off");
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a handler panicked; its connection is closed");
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone: nobody could stop this later.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .keep_alive(true)
        // Who says that no more will come is answered all the same.
        .half_close(true)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}

/// Lets connections in, as many as there are places.
struct Gate {
    places: Arc<Semaphore>,
    pause: Duration,
}

impl Gate {
    /// The next connection, with its place. May be dropped at any await.
    async fn accept(&mut self, listener: &TcpListener) -> (TcpStream, OwnedSemaphorePermit) {
        loop {
            let places = Arc::clone(&self.places);
            let place = places.acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.pause = FIRST_PAUSE;
                    return (stream, place);
                }
                // That one connection failed before it was accepted.
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    // Said once, not at each try.
                    if self.pause == FIRST_PAUSE {
                        tracing::warn!(%error, "connections can't be accepted for now");
                    }
                    let pause = self.pause;
                    self.pause = (pause * 2).min(LONGEST_PAUSE);
                    drop(place);
                    sleep(pause).await;
                }
            }
        }
    }
}

/// Whether an error of accept is about the one connection, not about us.
fn concerns_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

/// Serves one connection to its end, or until it makes no progress for `idle`.
async fn connection(
    stream: TcpStream,
    http: &Builder<TokioExecutor>,
    router: Router,
    idle: Duration,
    mut shutdown: watch::Receiver<bool>,
) {
    // Answers are small and whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it was served");
        return;
    }
    let pulse = Arc::new(Pulse::new());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&pulse)));
    let beating = Arc::clone(&pulse);
    let service = hyper::service::service_fn(move |request| answer(router.clone(), request, &beating));
    let connection = http.serve_connection(io, service);
    let cut_off = sleep_until(Instant::now() + idle);
    tokio::pin!(connection, cut_off);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = stopped(&mut shutdown), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = cut_off.as_mut() => {
                let now = Instant::now();
                let next = pulse.still_since().unwrap_or(now) + idle;
                if next > now {
                    cut_off.as_mut().reset(next);
                } else if closing {
                    tracing::debug!("a connection made no progress and is cut off");
                    return;
                } else {
                    // Says goodbye first, and once more waits as long.
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                    cut_off.as_mut().reset(now + idle);
                }
            }
        }
    }
}

fn answer(
    mut router: Router,
    request: Request<Incoming>,
    pulse: &Arc<Pulse>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let beat = pulse.begin();
    async move {
        let Ok(answer) = router.call(request).await;
        if answer.body().size_hint().upper().is_none() {
            return Ok(answer.map(|body| Body::new(Endless::new(body, beat))));
        }
        beat.answered(answer.body().size_hint().lower());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_one_connection_are_passed_over_without_a_pause() {
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        const ECONNABORTED: i32 = 103;
        assert!(concerns_one(&io::Error::from_raw_os_error(ECONNABORTED)));
        assert!(!concerns_one(&io::Error::from_raw_os_error(EMFILE)));
        assert!(!concerns_one(&io::Error::from_raw_os_error(ENFILE)));
    }
}
