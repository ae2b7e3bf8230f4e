//! A receiver on raw TCP that does whatever its script says: a well-formed
//! server could not reset, stall, or send garbage. And parts of such scripts.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What may take so long is broken: the bound of everything in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A listener on loopback whose connections play a script. Ends when dropped.
pub struct Hostile {
    pub at: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The head, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

/// The requests that a script has read.
pub type Log = Arc<Mutex<Vec<Received>>>;

impl Hostile {
    /// Plays `script` on each connection, in parallel.
    pub async fn plays<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream, Log) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::plays_at("127.0.0.1", script).await
    }

    async fn plays_at<F, Fut>(ip: &str, script: F) -> Self
    where
        F: Fn(TcpStream, Log) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind((ip, 0)).await.unwrap(), script)
    }

    /// The same on a listener that is there already.
    pub fn on<F, Fut>(listener: TcpListener, script: F) -> Self
    where
        F: Fn(TcpStream, Log) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let at = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Log::default();
        let (counter, log) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            let mut plays = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                plays.spawn(script(stream, Arc::clone(&log)));
            }
        });
        Self { at, connections, requests, task }
    }

    /// Answers every request with these bytes and keeps the connection.
    pub async fn answers(answer: impl Into<Vec<u8>>) -> Self {
        Self::answers_at("127.0.0.1", answer).await
    }

    /// The same at another of loopback's addresses.
    pub async fn answers_at(ip: &str, answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::plays_at(ip, move |mut stream, log| {
            let answer = Arc::clone(&answer);
            async move { while serve(&mut stream, &log, &answer).await {} }
        })
        .await
    }

    /// Sends these bytes once a request is there, then closes.
    pub async fn says(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::plays(move |mut stream, log| {
            let bytes = Arc::clone(&bytes);
            async move {
                serve(&mut stream, &log, &bytes).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Hangs up on whoever comes, at any address of this machine.
    pub async fn everywhere() -> Self {
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(both_families) => both_families,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        Self::on(listener, |stream, _| async { drop(stream) })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many requests the script has read.
    pub fn received(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// What the script has read.
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request and answers it; false once the connection has ended.
pub async fn serve(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), log: &Log, answer: &[u8]) -> bool {
    receive(stream, log).await.is_some() && stream.write_all(answer).await.is_ok()
}

/// Reads a request with a `content-length`; `None` once the connection has
/// ended.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin), log: &Log) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().trim_end().to_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    let received = Received { head, body };
    log.lock().unwrap().push(received.clone());
    Some(received)
}

/// Writes the same bytes until the other side has had enough; how many went
/// into the connection.
pub async fn flood(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Ok(n) = stream.write(bytes).await {
        written += n;
    }
    written
}

/// Writes one byte every few milliseconds, for ever.
pub async fn drip(stream: &mut TcpStream, byte: u8) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while stream.write_all(&[byte]).await.is_ok() {
        ticks.tick().await;
    }
}

/// An address at which nobody accepts and as many wait as may: further requests
/// for a connection are ignored, as by a host that is gone.
pub struct Blackhole {
    pub at: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<std::net::TcpStream>,
}

/// Opens one.
pub fn blackhole() -> Blackhole {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // By the system's clock, as a test's own may stand still.
    while let Ok(connected) = std::net::TcpStream::connect_timeout(&at, Duration::from_millis(200)) {
        waiting.push(connected);
        assert!(waiting.len() < 100, "the backlog is bounded");
    }
    Blackhole { at, _listener: listener, _waiting: waiting }
}

/// Closes with a reset instead of a goodbye.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Waits until the other side has closed.
pub async fn until_closed(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

/// A 200 with this body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Runs what must end by itself.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this is bounded")
}
