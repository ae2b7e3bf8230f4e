//! Sending again: one delivery at once; of many, first the count, then the question,
//! then the replay, looked at until it is through.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::FIELDS;
use crate::cli::output::{Column, print};
use crate::cli::progress::Progress;
use crate::cli::server::Server;
use crate::cli::{Exit, Failure, tell};

/// Between two looks at a replay.
const LOOK: Duration = Duration::from_millis(500);

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The delivery; without one, all that match
    #[arg(value_name = "DELIVERY", conflicts_with_all = ["status", "webhook", "phone_number", "since", "until", "skip_superseded", "per_second", "dry_run"])]
    id: Option<String>,
    /// Standing there: exhausted, superseded, delivered
    #[arg(long, default_value = "exhausted")]
    status: String,
    /// To this webhook
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<String>,
    /// Of this number
    #[arg(long, value_name = "NUMBER")]
    phone_number: Option<String>,
    /// Whose event was accepted at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Whose event was accepted before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Leave out those for which a newer event stands: they become superseded
    #[arg(long)]
    skip_superseded: bool,
    /// At most so many deliveries a second [default: 50]
    #[arg(long, value_name = "N")]
    per_second: Option<u32>,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// Do not ask whether to
    #[arg(long)]
    yes: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Id {
    /// The replay's id, as its beginning told it
    #[arg(value_name = "REPLAY")]
    id: String,
}

const REPLAY: [Column; 6] = [
    ("replay", "/replayId"),
    ("status", "/status"),
    ("matched", "/matched"),
    ("replayed", "/replayed"),
    ("superseded", "/superseded"),
    ("began", "/createdAt"),
];

pub(super) async fn run(server: &Server, arguments: &Arguments) -> Result<(), Failure> {
    if let Some(id) = &arguments.id {
        let path = server.of_account(&["deliveries", id, "replay"]).await?;
        return server.show(Method::POST, &path, &Value::Null, &FIELDS).await.map(drop);
    }
    let path = server.of_account(&["replays"]).await?;
    let mut wanted = filters(arguments);
    wanted.insert("dryRun".to_owned(), true.into());
    let (text, counted) = server.exchange(Method::POST, &path, &Value::Object(wanted.clone())).await?;
    let matched = counted["matched"].as_u64().unwrap_or(0);
    if arguments.dry_run {
        return if server.out.json {
            print(text)
        } else {
            print(format_args!("{matched} would be replayed"))
        };
    }
    if matched == 0 {
        tell("none match: nothing was replayed");
        return if server.out.json { print(text) } else { Ok(()) };
    }
    if !arguments.yes && !agreed(matched)? {
        return Err(Failure::new(Exit::Failed, "nothing was replayed"));
    }
    wanted.remove("dryRun");
    let begun = server.client.call(Method::POST, &path, &Value::Object(wanted)).await?;
    let id = begun["replayId"].as_str().unwrap_or_default().to_owned();
    tell(format_args!(
        "replay {id} is under way; it goes on without this command (`deliveries cancel-replay {id}` stops it)"
    ));
    watch(server, &Id { id }).await
}

fn filters(arguments: &Arguments) -> Map<String, Value> {
    let texts = [
        ("status", Some(&arguments.status)),
        ("webhookId", arguments.webhook.as_ref()),
        ("phoneNumber", arguments.phone_number.as_ref()),
        ("since", arguments.since.as_ref()),
        ("until", arguments.until.as_ref()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.as_str().into())));
    let mut wanted: Map<String, Value> = texts.collect();
    if arguments.skip_superseded {
        wanted.insert("superseded".to_owned(), "skip".into());
    }
    if let Some(per_second) = arguments.per_second {
        wanted.insert("perSecond".to_owned(), per_second.into());
    }
    wanted
}

/// Asks, if there is somebody to ask.
fn agreed(matched: u64) -> Result<bool, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let hint = "--dry-run counts only; --yes replays without a question";
        return Err(Failure::new(
            Exit::Usage,
            format!("{matched} would be replayed, and nobody can be asked\nhint: {hint}"),
        ));
    }
    let _ = write!(stderr(), "Replay {matched} deliveries? [y/N] ");
    let _ = stderr().flush();
    let mut line = String::new();
    let _ = stdin().read_line(&mut line);
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

pub(super) async fn watch(server: &Server, Id { id }: &Id) -> Result<(), Failure> {
    let path = server.of_account(&["replays", id]).await?;
    let mut progress = Progress::new("replaying");
    loop {
        let (text, replay) = server.exchange(Method::GET, &path, &Value::Null).await?;
        let count = |name: &str| replay[name].as_u64().unwrap_or(0);
        if replay["status"] != "running" {
            drop(progress);
            return if server.out.json { print(text) } else { server.out.record(&REPLAY, &replay) };
        }
        progress.at(count("replayed") + count("superseded"), count("matched"));
        tokio::time::sleep(LOOK).await;
    }
}

pub(super) async fn cancel(server: &Server, Id { id }: &Id) -> Result<(), Failure> {
    let path = server.of_account(&["replays", id, "cancel"]).await?;
    server.show(Method::POST, &path, &json!(null), &REPLAY).await.map(drop)
}
