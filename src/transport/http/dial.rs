//! The one place that opens connections: resolve, judge, connect, secure.
//!
//! The client hands over a URI with scheme, host and port. It is judged again
//! here, and host and port are taken from that judgement: so what is dialled
//! is what was judged, whatever the client's parser thinks. Dialled are the
//! addresses that came out of one resolution, each of them judged.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tower::Service;

use super::Limits;
use super::failure::{DialError, TooMuch, tls_error};
use super::revocable::{Revocable, refusal};
use crate::policy::address::{Refusal, Rules, Target};
use crate::transport::resolve::Resolver;
use crate::transport::tls;

/// What a receiver may say over HTTP/1 in answer to one request. More than any
/// answer that is read takes: a head, its body up to the limit, and what buffers
/// hold besides. It ends who announces an answer (1xx) for ever, which would cost a
/// processor until the deadline.
const LONGEST_SAID: usize = 1 << 20;

const NOT_IN_TIME: DialError = DialError::Connect("no connection in time");

/// ENFILE and EMFILE: no descriptor is left, in the system or in this process.
const NO_DESCRIPTOR: [i32; 2] = [23, 24];
const SHORTAGE_PAUSE: Duration = Duration::from_millis(50);

/// Opens connections for the pool.
#[derive(Clone)]
pub(super) struct Dialer(Arc<Shared>);

struct Shared {
    rules: watch::Receiver<Arc<Rules>>,
    resolver: Resolver,
    tls: TlsConnector,
    limits: Limits,
}

impl Dialer {
    pub(super) fn new(
        rules: watch::Receiver<Arc<Rules>>,
        resolver: Resolver,
        tls: Arc<ClientConfig>,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Shared { rules, resolver, tls: tls.into(), limits }))
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        // The pool may finish dialling for a later request when this one has
        // been served otherwise, so dialling is bounded by itself too.
        Box::pin(async move {
            let dialled = timeout(shared.limits.dial, shared.dial(&uri)).await;
            dialled.unwrap_or(Err(NOT_IN_TIME)).map(TokioIo::new)
        })
    }
}

impl Shared {
    async fn dial(&self, uri: &Uri) -> Result<Stream, DialError> {
        // What changes from here on, the connection looks at itself.
        let mut changing = self.rules.clone();
        let rules = Arc::clone(&changing.borrow_and_update());
        let target = rules.judge_url(&uri.to_string())?;
        let addresses = self.resolver.resolve(&rules, &target).await?;
        let (tcp, ends) = self.connect(&rules, &addresses).await?;
        let tcp = Revocable::new(tcp, &target, ends, changing);
        if target.https { self.secure(&target, tcp).await } else { Ok(Stream::plain(tcp)) }
    }

    /// The first address that lets itself be connected to. If none does, the
    /// error is the first one's: the others are likely of a family that this
    /// machine has no route for.
    async fn connect(&self, rules: &Rules, addresses: &[SocketAddr]) -> Result<(TcpStream, Ends), DialError> {
        let mut first = None;
        for address in addresses {
            match connect_one(*address, self.limits.connect).await {
                Ok(tcp) => {
                    let ends = ends(&tcp)?;
                    rules.judge_connection(ends.0, ends.1)?;
                    return Ok((tcp, ends));
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(NOT_IN_TIME))
    }

    async fn secure(&self, target: &Target, tcp: Revocable) -> Result<Stream, DialError> {
        let name = tls::server_name(&target.host).ok_or(DialError::Refused(Refusal::Name))?;
        let (secured, asked) = tls::noting(self.tls.connect(name, tcp)).await;
        let stream = secured.map_err(|error| {
            if let Some(refusal) = refusal(&error) {
                return DialError::Refused(refusal);
            }
            let reason = |error| tls::handshake_reason(error, asked);
            DialError::Tls(tls_error(&error).map_or("the TLS handshake was cut short", reason))
        })?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
        Ok(Stream { io: Box::new(stream), h2, said: 0 })
    }
}

/// A connection's two ends: here and there.
type Ends = (SocketAddr, SocketAddr);

fn ends(tcp: &TcpStream) -> Result<Ends, DialError> {
    match (tcp.local_addr(), tcp.peer_addr()) {
        (Ok(local), Ok(peer)) => Ok((local, peer)),
        _ => Err(DialError::Reset),
    }
}

async fn connect_one(address: SocketAddr, patience: Duration) -> Result<TcpStream, DialError> {
    let connected = timeout(patience, connect_when_possible(address)).await;
    let tcp = connected.map_err(|_| NOT_IN_TIME)?.map_err(|error| connect_error(&error))?;
    // A delivery is one small write that nothing follows: never wait to fill a packet.
    tcp.set_nodelay(true).map_err(|_| DialError::Reset)?;
    Ok(tcp)
}

/// Waits for a descriptor where there is none: that is our shortage, and no
/// failure of the receiver's.
async fn connect_when_possible(address: SocketAddr) -> io::Result<TcpStream> {
    loop {
        match TcpStream::connect(address).await {
            Err(error) if error.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) => {
                sleep(SHORTAGE_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

fn connect_error(error: &io::Error) -> DialError {
    let is = |kind| error.kind() == kind;
    if is(io::ErrorKind::ConnectionReset) {
        return DialError::Reset;
    }
    if is(io::ErrorKind::TimedOut) {
        return NOT_IN_TIME;
    }
    let refused = is(io::ErrorKind::ConnectionRefused);
    DialError::Connect(if refused { "the connection was refused" } else { "no connection" })
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open connection, plain or secured.
pub(super) struct Stream {
    io: Box<dyn Io>,
    h2: bool,
    /// Bytes read since the last were written.
    said: usize,
}

impl Stream {
    fn plain(tcp: Revocable) -> Self {
        Self { io: Box::new(tcp), h2: false, said: 0 }
    }

    /// Over HTTP/1 a request is written whole and then answered.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            self.said = 0;
        }
        written
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        if self.h2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut *self.io).poll_read(cx, buf);
        self.said = self.said.saturating_add(buf.filled().len() - before);
        if !self.h2 && self.said > LONGEST_SAID {
            return Poll::Ready(Err(io::Error::other(TooMuch)));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.io).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}
