//! A server as commands see it: listings page by page, one thing, and a change,
//! each printed as it was asked for.

use axum::http::Method;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use super::client::Client;
use super::output::{Column, Output, print};
use super::{Exit, Failure, route, tell};

/// Items of one request.
const PAGE: usize = 500;

/// How much of a listing.
#[derive(clap::Args)]
pub(super) struct Pages {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// All there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where an earlier listing has ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// A listing as the API has it, to the letter.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

pub(super) struct Server {
    pub(super) client: Client,
    pub(super) out: Output,
    account: OnceCell<String>,
}

impl Server {
    pub(super) fn new(client: Client, out: Output, account: Option<String>) -> Self {
        Self { client, out, account: OnceCell::new_with(account) }
    }

    /// Which account this is about: the only one there is, unless said.
    pub(super) async fn account(&self) -> Result<&str, Failure> {
        let account = self.account.get_or_try_init(|| async {
            let listed = self.client.call(Method::GET, "/v1/accounts?limit=2", &Value::Null).await?;
            match listed["items"].as_array().map(Vec::as_slice) {
                Some([only]) if listed["nextCursor"].is_null() => {
                    Ok(only["accountId"].as_str().unwrap_or_default().to_owned())
                }
                Some([]) => Err(Failure::new(
                    Exit::Missing,
                    "there is no account yet\nhint: an operator registers one: bellwether accounts put ID --name NAME",
                )),
                _ => Err(Failure::new(
                    Exit::Usage,
                    "which account? there are several\nhint: give --account ID or BELLWETHER_ACCOUNT; `bellwether accounts list` names them",
                )),
            }
        });
        account.await.map(String::as_str)
    }

    /// The path of something of that account's.
    pub(super) async fn of_account(&self, segments: &[&str]) -> Result<String, Failure> {
        Ok(route::of_account(self.account().await?, segments))
    }

    /// Prints a listing as a table.
    pub(super) async fn list(&self, path: &str, pages: &Pages, columns: &[Column]) -> Result<(), Failure> {
        self.list_with(path, pages, |out, items| out.table(columns, items)).await
    }

    /// Prints a listing, for people as `shown` does.
    pub(super) async fn list_with(
        &self,
        path: &str,
        pages: &Pages,
        shown: impl FnOnce(Output, &[Value]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let wanted = if pages.all { usize::MAX } else { pages.limit };
        let mut listing = Listing { items: Vec::new(), next_cursor: pages.cursor.clone() };
        loop {
            let size = (wanted - listing.items.len()).min(PAGE).to_string();
            let page = [("limit", Some(size.as_str())), ("cursor", listing.next_cursor.as_deref())];
            let answer = self.client.answer(Method::GET, &route::query(path, &page), &Value::Null).await?;
            let page: Listing = read(&answer)?;
            listing.items.extend(page.items);
            listing.next_cursor = page.next_cursor;
            if listing.next_cursor.is_none() || listing.items.len() >= wanted {
                break;
            }
        }
        if self.out.json {
            return print(serde_json::to_string(&listing).expect("it was JSON before"));
        }
        let items: Result<Vec<Value>, _> =
            listing.items.iter().map(|item| serde_json::from_str(item.get())).collect();
        let items = items.map_err(|error| unreadable(&error))?;
        if items.is_empty() {
            tell("none");
        } else {
            shown(self.out, &items)?;
        }
        if let Some(cursor) = &listing.next_cursor {
            tell(format_args!("there are more; hint: --all, a larger --limit, or --cursor {cursor}"));
        }
        Ok(())
    }

    /// All items of a listing, for a command that needs them itself.
    pub(super) async fn all(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = route::query(path, &[("limit", Some("500")), ("cursor", cursor.as_deref())]);
            let page = self.client.call(Method::GET, &page, &Value::Null).await?;
            found.extend(page["items"].as_array().into_iter().flatten().cloned());
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Asks for one thing, or changes it, and prints what comes back.
    pub(super) async fn show(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        fields: &[Column],
    ) -> Result<Value, Failure> {
        let (text, value) = self.exchange(method, path, body).await?;
        if !self.out.json {
            self.out.record(fields, &value)?;
        } else if !text.is_empty() {
            print(text)?;
        }
        Ok(value)
    }

    /// Changes something of which nothing need be shown but that it is done.
    pub(super) async fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        done: &str,
    ) -> Result<(), Failure> {
        let (text, _) = self.exchange(method, path, body).await?;
        if self.out.json && !text.is_empty() {
            print(&text)?;
        }
        tell(done);
        Ok(())
    }

    /// An answer to the letter, and what it says.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(String, Value), Failure> {
        let answer = self.client.answer(method, path, body).await?;
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        let value = if text.is_empty() { Value::Null } else { read(&answer)? };
        Ok((text, value))
    }
}

fn read<T: for<'a> Deserialize<'a>>(answer: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Failure {
    let hint = "is that a Bellwether server of this version?";
    Failure::new(Exit::Server, format!("the answer is not what was expected: {error}\nhint: {hint}"))
}
