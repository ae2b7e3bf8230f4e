//! Following what happens while servers restart and receivers are down: nothing is
//! missing, nothing comes twice.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::Shell;
use crate::process::running::{Listening, PATIENCE, Running};

/// Waits until it is so.
pub(super) async fn awaits(is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("it never is so");
}

/// A command that goes on, and what it says on either side.
struct Going {
    child: Child,
    out: mpsc::Receiver<String>,
    err: mpsc::Receiver<String>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Its next line of data.
    fn prints(&self) -> String {
        tokio::task::block_in_place(|| self.out.recv_timeout(PATIENCE).expect("it prints nothing"))
    }

    /// Waits until it says that, beside the data.
    fn says(&self, text: &str) -> String {
        tokio::task::block_in_place(|| {
            loop {
                let line =
                    self.err.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not say {text}"));
                if line.contains(text) {
                    return line;
                }
            }
        })
    }

    /// Ends it as Ctrl-C does: what it has begun is done to the end.
    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let ended = tokio::task::block_in_place(|| self.child.wait()).unwrap();
        assert_eq!(ended.code(), Some(0));
    }

    /// The numbers of its next events, and that these are all.
    fn numbers(&self, count: usize) -> Vec<String> {
        let number = |line: String| {
            let line: Value = serde_json::from_str(&line).unwrap();
            let event = line.get("event").unwrap_or(&line);
            event["phoneNumber"].as_str().unwrap().to_owned()
        };
        (0..count).map(|_| number(self.prints())).collect()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (print, lines) = mpsc::channel();
    // It ends with the process.
    std::thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| print.send(line))
    });
    lines
}

impl Shell {
    /// A command with a cursor file, once it follows.
    async fn following(&self, arguments: &[&str]) -> Going {
        let going = Going::start(self.command(&[arguments, &["--cursor-file", "cursor"]].concat()));
        let cursor = self.file("cursor");
        awaits(|| cursor.exists()).await;
        going
    }

    /// The server dies, and another one comes back where it was.
    fn restart(&mut self) {
        let listen = self.running.base.trim_start_matches("http://").to_owned();
        self.running.kill();
        self.running = Running::start(self.directory.path(), &[("BELLWETHER_SERVER__LISTEN", &listen)]);
    }
}

/// Numbers of their own: what is lost or doubled shows.
fn number(n: usize) -> String {
    format!("1555000{n:04}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_goes_on_behind_its_last_line_after_a_restart_of_the_server_and_of_itself() {
    let mut shell = Shell::start(None).await;
    let tail = shell.following(&["events", "tail", "--json"]).await;
    for n in 0..5 {
        shell.change(&number(n), "TIER_1K").await;
    }
    assert_eq!(tail.numbers(5), (0..5).map(number).collect::<Vec<_>>());
    shell.restart();
    // While it looks for the server, and after it has found it.
    for n in 5..10 {
        shell.change(&number(n), "TIER_1K").await;
    }
    assert_eq!(tail.numbers(5), (5..10).map(number).collect::<Vec<_>>());
    tail.says("going on where it was");
    tail.says("connected again");
    tail.interrupt();
    for n in 10..15 {
        shell.change(&number(n), "TIER_1K").await;
    }
    let tail = shell.following(&["events", "tail", "--json"]).await;
    assert_eq!(tail.numbers(5), (10..15).map(number).collect::<Vec<_>>());
    // What is asked for only.
    let one = Going::start(shell.command(&[
        "events",
        "tail",
        "--phone-number",
        &number(16),
        "--cursor-file",
        "one",
    ]));
    awaits(|| shell.file("one").exists()).await;
    for n in 15..17 {
        shell.change(&number(n), "TIER_1K").await;
    }
    assert!(one.prints().contains(&number(16)));
    assert_eq!(tail.numbers(2), [number(15), number(16)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_of_deliveries_tells_each_attempt_as_it_ends() {
    let receiver = Listening::start().await;
    let shell = Shell::start(Some(&receiver.url)).await;
    let tail = shell.following(&["deliveries", "tail"]).await;
    shell.change(&number(1), "TIER_1K").await;
    let line = super::steady(&tail.prints());
    assert_eq!(line, "0000-00-00T00:00:00.00Z  15550000001  16384  delivered  attempt 1  success 200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listen_brings_every_event_to_a_receiver_that_is_down_for_a_while_signed_and_in_order() {
    let receiver = Listening::start().await;
    let mut shell = Shell::start(None).await;
    // Nothing listens there yet.
    let (down, port) = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        (format!("http://127.0.0.1:{port}/hook"), port)
    };
    let listen = shell.following(&["listen", "--forward-to", &down, "--json"]).await;
    listen.says("made for this run");
    for n in 0..3 {
        shell.change(&number(n), "TIER_1K").await;
    }
    listen.says("was not taken at attempt 1: Connection refused");
    shell.restart();
    for n in 3..6 {
        shell.change(&number(n), "TIER_1K").await;
    }
    let late = Listening::start_at(port).await;
    assert_eq!(listen.numbers(6), (0..6).map(number).collect::<Vec<_>>());
    assert_eq!(
        late.arrived().iter().map(|arrived| arrived.number.clone()).collect::<Vec<_>>(),
        (0..6).map(number).collect::<Vec<_>>()
    );
    // It ends, what happens meanwhile waits for it, and goes elsewhere.
    listen.interrupt();
    for n in 6..8 {
        shell.change(&number(n), "TIER_1K").await;
    }
    let again = shell.following(&["listen", "--forward-to", &receiver.url, "--json"]).await;
    assert_eq!(again.numbers(2), [number(6), number(7)]);
    assert_eq!(receiver.arrived().len(), 2, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_listen_forwards_is_signed_as_the_server_signs_and_its_own_receiver_tells_forgeries() {
    let shell = Shell::start(None).await;
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    std::fs::write(shell.file("secret"), secret).unwrap();
    std::fs::write(shell.file("other"), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let at = Going::start(shell.command(&["listen", "--at", "127.0.0.1:0", "--secret-file", "secret"]));
    let told = at.says("webhooks are received at");
    let url = format!("{}/anywhere", told.rsplit(' ').next().unwrap());
    let good = shell.following(&["listen", "--forward-to", &url, "--secret-file", "secret"]).await;
    shell.change(&number(1), "TIER_1K").await;
    let line = super::steady(&at.prints());
    assert_eq!(line, "00000000-0000-0000-0000-000000000000  sequence 1  attempt 1  genuine  -> 204");
    assert!(good.prints().contains("-> 204 in "));
    good.interrupt();
    let forged = Going::start(shell.command(&[
        "listen",
        "--forward-to",
        &url,
        "--secret-file",
        "other",
        "--cursor-file",
        "forged",
    ]));
    awaits(|| shell.file("forged").exists()).await;
    shell.change(&number(2), "TIER_1K").await;
    assert!(at.prints().contains("REFUSED"), "it is not taken");
    forged.says("was not taken at attempt 1: it answered 401 Unauthorized");
}
