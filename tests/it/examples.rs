//! The receivers under `examples/`, each as its README starts it: a real server delivers to it, it takes each
//! event once and lets nothing older pass for news, and `verify` finds nothing wrong.
//!
//! Their packages come by `./test`, into `target/examples`; without it these tests say so.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use bellwether::env::Clock;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::process::running::{Caller, Running, binary};
use crate::sim::world::tempdir::TempDir;
use crate::sim::world::{ACCOUNT, WABA};

const PATIENCE: Duration = Duration::from_mins(1);

/// A receiver that runs, and what it prints.
struct Example {
    child: Child,
    lines: mpsc::Receiver<String>,
    url: String,
}

impl Example {
    fn start(mut command: Command, secret: &str, directory: &Path) -> Self {
        command.env("WEBHOOK_SECRET", secret).env("PORT", "0").current_dir(directory);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let (print, lines) = mpsc::channel();
        // It ends with the process.
        std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| print.send(line)));
        let first = lines.recv_timeout(PATIENCE).expect("it says where it listens");
        let url = first.strip_prefix("listening on ").expect(&first).to_owned();
        Self { child, lines, url }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it prints a line")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where builds and packages of examples are.
fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_bellwether"));
    program.ancestors().nth(2).unwrap().to_owned()
}

fn there(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing; hint: ./test brings it", path.display());
    path
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

fn event(id: &str) -> String {
    format!(
        r#"{{"eventId":"{id}","timestamp":"2025-05-28T17:46:34.00Z","provider":"WhatsApp","businessAccountId":"{WABA}","accountId":"{ACCOUNT}","eventType":"phone_number_quality_update","eventDetails":{{"displayPhoneNumber":"15550783881","meta":{{"event":"FLAGGED"}}}}}}"#
    )
}

/// Delivers an event that was exhausted long ago and is replayed now, for the first time to arrive.
async fn replay_of_old(url: &str, secret: &str) -> u16 {
    let id = "01971800-ca99-7ea1-8000-00000114d3c5";
    let (body, now) = (event(id), Clock::system().wall().seconds());
    let signed = standardwebhooks::Webhook::new(secret).unwrap().sign(id, now, body.as_bytes()).unwrap();
    let request = Request::post(url).header("webhook-id", id).header("webhook-timestamp", now);
    let request = request.header("webhook-signature", signed).header("bellwether-attempt", "6");
    let request = request.header("bellwether-sequence", "1").body(Body::from(body)).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request).await.unwrap().status().as_u16()
}

/// The webhook's id and signing secret.
async fn webhook(caller: &Caller, base: &str) -> String {
    caller.register(base, Some("http://127.0.0.1:9/")).await;
    let webhooks = format!("/v1/accounts/{ACCOUNT}/webhooks");
    let listed = caller.all(base, &webhooks).await;
    let path = format!("{webhooks}/{}/secret", listed[0]["webhookId"].as_str().unwrap());
    let (_, secret) = caller.call(base, Method::GET, &path, Value::Null).await.unwrap();
    secret["secret"].as_str().unwrap().to_owned()
}

async fn notify(caller: &Caller, base: &str, event: &str, limit: &str) {
    let value = json!({"display_phone_number": "15550783881", "event": event, "current_limit": limit});
    let body = json!({"object": "whatsapp_business_account", "entry": [{
        "id": WABA, "time": Clock::system().wall().seconds(),
        "changes": [{"field": "phone_number_quality_update", "value": value}],
    }]});
    let (status, answer) = caller.notify(base, body.to_string().into_bytes()).await.unwrap();
    assert!(status.is_success(), "{answer}");
}

async fn plays(command: Command) {
    let directory = TempDir::new();
    let running = Running::start(directory.path(), &[]);
    let (caller, base) = (Caller::new(), running.base.as_str());
    let secret = webhook(&caller, base).await;
    let example = tokio::task::block_in_place(|| Example::start(command, &secret, directory.path()));
    caller.register(base, Some(&example.url)).await;
    notify(&caller, base, "UPGRADE", "TIER_10K").await;
    caller.quiesce(base).await;
    notify(&caller, base, "DOWNGRADE", "TIER_1K").await;
    caller.quiesce(base).await;
    let quality = "phone_number_quality_update";
    assert_eq!([example.line(), example.line()], [format!("news 1 {quality}"), format!("news 2 {quality}")]);
    let deliveries = format!("/v1/accounts/{ACCOUNT}/deliveries");
    let delivered = caller.all(base, &format!("{deliveries}?status=delivered")).await;
    assert_eq!(delivered.len(), 2, "both were answered with success");
    let replay = format!("{deliveries}/{}/replay", delivered[0]["deliveryId"].as_str().unwrap());
    let (status, answer) = caller.call(base, Method::POST, &replay, Value::Null).await.unwrap();
    assert!(status.is_success(), "{answer}");
    let again = example.line();
    assert!(again.starts_with("repeated ") && again.ends_with(quality), "{again}");
    assert_eq!(replay_of_old(&example.url, &secret).await, 204);
    assert_eq!(example.line(), format!("older 1 {quality}"));
    let mut verify = tokio::process::Command::from(binary());
    let verified = verify.args(["verify", &example.url, "--json"]).env("WEBHOOK_SECRET", &secret).output();
    let verified = tokio::time::timeout(PATIENCE, verified).await.expect("verify ends").unwrap();
    let report = String::from_utf8_lossy(&verified.stdout);
    assert_eq!(verified.status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_receiver_takes_each_event_once_and_verify_finds_nothing_wrong() {
    let mut command = Command::new(there(target().join("examples/python/bin/python")));
    command.arg(file("python/receiver.py"));
    plays(command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_receiver_takes_each_event_once_and_verify_finds_nothing_wrong() {
    // Node looks for packages beside the program.
    let program = there(target().join("examples/node/node_modules")).with_file_name("receiver.js");
    std::fs::copy(file("node/receiver.js"), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(program);
    plays(command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rust_receiver_takes_each_event_once_and_verify_finds_nothing_wrong() {
    let program = Path::new(env!("CARGO_BIN_EXE_bellwether")).with_file_name("bellwether-example");
    plays(Command::new(there(program))).await;
}
