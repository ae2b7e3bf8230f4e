//! A client on raw TCP that sends what it is told to: cut, broken, smuggled or
//! flooding, as no well-formed client could. It writes and reads at once, so an
//! answer that comes before the end of a request is not lost to a reset.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that has not closed by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back on a connection.
#[derive(Debug)]
pub struct Said {
    /// Everything, as it came.
    pub bytes: Vec<u8>,
    /// How much of what was to be sent was taken.
    pub taken: usize,
}

/// An answer in HTTP/1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The head, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Said {
    /// The answers of HTTP/1, in order. Panics at what is none.
    pub fn answers(&self) -> Vec<Answer> {
        let mut rest = &self.bytes[..];
        let mut answers = Vec::new();
        while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            let body = rest[end + 4..][..length].to_vec();
            rest = &rest[end + 4 + length..];
            answers.push(Answer { status: status.unwrap_or_else(|| panic!("{head}")), head, body });
        }
        assert!(rest.is_empty(), "no answer: {}", String::from_utf8_lossy(rest));
        answers
    }

    /// The statuses of HTTP/1, in order.
    pub fn statuses(&self) -> Vec<u16> {
        self.answers().iter().map(|answer| answer.status).collect()
    }
}

/// Sends `pieces` one by one on a connection of their own, and reads until the
/// server closes.
pub async fn say<'a>(at: SocketAddr, pieces: impl IntoIterator<Item = &'a [u8]>) -> Said {
    let stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        let mut taken = 0;
        for piece in pieces {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            taken += piece.len();
        }
        // Kept open: closing is the server's part.
        (taken, writer)
    };
    let reading = async {
        let mut bytes = Vec::new();
        // A reset ends a connection as well as a goodbye.
        let _ = reader.read_to_end(&mut bytes).await;
        bytes
    };
    let both = async { tokio::join!(writing, reading) };
    let ((taken, _writer), bytes) = timeout(PATIENCE, both).await.expect("the server closes in time");
    Said { bytes, taken }
}

/// Frames of HTTP/2, by hand.
pub mod h2 {
    /// What a client begins with.
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;

    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    /// `GET / HTTP/2` of `http://a`, compressed by the static table alone.
    pub const GET: &[u8] = b"\x82\x86\x84\x41\x01a";

    /// The same as a POST.
    pub const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// The preface and settings of these (identifier, value) pairs.
    pub fn hello(settings: &[(u16, u32)]) -> Vec<u8> {
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let settings: Vec<u8> = settings.iter().flat_map(pair).collect();
        [PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()
    }
}
