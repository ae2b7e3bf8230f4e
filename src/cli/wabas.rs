//! `bellwether wabas`: whose business accounts are, what waits for one, and
//! reading their numbers from Meta.

use std::path::PathBuf;

use axum::http::Method;
use serde_json::{Value, json};

use super::access::{Access, Whose, secret_in};
use super::output::Column;
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
    /// List business accounts
    List(Pages),
    /// Show a business account
    Show(Id),
    /// Register a business account to an account: what waited for it is routed now
    Put {
        #[command(flatten)]
        id: Id,
        /// The sub-account it belongs to
        #[arg(long, value_name = "ID")]
        sub_account: Option<String>,
    },
    /// Unregister a business account: its changes wait again
    Delete(Id),
    /// List changes that wait for their business account
    Unrouted(Pages),
    /// List what was validly signed and could not be read
    Unparsed(Pages),
    /// How it stands with reading its numbers from Meta
    Reconciliation(Id),
    /// Read its numbers from Meta now
    Reconcile(Id),
    /// Keep an access token of its own to read its numbers with
    Token {
        #[command(flatten)]
        id: Id,
        /// A file with the token
        #[arg(long, value_name = "FILE", required_unless_present = "forget")]
        token_file: Option<PathBuf>,
        /// Forget the token that is kept
        #[arg(long, conflicts_with = "token_file")]
        forget: bool,
    },
}

#[derive(clap::Args)]
struct Id {
    /// Meta's id of the business account
    #[arg(value_name = "WABA")]
    id: String,
}

const COLUMNS: [Column; 4] = [
    ("WABA", "/businessAccountId"),
    ("ACCOUNT", "/accountId"),
    ("SUB-ACCOUNT", "/subAccountId"),
    ("CREATED", "/createdAt"),
];

const FIELDS: [Column; 4] = [
    ("business account", "/businessAccountId"),
    ("account", "/accountId"),
    ("sub-account", "/subAccountId"),
    ("created", "/createdAt"),
];

const UNROUTED: [Column; 5] = [
    ("ID", "/id"),
    ("RECEIVED", "/receivedAt"),
    ("WABA", "/businessAccountId"),
    ("APP", "/app"),
    ("FIELD", "/field"),
];

const UNPARSED: [Column; 5] = [
    ("ID", "/id"),
    ("RECEIVED", "/receivedAt"),
    ("WABA", "/businessAccountId"),
    ("APP", "/app"),
    ("REASON", "/reason"),
];

const READING: [Column; 13] = [
    ("business account", "/businessAccountId"),
    ("state", "/state"),
    ("access token", "/accessToken"),
    ("last success", "/lastSuccess/at"),
    ("numbers read", "/lastSuccess/numbers"),
    ("events made", "/lastSuccess/events"),
    ("last failure", "/lastFailure/at"),
    ("failure", "/lastFailure/code"),
    ("detail", "/lastFailure/detail"),
    ("hint", "/lastFailure/hint"),
    ("failures in a row", "/failures"),
    ("throttled until", "/throttledUntil"),
    ("next", "/nextAt"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(act(&server, &arguments.action))
}

async fn act(server: &Server, action: &Action) -> Result<(), Failure> {
    let of = |Id { id }: &Id, more: &[&str]| route::path(&[&["v1", "business-accounts", id], more].concat());
    let none = &Value::Null;
    match action {
        Action::List(pages) => server.list("/v1/business-accounts", pages, &COLUMNS).await,
        Action::Unrouted(pages) => server.list("/v1/unrouted", pages, &UNROUTED).await,
        Action::Unparsed(pages) => server.list("/v1/unparsed", pages, &UNPARSED).await,
        Action::Show(id) => server.show(Method::GET, &of(id, &[]), none, &FIELDS).await.map(drop),
        Action::Put { id, sub_account } => {
            let mut wanted = json!({"accountId": server.account().await?});
            if let Some(sub_account) = sub_account {
                wanted["subAccountId"] = sub_account.as_str().into();
            }
            server.show(Method::PUT, &of(id, &[]), &wanted, &FIELDS).await.map(drop)
        }
        Action::Delete(id) => {
            server.change(Method::DELETE, &of(id, &[]), none, "unregistered: its changes wait again").await
        }
        Action::Reconciliation(id) => {
            server.show(Method::GET, &of(id, &["reconciliation"]), none, &READING).await.map(drop)
        }
        Action::Reconcile(id) => {
            let done = "asked for; `bellwether wabas reconciliation` tells what came of it";
            server.change(Method::POST, &of(id, &["reconcile"]), none, done).await
        }
        Action::Token { id, token_file, .. } => match token_file {
            Some(file) => {
                let token = json!({"accessToken": secret_in(file)?});
                server.change(Method::PUT, &of(id, &["access-token"]), &token, "kept, sealed").await
            }
            None => server.change(Method::DELETE, &of(id, &["access-token"]), none, "forgotten").await,
        },
    }
}
