//! Receivers that come and go (faults 62, 63): everything is delivered, or
//! visible as exhausted by the published rule and delivered by a replay.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether::env::Entropy;
use bellwether::model::attempt::OutcomeClass;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sim::receivers::{Answer, Arrival, Receivers};
use crate::sim::world::{ACCOUNT, Terms, WABA, World, simulate, simulate_with, upgrade};

/// All deliveries of that state.
async fn all(world: &World, status: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/accounts/{ACCOUNT}/deliveries?status={status}&limit=500{cursor}");
        let page = world.get(&path).await;
        items.extend(page["items"].as_array().unwrap().clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// Replays all that is exhausted and waits for the end of it.
async fn replay_all(world: &World) -> Value {
    let replays = format!("/v1/accounts/{ACCOUNT}/replays");
    let (status, started) = world.call("POST", &replays, json!({})).await;
    assert!(status.is_success(), "{started}");
    let id = started["replayId"].as_str().unwrap().to_owned();
    for _ in 0..600 {
        world.advance(Duration::from_secs(1)).await;
        let shown = world.get(&format!("{replays}/{id}")).await;
        if shown["status"] == "completed" {
            world.quiesce().await;
            return shown;
        }
    }
    panic!("the replay does not end");
}

fn by_event(arrivals: Vec<Arrival>) -> BTreeMap<String, Vec<Arrival>> {
    let mut events: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    for arrival in arrivals {
        events.entry(arrival.webhook_id.clone()).or_default().push(arrival);
    }
    events
}

#[test]
fn fault_62_a_receiver_that_fails_half_the_time_gets_everything_by_the_rule_and_starves_nobody() {
    const EVENTS: u64 = 400;
    let chance = Entropy::seeded(62);
    let flapping =
        move |_: &str| if chance.below(2) == 0 { Answer::Status(500) } else { Answer::Status(200) };
    let terms = Terms { receivers: Receivers::by_chance(flapping), ..Terms::default() };
    simulate_with(terms, |mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let shop = world.receiver("shop").await;
        let healthy = world.receiver("second").await.always(Answer::Status(200));
        for n in 0..EVENTS {
            let posted = Instant::now();
            world.notify(upgrade(n % 25, &format!("TIER_{n}"))).await;
            world.advance(Duration::from_millis(250)).await;
            let there = healthy.arrivals();
            assert_eq!(there.len() as u64, n + 1, "the healthy one waits for nobody");
            assert!(there.last().unwrap().at - posted < Duration::from_millis(100));
        }
        world.quiesce().await;
        let events = by_event(shop.arrivals());
        assert_eq!(events.len() as u64, EVENTS);
        let mut exhausted = 0;
        for arrivals in events.values() {
            let failed = arrivals.iter().filter(|arrival| !arrival.confirmed).count();
            let confirmed = arrivals.iter().filter(|arrival| arrival.confirmed).count();
            assert!(confirmed == 1 && failed < 5 || confirmed == 0 && failed == 5, "{failed} failed");
            exhausted += 1 - confirmed;
        }
        assert!(exhausted > 0, "this seed exhausts some");
        assert_eq!(all(&world, "exhausted").await.len(), exhausted);
        // Half of what is replayed fails again, on a fresh schedule.
        for _ in 0..5 {
            replay_all(&world).await;
        }
        assert!(all(&world, "exhausted").await.is_empty());
        let shop = by_event(shop.arrivals());
        assert!(shop.values().all(|all| all.iter().filter(|arrival| arrival.confirmed).count() == 1), "DUP");
    });
}

/// A receiver that is down for `down` from the first event on; one event a
/// minute (or `every`) meanwhile, then it is up.
fn down_for(down: Duration, every: Duration, how: Answer) -> (usize, usize) {
    let mut found = (0, 0);
    let result = &mut found;
    simulate(|mut world| async move {
        let shop = world.receiver("shop").await.always(how);
        let began = Instant::now();
        let mut n = 0;
        while began.elapsed() < down {
            world.notify(upgrade(n % 30, &format!("TIER_{n}"))).await;
            n += 1;
            world.advance(every.min(down.saturating_sub(began.elapsed()))).await;
        }
        let shop = shop.always(Answer::Status(200));
        world.quiesce().await;
        let (exhausted, delivered) = (all(&world, "exhausted").await, all(&world, "delivered").await);
        assert_eq!((exhausted.len() + delivered.len()) as u64, n, "all are visible");
        assert!(exhausted.iter().all(|delivery| delivery["attemptCount"] == 5));
        assert_eq!(shop.limits_seen().len(), delivered.len());
        if !exhausted.is_empty() {
            let replayed = replay_all(&world).await;
            assert_eq!(replayed["replayed"].as_u64(), Some(exhausted.len() as u64), "{replayed}");
        }
        let mut limits = shop.limits_seen();
        limits.sort();
        limits.dedup();
        assert_eq!(limits.len() as u64, n, "the bulk replay delivers all");
        assert_eq!(shop.limits_seen().len() as u64, n, "DUP");
        *result = (exhausted.len(), delivered.len());
    });
    found
}

#[test]
fn fault_63_a_receiver_that_is_down_for_up_to_131_seconds_misses_nothing() {
    for how in [Answer::Fails(OutcomeClass::Connect), Answer::Status(503), Answer::Status(410)] {
        for seconds in [1, 41, 100, 131] {
            let (exhausted, delivered) =
                down_for(Duration::from_secs(seconds), Duration::from_secs(2), how.clone());
            assert_eq!(exhausted, 0, "{seconds} s, {how:?}");
            assert!(delivered as u64 >= seconds / 2);
        }
    }
}

#[test]
fn fault_63_down_for_ten_minutes_or_three_days_all_is_exhausted_and_visible_and_replayed() {
    let refused = Answer::Fails(OutcomeClass::Connect);
    let (exhausted, delivered) = down_for(Duration::from_mins(10), Duration::from_secs(5), refused.clone());
    assert!(exhausted > 60 && delivered > 20, "{exhausted} exhausted, {delivered} delivered");
    let (exhausted, _) = down_for(Duration::from_hours(72), Duration::from_mins(7), refused);
    assert!(exhausted > 600, "{exhausted}");
}
