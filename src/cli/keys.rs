//! `bellwether keys`: API keys, whose text is shown once.

use axum::http::Method;
use serde_json::{Value, json};

use super::access::{Access, Whose};
use super::output::{Column, print};
use super::server::{Pages, Server};
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
    /// List keys, without their texts
    List(Pages),
    /// Make a key; its text is printed this once
    Create {
        /// A name for people
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long)]
        role: Role,
    },
    /// Forget a key: whoever holds it is refused from now on
    Delete {
        /// The key's id: the part of its text between the underscores
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// Everything
    Operator,
    /// Everything within one account
    Account,
    /// Reading within one account, secrets apart
    Read,
}

const COLUMNS: [Column; 5] = [
    ("KEY", "/id"),
    ("NAME", "/name"),
    ("ROLE", "/role"),
    ("ACCOUNT", "/accountId"),
    ("CREATED", "/createdAt"),
];

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.access.open_of(&arguments.whose)?;
    runtime()?.block_on(async {
        match &arguments.action {
            Action::List(pages) => server.list("/v1/api-keys", pages, &COLUMNS).await,
            Action::Create { name, role } => create(&server, name, *role).await,
            Action::Delete { id } => {
                let path = route::path(&["v1", "api-keys", id]);
                server.change(Method::DELETE, &path, &Value::Null, "forgotten").await
            }
        }
    })
}

/// Prints nothing but the key, so that it can go into a file.
async fn create(server: &Server, name: &str, role: Role) -> Result<(), Failure> {
    let wanted = match role {
        Role::Operator => json!({"name": name, "role": "operator"}),
        Role::Account => json!({"name": name, "role": "account", "accountId": server.account().await?}),
        Role::Read => json!({"name": name, "role": "read", "accountId": server.account().await?}),
    };
    let (text, made) = server.exchange(Method::POST, "/v1/api-keys", &wanted).await?;
    let secret = made["key"].as_str().unwrap_or_default();
    print(if server.out.json { &text } else { secret })?;
    tell("this is the only time that it is shown");
    Ok(())
}
