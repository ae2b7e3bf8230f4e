//! Negative controls: the same checks on a node without the mechanism that they
//! guard. Each must find the harm, else it proves nothing when it is green.

use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::{Faults, Weakness};
use bellwether::model::attempt::OutcomeClass;
use serde_json::json;

use super::chaos::{self, Wants};
use super::oracle::{Oracle, Verdict, limit_of};
use super::receivers::{Answer, Receiver};
use super::world::{ACCOUNT, EPOCH_MS, Terms, WABA, World, notification, simulate_with, upgrade};

/// Chaos finds by then what it can find at all.
const SEEDS: u64 = 40;

fn without(weakness: Option<Weakness>) -> Terms {
    let faults = weakness.into_iter().fold(Faults::none(), Faults::weakened);
    Terms { faults, per_webhook: 4, ..Terms::default() }
}

/// Posts one change and tells the oracle.
async fn notify(world: &World, oracle: &mut Oracle, at: i64, number: u64) {
    let (time, change) = (EPOCH_MS / 1000 + at, upgrade(number, &format!("TIER_{at}")));
    oracle.sent.insert(limit_of(&change), (time, change.clone()));
    let (status, _) = world.post_signed(&notification(time, std::slice::from_ref(&change))).await;
    assert_eq!(status, StatusCode::OK);
    oracle.acknowledged.insert(limit_of(&change));
}

async fn verdict(world: &World, mut oracle: Oracle, shop: &Receiver) -> Verdict {
    world.quiesce().await;
    oracle.look(world)?;
    oracle.look_at_the_end(world, std::slice::from_ref(&shop.url)).await
}

/// Whether the invariant of that name is among those broken.
fn broken(verdict: &Verdict, name: &str) -> bool {
    verdict.as_ref().is_err_and(|violation| violation.starts_with(name))
}

#[test]
fn chaos_finds_a_node_that_does_not_deduplicate() {
    let found =
        (1..=SEEDS).find_map(|seed| chaos::run(seed, Some(Weakness::NoDeduplication), Wants::All).err());
    assert!(broken(&Err(found.expect("no seed found it")), "PHANTOM"));
}

#[test]
fn chaos_finds_a_node_that_records_before_it_sends() {
    let weakness = Some(Weakness::RecordBeforeSending);
    assert!((1..=SEEDS).any(|seed| chaos::run(seed, weakness, Wants::All).is_err()), "no seed found it");
}

#[test]
fn chaos_finds_a_node_that_supersedes_what_nothing_newer_stands_for() {
    let supersedes = |seed| {
        let trace = chaos::run(seed, None, Wants::Latest).unwrap();
        trace.iter().any(|line| line.starts_with(chaos::SUPERSEDED))
    };
    assert!((1..=SEEDS).any(supersedes), "no seed supersedes anything");
    let weakness = Some(Weakness::SupersedeBlindly);
    let found = (1..=SEEDS).find_map(|seed| chaos::run(seed, weakness, Wants::Latest).err());
    assert!(broken(&Err(found.expect("no seed found it")), "SUPERSEDED"));
}

#[test]
fn chaos_finds_a_node_that_takes_what_is_exhausted_at_one_webhook_for_delivered_at_the_others() {
    let weakness = Some(Weakness::ExhaustedForAll);
    assert!((1..=SEEDS).any(|seed| chaos::run(seed, weakness, Wants::All).is_err()), "no seed found it");
}

/// One webhook refuses every attempt; the other answers none in time but the
/// last, and waits for that when the first one's are exhausted.
fn two_webhooks_one_exhausted(weakness: Option<Weakness>) -> Verdict {
    simulate_with(without(weakness), |world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let shop = world.receiver("shop").await.always(Answer::Fails(OutcomeClass::Connect));
        let second = world.receiver("second").await.answers(vec![Answer::Hangs; 4]);
        let mut oracle = Oracle::default();
        notify(&world, &mut oracle, 1, 1).await;
        world.quiesce().await;
        oracle.look(&world)?;
        oracle.look_at_the_end(&world, &[shop.url, second.url]).await
    })
}

#[test]
fn what_is_exhausted_at_one_webhook_is_owed_to_the_other_unless_it_counts_for_all() {
    assert_eq!(two_webhooks_one_exhausted(None), Ok(()));
    let found = two_webhooks_one_exhausted(Some(Weakness::ExhaustedForAll));
    assert!(broken(&found, "LOST"), "{found:?}");
}

/// The process ends while a request is on its way that never arrives.
fn a_crash_while_sending(weakness: Option<Weakness>) -> Verdict {
    simulate_with(without(weakness), |mut world| async move {
        let shop = world.receiver("shop").await.answers([Answer::Hangs]);
        let mut oracle = Oracle::default();
        notify(&world, &mut oracle, 1, 1).await;
        world.advance(Duration::from_secs(1)).await;
        world.crash_and_restart().await;
        verdict(&world, oracle, &shop).await
    })
}

#[test]
fn fault_5_a_crash_while_sending_loses_nothing_unless_sending_is_recorded_first() {
    assert_eq!(a_crash_while_sending(None), Ok(()));
    assert!(broken(&a_crash_while_sending(Some(Weakness::RecordBeforeSending)), "LOST"));
}

/// The process stands still for longer than a lease while an attempt is under
/// way. Another one is made under a new lease, and takes its time; then the
/// first one's answer is recorded, or is not.
fn a_pause_longer_than_a_lease(weakness: Option<Weakness>) -> Verdict {
    simulate_with(without(weakness), |mut world| async move {
        let (late, retried) = (Answer::Slow(Duration::from_secs(9), 200), Answer::Status(500));
        let shop = world.receiver("shop").await.answers([late, retried, Answer::Hangs, Answer::Hangs]);
        let mut oracle = Oracle::default();
        notify(&world, &mut oracle, 1, 1).await;
        notify(&world, &mut oracle, 2, 2).await;
        notify(&world, &mut oracle, 3, 1).await;
        world.advance(Duration::from_millis(500)).await;
        world.pause(Duration::from_mins(2)).await;
        verdict(&world, oracle, &shop).await
    })
}

#[test]
fn fault_32_the_answer_of_an_attempt_whose_lease_has_ended_changes_nothing_unless_leases_are_not_fenced() {
    assert_eq!(a_pause_longer_than_a_lease(None), Ok(()));
    let found = a_pause_longer_than_a_lease(Some(Weakness::NoFencing));
    assert!(broken(&found, "OVERLAP"), "{found:?}");
}
