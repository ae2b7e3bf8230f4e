//! `bellwether webhooks`: where events go, how each fares, and what is sent to one
//! alone. Configured by the 8x8-compatible API, which knows a webhook by account,
//! sub-account and type; here it has its id, as everywhere else.

use std::path::PathBuf;

use axum::http::Method;
use serde_json::{Value, json};

use super::access::{Access, Whose, secret_in};
use super::output::{Column, print};
use super::server::{Pages, Server};
use super::{Exit, Failure, route, runtime, tell};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    whose: Whose,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List webhooks, and how each fares
    List(Pages),
    /// Show a webhook
    Show(Id),
    /// Configure a webhook: makes it, or replaces the one of the same sub-account and type
    Put(Put),
    /// Send to it again: what was held goes out
    Enable(Id),
    /// Send nothing to it: what is pending is held, and what comes meanwhile is not kept for it
    Disable(Id),
    /// Send it every event, or only those that no newer one stands for
    Mode {
        #[command(flatten)]
        id: Id,
        /// Which events it gets of those that wait
        mode: Mode,
    },
    /// Delete a webhook, and cancel what is pending
    Delete(Id),
    /// Send it a sample
    Test(Id),
    /// Tell it how each number stands
    Snapshot(Id),
    /// List the numbers of which something has not arrived
    Undelivered {
        #[command(flatten)]
        id: Id,
        #[command(flatten)]
        pages: Pages,
    },
    /// Print the secret that its deliveries are signed with
    Secret {
        #[command(flatten)]
        id: Id,
        /// Make a new one first; the one before signs too for 24 hours
        #[arg(long)]
        rotate: bool,
        /// Rotate although the one before the last still signs, which ends that one now
        #[arg(long, requires = "rotate")]
        force: bool,
    },
}

#[derive(clap::Args)]
struct Id {
    /// The webhook's id
    #[arg(value_name = "WEBHOOK")]
    id: String,
}

#[derive(clap::Args)]
struct Put {
    /// Where events go
    #[arg(value_name = "TARGET-URL")]
    target: String,
    /// Whose events: a sub-account's, or `*` for all
    #[arg(long, value_name = "ID", default_value = "*")]
    sub_account: String,
    /// What for; only CABM webhooks are sent anything
    #[arg(long, value_name = "TYPE", default_value = "CABM")]
    r#type: String,
    /// A file with what to send as the `Authorization` header
    #[arg(long, value_name = "FILE")]
    authorization_file: Option<PathBuf>,
    /// A file with OAuth 2.0 client credentials: the API's `oauth`, JSON
    #[arg(long, value_name = "FILE", conflicts_with = "authorization_file")]
    oauth_file: Option<PathBuf>,
    /// Send nothing to it yet
    #[arg(long)]
    disabled: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// Each, one after another
    All,
    /// Those that no newer one stands for
    Latest,
}

const COLUMNS: [Column; 8] = [
    ("WEBHOOK", "/webhookId"),
    ("SUB-ACCOUNT", "/subAccountId"),
    ("TYPE", "/type"),
    ("ENABLED", "/enabled"),
    ("PENDING", "/health/pending"),
    ("DELIVERED", "/health/delivered"),
    ("EXHAUSTED", "/health/exhausted"),
    ("URL", "/url"),
];

const FIELDS: [Column; 17] = [
    ("webhook", "/webhookId"),
    ("sub-account", "/subAccountId"),
    ("type", "/type"),
    ("url", "/url"),
    ("enabled", "/enabled"),
    ("events", "/delivery"),
    ("authorization", "/authorization"),
    ("created", "/createdAt"),
    ("configured", "/updatedAt"),
    ("previous secret until", "/previousSecretUntil"),
    ("pending", "/health/pending"),
    ("delivered of the last 100", "/health/delivered"),
    ("exhausted of the last 100", "/health/exhausted"),
    ("last delivered", "/health/lastDeliveredAt"),
    ("last failure", "/health/lastFailure/startedAt"),
    ("  outcome", "/health/lastFailure/outcome"),
    ("  note", "/health/lastFailure/note"),
];

const UNDELIVERED: [Column; 7] = [
    ("NUMBER", "/phoneNumber"),
    ("STATUS", "/status"),
    ("AGE (s)", "/ageSeconds"),
    ("ATTEMPTS", "/attemptCount"),
    ("FAILURE", "/lastFailure/outcome"),
    ("NEXT", "/nextAttemptAt"),
    ("DELIVERY", "/deliveryId"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(act(&server, &arguments.action))
}

async fn act(server: &Server, action: &Action) -> Result<(), Failure> {
    let none = &Value::Null;
    match action {
        Action::List(pages) => server.list(&server.of_account(&["webhooks"]).await?, pages, &COLUMNS).await,
        Action::Show(Id { id }) => {
            let found = find(server, id).await?;
            if server.out.json { print(found) } else { server.out.record(&FIELDS, &found) }
        }
        Action::Put(put) => configure(server, &wanted(put)?).await,
        Action::Enable(Id { id }) => switch(server, id, true).await,
        Action::Disable(Id { id }) => switch(server, id, false).await,
        Action::Mode { id, mode } => {
            let mode = match mode {
                Mode::All => "all",
                Mode::Latest => "latest",
            };
            let path = server.of_account(&["webhooks", &id.id]).await?;
            server.change(Method::PATCH, &path, &json!({"delivery": mode}), "changed").await
        }
        Action::Delete(Id { id }) => {
            let identity = identity(&find(server, id).await?);
            server.change(Method::DELETE, &configuration(server).await?, &json!([identity]), "deleted").await
        }
        Action::Test(Id { id }) => {
            let path = server.of_account(&["webhooks", id, "test"]).await?;
            server.show(Method::POST, &path, none, &[("event", "/eventId")]).await.map(drop)
        }
        Action::Snapshot(Id { id }) => {
            let path = server.of_account(&["webhooks", id, "snapshot"]).await?;
            server.change(Method::POST, &path, none, "under way, number by number").await
        }
        Action::Undelivered { id, pages } => {
            let path = server.of_account(&["webhooks", &id.id, "undelivered"]).await?;
            server.list(&path, pages, &UNDELIVERED).await
        }
        Action::Secret { id, rotate, force } => secret(server, &id.id, *rotate, *force).await,
    }
}

/// The path of the 8x8-compatible API.
async fn configuration(server: &Server) -> Result<String, Failure> {
    Ok(route::path(&["api", "v1", "accounts", server.account().await?, "webhooks"]))
}

fn wanted(put: &Put) -> Result<Value, Failure> {
    let mut webhook = json!({
        "subAccountId": put.sub_account, "url": put.target, "type": put.r#type, "enabled": !put.disabled,
    });
    if let Some(file) = &put.authorization_file {
        webhook["httpAuthorization"] = secret_in(file)?;
    }
    if let Some(file) = &put.oauth_file {
        let text = secret_in(file)?;
        // The parser's own words could show a secret.
        webhook["oauth"] = serde_json::from_str(text.as_str().unwrap_or_default())
            .map_err(|_| Failure::new(Exit::Usage, format!("{} holds no JSON", file.display())))?;
    }
    Ok(webhook)
}

/// Configures it, and shows what it is now.
async fn configure(server: &Server, webhook: &Value) -> Result<(), Failure> {
    server.exchange(Method::POST, &configuration(server).await?, &json!([webhook])).await?;
    let wanted = identity(webhook);
    let found = all(server).await?.into_iter().find(|webhook| identity(webhook) == wanted);
    let found = found.unwrap_or_default();
    if server.out.json { print(found) } else { server.out.record(&FIELDS, &found) }
}

/// Posts it back as it is, but for that; secrets are kept by their stand-ins.
async fn switch(server: &Server, id: &str, enabled: bool) -> Result<(), Failure> {
    let wanted = identity(&find(server, id).await?);
    let configured = server.client.call(Method::GET, &configuration(server).await?, &Value::Null).await?;
    let found = configured.as_array().into_iter().flatten().find(|webhook| identity(webhook) == wanted);
    let mut webhook = found.ok_or_else(|| missing(id))?.clone();
    webhook["enabled"] = enabled.into();
    configure(server, &webhook).await
}

fn identity(webhook: &Value) -> Value {
    json!({"subAccountId": webhook["subAccountId"], "type": webhook["type"]})
}

async fn all(server: &Server) -> Result<Vec<Value>, Failure> {
    server.all(&server.of_account(&["webhooks"]).await?).await
}

async fn find(server: &Server, id: &str) -> Result<Value, Failure> {
    let found = all(server).await?.into_iter().find(|webhook| webhook["webhookId"] == id);
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Failure {
    Failure::new(
        Exit::Missing,
        format!("there is no webhook {id:?}\nhint: `bellwether webhooks list` names them"),
    )
}

/// Prints nothing but the secret, so that it can go into a file.
async fn secret(server: &Server, id: &str, rotate: bool, force: bool) -> Result<(), Failure> {
    let path = server.of_account(&["webhooks", id, "secret"]).await?;
    let (text, value) = if rotate {
        let rotate = route::query(&format!("{path}/rotate"), &[("force", force.then_some("true"))]);
        server.exchange(Method::POST, &rotate, &Value::Null).await?
    } else {
        server.exchange(Method::GET, &path, &Value::Null).await?
    };
    let secret = value["secret"].as_str().unwrap_or_default();
    print(if server.out.json { &text } else { secret })?;
    if let Some(until) = value["previousSecretUntil"].as_str() {
        tell(format_args!("the secret before it signs, too, until {until}"));
    }
    Ok(())
}
