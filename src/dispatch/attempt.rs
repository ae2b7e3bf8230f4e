//! One attempt: look up the webhook, build, sign, send, judge, settle.

mod weakened;

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderName, HeaderValue};
use bytes::Bytes;

use super::oauth::Tokens;
use super::target::{Authorize, Target, Targets};
use super::{Means, Options};
use crate::env::{Fault, Point, Weakness};
use crate::model::attempt::{ANSWER_KEPT_BYTES, Attempt, Outcome, OutcomeClass};
use crate::model::delivery::DeliveryState;
use crate::model::id::WebhookKey;
use crate::model::number::What;
use crate::model::time::Timestamp;
use crate::policy::retry::{Verdict, judge};
use crate::policy::signature::sign_webhook;
use crate::store::queue::{Claimed, Settlement};
use crate::transport::Request;

/// `user-agent` of every delivery.
const AGENT: &str = concat!("bellwether/", env!("CARGO_PKG_VERSION"));

/// While the store refuses a settlement.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// A webhook that can't be read is looked at again after this.
const UNREADABLE_WAITS: Duration = Duration::from_mins(1);

/// How an attempt left its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Settled, or given back: the store has said when it is next due.
    Recorded,
    /// Still leased: due again when the lease ends.
    Unrecorded,
}

/// Makes attempts.
pub(super) struct Attempter {
    means: Means,
    options: Options,
    targets: Targets,
    tokens: Tokens,
}

impl Attempter {
    pub(super) fn new(means: Means, options: Options) -> Self {
        Self { means, options, targets: Targets::default(), tokens: Tokens::default() }
    }

    /// The webhook was configured anew.
    pub(super) fn forget(&self, webhook: WebhookKey) {
        self.targets.forget(webhook);
        self.tokens.forget(webhook);
    }

    /// Attempts a leased delivery and settles it, or gives the lease back if it
    /// can't be attempted. Whatever happens, the lease makes it safe to stop.
    pub(super) async fn attempt(self: Arc<Self>, claimed: Claimed) -> Ended {
        match self.targets.get(&self.means, claimed.lane.webhook).await {
            Ok(Some(target)) if self.lease_suffices(&claimed) => {
                self.send_and_settle(&claimed, &target).await
            }
            // Disabled, deleted or stalled too long: not attempted, so not counted.
            Ok(_) => self.release(&claimed, Duration::ZERO).await,
            Err(reason) => {
                let webhook = claimed.lane.webhook.0;
                tracing::error!(%reason, webhook, "a webhook can't be read; its deliveries wait a minute");
                self.release(&claimed, UNREADABLE_WAITS).await
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.means.env.clock.now()
    }

    /// An attempt that could outlive its lease is not made.
    fn lease_suffices(&self, claimed: &Claimed) -> bool {
        claimed.lease.until.since(self.now()) > self.options.attempt_timeout
    }

    /// Gives the lease back: due again after `wait`.
    async fn release(&self, claimed: &Claimed, wait: Duration) -> Ended {
        let lease = vec![(claimed.delivery, claimed.lease)];
        match self.means.store.release(lease, self.now().plus(wait)).await {
            Ok(()) => Ended::Recorded,
            Err(error) => {
                tracing::warn!(%error, "a lease could not be given back; it ends by itself");
                Ended::Unrecorded
            }
        }
    }

    async fn send_and_settle(&self, claimed: &Claimed, target: &Target) -> Ended {
        if self.means.env.faults.weakens(Weakness::RecordBeforeSending) {
            return self.record_before_sending(claimed, target).await;
        }
        let started_at = self.now();
        let started = tokio::time::Instant::now();
        let outcome = self.send(claimed, target, started_at).await;
        let duration = started.elapsed();
        let now = started_at.plus(duration);
        self.means.metrics.attempt(outcome.class, duration);
        if self.means.env.faults.at(Point::AfterAnswer) == Some(Fault::Error) {
            return Ended::Unrecorded;
        }
        let made = claimed.attempts - claimed.attempts_before + 1;
        let jitter_ms = u64::try_from(self.options.schedule.jitter(made).as_millis()).unwrap_or(0);
        let jitter = Duration::from_millis(self.means.env.entropy.below(jitter_ms));
        let verdict = judge(&self.options.schedule, &outcome, made, now, jitter);
        let (state, next_at) = match verdict {
            Verdict::Delivered => (DeliveryState::Delivered, None),
            Verdict::Retry(at) => (DeliveryState::Pending, Some(at)),
            Verdict::Exhausted => (DeliveryState::Exhausted, None),
        };
        log(claimed, target, &outcome, verdict);
        let Outcome { class, status, note, mut answer, .. } = outcome;
        answer.truncate(ANSWER_KEPT_BYTES);
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let number = claimed.attempts + 1;
        let attempt = Attempt { number, started_at, duration_ms, class, status, note, answer, next_at };
        let Claimed { delivery, lane, lease, .. } = *claimed;
        self.settle(Settlement { delivery, lane, lease, attempt, state, now }).await
    }

    /// Settles, and keeps trying while the lease lives: a settlement may be
    /// repeated, and once the lease has ended someone else attempts it anew.
    async fn settle(&self, settlement: Settlement) -> Ended {
        if self.means.env.faults.at(Point::BeforeSettle) == Some(Fault::Error) {
            return Ended::Unrecorded;
        }
        loop {
            match self.means.store.settle(settlement.clone()).await {
                Ok(_) => return Ended::Recorded,
                Err(error) => {
                    tracing::warn!(%error, delivery = %settlement.delivery, "an outcome is not recorded yet");
                }
            }
            tokio::time::sleep(SETTLE_AGAIN).await;
            if self.now() >= settlement.lease.until {
                return Ended::Unrecorded;
            }
        }
    }

    async fn send(&self, claimed: &Claimed, target: &Target, now: Timestamp) -> Outcome {
        let sending = async {
            let authorization = match &target.authorize {
                Authorize::No => None,
                Authorize::Header(value) => Some(value.clone()),
                Authorize::OAuth(client) => {
                    match self
                        .tokens
                        .get(&self.means, claimed.lane.webhook, client, self.options.attempt_timeout)
                        .await
                    {
                        Ok(value) => Some(value),
                        Err(note) => return Outcome::failed(OutcomeClass::OAuth, &note),
                    }
                }
            };
            let request = Request {
                url: target.url.clone(),
                headers: headers(claimed, target, now, self.means.env.clock.wall(), authorization),
                body: Bytes::copy_from_slice(&claimed.body),
                deadline: self.options.attempt_timeout,
            };
            let outcome = self.means.transport.send(request).await;
            if outcome.status == Some(401) {
                self.tokens.forget(claimed.lane.webhook);
            }
            outcome
        };
        // The transport keeps the deadline by itself; this one covers the token too.
        let out_of_time = || Outcome::failed(OutcomeClass::Timeout, "no complete answer before the deadline");
        tokio::time::timeout(self.options.attempt_timeout, sending).await.unwrap_or_else(|_| out_of_time())
    }
}

/// The headers of a delivery (contract.md 5.8). Receivers hold `wall` against
/// their own clocks.
fn headers(
    claimed: &Claimed,
    target: &Target,
    now: Timestamp,
    wall: Timestamp,
    authorization: Option<HeaderValue>,
) -> Vec<(HeaderName, HeaderValue)> {
    let id = claimed.event.to_string();
    let signature = sign_webhook(&target.keys(now), &id, wall, &claimed.body);
    let text =
        |value: String| HeaderValue::try_from(value).expect("digits, UUIDs and base64 are header values");
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (USER_AGENT, HeaderValue::from_static(AGENT)),
        (HeaderName::from_static("webhook-id"), text(id)),
        (HeaderName::from_static("webhook-timestamp"), text(wall.seconds().to_string())),
        (HeaderName::from_static("webhook-signature"), text(signature)),
        (HeaderName::from_static("bellwether-attempt"), text((claimed.attempts + 1).to_string())),
        (HeaderName::from_static("bellwether-sequence"), text(claimed.sequence.to_string())),
    ];
    if claimed.test {
        headers.push((HeaderName::from_static("bellwether-test"), HeaderValue::from_static("true")));
    }
    if let Some(derived) = claimed.derived {
        let why = HeaderValue::from_static(derived.as_str());
        headers.push((HeaderName::from_static("bellwether-derived"), why));
    }
    if !claimed.stale.is_empty() {
        let names: Vec<_> = claimed.stale.iter().map(What::as_str).collect();
        headers.push((HeaderName::from_static("bellwether-stale"), text(names.join(", "))));
    }
    if claimed.snapshot {
        headers.push((HeaderName::from_static("bellwether-snapshot"), HeaderValue::from_static("true")));
    }
    headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
    headers
}

/// Tells operators whose delivery failed, by the ids of the API.
fn log(claimed: &Claimed, target: &Target, outcome: &Outcome, verdict: Verdict) {
    let Claimed { delivery, event, attempts, .. } = claimed;
    let (attempt, class, status) = (attempts + 1, outcome.class.as_str(), outcome.status);
    let Target { account, webhook, .. } = target;
    match verdict {
        Verdict::Delivered => tracing::debug!(%delivery, %event, webhook, account, attempt, "delivered"),
        Verdict::Retry(at) => {
            tracing::info!(%delivery, %event, webhook, account, attempt, class, status, next = %at, "an attempt failed");
        }
        Verdict::Exhausted => {
            tracing::warn!(%delivery, %event, webhook, account, attempt, class, status, "exhausted: kept and replayable");
        }
    }
}
