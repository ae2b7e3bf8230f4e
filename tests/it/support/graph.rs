//! A stand-in for Meta's Graph API, as far as it lists a business account's
//! numbers: tokens, permissions, versions, fields, cursors, limits and errors as
//! Meta has them, its habits that are dangerous too (the token in `paging.next`, and
//! in the message about a malformed one). And scripts, by which it throttles, fails
//! and lies.
//!
//! It answers over a socket, and to a simulation without one: the same answers.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bellwether::model::attempt::OutcomeClass;
use bellwether::source::graph::FIELDS;
use bellwether::transport::{Answer, Inquirer, Inquiry, Unanswered};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Url;

use super::hostile::{Hostile, Log, drip, receive};

/// The version it has.
pub const VERSION: &str = "v23.0";

/// How it takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    Expired,
    WithoutPermission,
}

/// What it does instead of answering as Meta would.
#[derive(Debug, Clone)]
pub enum Script {
    /// Answers as Meta would.
    Plain,
    /// Answers so.
    Says(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Announces so many bytes more than it says, and closes.
    Breaks(usize),
    /// Says nothing.
    Hangs,
    /// Says one byte after the other, for ever.
    Drips,
    /// Says something else than HTTP.
    Mutters,
}

/// Meta, as this stand-in knows it.
#[derive(Default)]
pub struct Meta {
    pub tokens: BTreeMap<String, Standing>,
    /// Numbers by business account.
    pub numbers: BTreeMap<String, Vec<Value>>,
    /// Headers of each answer.
    pub headers: Vec<(&'static str, String)>,
    /// What comes next, before all else.
    pub scripts: VecDeque<Script>,
    /// Whom `paging.next` names.
    pub next_host: String,
    /// What was asked: when, the path with its query, and the token.
    pub asked: Vec<(Instant, String, String)>,
    /// How long an answer takes, without a socket.
    pub takes: Duration,
    /// How many are asking right now, and at most were.
    pub asking: (usize, usize),
}

/// Handles of one Meta.
#[derive(Clone)]
pub struct Graph(Arc<Mutex<Meta>>);

/// A number as Meta lists it.
pub fn number(n: usize, limit: &str) -> Value {
    json!({
        "id": format!("10654035224{n:04}"), "display_phone_number": format!("+1 555-000-{n:04}"),
        "verified_name": "Harbour Florists", "quality_rating": "GREEN", "status": "CONNECTED",
        "throughput": {"level": "STANDARD"}, "whatsapp_business_manager_messaging_limit": limit,
    })
}

/// An error as Meta says it.
pub fn error(status: u16, code: i64, subcode: i64, message: &str) -> Script {
    let error = json!({"error": {
        "message": message, "type": "OAuthException", "code": code, "error_subcode": subcode,
        "fbtrace_id": "AbCdEfGh1",
    }});
    Script::Says(status, Vec::new(), error.to_string().into_bytes())
}

impl Graph {
    /// Takes this token, and knows no business account.
    pub fn new(token: &str) -> Self {
        let tokens = BTreeMap::from([(token.to_owned(), Standing::Good)]);
        Self(Arc::new(Mutex::new(Meta {
            tokens,
            next_host: "https://graph.facebook.com".to_owned(),
            ..Meta::default()
        })))
    }

    /// Changes or looks at something.
    pub fn with<T>(&self, change: impl FnOnce(&mut Meta) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// Has so many numbers in a business account, of this limit.
    pub fn lists(&self, business_account: &str, count: usize, limit: &str) {
        let numbers = (1..=count).map(|n| number(n, limit)).collect();
        self.with(|meta| meta.numbers.insert(business_account.to_owned(), numbers));
    }

    /// Does these next.
    pub fn plays(&self, scripts: impl IntoIterator<Item = Script>) {
        self.with(|meta| meta.scripts.extend(scripts));
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.with(|meta| meta.asked.len())
    }

    /// How often it was asked for that business account.
    pub fn count_of(&self, business_account: &str) -> usize {
        let path = format!("/{business_account}/");
        self.with(|meta| meta.asked.iter().filter(|(_, asked, _)| asked.contains(&path)).count())
    }

    /// Answers over a socket on loopback.
    pub async fn serves(&self) -> Hostile {
        let graph = self.clone();
        Hostile::plays(move |stream, log| {
            let graph = graph.clone();
            async move { graph.serve(stream, log).await }
        })
        .await
    }

    async fn serve(self, mut stream: TcpStream, log: Log) {
        while let Some(request) = receive(&mut stream, &log).await {
            let path = request.head.split(' ').nth(1).unwrap_or_default().to_owned();
            let field = |line: &str| line.strip_prefix("authorization: ").map(str::to_owned);
            let token = request.head.lines().find_map(field).unwrap_or_default();
            let script = self.hears(&path, &token);
            let (status, headers, body) = match script {
                Script::Plain => self.with(|meta| meta.answer(&path, &token)),
                Script::Says(status, headers, body) => (status, headers, body),
                Script::Breaks(short) => {
                    let (_, _, body) = self.with(|meta| meta.answer(&path, &token));
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + short);
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(&body).await;
                    return;
                }
                Script::Hangs => std::future::pending().await,
                Script::Drips => {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n").await;
                    return drip(&mut stream, b' ').await;
                }
                Script::Mutters => {
                    let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
                    return;
                }
            };
            let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
            for (name, value) in &headers {
                for part in [name, ": ", value, "\r\n"] {
                    head.push_str(part);
                }
            }
            head.push_str("\r\n");
            if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() {
                return;
            }
        }
    }

    /// Notes what was asked; what to do about it.
    fn hears(&self, path: &str, token: &str) -> Script {
        self.with(|meta| {
            let token = token.trim_start_matches("Bearer ").to_owned();
            meta.asked.push((Instant::now(), path.to_owned(), token));
            meta.scripts.pop_front().unwrap_or(Script::Plain)
        })
    }
}

impl Meta {
    /// What Meta answers to `GET path`: status, headers and body.
    fn answer(&self, path: &str, authorization: &str) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
        let (status, body) = match self.list(path, authorization) {
            Ok(body) => (200, body),
            Err((status, code, subcode, message)) => {
                let error = json!({"message": message, "type": "OAuthException", "code": code,
                    "error_subcode": subcode, "fbtrace_id": "AbCdEfGh1"});
                (status, json!({"error": error}))
            }
        };
        let mut headers = self.headers.clone();
        headers.push(("content-type", "text/javascript; charset=UTF-8".to_owned()));
        (status, headers, body.to_string().into_bytes())
    }

    fn list(&self, path: &str, authorization: &str) -> Result<Value, (u16, i64, i64, String)> {
        let url = Url::parse("https://graph.facebook.com").unwrap().join(path).unwrap();
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert!(!query.contains_key("access_token"), "addresses are logged: {path}");
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        match self.tokens.get(token) {
            None => {
                return Err((401, 190, 0, format!("Malformed access token {token}")));
            }
            Some(Standing::Expired) => {
                let message = "Error validating access token: it has expired";
                return Err((401, 190, 463, message.to_owned()));
            }
            Some(Standing::WithoutPermission) => {
                let message = "(200) You do not have the necessary permissions";
                return Err((403, 200, 0, message.to_owned()));
            }
            Some(Standing::Good) => {}
        }
        let parts: Vec<_> = url.path().split('/').skip(1).collect();
        let &[VERSION, id, "phone_numbers"] = &parts[..] else {
            return Err((400, 2635, 0, "You are calling a deprecated version".to_owned()));
        };
        let Some(numbers) = self.numbers.get(id) else {
            let message = format!("Unsupported get request. Object with ID '{id}' does not exist");
            return Err((400, 100, 33, message));
        };
        let fields = query.get("fields").map_or("id", String::as_str);
        assert_eq!(fields, FIELDS);
        let size = query.get("limit").map_or(25, |limit| limit.parse().unwrap());
        let cursor = |at: usize| BASE64_STANDARD.encode(format!("at {at}"));
        let from = (0..=numbers.len()).find(|at| query.get("after") == Some(&cursor(*at))).unwrap_or(0);
        assert_eq!(query.contains_key("after"), from > 0, "a cursor comes back as it was given");
        let until = numbers.len().min(from + size);
        let shown = |number: &Value| {
            let told = number.as_object().unwrap().iter();
            let told =
                told.filter(|(name, _)| *name == "id" || fields.split(',').any(|field| field == *name));
            Value::Object(told.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        let data: Vec<_> = numbers[from..until].iter().map(shown).collect();
        let mut paging = json!({"cursors": {"before": cursor(from), "after": cursor(until)}});
        if until < numbers.len() {
            let (host, after) = (&self.next_host, cursor(until));
            let query = format!("access_token={token}&fields={fields}&limit={size}&after={after}");
            paging["next"] = format!("{host}/{VERSION}/{id}/phone_numbers?{query}").into();
        }
        Ok(json!({"data": data, "paging": paging}))
    }
}

impl Inquirer for Graph {
    fn inquire(
        &self,
        inquiry: Inquiry,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, Unanswered>> + Send + '_>> {
        Box::pin(async move {
            let url = Url::parse(&inquiry.url).unwrap();
            let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
            let token = inquiry.headers.iter().find(|(name, _)| name == "authorization");
            let token = token.map_or("", |(_, value)| value.to_str().unwrap());
            let script = self.hears(&path, token);
            let takes = self.with(|meta| {
                meta.asking.0 += 1;
                meta.asking.1 = meta.asking.1.max(meta.asking.0);
                meta.takes
            });
            tokio::time::sleep(takes).await;
            self.with(|meta| meta.asking.0 -= 1);
            let (status, headers, body) = match script {
                Script::Plain => self.with(|meta| meta.answer(&path, token)),
                Script::Says(status, headers, body) => (status, headers, body),
                Script::Hangs => std::future::pending().await,
                Script::Breaks(_) | Script::Drips | Script::Mutters => {
                    let note = "the connection ended within the answer".to_owned();
                    return Err(Unanswered { class: OutcomeClass::Reset, note });
                }
            };
            let headers: HeaderMap = headers
                .into_iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            Ok(Answer { status, headers, body })
        })
    }
}
