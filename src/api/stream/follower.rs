//! One client that follows: reads on in the journal when there is more, and hands
//! over what it found as long as the client takes it.
//!
//! Two pieces at most are ready for a client, one of them on its way; nothing is
//! read before both are taken. A piece that is not taken in time ends the stream.
//! So does a key that is no longer valid, an account that is gone, and the node's
//! end: the client comes back, and is judged anew.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::message;
use super::places::Taken;
use crate::api::App;
use crate::api::auth::Shown;
use crate::store::journal::{Follow, Followed};

/// Between two looks at the journal: what happens meanwhile comes together.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Something is sent this often at least, and the key looked at again.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a client may take for a piece.
const SLOWEST: Duration = Duration::from_secs(10);

/// A piece is handed over once it has so many bytes; a message is never cut.
const PIECE_BYTES: usize = 32 * 1024;

/// A client, and all that is known of it.
pub(super) struct Follower {
    pub(super) app: App,
    pub(super) shown: Shown,
    pub(super) follow: Follow,
    pub(super) told: watch::Receiver<i64>,
    /// Kept until the end.
    pub(super) _place: Taken,
}

/// Why a stream ended.
enum End {
    /// The client went, the node stops, the key or the account is gone.
    Over,
    /// The client does not read.
    Slow,
    /// The store does not answer.
    Store(crate::store::Error),
}

impl Follower {
    /// Begins with `first`; what the client is sent.
    pub(super) fn start(self, first: Followed) -> Pieces {
        let (out, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let (stopping, account) = ((self.app.stopping)(), self.follow.account);
            let ended = tokio::select! {
                biased;
                () = out.closed() => End::Over,
                end = self.run(first, &out) => end,
                () = stopping => End::Over,
            };
            match ended {
                End::Over => {}
                End::Slow => {
                    tracing::info!(%account, "a client of the stream does not read, so it was cut; it can resume");
                }
                End::Store(error) => {
                    tracing::warn!(%account, %error, "a stream ended, since the store did not answer; it can be resumed");
                }
            }
        });
        Pieces(pieces)
    }

    async fn run(mut self, first: Followed, out: &mpsc::Sender<Bytes>) -> End {
        let mut step = first;
        let mut sent = Instant::now();
        let mut judged = sent;
        // Not the place behind what is only about to be sent.
        let begins = self.follow.after.unwrap_or(step.next);
        if let Err(end) = send(out, message::opening(begins)).await {
            return end;
        }
        loop {
            let looked = Instant::now();
            let more = step.more;
            self.follow.after = Some(step.next);
            match self.pass_on(step, out).await {
                Ok(true) => sent = Instant::now(),
                Ok(false) => {}
                Err(end) => return end,
            }
            sleep_until(looked + BETWEEN_LOOKS).await;
            if !more && !self.waits(sent.min(judged) + HEARTBEAT).await {
                return End::Over;
            }
            if judged.elapsed() >= HEARTBEAT {
                judged = Instant::now();
                if !self.shown.still_holds(&self.app, self.follow.account).await {
                    return End::Over;
                }
            }
            step = match self.app.store.follow(self.follow.clone()).await {
                Ok(Some(step)) => step,
                Ok(None) => return End::Over,
                Err(error) => return End::Store(error),
            };
            if step.items.is_empty() && sent.elapsed() >= HEARTBEAT {
                sent = Instant::now();
                if let Err(end) = send(out, message::heartbeat(step.next)).await {
                    return end;
                }
            }
        }
    }

    /// Waits until there may be more, or `until`; false if there never will be.
    async fn waits(&mut self, until: Instant) -> bool {
        tokio::select! {
            biased;
            changed = self.told.changed() => changed.is_ok(),
            () = sleep_until(until) => true,
        }
    }

    /// Hands over what a step found; whether that was anything.
    async fn pass_on(&self, step: Followed, out: &mpsc::Sender<Bytes>) -> Result<bool, End> {
        let any = !step.items.is_empty();
        let mut piece = String::new();
        for (place, news) in step.items {
            message::write(&mut piece, place, news);
            if piece.len() >= PIECE_BYTES {
                send(out, std::mem::take(&mut piece)).await?;
            }
        }
        if !piece.is_empty() {
            send(out, piece).await?;
        }
        Ok(any)
    }
}

async fn send(out: &mpsc::Sender<Bytes>, piece: String) -> Result<(), End> {
    match timeout(SLOWEST, out.send(piece.into())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Over),
        Err(_) => Err(End::Slow),
    }
}

/// What the client is sent, piece by piece.
pub(super) struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
