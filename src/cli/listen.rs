//! `bellwether listen`: an account's events at a receiver on this machine.
//!
//! Usually over the live stream, so that no address need be open to the outside: each
//! event is posted as the server would post it, signed, in order, and tried until it is
//! taken. Or, with `--at`, as a receiver that the server itself delivers to, which says
//! of each webhook whether its signature holds.

mod forward;
mod receive;

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::Method;
use serde_json::Value;

use super::access::{Access, Whose, secret_in};
use super::ending::Ending;
use super::events::line;
use super::follow::{Follow, News};
use super::output::print;
use super::server::Server;
use super::tail::{self, Filters, From};
use super::{Exit, Failure, runtime, tell};
use crate::env::Env;
use crate::policy::signature::WebhookKey;
use forward::Forwarder;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Post each event there, signed, and again until it is taken
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,
    /// Sign, or verify, with this webhook's secret [default: one made for this run, which is told]
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<String>,
    /// Sign, or verify, with the secret in this file: `whsec_`...
    #[arg(long, value_name = "FILE", conflicts_with = "webhook")]
    secret_file: Option<PathBuf>,
    /// Receive what the server delivers to this address of this machine, and verify it, instead of
    /// following the live stream
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["cursor_file", "phone_number", "event_type"])]
    at: Option<SocketAddr>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    from: From,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    whose: Whose,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    runtime()?.block_on(async {
        match arguments.at {
            Some(address) => {
                let key = match key_in_file(arguments)? {
                    Some(key) => key,
                    None => key_of_webhook(&arguments.access.open_of(&arguments.whose)?, arguments).await?.ok_or_else(|| {
                        let what = "which secret is it to be verified with?\nhint: --webhook ID, or --secret-file FILE";
                        Failure::new(Exit::Usage, what)
                    })?,
                };
                receive::serve(address, key, arguments.forward_to.as_deref(), arguments.access.output()).await
            }
            None => follow(arguments).await,
        }
    })
}

async fn follow(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    let path = tail::stream(&server, &arguments.filters).await?;
    let forwarder = match &arguments.forward_to {
        Some(url) => {
            // What is no address is said before a secret is.
            let url = forward::checked(url)?;
            Some(Forwarder::new(url, signing_key(&server, arguments).await?))
        }
        None => None,
    };
    let mut follow = Follow::new(&server.client, path, arguments.from.cursor()?);
    let mut ending = Ending::new()?;
    loop {
        let step = tokio::select! {
            biased;
            () = ending.told() => return Ok(()),
            step = follow.next() => step?,
        };
        match &step.news {
            Some(News { kind, data }) if kind == "event" => {
                let event: Value = serde_json::from_str(data.get()).unwrap_or_default();
                let taken = match &forwarder {
                    Some(forwarder) => tokio::select! {
                        biased;
                        taken = forwarder.forward(&event, data) => Some(taken?),
                        () = ending.told() => return Ok(()),
                    },
                    None => None,
                };
                print(match (server.out.json, taken) {
                    (true, None) => format!(r#"{{"event":{}}}"#, data.get()),
                    (true, Some(taken)) => {
                        format!(r#"{{"event":{},"forwarded":{}}}"#, data.get(), taken.json())
                    }
                    (false, None) => line(&event, server.out),
                    (false, Some(taken)) => format!("{}  -> {taken}", line(&event, server.out)),
                })?;
            }
            Some(News { kind, data }) if kind == "gap" => tail::tell_gap(data.get()),
            Some(_) | None => {}
        }
        // Not before: should this end now, the event comes again rather than never.
        arguments.from.keep(&step.cursor)?;
    }
}

/// What events are signed with: said, a webhook's, or made up and told.
async fn signing_key(server: &Server, arguments: &Arguments) -> Result<WebhookKey, Failure> {
    if let Some(key) = key_in_file(arguments)? {
        return Ok(key);
    }
    if let Some(key) = key_of_webhook(server, arguments).await? {
        return Ok(key);
    }
    let secret = WebhookKey::text(Env::real().entropy.bytes());
    tell(format_args!(
        "events are signed with {secret}, made for this run; --webhook or --secret-file names another"
    ));
    Ok(WebhookKey::parse(&secret).expect("it was made as a secret is"))
}

async fn key_of_webhook(server: &Server, arguments: &Arguments) -> Result<Option<WebhookKey>, Failure> {
    let Some(webhook) = &arguments.webhook else { return Ok(None) };
    let path = server.of_account(&["webhooks", webhook, "secret"]).await?;
    let answer = server.client.call(Method::GET, &path, &Value::Null).await?;
    Ok(answer["secret"].as_str().and_then(WebhookKey::parse))
}

fn key_in_file(arguments: &Arguments) -> Result<Option<WebhookKey>, Failure> {
    let Some(file) = &arguments.secret_file else { return Ok(None) };
    let text = secret_in(file)?;
    let key = text.as_str().and_then(|text| WebhookKey::parse(text.trim()));
    let what = || {
        format!(
            "{} holds no signing secret\nhint: whsec_ and base64, as `bellwether webhooks secret` prints it",
            file.display()
        )
    };
    key.map(Some).ok_or_else(|| Failure::new(Exit::Usage, what()))
}
