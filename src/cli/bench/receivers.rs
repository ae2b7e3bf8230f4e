//! The receivers: one listener per host, each request noted and answered 200
//! at once, or, while its host hangs, never.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::wire::Wire;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Receivers on loopback; gone when dropped.
pub(super) struct Receivers {
    hosts: Vec<Host>,
    _listening: JoinSet<()>,
}

struct Host {
    url: String,
    hangs: Arc<AtomicBool>,
}

impl Receivers {
    /// So many hosts, which note what arrives in `ledger`.
    pub(super) async fn start(hosts: u32, ledger: &Arc<Ledger>) -> io::Result<Self> {
        let mut listening = JoinSet::new();
        let mut started = Vec::new();
        for _ in 0..hosts {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let host = Host {
                url: format!("http://{}/hook", listener.local_addr()?),
                hangs: Arc::new(AtomicBool::new(false)),
            };
            listening.spawn(listen(listener, Arc::clone(ledger), Arc::clone(&host.hangs)));
            started.push(host);
        }
        Ok(Self { hosts: started, _listening: listening })
    }

    /// Where the webhook of an account points to.
    pub(super) fn url(&self, account: u32) -> &str {
        &self.hosts[account as usize % self.hosts.len()].url
    }

    /// All URLs.
    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.url.as_str())
    }

    /// Whether the first so many hosts hang from now on: what they read
    /// meanwhile they never answer, nor note.
    pub(super) fn hang(&self, first: usize, hangs: bool) {
        self.hosts.iter().take(first).for_each(|host| host.hangs.store(hangs, Relaxed));
    }
}

async fn listen(listener: TcpListener, ledger: Arc<Ledger>, hangs: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(take(stream, Arc::clone(&ledger), Arc::clone(&hangs)));
                }
            }
        }
    }
}

async fn take(stream: TcpStream, ledger: Arc<Ledger>, hangs: Arc<AtomicBool>) {
    let Ok(mut wire) = Wire::new(stream) else { return };
    while let Ok(Some((_, body))) = wire.next().await {
        if hangs.load(Relaxed) {
            // Until the other side gives up.
            let _ = wire.next().await;
            return;
        }
        ledger.arrived(body);
        if wire.write(ANSWER).await.is_err() {
            return;
        }
    }
}
