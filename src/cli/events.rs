//! `bellwether events`: what was accepted, and what is accepted now.

use axum::http::Method;
use serde_json::Value;

use super::access::{Access, Whose};
use super::output::{Column, Output, cell, print};
use super::server::{Pages, Server};
use super::tail::{self, Following};
use super::{Failure, route, runtime};

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
    /// List events, newest first
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        pages: Pages,
    },
    /// Show an event and its deliveries
    Show {
        /// The event's id
        #[arg(value_name = "EVENT")]
        id: String,
    },
    /// Print events as they are accepted, one a line, until it is ended
    Tail(Following),
}

#[derive(clap::Args)]
struct Filters {
    /// About this number
    #[arg(long, value_name = "NUMBER")]
    phone_number: Option<String>,
    /// Of this type, `phone_number_quality_update`
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Accepted at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Accepted before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

const FIELDS: [Column; 10] = [
    ("event", "/eventId"),
    ("accepted", "/acceptedAt"),
    ("number", "/phoneNumber"),
    ("sequence", "/sequence"),
    ("app", "/app"),
    ("resends", "/resends"),
    ("derived from", "/derived"),
    ("stale", "/stale"),
    ("test", "/test"),
    ("body", "/body"),
];

const DELIVERIES: [Column; 6] = [
    ("DELIVERY", "/deliveryId"),
    ("WEBHOOK", "/webhookId"),
    ("STATUS", "/status"),
    ("ATTEMPTS", "/attemptCount"),
    ("LAST", "/lastAttempt/outcome"),
    ("NEXT", "/nextAttemptAt"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(act(&server, &arguments.action))
}

async fn act(server: &Server, action: &Action) -> Result<(), Failure> {
    match action {
        Action::List { filters, pages } => {
            let filters = [
                ("phoneNumber", filters.phone_number.as_deref()),
                ("eventType", filters.event_type.as_deref()),
                ("since", filters.since.as_deref()),
                ("until", filters.until.as_deref()),
            ];
            let path = route::query(&server.of_account(&["events"]).await?, &filters);
            server.list_with(&path, pages, table).await
        }
        Action::Show { id } => {
            let path = server.of_account(&["events", id]).await?;
            let event = server.show(Method::GET, &path, &Value::Null, &FIELDS).await?;
            match event["deliveries"].as_array().map(Vec::as_slice) {
                _ if server.out.json => Ok(()),
                Some([]) | None => print("\nowed to no webhook"),
                Some(deliveries) => {
                    print("")?;
                    server.out.table(&DELIVERIES, deliveries)
                }
            }
        }
        Action::Tail(tail) => tail::run(server, tail, "event", None, line).await,
    }
}

/// Events, each with what it says in a word.
fn table(out: Output, events: &[Value]) -> Result<(), Failure> {
    let columns: [Column; 6] = [
        ("ACCEPTED", "/acceptedAt"),
        ("NUMBER", "/phoneNumber"),
        ("SEQUENCE", "/sequence"),
        ("EVENT", "/eventId"),
        ("TYPE", "/body/eventType"),
        ("WHAT", "/what"),
    ];
    let told: Vec<Value> = events
        .iter()
        .map(|event| {
            let mut event = event.clone();
            event["what"] = gist(&event).into();
            event
        })
        .collect();
    out.table(&columns, &told)
}

/// An event in one line.
pub(super) fn line(event: &Value, _: Output) -> String {
    let at = |pointer| cell(event.pointer(pointer));
    let marks: String = [("test", "  test"), ("snapshot", "  snapshot")]
        .iter()
        .filter_map(|(name, mark)| (event[*name] == true).then_some(*mark))
        .collect();
    let (accepted, number, sequence) = (at("/acceptedAt"), at("/phoneNumber"), at("/sequence"));
    format!(
        "{accepted}  {number}  {sequence}  {}  {}  {}{marks}",
        at("/eventId"),
        at("/body/eventType"),
        gist(event)
    )
}

/// What an event says, as far as that fits a few words.
fn gist(event: &Value) -> String {
    let details = &event["body"]["eventDetails"];
    let text = |pointer: &str| {
        details.pointer(pointer).filter(|value| !value.is_null()).map(|value| cell(Some(value)))
    };
    let limits = match (text("/meta/oldLimit"), text("/meta/currentLimit")) {
        (Some(old), Some(current)) => Some(format!("{old} -> {current}")),
        (None, current) => current,
        (old, None) => old,
    };
    let quality = match (text("/meta/previousQualityScore"), text("/meta/newQualityScore")) {
        (Some(before), Some(after)) => Some(format!("{before} -> {after}")),
        _ => None,
    };
    let words = [
        text("/templateName"),
        text("/event"),
        text("/meta/event"),
        text("/meta/status"),
        text("/rawEvent/value/event"),
        text("/rawEvent/value/decision"),
        text("/rawEvent/value/alert_info/alert_type"),
        text("/rawEvent/value/max_daily_conversations_per_business"),
        quality,
        limits,
        event["derived"].as_str().map(|from| format!("(from {from})")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}
