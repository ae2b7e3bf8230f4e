//! Reading a request's body whole, within a limit and a deadline. The bytes
//! are those that were sent: nothing is inflated, so there is no bomb.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::Bytes;
use http_body_util::BodyExt;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is, or says it is, too long (413).
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The most bytes it may have.
        limit: usize,
    },
    /// It is compressed or otherwise encoded (415).
    #[error("the body must not be compressed or otherwise encoded")]
    Encoding,
    /// It did not arrive in time (408).
    #[error("the body did not arrive in time")]
    Timeout,
    /// There is no memory for what arrives (503).
    #[error("too much is being received at once; try again shortly")]
    NoRoom,
    /// It ended early, or is no valid body; there is nobody left to answer.
    #[error("the body ended early")]
    Broken,
}

/// What is set aside for a body at first. It grows with what arrives, not with
/// what is announced.
const FIRST_BYTES: usize = 64 * 1024;

/// Reads `body` to its end: at most `limit` bytes, in at most `deadline`.
/// What is refused for its headers is refused before a byte is read.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
) -> Result<Bytes, BodyError> {
    read_with_room(headers, body, limit, deadline, |_| true).await
}

/// Like [`read`], asking `room` for each piece that has arrived whether there is
/// memory for it: what is only announced takes none.
pub async fn read_with_room(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Duration,
    room: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    if !is_plain(headers) {
        return Err(BodyError::Encoding);
    }
    let announced = announced(headers).max(body.size_hint().lower());
    let announced = usize::try_from(announced).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let reading = collect(body, limit, announced, room);
    tokio::time::timeout(deadline, reading).await.unwrap_or(Err(BodyError::Timeout))
}

/// Copies piece by piece: a list of pieces would let one-byte pieces take many
/// times the limit. What is set aside doubles, up to what is announced: a long
/// body ends up with no more than its length.
async fn collect(
    mut body: Body,
    limit: usize,
    announced: usize,
    mut room: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    let mut bytes = Vec::with_capacity(announced.min(FIRST_BYTES));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue; // Trailers.
        };
        if data.len() > limit - bytes.len() {
            return Err(BodyError::TooLarge { limit });
        }
        if !room(data.len()) {
            return Err(BodyError::NoRoom);
        }
        let needed = bytes.len() + data.len();
        if needed > bytes.capacity() {
            let doubled = (2 * bytes.capacity()).min(announced);
            bytes.reserve_exact(doubled.max(needed) - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether no encoding but `identity` is named.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value.to_str().is_ok_and(|text| {
            text.split(',')
                .map(str::trim)
                .all(|name| name.is_empty() || name.eq_ignore_ascii_case("identity"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::http::HeaderValue;
    use hyper::body::Frame;
    use tokio::time::Interval;

    /// A byte at each tick, or nothing at all, for ever.
    struct Endless(Option<Interval>);

    impl Endless {
        fn silent() -> Self {
            Self(None)
        }
    }

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let tick = self.0.as_mut().map_or(Poll::Pending, |every| every.poll_tick(cx));
            tick.map(|_| Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    const LONG: Duration = Duration::from_mins(1);

    fn headers(name: &axum::http::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[tokio::test]
    async fn a_body_at_the_limit_is_read_and_one_byte_more_is_not() {
        let whole = read(&HeaderMap::new(), Body::from("12345"), 5, LONG).await;
        assert_eq!(whole.unwrap(), "12345");
        let more = read(&HeaderMap::new(), Body::from("123456"), 5, LONG).await;
        assert_eq!(more, Err(BodyError::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_a_byte_is_read() {
        let announced = headers(&CONTENT_LENGTH, &["6"]);
        assert_eq!(
            read(&announced, Body::new(Endless::silent()), 5, LONG).await,
            Err(BodyError::TooLarge { limit: 5 })
        );
    }

    #[tokio::test]
    async fn only_identity_counts_as_no_encoding() {
        for values in [&["identity"][..], &["Identity, identity"], &[""], &[]] {
            let read = read(&headers(&CONTENT_ENCODING, values), Body::from("x"), 5, LONG).await;
            assert!(read.is_ok(), "{values:?}");
        }
        for values in [&["gzip"][..], &["identity, br"], &["identity", "deflate"], &["x-custom"]] {
            let read = read(&headers(&CONTENT_ENCODING, values), Body::from("x"), 5, LONG).await;
            assert_eq!(read, Err(BodyError::Encoding), "{values:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_covers_the_whole_body_however_steadily_it_comes() {
        let body = Body::new(Endless(Some(tokio::time::interval(Duration::from_millis(10)))));
        let read = read(&HeaderMap::new(), body, 1 << 20, Duration::from_secs(1)).await;
        assert_eq!(read, Err(BodyError::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_end_is_read_up_to_the_limit_only() {
        let body = Body::new(Endless(Some(tokio::time::interval(Duration::from_millis(10)))));
        assert_eq!(read(&HeaderMap::new(), body, 5, LONG).await, Err(BodyError::TooLarge { limit: 5 }));
    }
}
