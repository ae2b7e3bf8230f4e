//! `bellwether deliveries`: what became of each event, and replaying.

mod replay;

use axum::http::Method;
use serde_json::Value;

use super::access::{Access, Whose};
use super::output::{Column, Output, cell};
use super::server::{Pages, Server};
use super::tail::{self, Following};
use super::{Failure, route, runtime, tell};

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
    /// List deliveries, newest first
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        pages: Pages,
    },
    /// Show a delivery and its attempts
    Show {
        /// The delivery's id
        #[arg(value_name = "DELIVERY")]
        id: String,
    },
    /// Print deliveries as they are attempted, one a line, until it is ended
    Tail {
        #[command(flatten)]
        tail: Following,
        /// To this webhook
        #[arg(long, value_name = "WEBHOOK")]
        webhook: Option<String>,
    },
    /// Send again: one delivery, or all that match
    Replay(replay::Arguments),
    /// Look at a replay of many until it is through
    WatchReplay(replay::Id),
    /// Stop a replay of many: what it has not replayed stays as it is
    CancelReplay(replay::Id),
}

#[derive(clap::Args)]
struct Filters {
    /// Standing there: pending, delivered, exhausted, canceled, superseded
    #[arg(long)]
    status: Option<String>,
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
}

const COLUMNS: [Column; 8] = [
    ("DELIVERY", "/deliveryId"),
    ("CREATED", "/createdAt"),
    ("NUMBER", "/phoneNumber"),
    ("STATUS", "/status"),
    ("ATTEMPTS", "/attemptCount"),
    ("LAST", "/lastAttempt/outcome"),
    ("NEXT", "/nextAttemptAt"),
    ("EVENT", "/eventId"),
];

const FIELDS: [Column; 9] = [
    ("delivery", "/deliveryId"),
    ("status", "/status"),
    ("event", "/eventId"),
    ("type", "/eventType"),
    ("number", "/phoneNumber"),
    ("webhook", "/webhookId"),
    ("created", "/createdAt"),
    ("next attempt", "/nextAttemptAt"),
    ("superseded by", "/supersededBy"),
];

const ATTEMPTS: [Column; 7] = [
    ("ATTEMPT", "/number"),
    ("STARTED", "/startedAt"),
    ("MS", "/durationMs"),
    ("OUTCOME", "/outcome"),
    ("STATUS", "/httpStatus"),
    ("NOTE", "/note"),
    ("ANSWER", "/answer"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(act(&server, &arguments.action))
}

async fn act(server: &Server, action: &Action) -> Result<(), Failure> {
    match action {
        Action::List { filters, pages } => {
            let filters = [
                ("status", filters.status.as_deref()),
                ("webhookId", filters.webhook.as_deref()),
                ("phoneNumber", filters.phone_number.as_deref()),
                ("since", filters.since.as_deref()),
                ("until", filters.until.as_deref()),
            ];
            let path = route::query(&server.of_account(&["deliveries"]).await?, &filters);
            server.list(&path, pages, &COLUMNS).await
        }
        Action::Show { id } => {
            let path = server.of_account(&["deliveries", id]).await?;
            let delivery = server.show(Method::GET, &path, &Value::Null, &FIELDS).await?;
            match delivery["attempts"].as_array().map(Vec::as_slice) {
                _ if server.out.json => Ok(()),
                Some([]) | None => {
                    tell("not attempted yet");
                    Ok(())
                }
                Some(attempts) => {
                    super::output::print("")?;
                    server.out.table(&ATTEMPTS, attempts)
                }
            }
        }
        Action::Tail { tail, webhook } => tail::run(server, tail, "delivery", webhook.as_deref(), line).await,
        Action::Replay(arguments) => replay::run(server, arguments).await,
        Action::WatchReplay(id) => replay::watch(server, id).await,
        Action::CancelReplay(id) => replay::cancel(server, id).await,
    }
}

/// A delivery in one line, as it stands after an attempt.
fn line(delivery: &Value, out: Output) -> String {
    let at = |pointer| cell(delivery.pointer(pointer));
    let when = match at("/lastAttempt/startedAt") {
        none if none == "-" => at("/createdAt"),
        started => started,
    };
    let (number, id, attempts, outcome) =
        (at("/phoneNumber"), at("/deliveryId"), at("/attemptCount"), at("/lastAttempt/outcome"));
    let answered =
        delivery.pointer("/lastAttempt/httpStatus").map_or_else(String::new, |status| format!(" {status}"));
    let next = delivery
        .pointer("/nextAttemptAt")
        .map_or_else(String::new, |next| format!("  next {}", cell(Some(next))));
    let status = out.coloured(&at("/status"));
    format!("{when}  {number}  {id}  {status}  attempt {attempts}  {outcome}{answered}{next}")
}
