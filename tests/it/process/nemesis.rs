//! What is done to a running server from outside: errors of its system calls
//! (strace), small disks (a tmpfs in a mount namespace), limits (prlimit),
//! signals. And what of it shows from outside: memory, descriptors, processor
//! time, metrics, refusals.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bellwether::env::Clock;
use bellwether::policy::signature::MetaKey;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::Instant;

use super::running::{Caller, PATIENCE, Running};
use crate::sim::world::{APP_SECRET, notification, upgrade};

/// Runs a command that must succeed.
pub(crate) fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", command.join(" "));
}

/// A process of ours; ended when dropped.
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// Changes system calls of the thread that writes, until dropped: `how` are
/// strace's arguments.
pub(crate) fn meddle(running: &Running, how: &[&str]) -> Ending {
    let writer = tasks(running).into_iter().find(|(_, name)| name == "store-writer").unwrap().0;
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "-p", &writer]).args(how);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("hint: apt-get install strace");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("attached"), "{first}");
    std::thread::spawn(move || lines.for_each(drop));
    Ending(child)
}

/// A process's threads: id and name.
pub(crate) fn tasks(running: &Running) -> Vec<(String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", running.child.id())).unwrap();
    tasks
        .filter_map(|task| {
            let path = task.unwrap().path();
            // A thread may end meanwhile.
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            Some((path.file_name()?.to_str()?.to_owned(), name.trim().to_owned()))
        })
        .collect()
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    run(&["kill", &format!("-{name}"), &pid.to_string()]);
}

/// A file system of its own size, seen by who is run by its prefix.
pub(crate) struct SmallDisk {
    holder: Child,
    place: PathBuf,
}

impl SmallDisk {
    /// One of so many MiB, mounted below `directory`.
    pub(crate) fn new(directory: &Path, mib: u64) -> Self {
        let place = directory.join("small");
        std::fs::create_dir(&place).unwrap();
        // It lives as long as this process keeps the holder's input open.
        let script = format!("mount -t tmpfs -o size={mib}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).arg(&place);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "hint: mounting needs root");
        Self { holder, place }
    }

    /// Starts a server whose store is on it.
    pub(crate) fn start(&self, directory: &Path) -> Running {
        let holder = self.holder.id().to_string();
        let url = format!("sqlite:{}", self.place.join("store.db").display());
        let prefix = ["nsenter", "--mount", "--target", &holder, "--"];
        Running::start_within(&prefix, directory, &[("BELLWETHER_STORE__URL", &url)])
    }

    fn filling(&self) -> PathBuf {
        let inside = self.place.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join("filling")
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::options().append(true).create(true).open(self.filling()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.filling()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// A figure of `/proc/PID/status`, in KiB.
pub(crate) fn memory_kib(running: &Running, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How many descriptors are open.
pub(crate) fn descriptors(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", running.child.id())).unwrap().count()
}

/// Processor time used so far.
pub(crate) fn processor_time(running: &Running) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // utime and stime, in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}

/// A client that sees headers and long bodies.
#[derive(Clone)]
pub(crate) struct Poster(Client<HttpConnector, Body>);

/// What a notification was answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    /// A 503 that says when to come back.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.as_deref() == Some("5")
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.status == StatusCode::OK
    }
}

impl Poster {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
    }

    /// Many requests share a connection.
    pub(crate) fn multiplexing() -> Self {
        Self(Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new()))
    }

    /// Posts signed bytes; `None` if there was no answer.
    pub(crate) async fn post(&self, base: &str, body: Vec<u8>) -> Option<Answer> {
        let request = Request::post(format!("{base}/ingest/meta/main"))
            .header("x-hub-signature-256", MetaKey::new(APP_SECRET).sign(&body))
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// The value of a metric, named with its labels.
    pub(crate) async fn metric(&self, base: &str, name: &str) -> u64 {
        let request = Request::get(format!("{base}/metrics")).body(Body::empty()).unwrap();
        let text = self.send(request).await.unwrap().text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    async fn send(&self, request: Request<Body>) -> Option<Answer> {
        let answer = async {
            let response = self.0.request(request).await.ok()?;
            let status = response.status();
            let header = response.headers().get("retry-after");
            let retry_after = header.map(|value| value.to_str().unwrap().to_owned());
            let bytes = response.into_body().collect().await.ok()?.to_bytes();
            Some(Answer { status, retry_after, text: String::from_utf8_lossy(&bytes).into_owned() })
        };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
    }

    /// Posts what `body` makes, again and again, until an answer is as wanted.
    pub(crate) async fn until(
        &self,
        base: &str,
        mut body: impl FnMut() -> Vec<u8>,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.post(base, body()).await.expect("it answers");
            if wanted(&answer) {
                return answer;
            }
            assert!(answer.is_taken() || answer.is_refusal(), "{answer:?}");
            assert!(Instant::now() < deadline, "still {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Three MB that can't be read as a notification: kept as they are.
pub(crate) fn long_body(n: u64) -> Vec<u8> {
    let mut body = format!("no notification {n} ").into_bytes();
    body.resize(3_000_000, b'x');
    body
}

/// One notification with so many changes, each of a number of its own.
pub(crate) fn many_changes(count: u64) -> Vec<u8> {
    let changes: Vec<Value> = (0..count).map(|n| upgrade(n, &format!("TIER_{n}"))).collect();
    notification(Clock::system().now().seconds(), &changes)
}

/// How many deliveries are pending, as the API shows.
pub(crate) async fn pending(caller: &Caller, base: &str) -> usize {
    let path = format!("/v1/accounts/{}/deliveries?status=pending&limit=1", crate::sim::world::ACCOUNT);
    let (_, page) = caller.call(base, Method::GET, &path, Value::Null).await.unwrap();
    page["items"].as_array().unwrap().len()
}
