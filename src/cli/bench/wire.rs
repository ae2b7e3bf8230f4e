//! HTTP/1.1 as the benchmark speaks it: whole messages with a `content-length`
//! on connections that stay. No library, because the load generator shares the
//! processor with what it measures.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection and what was read of it.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer was given out before.
    used: usize,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8 * 1024), used: 0 })
    }

    pub(super) async fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(to).await?)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message's head and body; `None` once the peer has closed.
    pub(super) async fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        self.buffer.drain(..self.used);
        self.used = 0;
        loop {
            if let Some((head, whole)) = frame(&self.buffer) {
                self.used = whole;
                return Ok(Some(self.buffer[..whole].split_at(head)));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a request and waits for its answer's status.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.write(request).await?;
        let answer = self.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        status(answer.0).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// The lengths of the first message's head and of all of it, if all is there.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let whole = head + content_length(&bytes[..head]);
    (bytes.len() >= whole).then_some((head, whole))
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let named = |line: &&[u8]| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME);
    let line = head.split(|byte| *byte == b'\n').find(named);
    line.and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()).unwrap_or(0)
}

/// The status of `HTTP/1.1 200 OK`.
fn status(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// Where `needle` is first found.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_once_its_body_is_there() {
        let message = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP";
        assert_eq!(frame(message), Some((38, 41)));
        assert_eq!(frame(&message[..40]), None);
        assert_eq!(frame(b"POST / HTTP/1.1\r\n\r\n"), Some((19, 19)));
        assert_eq!(status(message), Some(200));
    }

    #[test]
    fn the_first_of_what_is_looked_for_is_found() {
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aa", b"ab"), None);
    }
}
