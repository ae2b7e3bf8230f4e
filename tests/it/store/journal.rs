//! The journal: whoever follows it is told of everything that was committed, once
//! and in order, from any place on, and is never silently told less.

use bellwether::env::Point;
use bellwether::model::delivery::DeliveryState::{self, Canceled, Delivered, Exhausted, Pending};
use bellwether::model::number::Subject;
use bellwether::store::journal::{Follow, News, Place};
use bellwether::store::queue::{Item, Retention};

use super::{
    ACME, Bench, account, account_id, at, batch, business_account, change, change_of, identity,
    template_change, webhook, webhook_id,
};

const START: Place = Place { row: 0, passed: 0, at: 0 };

fn of(account: u128) -> Follow {
    let account = account_id(account);
    Follow { account, after: Some(START), number: None, event_type: None, webhook: None }
}

fn after(place: Place) -> Follow {
    Follow { after: Some(place), ..of(ACME) }
}

/// All there is to follow.
async fn followed(bench: &Bench, mut follow: Follow) -> Vec<(Place, News)> {
    let mut all = Vec::new();
    loop {
        let step = bench.store.follow(follow.clone()).await.unwrap().unwrap();
        all.extend(step.items);
        follow.after = Some(step.next);
        if !step.more {
            return all;
        }
    }
}

/// What was told, in short: an event by its sequence, a delivery by its number,
/// state and attempts.
fn told(news: &[(Place, News)]) -> Vec<String> {
    let short = |(_, news): &(Place, News)| match news {
        News::Event(event) => {
            format!("{} event {}", event.phone_number.as_deref().unwrap_or("-"), event.sequence)
        }
        News::Delivery(delivery) => {
            let number = delivery.phone_number.as_deref().unwrap_or("-");
            format!("{number} {} {}", delivery.state.as_str(), delivery.attempts)
        }
        News::Number(now) => format!("{} changed", now.digits),
        News::Retired(digits) => format!("{digits} retired"),
        News::Gap => "gap".to_owned(),
    };
    news.iter().map(short).collect()
}

/// Claims all that is due and settles it.
async fn settle(bench: &Bench, ms: i64, state: DeliveryState) {
    for claimed in bench.claim(ms).await {
        bench.settle(&claimed, ms, state).await;
    }
}

/// Two numbers, of which one fails, is exhausted, replayed and then canceled.
async fn played() -> Bench {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    settle(&bench, 10, Pending).await;
    bench.accept_each(20, &["12"]).await;
    settle(&bench, 30, Delivered).await;
    settle(&bench, 2_000, Exhausted).await;
    let exhausted = bench.deliveries(super::deliveries_in(Some(Exhausted))).await;
    bench.store.replay(account_id(ACME), vec![exhausted[0].id], at(3_000)).await.unwrap();
    bench.accept_each(4_000, &["11"]).await;
    bench.store.delete_webhooks(account_id(ACME), vec![identity("*")], at(5_000)).await.unwrap();
    bench
}

const STORY: [&str; 9] = [
    "11 event 1",
    "11 pending 1",
    "12 event 1",
    "12 delivered 1",
    "11 exhausted 2",
    "11 pending 2",
    "11 event 2",
    "11 canceled 2",
    "11 canceled 0",
];

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_told_in_order_each_delivery_as_it_stood_then() {
    let bench = played().await;
    let all = followed(&bench, of(ACME)).await;
    assert_eq!(told(&all), STORY);
    let deliveries: Vec<_> = all
        .iter()
        .filter_map(|(_, news)| match news {
            News::Delivery(delivery) => Some(delivery),
            News::Event(_) | News::Number(_) | News::Retired(_) | News::Gap => None,
        })
        .collect();
    let [failed, delivered, exhausted, replayed, canceled, behind] = deliveries[..] else {
        panic!("{all:?}")
    };
    assert_eq!((failed.next_at, failed.last.as_ref().unwrap().status), (Some(at(1_010)), Some(500)));
    assert_eq!(delivered.last.as_ref().unwrap().answer, b"thanks");
    for ended in [exhausted, replayed, canceled] {
        assert_eq!((ended.next_at, ended.last.as_ref().unwrap().number), (None, 2));
    }
    assert_eq!((behind.state, &behind.last), (Canceled, &None));
}

#[tokio::test(start_paused = true)]
async fn from_any_place_on_the_rest_is_told_and_nothing_twice() {
    let bench = played().await;
    let all = followed(&bench, of(ACME)).await;
    for (passed, (place, _)) in all.iter().enumerate() {
        assert_eq!(followed(&bench, after(*place)).await, all[passed + 1..], "behind {place}");
    }
    // Also when much is in one commit, read in several steps.
    let changes = (0..700).map(|version| Item::Change(change(&(100 + version % 7).to_string(), version)));
    bench.store.accept(batch(9_000, changes)).await.unwrap();
    let more = followed(&bench, after(all[all.len() - 1].0)).await;
    assert_eq!(more.len(), 700);
    for passed in [0, 1, 199, 200, 201, 698, 699] {
        assert_eq!(followed(&bench, after(more[passed].0)).await, more[passed + 1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn from_now_on_is_behind_all_that_was_before() {
    let bench = played().await;
    let now = bench.store.follow(Follow { after: None, ..of(ACME) }).await.unwrap().unwrap();
    assert_eq!((now.items, now.more), (vec![], false));
    bench.accept_each(6_000, &["13"]).await;
    assert_eq!(told(&followed(&bench, after(now.next)).await), ["13 event 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_told_of_its_own_only() {
    let bench = played().await;
    bench.store.put_account(account(0x0e4)).await.unwrap();
    let theirs =
        bellwether::model::account::BusinessAccount { account: account_id(0x0e4), ..business_account("2") };
    bench.store.put_business_account(theirs, at(0)).await.unwrap();
    bench.accept(7_000, vec![change_of("2", "11", 77)]).await;
    assert_eq!(told(&followed(&bench, of(0x0e4)).await), ["11 event 1"]);
    assert_eq!(told(&followed(&bench, of(ACME)).await), STORY);
    assert_eq!(bench.store.follow(of(0x404)).await.unwrap(), None, "nobody's account");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_number_a_type_or_a_webhook_is_told_of_that() {
    let bench = Bench::with_webhook().await;
    bench.store.put_webhooks(vec![webhook(2, "second")]).await.unwrap();
    bench.accept(1, vec![change("11", 1), change("12", 1), template_change(2)]).await;
    settle(&bench, 10, Delivered).await;
    let number = Follow { number: Subject::number("12"), ..of(ACME) };
    assert_eq!(told(&followed(&bench, number).await), ["12 event 1", "12 delivered 1"]);
    let event_type = Follow { event_type: Some("template_status_update".to_owned()), ..of(ACME) };
    assert_eq!(told(&followed(&bench, event_type).await), ["- event 1", "- delivered 1"]);
    let to_other = Follow { webhook: Some(webhook_id(2)), ..of(ACME) };
    assert_eq!(told(&followed(&bench, to_other).await), ["11 event 1", "12 event 1", "- event 1"]);
    let unknown = Follow { number: Subject::number("99"), ..of(ACME) };
    assert_eq!(told(&followed(&bench, unknown).await), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_did_not_become_durable_is_not_told_and_what_did_is_told_once() {
    for (point, told_by_then) in [(Point::BeforeCommit, 0), (Point::AfterCommit, 1)] {
        let bench = Bench::with_webhook().await;
        bench.break_once(point);
        let item = || [Item::Change(change("11", 1))];
        bench.store.accept(batch(1, item())).await.unwrap_err();
        assert_eq!(followed(&bench, of(ACME)).await.len(), told_by_then, "{point:?}");
        bench.store.accept(batch(2, item())).await.unwrap();
        assert_eq!(told(&followed(&bench, of(ACME)).await), ["11 event 1"], "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_end_of_the_process_interrupted_is_told_after_the_start() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    assert_eq!(bench.claim(10).await.len(), 1);
    let before = followed(&bench, of(ACME)).await;
    let bench = bench.reopened(1_000).await;
    let since = followed(&bench, after(before[0].0)).await;
    assert_eq!(told(&since), ["11 pending 1"]);
    settle(&bench, 60_000, Delivered).await;
    assert_eq!(told(&followed(&bench, after(since[0].0)).await), ["11 delivered 2"]);
}

fn retention(journal_before: i64) -> Retention {
    let old = at(0);
    Retention {
        now: at(i64::MAX),
        events_before: old,
        after: 0,
        keys_before: old,
        journal_before: at(journal_before),
        step: 10,
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_older_than_what_is_kept_is_told_of_the_gap_and_goes_on_with_the_oldest() {
    let bench = played().await;
    let all = followed(&bench, of(ACME)).await;
    while bench.store.retire(retention(2_000)).await.unwrap().is_some() {}
    let rest: Vec<_> = ["gap"].into_iter().chain(STORY[4..].iter().copied()).collect();
    for place in [START, all[0].0, all[3].0] {
        assert_eq!(told(&followed(&bench, after(place)).await), rest, "from {place}");
    }
    assert_eq!(told(&followed(&bench, after(all[4].0)).await), STORY[5..], "the oldest that is kept");
    // The last row stays however old it is: who is up to date stays so.
    while bench.store.retire(retention(i64::MAX / 2)).await.unwrap().is_some() {}
    let last = all[all.len() - 1].0;
    assert_eq!(followed(&bench, after(last)).await, vec![]);
    bench.accept_each(9_000, &["13"]).await;
    assert_eq!(told(&followed(&bench, after(last)).await), ["13 event 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_journal_names_and_retention_has_removed_is_a_gap() {
    let bench = played().await;
    bench.store.retire(Retention { events_before: at(15), ..retention(0) }).await.unwrap();
    bench.meddle("DELETE FROM events WHERE position = 2; DELETE FROM deliveries WHERE id / 16384 = 2");
    let all = told(&followed(&bench, after(START)).await);
    assert_eq!(all.iter().filter(|told| *told == "gap").count(), 2, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_place_from_a_store_that_a_copy_has_replaced_is_a_gap() {
    let bench = played().await;
    let all = followed(&bench, of(ACME)).await;
    // The copy is from before; other things have happened since.
    bench.meddle("UPDATE journal SET at = at + 7 WHERE row > 2");
    assert_eq!(told(&followed(&bench, after(all[5].0)).await)[..2], ["gap", "11 event 1"]);
    let ahead = Place { row: 4_711, passed: 0, at: at(1).ms() };
    assert_eq!(told(&followed(&bench, after(ahead)).await)[..2], ["gap", "11 event 1"]);
    assert_eq!(told(&followed(&bench, after(all[0].0)).await), STORY[1..], "what both have is known");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_can_not_be_read_is_damage_and_not_passed_over() {
    let bench = played().await;
    bench.meddle("UPDATE journal SET entries = x'7f01' WHERE row = 3");
    let told = bench.store.follow(of(ACME)).await;
    assert_eq!(told.unwrap_err().kind, bellwether::store::ErrorKind::Damaged);
}
