//! `bellwether accounts`: customers, and whether they take part.

use axum::http::Method;
use serde_json::{Value, json};

use super::access::Access;
use super::output::Column;
use super::server::Pages;
use super::{Failure, route, runtime};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List accounts
    List(Pages),
    /// Show an account
    Show {
        /// The account's UUID
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Register an account, or change one
    Put {
        /// A UUID of your choice
        #[arg(value_name = "ID")]
        id: String,
        /// A name for people
        #[arg(long)]
        name: String,
        /// Whether it is configured to use Chat Apps [default: yes, or as it was]
        #[arg(long, value_name = "BOOL")]
        chat_apps: Option<bool>,
    },
    /// Remove an account, its webhooks and keys, and cancel what is pending
    Delete {
        /// The account's UUID
        #[arg(value_name = "ID")]
        id: String,
    },
}

const COLUMNS: [Column; 4] =
    [("ACCOUNT", "/accountId"), ("NAME", "/name"), ("CHAT APPS", "/chatApps"), ("CREATED", "/createdAt")];

const FIELDS: [Column; 4] =
    [("account", "/accountId"), ("name", "/name"), ("chat apps", "/chatApps"), ("created", "/createdAt")];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open()?;
    let of = |id: &str| route::path(&["v1", "accounts", id]);
    runtime()?.block_on(async {
        match &arguments.action {
            Action::List(pages) => server.list("/v1/accounts", pages, &COLUMNS).await,
            Action::Show { id } => server.show(Method::GET, &of(id), &Value::Null, &FIELDS).await.map(drop),
            Action::Put { id, name, chat_apps } => {
                let mut wanted = json!({"name": name});
                if let Some(chat_apps) = chat_apps {
                    wanted["chatApps"] = (*chat_apps).into();
                }
                server.show(Method::PUT, &of(id), &wanted, &FIELDS).await.map(drop)
            }
            Action::Delete { id } => server.change(Method::DELETE, &of(id), &Value::Null, "removed").await,
        }
    })
}
