//! `bellwether numbers`: how business numbers stand, and how that came about.

use axum::http::Method;
use serde_json::{Value, json};

use super::access::{Access, Whose};
use super::output::{Column, cell, print};
use super::server::{Pages, Server};
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
    /// List numbers
    List(Box<List>),
    /// Show what is known of a number
    Show(Number),
    /// List what changed of a number, newest first
    History {
        #[command(flatten)]
        number: Number,
        #[command(flatten)]
        pages: Pages,
    },
    /// Enter a number that nothing has spoken of yet, or what is known of one
    Put(Put),
    /// Retire a number that is no longer yours
    Retire(Number),
}

#[derive(clap::Args)]
struct Number {
    /// The number, spelled as people do
    #[arg(value_name = "NUMBER")]
    number: String,
}

#[derive(clap::Args)]
struct List {
    /// Of this business account
    #[arg(long, value_name = "ID")]
    waba: Option<String>,
    /// With this messaging limit, however it is spelled: `TIER_10K`, 10000
    #[arg(long, value_name = "TIER")]
    messaging_limit: Option<String>,
    /// With this throughput: STANDARD, HIGH
    #[arg(long)]
    throughput: Option<String>,
    /// With this rating: GREEN, YELLOW, RED, NA, UNKNOWN
    #[arg(long)]
    rating: Option<String>,
    /// Flagged, or not known to be
    #[arg(long, value_name = "BOOL")]
    flagged: Option<bool>,
    /// Of which something changed at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    changed_since: Option<String>,
    /// phoneNumber, changedAt, -changedAt, messagingLimit or -messagingLimit
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<String>,
    #[command(flatten)]
    pages: Pages,
}

#[derive(clap::Args)]
struct Put {
    #[command(flatten)]
    number: Number,
    /// The business account that it belongs to
    #[arg(long, value_name = "ID")]
    waba: String,
    /// The messaging limit
    #[arg(long, value_name = "TIER")]
    messaging_limit: Option<String>,
    /// STANDARD or HIGH
    #[arg(long)]
    throughput: Option<String>,
    /// Whether it is flagged
    #[arg(long, value_name = "BOOL")]
    flagged: Option<bool>,
    /// The quality rating
    #[arg(long)]
    rating: Option<String>,
}

const COLUMNS: [Column; 7] = [
    ("NUMBER", "/phoneNumber"),
    ("LIMIT", "/limit/value"),
    ("THROUGHPUT", "/throughput/value"),
    ("FLAGGED", "/flagged/value"),
    ("RATING", "/rating/value"),
    ("WABA", "/businessAccountId"),
    ("CHANGED", "/changedAt"),
];

const FIELDS: [Column; 17] = [
    ("number", "/phoneNumber"),
    ("business account", "/businessAccountId"),
    ("sequence", "/sequence"),
    ("changed", "/changedAt"),
    ("limit", "/limit/value"),
    ("  since", "/limit/since"),
    ("  learned by", "/limit/learnedBy"),
    ("  event", "/limit/eventId"),
    ("portfolio limit", "/portfolioLimit/value"),
    ("throughput", "/throughput/value"),
    ("  since", "/throughput/since"),
    ("flagged", "/flagged/value"),
    ("  since", "/flagged/since"),
    ("rating", "/rating/value"),
    ("  since", "/rating/since"),
    ("status", "/status/value"),
    ("  since", "/status/since"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(act(&server, &arguments.action))
}

async fn act(server: &Server, action: &Action) -> Result<(), Failure> {
    match action {
        Action::List(list) => {
            let flagged = list.flagged.map(|flagged| flagged.to_string());
            let filters = [
                ("businessAccountId", list.waba.as_deref()),
                ("messagingLimit", list.messaging_limit.as_deref()),
                ("throughput", list.throughput.as_deref()),
                ("rating", list.rating.as_deref()),
                ("flagged", flagged.as_deref()),
                ("changedSince", list.changed_since.as_deref()),
                ("sort", list.sort.as_deref()),
            ];
            let path = server.of_account(&["phone-numbers"]).await?;
            server.list(&route::query(&path, &filters), &list.pages, &COLUMNS).await
        }
        Action::Show(Number { number }) => {
            let path = server.of_account(&["phone-numbers", number]).await?;
            server.show(Method::GET, &path, &Value::Null, &FIELDS).await.map(drop)
        }
        Action::History { number, pages } => history(server, &number.number, pages).await,
        Action::Put(put) => {
            let path = server.of_account(&["phone-numbers", &put.number.number]).await?;
            let mut wanted = json!({"businessAccountId": put.waba});
            let texts =
                [("limit", &put.messaging_limit), ("throughput", &put.throughput), ("rating", &put.rating)];
            for (name, text) in texts {
                if let Some(text) = text {
                    wanted[name] = text.as_str().into();
                }
            }
            if let Some(flagged) = put.flagged {
                wanted["flagged"] = flagged.into();
            }
            server.show(Method::PUT, &path, &wanted, &FIELDS).await.map(drop)
        }
        Action::Retire(Number { number }) => {
            let path = server.of_account(&["phone-numbers", number]).await?;
            server.change(Method::DELETE, &path, &Value::Null, "retired").await
        }
    }
}

/// A line for each thing that changed, and for each refusal.
async fn history(server: &Server, number: &str, pages: &Pages) -> Result<(), Failure> {
    let path = server.of_account(&["phone-numbers", number, "history"]).await?;
    server
        .list_with(&path, pages, |_, items| {
            for item in items {
                let at = |name: &str| cell(item.get(name));
                let changes = item["changes"].as_array().into_iter().flatten();
                let told = changes.map(|change| {
                    let from = change
                        .get("from")
                        .map_or_else(String::new, |from| format!("{} -> ", cell(Some(from))));
                    format!("{}: {from}{}", cell(change.get("name")), cell(change.get("to")))
                });
                let refused =
                    item.get("refusal").map(|refusal| format!("refused: {}", cell(refusal.get("kind"))));
                for told in told.chain(refused) {
                    print(format_args!("{}  {told}  ({})", at("at"), at("learnedBy")))?;
                }
            }
            Ok(())
        })
        .await
}
