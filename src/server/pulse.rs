//! Whether a connection gets anywhere. hyper's header timeout begins with the
//! first bytes of HTTP/1: it misses a connection that sends nothing, or half
//! the preface of HTTP/2, or HTTP/2 without requests, or that takes no answer.
//! Here progress is a request being answered or bytes of an answer leaving. Bytes
//! that arrive are none, as they may arrive one by one for ever; neither are bytes
//! that leave while no answer is owed: HTTP/2 says something back to every ping.
//! An answer without an end in sight is being made for as long as it has nothing
//! more to give; once it has given something, that must leave.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The progress of a connection.
pub(super) struct Pulse(Mutex<State>);

struct State {
    /// Requests whose answer is being made.
    answering: usize,
    /// Bytes of answers that have not left yet, heads not counted.
    owed: u64,
    /// The last progress.
    last: Instant,
}

impl Pulse {
    pub fn new() -> Self {
        Self(Mutex::new(State { answering: 0, owed: 0, last: Instant::now() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is being answered for as long as the result lives.
    pub fn begin(self: &Arc<Self>) -> Beat {
        self.state().answering += 1;
        Beat(Arc::clone(self))
    }

    /// Since when there is no progress; `None` while a request is being
    /// answered.
    pub fn still_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.answering == 0).then_some(state.last)
    }
}

/// A request that is being answered.
pub(super) struct Beat(Arc<Pulse>);

impl Beat {
    /// The answer is made, and so many bytes of it are to leave.
    pub fn answered(self, bytes: u64) {
        let mut state = self.0.state();
        state.owed = state.owed.saturating_add(bytes);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answering = state.answering.saturating_sub(1);
        state.last = Instant::now();
    }
}

/// An answer without an end in sight: whoever takes what it gives has progress,
/// and may wait for more as long as it likes.
pub(super) struct Endless {
    body: Body,
    pulse: Arc<Pulse>,
    /// While there is nothing to take.
    making: Option<Beat>,
}

impl Endless {
    pub fn new(body: Body, beat: Beat) -> Self {
        Self { body, pulse: Arc::clone(&beat.0), making: Some(beat) }
    }
}

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.making.is_none() {
            self.making = Some(self.pulse.begin());
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(ended) = &polled {
            let frame = ended.as_ref().and_then(|frame| frame.as_ref().ok());
            let bytes = frame.and_then(Frame::data_ref).map_or(0, Bytes::len);
            if let Some(beat) = self.making.take() {
                beat.answered(bytes as u64);
            }
        }
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose outgoing bytes count as progress while any are owed.
pub(super) struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
}

impl Watched {
    pub fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes @ 1..)) = written {
            let mut state = self.pulse.state();
            if state.owed > 0 {
                state.owed = state.owed.saturating_sub(bytes as u64);
                state.last = Instant::now();
            }
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
