//! The world's receivers, as the node's transport: each answers by its script
//! and logs every attempt, whether it arrived or not.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bellwether::model::attempt::{Outcome, OutcomeClass};
use bellwether::transport::{Request, Transport};
use serde_json::Value;
use tokio::time::Instant;

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and `Retry-After`.
    RetryAfter(u16, &'static str),
    /// Answers with this status after a while.
    Slow(Duration, u16),
    /// Never gets that far.
    Fails(OutcomeClass),
    /// Takes the request, acts on it, and the answer is lost.
    TakesAndBreaks,
    /// Answers nothing until the deadline.
    Hangs,
}

/// One request that arrived, or would have if it had not been refused.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Its place among all attempts, from 0.
    pub(crate) nth: usize,
    /// Whether it reached the receiver.
    pub(crate) arrived: bool,
    /// The wait that the receiver asked for.
    pub(crate) asked: Duration,
    pub(crate) url: String,
    pub(crate) at: Instant,
    pub(crate) ended: Instant,
    pub(crate) webhook_id: String,
    pub(crate) attempt: u32,
    pub(crate) sequence: i64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the sender was told 2xx.
    pub(crate) confirmed: bool,
    pub(super) event: Value,
}

impl Arrival {
    pub(crate) fn json(&self) -> Value {
        self.event.clone()
    }

    /// The event's number.
    pub(crate) fn number(&self) -> String {
        self.event["eventDetails"]["displayPhoneNumber"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn limit(&self) -> String {
        self.event["eventDetails"]["meta"]["currentLimit"].as_str().unwrap_or_default().to_owned()
    }
}

#[derive(Default)]
struct Script {
    next: VecDeque<Answer>,
    then: Option<Answer>,
    arrivals: Vec<Arc<Arrival>>,
    under_way: usize,
    most_under_way: usize,
}

/// All receivers, by URL.
#[derive(Clone, Default)]
pub(crate) struct Receivers {
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    tokens: Arc<Mutex<Vec<Request>>>,
    /// All attempts at anyone, in order.
    log: Arc<Mutex<Vec<Arc<Arrival>>>>,
    /// Decides for a URL that has no script.
    chance: Option<Arc<Chance>>,
}

type Chance = dyn Fn(&str) -> Answer + Send + Sync;

impl Receivers {
    pub(crate) fn by_chance(chance: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self { chance: Some(Arc::new(chance)), ..Self::default() }
    }

    pub(crate) fn at(&self, url: &str) -> Receiver {
        Receiver { url: url.to_owned(), receivers: self.clone() }
    }

    fn scripts(&self) -> MutexGuard<'_, BTreeMap<String, Script>> {
        self.scripts.lock().unwrap()
    }

    fn answer(&self, url: &str) -> Answer {
        let mut scripts = self.scripts();
        let script = scripts.entry(url.to_owned()).or_default();
        script.under_way += 1;
        script.most_under_way = script.most_under_way.max(script.under_way);
        let chance = || self.chance.as_ref().map(|chance| chance(url));
        let answer = script.next.pop_front().or_else(|| script.then.clone());
        answer.or_else(chance).unwrap_or(Answer::Status(200))
    }

    /// How many attempts there were at anyone.
    pub(crate) fn count(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// All attempts, but for the first `known`.
    pub(crate) fn attempts_after(&self, known: usize) -> Vec<Arc<Arrival>> {
        self.log.lock().unwrap()[known..].to_vec()
    }
}

/// The request leaves the log's "under way" even when the sender gives up.
struct UnderWay<'a>(&'a Receivers, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.scripts().get_mut(&self.1).unwrap().under_way -= 1;
    }
}

impl Transport for Receivers {
    fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            if request.url.ends_with("/token") {
                return self.token(request);
            }
            let at = Instant::now();
            let answer = self.answer(&request.url);
            let _under_way = UnderWay(self, request.url.clone());
            let (outcome, took) = match answer {
                Answer::Status(status) => {
                    (Outcome::answered(status, b"noted".to_vec()), Duration::from_millis(5))
                }
                Answer::RetryAfter(status, text) => {
                    let asked =
                        Outcome { retry_after: Some(text.into()), ..Outcome::answered(status, vec![]) };
                    (asked, Duration::from_millis(5))
                }
                Answer::Slow(took, status) if took < request.deadline => {
                    (Outcome::answered(status, vec![]), took)
                }
                Answer::Fails(class) => (Outcome::failed(class, "scripted"), Duration::from_millis(2)),
                Answer::TakesAndBreaks => {
                    (Outcome::failed(OutcomeClass::Reset, "scripted"), Duration::from_millis(7))
                }
                Answer::Hangs | Answer::Slow(..) => {
                    (Outcome::failed(OutcomeClass::Timeout, "scripted"), request.deadline)
                }
            };
            let arrived = !matches!(outcome.class, OutcomeClass::Connect | OutcomeClass::Dns);
            self.log(&request, (at, at + took), &outcome, arrived);
            tokio::time::sleep(took).await;
            outcome
        })
    }
}

impl Receivers {
    /// A token endpoint: tokens count up, and live for ten minutes.
    fn token(&self, request: Request) -> Outcome {
        let mut asked = self.tokens.lock().unwrap();
        asked.push(request);
        if self.scripts().contains_key("no tokens") {
            return Outcome::answered(400, b"{\"error\":\"invalid_client\"}".to_vec());
        }
        let answer = format!("{{\"access_token\":\"token-{}\",\"expires_in\":600}}", asked.len());
        Outcome::answered(200, answer.into_bytes())
    }

    /// From now on the token endpoint refuses.
    pub(crate) fn refuse_tokens(&self) {
        self.scripts().insert("no tokens".into(), Script::default());
    }

    /// What the token endpoint was asked.
    pub(crate) fn token_requests(&self) -> Vec<Request> {
        self.tokens.lock().unwrap().clone()
    }

    fn log(&self, request: &Request, (at, ended): (Instant, Instant), outcome: &Outcome, arrived: bool) {
        let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers: BTreeMap<_, _> =
            request.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut all = self.log.lock().unwrap();
        let arrival = Arc::new(Arrival {
            nth: all.len(),
            arrived,
            asked: Duration::from_secs(
                outcome.retry_after.as_ref().and_then(|text| text.parse().ok()).unwrap_or_default(),
            ),
            url: request.url.clone(),
            at,
            ended,
            webhook_id: headers["webhook-id"].clone(),
            attempt: headers["bellwether-attempt"].parse().unwrap(),
            sequence: headers["bellwether-sequence"].parse().unwrap(),
            headers,
            // What only a laxer reader takes is there as bytes.
            event: serde_json::from_slice(&request.body).unwrap_or_default(),
            body: request.body.to_vec(),
            confirmed: outcome.class == OutcomeClass::Success,
        });
        all.push(Arc::clone(&arrival));
        if arrived {
            self.scripts().entry(request.url.clone()).or_default().arrivals.push(arrival);
        }
    }
}

/// One receiver, to script and to ask.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    receivers: Receivers,
}

impl Receiver {
    /// The next answers, in order; afterwards 200.
    pub(crate) fn answers(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.receivers.scripts().entry(self.url.clone()).or_default().next.extend(answers);
        self
    }

    /// What it answers when nothing else is said.
    pub(crate) fn always(self, answer: Answer) -> Self {
        self.receivers.scripts().entry(self.url.clone()).or_default().then = Some(answer);
        self
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let scripts = self.receivers.scripts();
        let arrivals = scripts.get(&self.url).map(|script| script.arrivals.as_slice()).unwrap_or_default();
        arrivals.iter().map(|arrival| Arrival::clone(arrival)).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.receivers.scripts().get(&self.url).map_or(0, |script| script.arrivals.len())
    }

    pub(crate) fn limits_seen(&self) -> Vec<String> {
        self.arrivals().iter().filter(|arrival| arrival.confirmed).map(Arrival::limit).collect()
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.receivers.scripts().get(&self.url).map_or(0, |script| script.most_under_way)
    }
}
