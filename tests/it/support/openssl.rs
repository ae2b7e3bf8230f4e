//! A server of another make: `openssl s_server`, for what the TLS library of
//! these tests has not or would not do.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::certs::Identity;

/// What is not said by then is never said.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server process; killed when dropped.
pub struct OpenSsl {
    pub at: SocketAddr,
    child: Child,
    typed: ChildStdin,
    said: Receiver<String>,
    file: PathBuf,
}

impl OpenSsl {
    /// Starts a server with this certificate and these options.
    pub fn serves(identity: &Identity, options: &[&str]) -> Self {
        let file = identity.file();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0"]).arg("-cert").arg(&file).arg("-key").arg(&file);
        // For the name that `-servername` gives.
        command.arg("-cert2").arg(&file).arg("-key2").arg(&file);
        command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl is there; hint: apt-get install openssl");
        let (sender, said) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let typed = child.stdin.take().unwrap();
        let mut server = Self { at: "127.0.0.1:0".parse().unwrap(), child, typed, said, file };
        server.at = server.says("ACCEPT ").trim_start_matches("ACCEPT ").parse().unwrap();
        server
    }

    /// The next line that begins with `start`.
    pub fn says(&self, start: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("openssl never says {start}: {error}"));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Types this: a command, or what is sent to the client.
    pub fn types(&mut self, text: &str) {
        // The server may be gone.
        let _ = self.typed.write_all(text.as_bytes()).and_then(|()| self.typed.flush());
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}
