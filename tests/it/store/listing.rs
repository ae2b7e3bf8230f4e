//! Listing events: in order and complete, wherever the index's watermark is.

use bellwether::model::id::EventId;
use bellwether::model::number::Subject;
use bellwether::store::catalog::{EventQuery, EventRow};

use super::{
    ACME, Bench, account, account_id, at, business_account, change, change_of, events_of, template_change,
};

/// Follows the pages to the end; says how many there were.
async fn all_pages(bench: &Bench, mut query: EventQuery) -> (Vec<EventRow>, usize) {
    let (mut events, mut pages) = (Vec::new(), 0);
    loop {
        let page = bench.store.events(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        events.extend(page.items);
        pages += 1;
        match page.next {
            Some(next) => query.before = Some(next),
            None => return (events, pages),
        }
    }
}

fn positions(events: &[EventRow]) -> Vec<i64> {
    events.iter().map(|event| event.id.position()).collect()
}

/// Two accounts whose events alternate: even positions are another's.
async fn two_accounts(events: i64) -> Bench {
    let bench = Bench::with_account().await;
    bench.store.put_account(account(2)).await.unwrap();
    let mut other = business_account("2002");
    other.account = account_id(2);
    bench.store.put_business_account(other, at(0)).await.unwrap();
    for version in 1..=events {
        let own = if version % 4 == 1 { "11" } else { "13" };
        let change = if version % 2 == 1 { change(own, version) } else { change_of("2002", "11", version) };
        bench.accept(version, vec![change]).await;
    }
    bench
}

#[tokio::test(start_paused = true)]
async fn events_are_listed_newest_first_wherever_the_watermark_is() {
    let bench = two_accounts(21).await;
    let own = [21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1];
    let about_11 = EventQuery { number: Subject::number("11"), ..events_of(ACME) };
    loop {
        for limit in [1, 2, 3, 11, 100] {
            let (events, _) = all_pages(&bench, EventQuery { limit, ..events_of(ACME) }).await;
            assert_eq!(positions(&events), own, "limit {limit}");
            let (events, _) = all_pages(&bench, EventQuery { limit, ..about_11.clone() }).await;
            assert_eq!(positions(&events), [21, 17, 13, 9, 5, 1], "limit {limit}");
        }
        if !bench.store.tidy(4).await.unwrap() {
            break;
        }
    }
    bench.accept(30, vec![change("13", 30)]).await;
    let (events, pages) = all_pages(&bench, events_of(ACME)).await;
    assert_eq!((positions(&events)[0], events.len(), pages), (22, 12, 1));
}

#[tokio::test(start_paused = true)]
async fn events_are_listed_by_time_and_type() {
    let bench = Bench::with_account().await;
    for ms in 1..=9 {
        let change = if ms % 3 == 0 { template_change(ms) } else { change("11", ms) };
        bench.accept(ms * 3_600_000, vec![change]).await;
    }
    for _ in 0..4 {
        let hours =
            EventQuery { since: Some(at(3 * 3_600_000)), until: Some(at(6 * 3_600_000)), ..events_of(ACME) };
        assert_eq!(positions(&all_pages(&bench, hours.clone()).await.0), [5, 4, 3]);
        let templates = EventQuery { event_type: Some("template_status_update".into()), ..hours };
        assert_eq!(positions(&all_pages(&bench, templates).await.0), [3]);
        let future = EventQuery { since: Some(at(1 << 40)), ..events_of(ACME) };
        assert!(all_pages(&bench, future).await.0.is_empty());
        bench.store.tidy(3).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_may_step_back_a_little_without_hiding_events() {
    let bench = Bench::with_account().await;
    for (version, minute) in (1..).zip([0, 60, 55, 61, 120]) {
        bench.accept(minute * 60_000, vec![change("11", version)]).await;
    }
    let since = EventQuery { since: Some(at(58 * 60_000)), ..events_of(ACME) };
    assert_eq!(positions(&all_pages(&bench, since).await.0), [5, 4, 2]);
    let until = EventQuery { until: Some(at(58 * 60_000)), ..events_of(ACME) };
    assert_eq!(positions(&all_pages(&bench, until).await.0), [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_matches_little_gets_short_pages_and_finds_it_all() {
    let bench = Bench::with_account().await;
    bench.accept(1, vec![template_change(1)]).await;
    bench.accept(2, (1..=6_000).map(|number| change(&number.to_string(), 1)).collect()).await;
    for _ in 0..2 {
        let rare = EventQuery { event_type: Some("template_status_update".into()), ..events_of(ACME) };
        let first = bench.store.events(rare.clone()).await.unwrap();
        assert_eq!(first.items, [], "one call does not look at everything");
        let (events, pages) = all_pages(&bench, rare).await;
        assert_eq!((positions(&events), pages), (vec![1], 2));
        bench.store.tidy(3_000).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_found_by_its_id_alone_and_only_by_its_account() {
    let bench = two_accounts(2).await;
    let listed = bench.store.events(events_of(ACME)).await.unwrap().items.remove(0);
    assert_eq!((listed.sequence, listed.phone_number.as_deref()), (1, Some("11")));
    assert_eq!((listed.app.as_deref(), listed.test, listed.resends), (Some("meta"), false, 0));
    let (found, deliveries) = bench.store.event(account_id(ACME), listed.id).await.unwrap().unwrap();
    assert_eq!((&found, deliveries.len()), (&listed, 0));
    assert_eq!(bench.store.event(account_id(2), listed.id).await.unwrap(), None);
    let guessed = EventId::new(listed.accepted_at, 1, 0x1234);
    assert_eq!(bench.store.event(account_id(ACME), guessed).await.unwrap(), None);
}
