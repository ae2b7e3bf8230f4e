//! A child process that listens: this same program, as a server or as the
//! forwarder that marks the limit.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child as Process, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::wire::Wire;
use crate::cli::{Exit, Failure};

/// How long it may take to listen, and to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The last lines of its log, for when it fails.
const LINES_KEPT: usize = 10;

/// A child process; killed when dropped.
pub(super) struct Child {
    process: Process,
    /// Where it listens.
    pub(super) address: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts this program with `arguments`, no environment, and waits until it
    /// says where it listens: a JSON line with an `address`.
    pub(super) async fn start(arguments: &[&OsStr]) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("no child process: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(failed)?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (said, address) = oneshot::channel();
        if let Some(errors) = process.stderr.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || follow(BufReader::new(errors), said, &log));
        }
        let found = tokio::time::timeout(PATIENCE, address).await.ok().and_then(Result::ok);
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = Self { process, address: found.unwrap_or(unset), log };
        match found {
            Some(_) => Ok(child),
            None => Err(child.failure("it does not listen")),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A failure that shows its last lines.
    pub(super) fn failure(&self, what: impl std::fmt::Display) -> Failure {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.iter().cloned().collect::<Vec<_>>().join("\n");
        Failure::new(Exit::Failed, format!("{what}; the process said:\n{lines}"))
    }

    /// Waits until `/readyz` says yes.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        const ASK: &[u8] = b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n";
        let asking = async {
            loop {
                if let Ok(mut wire) = Wire::connect(self.address).await
                    && let Ok(200) = wire.exchange(ASK).await
                {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.map_err(|_| self.failure("it does not get ready"))
    }

    /// Asks it to end and waits until it has.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            self.kill();
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Ok(None) = self.process.try_wait() {
            if tokio::time::Instant::now() > deadline {
                return Err(self.failure("it does not stop"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads its log to the end.
fn follow(errors: impl BufRead, said: oneshot::Sender<SocketAddr>, log: &Mutex<VecDeque<String>>) {
    let mut said = Some(said);
    for line in errors.lines().map_while(Result::ok) {
        if let Some(address) = address(&line)
            && let Some(said) = said.take()
        {
            let _ = said.send(address);
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_back(line);
        if log.len() > LINES_KEPT {
            log.pop_front();
        }
    }
}

fn address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("fields").unwrap_or(&line).get("address")?.as_str()?.parse().ok()
}
