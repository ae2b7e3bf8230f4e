//! Leasing and settling: one at a time per lane, in order, under a token that
//! only the latest holder has.

use std::time::Duration;

use bellwether::model::attempt::{Outcome, OutcomeClass};
use bellwether::model::delivery::DeliveryState::{Canceled, Delivered, Exhausted, Pending};
use bellwether::model::id::{DeliveryId, WebhookKey};
use bellwether::model::webhook::Webhook;
use bellwether::store::ErrorKind;
use bellwether::store::queue::{Claimed, Settled, Settlement, Want};

use super::{ACME, Bench, LEASE_MS, account_id, at, attempt, change, deliveries_in, identity, webhook};

const HOOK: WebhookKey = WebhookKey(1);

fn id(position: i64) -> DeliveryId {
    DeliveryId::new(position, 0)
}

fn ids(claimed: &[Claimed]) -> Vec<DeliveryId> {
    claimed.iter().map(|claimed| claimed.delivery).collect()
}

/// The delivery's attempts: number, class, when the next was due.
async fn history(bench: &Bench, delivery: DeliveryId) -> Vec<(u32, OutcomeClass)> {
    let (_, attempts) = bench.store.delivery(account_id(ACME), delivery).await.unwrap().unwrap();
    attempts.into_iter().map(|attempt| (attempt.number, attempt.class)).collect()
}

async fn totals(bench: &Bench) -> [u64; 5] {
    bench.store.totals(at(0)).await.unwrap().deliveries
}

async fn disable(bench: &Bench) {
    bench.store.put_webhooks(vec![Webhook { enabled: false, ..webhook(1, "*") }]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_heads_of_lanes_are_leased_one_per_lane() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11", "12", "11", "12"]).await;
    let claimed = bench.claim(10).await;
    assert_eq!(ids(&claimed), [id(1), id(3)]);
    assert!(claimed.iter().all(|claimed| claimed.lease.until == at(10 + LEASE_MS)));
    assert_ne!(claimed[0].lease.token, claimed[1].lease.token);
    assert_eq!(ids(&bench.claim(11).await), [], "one at a time");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_was_delivered_or_exhausted_makes_way_for_the_next_of_its_lane() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11", "11", "12"]).await;
    let claimed = bench.claim(10).await;
    bench.handover.open();
    bench.settle(&claimed[0], 20, Delivered).await;
    let next = bench.ready();
    assert_eq!(ids(&next), [id(2)], "it goes out at once, and the other lane's is left alone");
    bench.handover.close();
    bench.settle(&next[0], 30, Exhausted).await;
    assert_eq!(ids(&bench.ready()), []);
    assert_eq!(bench.store.schedule().await.unwrap()[&HOOK], at(30), "without room it is due");
    assert_eq!(ids(&bench.claim(30).await), [id(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_its_turn_until_it_is_due() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.handover.take();
    bench.settle(&claimed, 20, Pending).await;
    assert_eq!(bench.handover.take().due.get(&HOOK), Some(&at(1_020)), "the dispatcher is told");
    assert_eq!(ids(&bench.claim(1_019).await), []);
    let again = bench.claim(1_020).await.remove(0);
    assert_eq!((again.delivery, again.attempts, again.attempts_before), (id(1), 1, 0));
    assert_eq!(totals(&bench).await, [2, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_without_a_time_is_due_at_once_and_never_forgotten() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let Claimed { delivery, lane, lease, .. } = bench.claim(10).await.remove(0);
    let attempt = attempt(1, 20, &Outcome::answered(500, Vec::new()), None);
    let settlement = Settlement { delivery, lane, lease, attempt, state: Pending, now: at(20) };
    bench.store.settle(settlement).await.unwrap();
    assert_eq!(ids(&bench.claim(20).await), [id(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_is_given_anew_and_the_old_one_settles_nothing() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    let old = bench.claim(10).await.remove(0);
    assert_eq!(ids(&bench.claim(9 + LEASE_MS).await), []);
    let new = bench.claim(10 + LEASE_MS).await.remove(0);
    assert_eq!(new.delivery, old.delivery);
    assert!(new.lease.token > old.lease.token);
    assert_eq!((new.attempts, new.attempts_before), (1, 1), "the schedule is where it was");
    assert_eq!(history(&bench, id(1)).await, [(1, OutcomeClass::Interrupted)]);

    for state in [Delivered, Pending, Exhausted] {
        assert_eq!(bench.settle(&old, 70_000, state).await, Settled::Stale);
        bench.handover.open();
        assert!(bench.handover.reserve(HOOK), "the old holder's place is given back once");
        bench.handover.close();
    }
    bench.store.release(vec![(old.delivery, old.lease)], at(70_000)).await.unwrap();
    assert_eq!(ids(&bench.claim(70_001).await), []);
    assert_eq!(totals(&bench).await, [2, 0, 0, 0, 0]);
    assert_eq!(history(&bench, id(1)).await.len(), 1);

    assert_eq!(bench.settle(&new, 70_002, Delivered).await, Settled::Recorded);
    assert_eq!(bench.settle(&new, 70_003, Delivered).await, Settled::Stale, "once");
    let told = history(&bench, id(1)).await;
    assert_eq!(told, [(1, OutcomeClass::Interrupted), (2, OutcomeClass::Success)]);
    assert_eq!(ids(&bench.claim(70_003).await), [id(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_retry_keeps_its_place_in_the_schedule() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let first = bench.claim(10).await.remove(0);
    bench.settle(&first, 20, Pending).await;
    bench.claim(2_000).await;
    let again = bench.claim(2_000 + LEASE_MS).await.remove(0);
    assert_eq!((again.attempts, again.attempts_before), (2, 1), "one counts, one does not");
    bench.settle(&again, 70_000, Exhausted).await;
    let told = history(&bench, id(1)).await;
    let classes = [OutcomeClass::Status, OutcomeClass::Interrupted, OutcomeClass::Status];
    assert_eq!(told, [1, 2, 3].into_iter().zip(classes).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_released_delivery_is_due_again_and_nothing_is_counted() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.handover.take();
    let lease = (claimed.delivery, claimed.lease);
    bench.store.release(vec![lease, (id(2), claimed.lease), (id(9), claimed.lease)], at(500)).await.unwrap();
    assert_eq!(bench.handover.take().due.get(&HOOK), Some(&at(500)));
    assert_eq!(ids(&bench.claim(499).await), []);
    let again = bench.claim(500).await;
    assert_eq!(ids(&again), [id(1)]);
    assert_eq!((again[0].attempts, again[0].attempts_before), (0, 0));
    assert_eq!(bench.settle(&claimed, 501, Delivered).await, Settled::Stale);
    assert_eq!(history(&bench, id(1)).await, []);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_leased_than_there_is_room_for_and_every_place_is_given_back() {
    // An account's share of five is three.
    let bench = Bench::with_room(5, 2).and_webhook().await;
    bench.store.put_business_account(shop(), at(0)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(2, "shop")]).await.unwrap();
    bench.handover.open();
    bench.accept_each(1, &["11", "12", "13", "11", "14", "15"]).await;
    assert_eq!(bench.places(), 3);
    let mut ready = bench.ready();
    let to = |webhook| ready.iter().filter(|claimed| claimed.lane.webhook == WebhookKey(webhook)).count();
    assert_eq!((to(1), to(2)), (2, 1));
    let mut delivered = Vec::new();
    for ms in 10.. {
        for claimed in std::mem::take(&mut ready) {
            assert_eq!(bench.settle(&claimed, ms, Delivered).await, Settled::Recorded);
            delivered.push(claimed);
        }
        let wants = [2, 1].map(|webhook| Want { webhook: WebhookKey(webhook), room: 2 });
        bench.store.claim(wants.into(), at(ms)).await.unwrap();
        ready = bench.ready();
        assert!(bench.places() <= 3 && ready.len() == bench.places());
        if ready.is_empty() {
            break;
        }
    }
    assert_eq!((bench.places(), delivered.len()), (0, 12));
    let lane = |webhook| {
        let of = |claimed: &&Claimed| claimed.lane.webhook == webhook && claimed.lane == delivered[0].lane;
        delivered.iter().filter(of).map(|claimed| claimed.sequence).collect::<Vec<_>>()
    };
    assert_eq!(lane(delivered[0].lane.webhook), [1, 2]);
}

fn shop() -> bellwether::model::account::BusinessAccount {
    let sub_account = Some("shop".parse().unwrap());
    bellwether::model::account::BusinessAccount { sub_account, ..super::business_account(super::WABA) }
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_no_more_than_it_wants_and_tells_what_is_left() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12", "13"]).await;
    bench.handover.open();
    let want = |room| vec![Want { webhook: HOOK, room }];
    assert_eq!(bench.store.claim(want(2), at(10)).await.unwrap(), [(HOOK, Some(at(3)))]);
    assert_eq!(ids(&bench.ready()), [id(1), id(2)]);
    assert_eq!(bench.store.claim(want(2), at(20)).await.unwrap(), [(HOOK, Some(at(10 + LEASE_MS)))]);
    assert_eq!(ids(&bench.ready()), [id(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_gives_its_places_back() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12"]).await;
    bench.meddle(
        "CREATE TRIGGER spoil BEFORE UPDATE ON deliveries WHEN NEW.id = 2 << 14 \
         BEGIN SELECT RAISE(ABORT, 'spoiled'); END",
    );
    bench.handover.open();
    let wants = vec![Want { webhook: HOOK, room: 9 }];
    bench.store.claim(wants.clone(), at(10)).await.unwrap_err();
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    bench.meddle("DROP TRIGGER spoil");
    bench.store.claim(wants, at(11)).await.unwrap();
    assert_eq!((bench.places(), bench.ready().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_leased_of_a_disabled_or_deleted_webhook() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "12"]).await;
    disable(&bench).await;
    bench.handover.open();
    let wants = vec![Want { webhook: HOOK, room: 9 }, Want { webhook: WebhookKey(99), room: 9 }];
    let nothing = [(HOOK, None), (WebhookKey(99), None)];
    assert_eq!(bench.store.claim(wants.clone(), at(10)).await.unwrap(), nothing);
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(11)).await.unwrap();
    assert_eq!(bench.store.claim(wants, at(12)).await.unwrap(), nothing);
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    assert_eq!(bench.deliveries(deliveries_in(Some(Canceled))).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_next_of_a_disabled_webhooks_lane_is_held_and_not_handed_over() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    disable(&bench).await;
    bench.handover.open();
    assert_eq!(bench.settle(&claimed, 20, Delivered).await, Settled::Recorded);
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    bench.store.put_webhooks(vec![webhook(1, "*")]).await.unwrap();
    assert_eq!(bench.handover.take().due.get(&HOOK), Some(&at(20)), "it goes on where it was");
    let next = bench.claim(30).await;
    assert_eq!(ids(&next), [id(2)]);
    assert_eq!(next[0].attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_says_what_claims_say() {
    let bench = Bench::with_webhook().await;
    bench.store.put_business_account(shop(), at(0)).await.unwrap();
    bench.store.put_webhooks(vec![webhook(2, "shop"), webhook(3, "cafe")]).await.unwrap();
    bench.accept_each(1, &["11", "12", "11"]).await;
    for (step, state) in (1..).zip([Pending, Delivered, Pending, Exhausted, Delivered]) {
        let now = step * 500;
        let claimed = bench.claim(now).await;
        let every_second = claimed.iter().skip(usize::from(step % 2 == 0)).step_by(2);
        for claimed in every_second {
            bench.settle(claimed, now, state).await;
        }
        let schedule = bench.store.schedule().await.unwrap();
        let wants = [1, 2, 3].map(|webhook| Want { webhook: WebhookKey(webhook), room: 0 });
        let told = bench.store.claim(wants.into(), at(now)).await.unwrap();
        let told = told.into_iter().filter_map(|(webhook, at)| Some((webhook, at?))).collect();
        assert_eq!(schedule, told, "step {step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_start_ends_the_leases_of_the_last_and_notes_what_was_under_way() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11", "12"]).await;
    let old = bench.claim(10).await;
    bench.accept_each(20, &["13"]).await;
    let bench = bench.reopened(5_000).await;
    assert_eq!(bench.store.schedule().await.unwrap()[&HOOK], at(20), "all is due without waiting");
    let told = [(1, OutcomeClass::Interrupted)];
    assert_eq!(history(&bench, id(1)).await, told);
    assert_eq!(history(&bench, id(3)).await, told);
    assert_eq!(history(&bench, id(4)).await, [], "nobody held it");

    assert_eq!(ids(&bench.claim(4_999).await), [id(4)]);
    let new = bench.claim(5_000).await;
    assert_eq!(ids(&new), [id(1), id(3)]);
    for (new, old) in new.iter().zip(&old) {
        assert_eq!((new.attempts, new.attempts_before), (1, 1));
        assert!(new.lease.token > old.lease.token, "tokens are never given twice");
        let stale = bench.store.settle(settlement(old, 5_001)).await.unwrap();
        assert_eq!(stale, Settled::Stale);
    }
    assert_eq!(totals(&bench).await, [4, 0, 0, 0, 0]);
    // Once more: what is interrupted again and again shows it.
    let bench = bench.reopened(9_000).await;
    assert_eq!(bench.claim(9_000).await[0].attempts, 2);
}

pub(super) fn settlement(claimed: &Claimed, ms: i64) -> Settlement {
    let Claimed { delivery, lane, lease, .. } = *claimed;
    let attempt = attempt(claimed.attempts + 1, ms, &Outcome::answered(200, Vec::new()), None);
    Settlement { delivery, lane, lease, attempt, state: Delivered, now: at(ms) }
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_head_is_canceled_under_way_promotes_nobody_of_a_deleted_webhook() {
    let bench = Bench::with_webhook().await;
    bench.accept(1, (1..4).map(|version| change("11", version)).collect()).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(11)).await.unwrap();
    bench.handover.open();
    assert_eq!(bench.settle(&claimed, 12, Delivered).await, Settled::Stale);
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    assert!(bench.store.schedule().await.unwrap().is_empty());
    let late = at(12).plus(Duration::from_hours(1));
    assert_eq!(bench.store.claim(vec![Want { webhook: HOOK, room: 9 }], late).await.unwrap(), [(HOOK, None)]);
}

#[tokio::test(start_paused = true)]
async fn fault_10_a_body_in_which_a_bit_turned_over_is_damage_and_neither_sent_nor_shown() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    bench.meddle("UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'TIER_1', 'TIER_9') AS BLOB)");
    let shown = bench.store.events(super::events_of(ACME)).await;
    bench.handover.open();
    let webhook = WebhookKey(1);
    let claimed = bench.store.claim(vec![Want { webhook, room: 9 }], at(2)).await;
    let kinds = (shown.unwrap_err().kind, claimed.unwrap_err().kind);
    assert_eq!(kinds, (ErrorKind::Damaged, ErrorKind::Damaged));
    assert!(bench.ready().is_empty());
}
