//! On time: while only receivers fail and there is a place for everybody, no
//! retry begins late (LATE), and whatever one account's receivers do, another
//! account's events go out at once (LIVE). In the simulation a second is a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::Entropy;
use serde_json::json;
use tokio::time::Instant;

use super::chaos::Trouble;
use super::oracle::{Oracle, Verdict, limit_of};
use super::receivers::{Answer, Receiver};
use super::seeds;
use super::world::{
    ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, notification_of, simulate_with, upgrade,
};

/// How many seeds `./test` runs.
const SEEDS: u64 = 12;

/// Fewer numbers than a webhook has places: nobody waits for one.
const NUMBERS: u64 = 7;

/// Things that happen, per run.
const STEPS: u64 = 60;

/// An event may be due for so long.
const AT_ONCE: Duration = Duration::from_secs(1);

const HEALTHY: &str = "2f88f5c4-fae7-4dcf-8ff2-b2990133edea";
const HEALTHYS: &str = "700000001";

/// An account whose receiver is well, with a business account of its own.
async fn healthy(world: &World) -> Receiver {
    let url = "https://healthy.example.com/hook";
    let calls = [
        ("PUT", format!("/v1/accounts/{HEALTHY}"), json!({"name": "Healthy", "chatApps": true})),
        ("PUT", format!("/v1/business-accounts/{HEALTHYS}"), json!({"accountId": HEALTHY})),
        (
            "POST",
            format!("/api/v1/accounts/{HEALTHY}/webhooks"),
            json!([{"subAccountId": "*", "url": url, "type": "CABM"}]),
        ),
    ];
    for (method, path, body) in calls {
        let (status, answer) = world.call(method, &path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
    world.terms.receivers.at(url).always(Answer::Status(200))
}

/// Posts a change of one account to the oracle's knowledge, and one of the
/// healthy account; when that was acknowledged, by its limit.
async fn post(world: &World, oracle: &mut Oracle, number: u64, step: u64) -> (String, Instant) {
    let time = EPOCH_MS / 1000 + step.cast_signed();
    let change = upgrade(number, &format!("TIER_{step}"));
    oracle.sent.insert(limit_of(&change), (time, change.clone()));
    let (status, _) = world.post_signed(&notification(time, std::slice::from_ref(&change))).await;
    assert_eq!(status, StatusCode::OK);
    oracle.acknowledged.insert(limit_of(&change));
    let other = upgrade(1_000 + step, &format!("OTHER_{step}"));
    let (status, _) = world.post_signed(&notification_of(HEALTHYS, time, &[other])).await;
    assert_eq!(status, StatusCode::OK);
    (format!("OTHER_{step}"), Instant::now())
}

/// One account's receivers do what they like; the times are held, and what the
/// healthy account's events waited.
fn run(seed: u64) -> Verdict {
    let chance = Entropy::seeded(seed ^ 0x11fe);
    let trouble = Arc::new(Trouble::new(&chance));
    let terms = Terms { seed, receivers: trouble.receivers(), ..Terms::default() };
    simulate_with(terms, |world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let urls = [world.receiver("shop").await.url, world.receiver("second").await.url];
        let healthy = healthy(&world).await;
        let mut oracle = Oracle::punctual([healthy.url.clone()].into());
        let mut posted = Vec::new();
        trouble.calm.store(false, Ordering::Relaxed);
        for step in 0..STEPS {
            if chance.below(4) == 0 {
                trouble.change_mood(&urls[usize::try_from(chance.below(2)).unwrap()]);
            }
            posted.push(post(&world, &mut oracle, chance.below(NUMBERS), step).await);
            world.advance(Duration::from_millis(chance.below(4_000))).await;
            oracle.look(&world)?;
        }
        trouble.calm.store(true, Ordering::Relaxed);
        world.quiesce().await;
        oracle.look(&world)?;
        oracle.look_at_the_end(&world, &urls).await?;
        is_live(&healthy, &posted)
    })
}

/// Each event arrived once, at once after it was acknowledged.
fn is_live(healthy: &Receiver, posted: &[(String, Instant)]) -> Verdict {
    let arrivals = healthy.arrivals();
    for (limit, acknowledged) in posted {
        let of_it: Vec<_> = arrivals.iter().filter(|arrival| arrival.limit() == *limit).collect();
        let [arrival] = of_it.as_slice() else {
            return Err(format!("LIVE {limit}: {} arrivals", of_it.len()));
        };
        let waited = arrival.at.saturating_duration_since(*acknowledged);
        if waited > AT_ONCE {
            return Err(format!("LIVE {limit}: waited {waited:?}"));
        }
    }
    Ok(())
}

#[test]
fn whatever_one_accounts_receivers_do_its_retries_are_punctual_and_anothers_events_go_out_within_a_second() {
    seeds::none_fails("live", SEEDS, run);
}
