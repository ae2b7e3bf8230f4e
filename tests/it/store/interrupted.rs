//! Attempts of which nobody said what came of them, one after another: the
//! delivery waits, and in the end is set aside.

use bellwether::model::attempt::OutcomeClass;
use bellwether::model::delivery::DeliveryState::{Exhausted, Pending};
use bellwether::model::id::DeliveryId;
use bellwether::policy::interruption::MOST_IN_A_ROW;
use bellwether::store::queue::Claimed;

use super::{ACME, Bench, LEASE_MS, account_id, at, deliveries_in};

/// Longer than any wait between two interrupted attempts, and than a lease.
const LATER: i64 = 100_000;

fn id(position: i64) -> DeliveryId {
    DeliveryId::new(position, 0)
}

fn head(claimed: &[Claimed]) -> DeliveryId {
    let [one] = claimed else { panic!("one lane, one head: {claimed:?}") };
    one.delivery
}

/// How many attempts the delivery's history has, and the note of the last.
async fn history(bench: &Bench, delivery: DeliveryId) -> (usize, String) {
    let (_, attempts) = bench.store.delivery(account_id(ACME), delivery).await.unwrap().unwrap();
    assert!(attempts.iter().all(|attempt| attempt.class == OutcomeClass::Interrupted));
    (attempts.len(), attempts.last().unwrap().note.clone().unwrap())
}

async fn totals(bench: &Bench) -> [u64; 5] {
    bench.store.totals(at(0)).await.unwrap().deliveries
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_attempts_end_with_the_process_again_and_again_is_set_aside_at_a_start() {
    let mut bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    for round in 1..=i64::from(MOST_IN_A_ROW) {
        let now = round * LATER;
        assert_eq!(head(&bench.claim(now).await), id(1), "round {round}");
        bench = bench.reopened(now + 1).await;
        assert_eq!(i64::try_from(history(&bench, id(1)).await.0).unwrap(), round);
    }
    assert!(history(&bench, id(1)).await.1.contains("set aside"));
    assert_eq!(totals(&bench).await, [1, 0, 1, 0, 0]);
    let aside = bench.deliveries(deliveries_in(Some(Exhausted))).await;
    assert_eq!((aside.len(), aside[0].id, aside[0].next_at), (1, id(1), None));
    let now = i64::from(MOST_IN_A_ROW) * LATER + 1;
    assert_eq!(head(&bench.claim(now).await), id(2), "its lane goes on at once");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_whose_attempts_are_never_recorded_is_set_aside_when_the_last_lease_ends() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    for round in 1..=i64::from(MOST_IN_A_ROW) {
        // It is due again when the lease has ended, and after its own wait.
        let claimed = bench.claim(round * 2 * LATER).await;
        let claimed =
            if claimed.is_empty() { bench.claim(round * 2 * LATER + LATER - 1).await } else { claimed };
        assert_eq!(head(&claimed), id(1), "round {round}");
    }
    let after = bench.claim((i64::from(MOST_IN_A_ROW) + 1) * 2 * LATER).await;
    assert_eq!(head(&after), id(2), "the next of its lane takes its place in the same commit");
    assert_eq!(totals(&bench).await, [1, 0, 1, 0, 0]);
    assert!(history(&bench, id(1)).await.1.contains("set aside"));
}

#[tokio::test(start_paused = true)]
async fn a_recorded_outcome_ends_the_row_and_so_does_a_replay() {
    let mut bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let mut now = 0;
    for round in 1..=3 * MOST_IN_A_ROW {
        now += LATER;
        let claimed = bench.claim(now).await;
        if round % (MOST_IN_A_ROW - 1) == 0 {
            bench.settle(&claimed[0], now, Pending).await;
        } else {
            bench = bench.reopened(now + 1).await;
        }
        assert_eq!(totals(&bench).await, [1, 0, 0, 0, 0], "round {round}");
    }
    while totals(&bench).await == [1, 0, 0, 0, 0] {
        now += LATER;
        bench.claim(now).await;
        bench = bench.reopened(now + 1).await;
    }
    bench.store.replay(account_id(ACME), vec![id(1)], at(now + 2)).await.unwrap();
    for round in 1..MOST_IN_A_ROW {
        assert_eq!(totals(&bench).await, [1, 0, 0, 0, 0], "after {round} rounds more");
        now += LATER;
        assert_eq!(head(&bench.claim(now).await), id(1));
        bench = bench.reopened(now + 1).await;
    }
    assert_eq!(totals(&bench).await, [1, 0, 0, 0, 0]);
    bench.claim(now + LATER).await;
    let bench = bench.reopened(now + LATER + LEASE_MS).await;
    assert_eq!(totals(&bench).await, [0, 0, 1, 0, 0]);
}
