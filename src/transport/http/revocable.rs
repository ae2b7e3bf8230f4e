//! A connection that obeys the rules of today, not only those of the day it was
//! made. When they change it is judged anew, as if it were to be made now; is it
//! refused, it ends at that moment, whether it is idle or in use, and not a byte
//! more goes out on it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::policy::address::{Refusal, Rules, Target};

/// The kind of the error that a revoked connection ends with. HTTP/2 keeps of an
/// error its kind and its words only; the system's errors have no words of ours.
const REVOKED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// A TCP connection that ends when it is not allowed any more.
pub(super) struct Revocable {
    tcp: TcpStream,
    rules: watch::Receiver<Arc<Rules>>,
    revoked: Pin<Box<dyn Future<Output = Refusal> + Send>>,
    /// Whom `revoked` wakes.
    waiting: Option<Waker>,
    /// Why it has ended.
    refusal: Option<Refusal>,
}

impl Revocable {
    /// `rules` have not been looked at since what `tcp` was judged by.
    pub(super) fn new(
        tcp: TcpStream,
        target: &Target,
        ends: (SocketAddr, SocketAddr),
        rules: watch::Receiver<Arc<Rules>>,
    ) -> Self {
        let revoked = Box::pin(revoked(target.url.to_string(), ends, rules.clone()));
        Self { tcp, rules, revoked, waiting: None, refusal: None }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.refusal.is_none() && self.has_news(cx) {
            self.judge(cx);
        }
        self.refusal.map_or(Ok(()), |refusal| Err(io::Error::new(REVOKED, refusal)))
    }

    /// Whether the rules have changed, or another task waits for that now. Each
    /// read and write asks; mostly this is one look at a number.
    fn has_news(&self, cx: &Context<'_>) -> bool {
        let waits = self.waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        !waits || self.rules.has_changed().unwrap_or(false)
    }

    fn judge(&mut self, cx: &mut Context<'_>) {
        self.rules.mark_unchanged();
        self.waiting = Some(cx.waker().clone());
        if let Poll::Ready(refusal) = self.revoked.as_mut().poll(cx) {
            tracing::debug!(%refusal, "a connection is closed: the address rules have changed");
            self.refusal = Some(refusal);
        }
    }
}

/// Waits until the rules refuse a connection to `url` between these ends.
async fn revoked(
    url: String,
    (local, peer): (SocketAddr, SocketAddr),
    mut rules: watch::Receiver<Arc<Rules>>,
) -> Refusal {
    while rules.changed().await.is_ok() {
        let rules = Arc::clone(&rules.borrow_and_update());
        let judged = rules.judge_url(&url).map(drop);
        let judged = judged.and_then(|()| rules.judge_ip(peer.ip(), peer.port()));
        if let Err(refusal) = judged.and_then(|()| rules.judge_connection(local, peer)) {
            return refusal;
        }
    }
    std::future::pending().await
}

/// Why a connection ended, if it is that the rules had changed.
pub(super) fn refusal(error: &io::Error) -> Option<Refusal> {
    error.get_ref()?.downcast_ref().copied()
}

/// The same in words, whatever the error came through.
pub(super) fn refused(error: &io::Error) -> Option<String> {
    error.get_ref().filter(|_| error.kind() == REVOKED).map(ToString::to_string)
}

impl AsyncRead for Revocable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Revocable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
