//! Every status a receiver can answer, and every way to say `Retry-After`
//! (fault 58), through the whole node and real sockets.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::stage::{Stage, staged};
use crate::sim::world::{ACCOUNT, EPOCH_MS, notification, upgrade};
use crate::support::frozen::{catch_up, pass, until};
use crate::support::hostile::{Hostile, Received, receive};

const STATUSES: std::ops::Range<u16> = 100..600;

/// A receiver that answers each number's events with the status of its last
/// digits.
async fn by_number() -> Hostile {
    Hostile::plays(|mut stream, log| async move {
        while let Some(request) = receive(&mut stream, &log).await {
            let status = number(&request) % 1_000;
            // A body where there may be none, and none where there may be one.
            let more = match status {
                204 | 304 => "\r\nunasked for",
                _ => "content-length: 0\r\n\r\n",
            };
            let answer = format!("HTTP/1.1 {status} Some Reason\r\n{more}");
            if stream.write_all(answer.as_bytes()).await.is_err() || status < 200 || more.ends_with("for") {
                break;
            }
        }
    })
    .await
}

fn number(request: &Received) -> u16 {
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    let digits = event["eventDetails"]["displayPhoneNumber"].as_str().unwrap();
    digits[digits.len() - 3..].parse().unwrap()
}

/// Waits until every delivery that is pending has so many attempts on record.
async fn are_recorded(stage: &Stage, made: u64) {
    for _ in 0..1_000 {
        let pending = stage.world.deliveries("status=pending&limit=500").await;
        if pending.iter().all(|delivery| delivery["attemptCount"].as_u64() == Some(made)) {
            return;
        }
        catch_up().await;
    }
    panic!("attempt {made} is not recorded");
}

#[test]
fn fault_58_every_status_is_delivered_or_retried_to_the_end_as_published() {
    staged(|stage| async move {
        let server = by_number().await;
        stage.sends_to(&server.url("/hook")).await;
        let changes: Vec<Value> = STATUSES.map(|status| upgrade(status.into(), "TIER_10K")).collect();
        let (status, _) = stage.world.post_signed(&notification(EPOCH_MS / 1000, &changes)).await;
        assert_eq!(status, StatusCode::OK);
        let mut tried = 500;
        for (made, wait) in (1..).zip([1_u64, 10, 30, 90]) {
            until("all have been tried", async || server.received() == tried).await;
            are_recorded(&stage, made).await;
            pass(Duration::from_millis(wait * 1_100 + 20)).await;
            // All but the successes, again.
            tried += 400;
        }
        until("all have been tried", async || server.received() == tried).await;
        until("nothing is pending", async || stage.world.deliveries("status=pending").await.is_empty()).await;
        let deliveries = stage.deliveries().await;
        assert_eq!(deliveries.len(), 500);
        for delivery in &deliveries {
            let digits = delivery["phoneNumber"].as_str().unwrap();
            let status: u64 = digits[digits.len() - 3..].parse().unwrap();
            let expected = if (200..300).contains(&status) { ("delivered", 1) } else { ("exhausted", 5) };
            let got = (delivery["status"].as_str().unwrap(), delivery["attemptCount"].as_u64().unwrap());
            assert_eq!(got, expected, "{status}");
            let outcome = delivery["lastAttempt"]["outcome"].as_str();
            let class = match status {
                101 => "http_status",
                100..200 => "reset",
                200..300 => "success",
                300..400 => "redirect",
                _ => "http_status",
            };
            assert!(outcome.is_none_or(|outcome| outcome == class), "{status}: {outcome:?}");
        }
        // 410 neither disables the webhook nor ends the retries.
        let webhooks = stage.world.get(&format!("/v1/accounts/{ACCOUNT}/webhooks")).await;
        assert_eq!(webhooks["items"][0]["enabled"], json!(true), "{webhooks}");
        assert_eq!(server.requests().len(), 100 + 400 * 5);
    });
}

/// What a `Retry-After` of a status makes of the wait after the first attempt,
/// in seconds. The world begins at 2025-06-01T00:00:00Z, a Sunday.
const ASKED: [(&str, &str, u64); 21] = [
    ("429", "7", 7),
    ("503", "60", 60),
    ("503", " 60 ", 60),
    ("429", "0", 1),
    ("503", "1", 1),
    ("503", "900", 900),
    ("503", "901", 900),
    ("429", "86400", 900),
    ("429", "18446744073709551616", 900),
    ("429", "99999999999999999999999999999999999999999", 900),
    ("503", "Sun, 01 Jun 2025 00:01:00 GMT", 60),
    ("503", "Sun, 01 Jun 2025 23:00:00 GMT", 900),
    ("503", "Sat, 31 May 2025 23:00:00 GMT", 1),
    ("503", "Mon, 31 Feb 2025 00:01:00 GMT", 1),
    ("429", "-5", 1),
    ("429", "+5", 1),
    ("429", "1.5", 1),
    ("429", "NaN", 1),
    ("429", "", 1),
    ("500", "60", 1),
    ("302", "60", 1),
];

#[test]
fn fault_58_retry_after_is_never_earlier_than_the_schedule_and_never_beyond_15_minutes() {
    for (status, text, seconds) in ASKED {
        staged(|mut stage| async move {
            let server = Hostile::answers(format!(
                "HTTP/1.1 {status} Busy\r\nretry-after: {text}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
            stage.sends_to(&server.url("/hook")).await;
            stage.world.notify(upgrade(1, "TIER_10K")).await;
            stage.attempted(1).await;
            let wait = Duration::from_secs(seconds);
            pass(wait.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(server.requests().len(), 1, "{status} {text:?}: too early");
            // Up to a tenth of the schedule's second on top.
            pass(Duration::from_millis(120)).await;
            stage.attempted(2).await;
        });
    }
}
