//! The group commit: what shares a commit shares its fate, and an answer that
//! was lost can be asked for again.

use bellwether::env::Point;
use bellwether::model::delivery::DeliveryState;
use bellwether::store::queue::{Item, Settled};

use super::{ACME, Bench, account, account_id, at, batch, business_account, change};

fn one(ms: i64, number: &str) -> bellwether::store::queue::Batch {
    batch(ms, [Item::Change(change(number, 1))])
}

#[tokio::test(start_paused = true)]
async fn a_fault_before_the_commit_leaves_nothing_and_the_repeat_succeeds() {
    let bench = Bench::with_webhook().await;
    bench.handover.open();
    bench.break_once(Point::BeforeCommit);
    let (first, second) = tokio::join!(bench.store.accept(one(1, "11")), bench.store.accept(one(1, "12")));
    assert!(first.is_err() && second.is_err(), "they share the commit");
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    assert_eq!(bench.events().await, []);
    assert_eq!(bench.store.totals(at(1)).await.unwrap().deliveries, [0; 5]);

    assert_eq!(bench.store.accept(one(2, "11")).await.unwrap().accepted, 1);
    assert_eq!(bench.store.accept(one(2, "12")).await.unwrap().accepted, 1);
    let ready = bench.ready();
    assert_eq!((bench.places(), ready.len()), (2, 2));
    for claimed in &ready {
        assert_eq!(bench.settle(claimed, 3, DeliveryState::Delivered).await, Settled::Recorded);
    }
    assert_eq!(bench.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_commit_is_an_error_whose_repeat_finds_duplicates() {
    let bench = Bench::with_webhook().await;
    bench.handover.open();
    bench.break_once(Point::AfterCommit);
    let (first, second) = tokio::join!(bench.store.accept(one(1, "11")), bench.store.accept(one(1, "12")));
    assert!(first.is_err() && second.is_err(), "nobody may say that it is durable");
    for number in ["11", "12"] {
        assert_eq!(bench.store.accept(one(2, number)).await.unwrap().duplicate, 1);
    }
    assert_eq!(bench.events().await.len(), 2);
    let ready = bench.ready();
    assert_eq!((bench.places(), ready.len()), (2, 2), "what is durable goes out");
    for claimed in &ready {
        assert_eq!(bench.settle(claimed, 3, DeliveryState::Delivered).await, Settled::Recorded);
    }
    assert_eq!(bench.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_settlement_whose_answer_was_lost_is_recorded_once() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11"]).await;
    let claimed = bench.claim(10).await.remove(0);
    bench.handover.open();
    for point in [Point::BeforeCommit, Point::AfterCommit] {
        bench.break_once(point);
        let settlement = super::lease::settlement(&claimed, 20);
        bench.store.settle(settlement).await.unwrap_err();
    }
    assert_eq!(bench.settle(&claimed, 30, DeliveryState::Delivered).await, Settled::Stale);
    assert_eq!(bench.store.totals(at(30)).await.unwrap().deliveries, [1, 1, 0, 0, 0]);
    let next = bench.ready();
    assert_eq!((bench.places(), next.len()), (1, 1), "the next of the lane went out once");
    bench.settle(&next[0], 40, DeliveryState::Delivered).await;
    assert_eq!(bench.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_of_the_control_plane_spoils_nothing_of_its_group() {
    let bench = Bench::with_webhook().await;
    bench.handover.open();
    let mut homeless = business_account("2");
    homeless.account = account_id(9);
    let (accepted, refused, put) = tokio::join!(
        bench.store.accept(one(1, "11")),
        bench.store.put_business_account(homeless, at(0)),
        bench.store.put_account(account(2)),
    );
    assert!(refused.is_err());
    assert_eq!((accepted.unwrap().accepted, put.unwrap()), (1, true));
    assert_eq!((bench.places(), bench.ready().len()), (1, 1));
    assert!(bench.store.account(account_id(ACME)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_takes_its_group_along_and_no_place_is_lost() {
    let bench = Bench::with_webhook().await;
    bench.handover.open();
    bench.meddle(
        "CREATE TRIGGER spoil BEFORE INSERT ON deliveries WHEN NEW.id = 2 << 14 \
         BEGIN SELECT RAISE(ABORT, 'spoiled'); END",
    );
    let answers = tokio::join!(
        bench.store.accept(one(1, "11")),
        bench.store.accept(one(1, "12")),
        bench.store.accept(one(1, "13")),
    );
    assert!(answers.0.is_err() && answers.1.is_err() && answers.2.is_err());
    assert_eq!((bench.places(), bench.ready().len()), (0, 0));
    assert_eq!(bench.events().await, []);
    bench.meddle("DROP TRIGGER spoil");
    bench.accept_each(2, &["11", "12", "13"]).await;
    assert_eq!((bench.places(), bench.ready().len()), (3, 3));
}
