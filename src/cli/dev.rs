//! `bellwether dev`: the main job on this machine, without any configuration.
//!
//! A real server on a store below the working directory, with an account, a
//! business account and a webhook registered through the public API, a receiver
//! that verifies and prints, and the seed's two sample changes sent as signed
//! notifications. Everything on the way is what `serve` does.
//!
//! It is run again and again, on a store in which anything may have happened
//! since: a sample that tells nothing new makes no event, and one that does not
//! arrive keeps nobody from looking into why, so neither ends it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::client::Client;
use super::receiver::{self, Receiver};
use super::{Exit, Failure, runtime, say, trigger};
use crate::config::Config;
use crate::env::Env;
use crate::model::time::Timestamp;
use crate::node::process::Process;
use crate::policy::signature::{MetaKey, WebhookKey};
use crate::server;
use crate::telemetry::{Metrics, logs};

/// Where `dev` keeps its store and configuration, below the working directory.
pub(super) const DIRECTORY: &str = ".bellwether";

/// The account that `dev` registers.
pub(super) const ACCOUNT: &str = "b1a5ed00-0000-4000-8000-000000000001";

/// The business account of the seed's samples.
pub(super) const BUSINESS_ACCOUNT: &str = "102290129340398";

/// The Meta app's name in `dev`'s configuration.
const APP: &str = "dev";

/// The receiver's usual port; another one if it is taken.
const RECEIVER_PORT: u16 = 8701;

/// How many sample changes the seed has.
const SAMPLES: usize = 2;

/// The samples arrive well within this.
const ARRIVAL: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where its store and configuration are kept
    #[arg(long, value_name = "DIRECTORY", default_value = DIRECTORY)]
    directory: PathBuf,
    /// End once the samples have arrived, instead of staying up
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let env = Env::real();
    let file = prepare(&arguments.directory, &env)?;
    let config = Config::load(Some(&file))?;
    let _logs = logs::start(config.log.level, config.log.format);
    runtime()?.block_on(show(&config, env, &file, arguments.once))
}

/// Makes the directory and its configuration at the first run; later runs, and
/// changes made by hand, keep it.
fn prepare(directory: &Path, env: &Env) -> Result<PathBuf, Failure> {
    let file = directory.join("dev.toml");
    let failed = |what: &Path, error: std::io::Error| {
        let hint = "hint: run it where this user may write, or give --directory";
        Failure::new(Exit::Config, format!("cannot write {}: {error}\n{hint}", what.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    if file.exists() {
        return Ok(file);
    }
    let secret = || env.entropy.uuid().simple().to_string();
    let text = format!(
        "# Made by `bellwether dev`; yours to change.\n\n\
         [store]\nurl = {store:?}\n\n\
         [operator]\nkey = \"{operator}\"\n\n\
         [meta.apps.{APP}]\napp_secret = \"{app}\"\nverify_token = \"{verify}\"\n\n\
         # Webhooks on this machine, without TLS: not for production.\n\
         [delivery]\nallow_http = true\nallow_networks = [\"127.0.0.0/8\", \"::1/128\"]\n",
        store = format!("sqlite:{}", directory.join("bellwether.db").display()),
        operator = secret(),
        app = secret(),
        verify = secret(),
    );
    write_private(&file, &text).map_err(|error| failed(&file, error))?;
    Ok(file)
}

/// Writes a file that only its owner may read.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

async fn show(config: &Config, env: Env, file: &Path, once: bool) -> Result<(), Failure> {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let key = Arc::new(OnceLock::new());
    // Before the server, which may have something for it from an earlier run.
    let receiver_url = start_receiver(Receiver { key: Arc::clone(&key), arrived }).await?;
    let process = Process::open(config, env.clone()).await?;
    let listening = process.address().map_err(|error| Failure::new(Exit::Failed, error))?;
    let base = format!("http://{listening}");
    say(format_args!("bellwether serves at {base}, a receiver waits at {receiver_url}\n"));
    let showing = async {
        let client = Client::new(&base, config.operator.key.clone());
        let webhook = register(&client, &receiver_url).await?;
        let signing = WebhookKey::parse(webhook.secret.expose_secret());
        key.get_or_init(|| signing.expect("the server makes good secrets"));
        if !once {
            say(keys(config, &base, file, &webhook));
        }
        let samples = send_samples(&client, config, &env).await?;
        if samples.len() < SAMPLES {
            say(
                "What the number's latest event said already makes no event: that much of the samples is not new.",
            );
        }
        if webhook.url != receiver_url {
            say(format_args!("The samples are on their way to your receiver: {}\n", webhook.url));
        } else if samples.is_empty() {
            say("`bellwether trigger DOWNGRADE` makes one that is.\n");
        } else {
            let which = if samples.len() == SAMPLES { "Both samples" } else { "The other sample" };
            match await_samples(samples, &mut arrivals).await {
                Ok(()) => say(format_args!(
                    "{which} went the whole way: signed notification, store, dispatcher, webhook.\n"
                )),
                Err(late) if once => return Err(late),
                Err(late) => say(format_args!("note: {}\n", late.message)),
            }
        }
        if once {
            return Ok(());
        }
        say(next_steps(config, &base, &receiver_url));
        std::future::pending().await
    };
    let mut shown = Ok(());
    let ended = process.run_until(async { shown = showing.await }).await;
    shown.and(ended.map_err(Failure::from))
}

async fn start_receiver(receiver: Receiver) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Listen, format!("no port for the receiver: {error}"));
    let listener = match TcpListener::bind(("127.0.0.1", RECEIVER_PORT)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?,
    };
    let url = format!("http://{}{}", listener.local_addr().map_err(failed)?, receiver::PATH);
    let limits =
        server::Limits { max_connections: 64, header_timeout: ARRIVAL, drain_timeout: Duration::ZERO };
    let (running, stop) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        server::serve(listener, receiver::router(receiver), limits, Metrics::new(), stop).await;
        drop(running);
    });
    Ok(url)
}

/// The webhook that gets the samples.
struct Webhook {
    url: String,
    secret: SecretString,
}

/// Registers the account, the business account and the webhook through the
/// public API.
async fn register(client: &Client, receiver_url: &str) -> Result<Webhook, Failure> {
    let account = format!("/v1/accounts/{ACCOUNT}");
    client.call(Method::PUT, &account, &json!({"name": "Development", "chatApps": true})).await?;
    let business_account = format!("/v1/business-accounts/{BUSINESS_ACCOUNT}");
    client.call(Method::PUT, &business_account, &json!({"accountId": ACCOUNT})).await?;
    if needs_webhook(client, &account, receiver_url).await? {
        let webhooks = json!([{"subAccountId": "*", "url": receiver_url, "type": "CABM"}]);
        client.call(Method::POST, &format!("/api/v1/accounts/{ACCOUNT}/webhooks"), &webhooks).await?;
    }
    let webhook = find_webhook(client, &account).await?.unwrap_or_default();
    let id = webhook["webhookId"].as_str().unwrap_or_default();
    let secret = client.call(Method::GET, &format!("{account}/webhooks/{id}/secret"), &Value::Null).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Webhook { url: text(&webhook["url"]), secret: SecretString::from(text(&secret["secret"])) })
}

/// Whether the webhook is missing, or points to an earlier run's receiver. One
/// that was pointed elsewhere by hand is left alone.
async fn needs_webhook(client: &Client, account: &str, receiver_url: &str) -> Result<bool, Failure> {
    let found = find_webhook(client, account).await?;
    let url = found.as_ref().and_then(|webhook| webhook["url"].as_str());
    Ok(url.is_none_or(|url| url.ends_with(receiver::PATH) && url != receiver_url))
}

async fn find_webhook(client: &Client, account: &str) -> Result<Option<Value>, Failure> {
    let listed = client.call(Method::GET, &format!("{account}/webhooks"), &Value::Null).await?;
    let wanted = |webhook: &&Value| webhook["subAccountId"] == "*" && webhook["type"] == "CABM";
    Ok(listed["items"].as_array().and_then(|webhooks| webhooks.iter().find(wanted)).cloned())
}

/// Sends the seed's two sample changes as Meta would; says by which timestamp
/// and event each that is news is recognised when it arrives.
async fn send_samples(client: &Client, config: &Config, env: &Env) -> Result<Vec<Sample>, Failure> {
    let mut sent = Vec::new();
    let samples: [Value; SAMPLES] = [
        json!({"display_phone_number": "15550783881", "event": "UPGRADE", "old_limit": "TIER_1K", "current_limit": "TIER_10K"}),
        json!({"display_phone_number": "15550783881", "event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_UNLIMITED"}),
    ];
    let app = config.meta.apps.get(APP).ok_or_else(|| {
        Failure::new(
            Exit::Config,
            format!("meta.apps.{APP} is missing\nhint: remove {DIRECTORY}/dev.toml to have it made anew"),
        )
    })?;
    let key = MetaKey::new(app.app_secret.expose_secret());
    for sample in samples {
        let value: Map<String, Value> = sample.as_object().cloned().unwrap_or_default();
        // Within the second of an earlier run's samples these are the same changes.
        for _ in 0..3 {
            let now = env.clock.now();
            let notification = trigger::change(BUSINESS_ACCOUNT, now, &value);
            let body = notification.to_string().into_bytes();
            let receipt = client.notify(APP, key.sign(&body), body).await?;
            if receipt["accepted"] == 1 {
                let second = Timestamp::from_seconds(now.seconds()).unwrap_or(now);
                sent.push(Sample { timestamp: second.to_string(), event: value["event"].clone() });
            }
            if receipt["duplicate"] != 1 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(sent)
}

/// How a sample is recognised when it arrives.
struct Sample {
    timestamp: String,
    event: Value,
}

impl Sample {
    fn is(&self, event: &Value) -> bool {
        event["timestamp"] == self.timestamp.as_str() && event["eventDetails"]["meta"]["event"] == self.event
    }
}

/// Waits until all of these samples have arrived.
async fn await_samples(
    mut samples: Vec<Sample>,
    arrivals: &mut mpsc::UnboundedReceiver<Value>,
) -> Result<(), Failure> {
    let all = async {
        while !samples.is_empty() {
            let Some(arrived) = arrivals.recv().await else { std::future::pending().await };
            samples.retain(|sample| !sample.is(&arrived));
        }
    };
    tokio::time::timeout(ARRIVAL, all).await.map_err(|_| {
        let hint = format!("hint: see GET /v1/accounts/{ACCOUNT}/deliveries for what came of it");
        let what = format!("a sample has not arrived within {} s", ARRIVAL.as_secs());
        Failure::new(Exit::Failed, format!("{what}\n{hint}"))
    })
}

/// The operator's key, as configured.
fn operator_key(config: &Config) -> &str {
    config.operator.key.as_ref().map_or("", |key| key.expose_secret())
}

/// What is needed to call the API and to verify.
fn keys(config: &Config, base: &str, file: &Path, webhook: &Webhook) -> String {
    format!(
        "dashboard        {base}/ (sign in with the operator key)\n\
         operator key     {key}\n\
         account          {ACCOUNT}\n\
         business account {BUSINESS_ACCOUNT}\n\
         webhook          {receiver}\n\
         signing secret   {secret}\n\
         configuration    {file}\n",
        key = operator_key(config),
        receiver = webhook.url,
        secret = webhook.secret.expose_secret(),
        file = file.display(),
    )
}

/// What to try next.
fn next_steps(config: &Config, base: &str, receiver_url: &str) -> String {
    let (key, account) = (operator_key(config), ACCOUNT);
    format!(
        "Look at it: {base}/ shows all of this live; sign in with the operator key {key}\n\
         Try next, in another terminal:\n\
         \x20 bellwether trigger DOWNGRADE\n\
         \x20 bellwether trigger business_capability_update --max-daily-conversations-per-business 100000\n\
         \x20 bellwether events list\n\
         \x20 bellwether deliveries tail\n\
         \x20 your own receiver: bellwether webhooks put http://localhost:3000/\n\
         \x20 (and back to this one: bellwether webhooks put {receiver_url})\n\
         They find this server because it keeps its configuration here. From elsewhere, or without them:\n\
         \x20 curl -H 'Authorization: Bearer {key}' {base}/v1/accounts/{account}/events\n\
         The whole API: {base}/docs\n\n\
         (`bellwether` is target/release/bellwether, or `cargo run --release --`.) Ctrl-C ends this."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sample_that_does_not_arrive_is_said_to_be_late_although_others_come_all_the_time() {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let sample = |event: &str| Sample { timestamp: "t".to_owned(), event: json!(event) };
        let event = |event: &str| json!({"timestamp": "t", "eventDetails": {"meta": {"event": event}}});
        let others = tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_secs(1));
            loop {
                beat.tick().await;
                let _ = arrived.send(event("UPGRADE"));
            }
        });
        let both = vec![sample("UPGRADE"), sample("DOWNGRADE")];
        let late = await_samples(both, &mut arrivals).await.unwrap_err().message;
        assert!(late.contains("within 20 s\nhint: see GET /v1/accounts/"), "{late}");
        assert!(await_samples(vec![sample("UPGRADE")], &mut arrivals).await.is_ok());
        assert!(await_samples(Vec::new(), &mut arrivals).await.is_ok(), "none is waited for");
        others.abort();
    }
}
