//! When which business account is read, over days.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::{Fault, Faults, Point};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{TOKEN, simulated};
use crate::sim::world::{ACCOUNT, WABA};
use crate::support::graph::{Script, Standing};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_business_account_is_read_every_six_hours_and_up_to_a_tenth_later() {
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.registers(WABA).await;
            stage.world.advance(HOUR * 24 * 10).await;
            let asked: Vec<Instant> =
                stage.graph.with(|meta| meta.asked.iter().map(|asked| asked.0).collect());
            let waits: BTreeSet<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(asked.len() > 36, "{waits:?}");
            assert!(
                waits.iter().all(|wait| (HOUR * 6..=HOUR * 6 + HOUR * 7 / 10).contains(wait)),
                "{waits:?}"
            );
            assert!(waits.len() > 10, "no two are alike: {waits:?}");
        },
    );
}

#[test]
fn what_fails_is_tried_again_soon_then_less_soon_and_never_less_often_than_usual() {
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.graph.plays(vec![Script::Mutters; 8]);
            stage.registers(WABA).await;
            stage.world.advance(HOUR * 30).await;
            let asked: Vec<Instant> =
                stage.graph.with(|meta| meta.asked.iter().map(|asked| asked.0).collect());
            for (pair, minutes) in asked.windows(2).zip([1, 4, 16, 64, 256, 360, 360_u32]) {
                let (wait, least) = (pair[1] - pair[0], Duration::from_mins(1) * minutes);
                assert!(wait >= least && wait <= least * 12 / 10, "{minutes}: {wait:?}");
            }
            assert!(asked.len() >= 8);
            stage.succeeds().await;
            assert_eq!(stage.standing().await["failures"], 0);
            assert_eq!(stage.standing().await["lastFailure"]["code"], "unreachable", "it stays visible");
        },
    );
}

#[test]
fn only_so_many_are_read_at_once_and_all_are_read() {
    simulated(
        |terms| terms.reconcile.at_once = 3,
        |stage| async move {
            stage.graph.with(|meta| meta.takes = Duration::from_secs(5));
            let ids: Vec<String> = (1..=30).map(|n| format!("77{n:03}")).collect();
            for id in &ids {
                stage.graph.lists(id, 1, "TIER_2K");
                stage.registers(id).await;
            }
            stage.world.advance(Duration::from_mins(1)).await;
            assert_eq!(stage.graph.with(|meta| meta.asking.1), 3);
            assert!(ids.iter().all(|id| stage.graph.count_of(id) == 1));
            stage.world.advance(HOUR * 7).await;
            assert_eq!(stage.graph.with(|meta| meta.asking.1), 3);
            assert!(ids.iter().all(|id| stage.graph.count_of(id) == 2));
        },
    );
}

#[test]
fn a_restart_neither_asks_for_all_at_once_nor_forgets_what_is_due() {
    simulated(
        |_| {},
        |mut stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.graph.lists("77", 1, "TIER_2K");
            stage.registers(WABA).await;
            stage.succeeds().await;
            stage.graph.plays([Script::Hangs]);
            stage.registers("77").await;
            stage.world.advance(Duration::from_secs(1)).await;
            assert_eq!((stage.graph.count_of(WABA), stage.graph.count_of("77")), (1, 1));
            let began = Instant::now();
            stage.world.restart_cleanly().await;
            assert!(began.elapsed() < Duration::from_secs(1), "a reading under way holds nothing up");
            stage.world.advance(HOUR).await;
            assert_eq!((stage.graph.count_of(WABA), stage.graph.count_of("77")), (1, 2));
            stage.world.crash_and_restart().await;
            stage.world.advance(HOUR).await;
            assert_eq!((stage.graph.count_of(WABA), stage.graph.count_of("77")), (1, 2));
            stage.world.advance(HOUR * 5).await;
            assert_eq!((stage.graph.count_of(WABA), stage.graph.count_of("77")), (2, 3));
        },
    );
}

#[test]
fn with_another_token_for_all_what_failed_is_tried_at_once_after_the_restart() {
    simulated(
        |_| {},
        |mut stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.graph.with(|meta| meta.tokens.insert(TOKEN.to_owned(), Standing::Expired));
            stage.registers(WABA).await;
            stage.fails(1).await;
            stage.world.crash_and_restart().await;
            stage.world.advance(HOUR).await;
            assert_eq!(stage.graph.count(), 1, "only a person ends it");
            stage.graph.with(|meta| meta.tokens.insert("EAAJanother".to_owned(), Standing::Good));
            stage.world.terms.reconcile.token_for_all = Some("EAAJanother".into());
            stage.world.crash_and_restart().await;
            stage.succeeds().await;
            assert_eq!(stage.graph.count(), 2);
        },
    );
}

#[test]
fn a_reading_that_is_asked_for_begins_at_once_and_during_another_follows_it() {
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.registers(WABA).await;
            stage.succeeds().await;
            stage.graph.with(|meta| meta.takes = Duration::from_secs(10));
            assert_eq!(stage.reads().await.0, StatusCode::ACCEPTED);
            stage.world.advance(Duration::from_secs(5)).await;
            assert_eq!(stage.graph.count(), 2);
            assert_eq!(stage.reads().await.0, StatusCode::ACCEPTED);
            stage.world.advance(Duration::from_secs(3)).await;
            assert_eq!(stage.graph.count(), 2, "not while it is being read");
            stage.world.advance(Duration::from_secs(5)).await;
            assert_eq!(stage.graph.count(), 3, "what changed during the one is in the other");
            stage.world.advance(HOUR * 5).await;
            assert_eq!(stage.graph.count(), 3);
        },
    );
}

#[test]
fn nobody_is_asked_without_a_token_while_paused_or_for_an_account_that_takes_no_part() {
    simulated(
        |terms| terms.reconcile.token_for_all = None,
        |stage| async move {
            stage.registers(WABA).await;
            stage.world.advance(HOUR * 24).await;
            assert_eq!((stage.graph.count(), &stage.standing().await["state"]), (0, &json!("no_token")));
            assert_eq!(stage.reads().await.0, StatusCode::CONFLICT);
        },
    );
    simulated(
        |terms| terms.paused = true,
        |stage| async move {
            stage.registers(WABA).await;
            stage.world.advance(HOUR * 24).await;
            assert_eq!((stage.graph.count(), &stage.standing().await["state"]), (0, &json!("paused")));
            assert_eq!(stage.reads().await.0, StatusCode::CONFLICT);
        },
    );
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            let account = format!("/v1/accounts/{ACCOUNT}");
            stage.call("PUT", &account, json!({"name": "Shop", "chatApps": false})).await;
            let path = format!("/v1/business-accounts/{WABA}");
            stage.call("PUT", &path, json!({"accountId": ACCOUNT})).await;
            stage.world.advance(HOUR * 24).await;
            assert_eq!(
                (stage.graph.count(), &stage.standing().await["state"]),
                (0, &json!("not_configured"))
            );
            assert_eq!(stage.reads().await.0, StatusCode::CONFLICT);
            stage.call("PUT", &account, json!({"name": "Shop", "chatApps": true})).await;
            stage.succeeds().await;
        },
    );
}

#[test]
fn a_token_that_is_given_later_is_used_at_once() {
    simulated(
        |terms| terms.reconcile.token_for_all = None,
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.registers(WABA).await;
            stage.world.advance(HOUR * 24).await;
            let path = format!("/v1/business-accounts/{WABA}/access-token");
            stage.call("PUT", &path, json!({"accessToken": TOKEN})).await;
            stage.succeeds().await;
            stage.world.advance(HOUR * 7).await;
            assert_eq!(stage.graph.count(), 2, "and from then on as usual");
            stage.call("DELETE", &path, Value::Null).await;
            stage.world.advance(HOUR * 24).await;
            assert_eq!(stage.graph.count(), 2);
        },
    );
}

#[test]
fn while_the_store_can_not_keep_what_is_read_meta_is_not_asked_again_and_again() {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    simulated(
        |terms| {
            terms.faults = Faults::planned(move |point| {
                let hit = point == Point::BeforeCommit && breaks.load(Ordering::Relaxed);
                hit.then_some(Fault::Error)
            });
        },
        |stage| async move {
            stage.graph.lists(WABA, 2, "TIER_2K");
            stage.graph.with(|meta| meta.takes = Duration::from_secs(1));
            stage.registers(WABA).await;
            broken.store(true, Ordering::Relaxed);
            stage.world.advance(HOUR).await;
            let asked = stage.graph.count();
            assert!((10..=60).contains(&asked), "once a minute: {asked}");
            broken.store(false, Ordering::Relaxed);
            stage.world.advance(Duration::from_mins(3)).await;
            let gain = stage.succeeds().await;
            assert_eq!((&gain["numbers"], stage.events().await.len()), (&json!(2), 2));
            assert!(stage.graph.count() <= asked + 1);
        },
    );
}
