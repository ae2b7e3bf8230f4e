//! Accepting: each change once, whole batches, routed, numbered, in order.

use bellwether::env::Entropy;
use bellwether::model::account::BusinessAccount;
use bellwether::model::change::{Change, Unparsed};
use bellwether::model::id::EventId;
use bellwether::model::webhook::{Webhook, WebhookType};
use bellwether::store::queue::{Item, Receipt};
use serde_json::Value;

use super::{
    ACME, Bench, WABA, account, account_id, at, batch, business_account, change, change_of, deliveries_in,
    template_change, webhook, webhook_id,
};

fn unparsed(value: u8) -> Unparsed {
    let raw = vec![value, b'{'];
    Unparsed { business_account: None, time: None, reason: "no JSON".into(), raw, fingerprint: [value; 16] }
}

/// The change stamped with another time.
fn stamped(time: i64, change: Change) -> Change {
    Change { time: Some(time), ..change }
}

/// The rows of all that waits, as they came.
async fn waiting(bench: &Bench) -> Vec<(i64, String)> {
    let waiting = bench.store.waiting(100).await.unwrap();
    waiting.into_iter().map(|waiting| (waiting.row, waiting.raw)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_one_event_however_its_batches_are_cut() {
    let bench = Bench::with_webhook().await;
    let chance = Entropy::seeded(38);
    let numbers = ["11", "12", "13"].into_iter().cycle();
    let all: Vec<_> = (0..40).zip(numbers).map(|(version, number)| change(number, version)).collect();
    let below = |bound| usize::try_from(chance.below(bound)).unwrap();
    let mut sum = Receipt::default();
    for ms in 1..60 {
        let start = below(40);
        let end = (start + 1 + below(12)).min(40);
        let mut cut = all[start..end].to_vec();
        cut.push(all[start].clone());
        if chance.below(2) == 0 {
            cut.reverse();
        }
        let size = cut.len() as u64;
        let receipt = bench.accept(ms, cut).await;
        assert_eq!(receipt.accepted + receipt.duplicate, size);
        sum.accepted += receipt.accepted;
    }
    sum.accepted += bench.accept(60, all.clone()).await.accepted;
    assert_eq!(sum.accepted, 40);
    assert_eq!(bench.events().await.len(), 40);
    assert_eq!(bench.accept(61, all).await, Receipt { duplicate: 40, ..Receipt::default() });
}

#[tokio::test(start_paused = true)]
async fn the_key_is_the_value_and_its_time_together() {
    let bench = Bench::with_webhook().await;
    let (up, down) = (change("11", 1), change("11", 2));
    let receipt = bench.accept(1, vec![stamped(100, up.clone()), stamped(100, down)]).await;
    assert_eq!(receipt.accepted, 2, "two values at one time");
    assert_eq!(bench.accept(2, vec![stamped(200, up.clone())]).await.accepted, 1, "a value again later");
    assert_eq!(bench.accept(3, vec![stamped(100, up)]).await.duplicate, 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_time_is_known_by_its_value_and_happened_when_it_arrived() {
    let bench = Bench::with_webhook().await;
    let timeless = Change { time: None, ..change("11", 1) };
    assert_eq!(bench.accept(1_230, vec![timeless.clone()]).await.accepted, 1);
    assert_eq!(bench.accept(99_000, vec![timeless]).await.duplicate, 1);
    let events = bench.events().await;
    let body: Value = serde_json::from_slice(&events[0].body).unwrap();
    assert_eq!(body["timestamp"], "2026-10-01T00:00:01.23Z");
    assert_eq!(body["eventId"], events[0].id.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let bench = Bench::with_webhook().await;
    bench.handover.open();
    bench.meddle(
        "CREATE TRIGGER spoil BEFORE INSERT ON events WHEN NEW.position = 2 \
         BEGIN SELECT RAISE(ABORT, 'spoiled'); END",
    );
    let items = || {
        [
            Item::Change(change("11", 1)),
            Item::Unparsed(unparsed(1)),
            Item::Change(change_of("unknown", "11", 2)),
            Item::Change(change("12", 3)),
        ]
    };
    bench.store.accept(batch(1, items())).await.unwrap_err();
    assert_eq!(bench.events().await, []);
    assert_eq!(bench.store.unparsed(None, 9).await.unwrap().items, []);
    let totals = bench.store.totals(at(2)).await.unwrap();
    assert_eq!((totals.deliveries, totals.unrouted), ([0; 5], 0));
    assert_eq!((bench.places(), bench.ready().len()), (0, 0), "nothing leaves before it is durable");

    bench.meddle("DROP TRIGGER spoil");
    let receipt = bench.store.accept(batch(3, items())).await.unwrap();
    assert_eq!((receipt.accepted, receipt.unrouted, receipt.unparsed), (2, 1, 1));
    let events = bench.events().await;
    assert_eq!(events.iter().map(|event| event.id.position()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((bench.places(), bench.ready().len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_goes_to_the_enabled_business_webhooks_of_all_and_of_its_sub_account() {
    let bench = Bench::with_account().await;
    let shop = BusinessAccount { sub_account: Some("shop".parse().unwrap()), ..business_account(WABA) };
    bench.store.put_business_account(shop, at(0)).await.unwrap();
    bench.store.put_business_account(business_account("2"), at(0)).await.unwrap();
    let messages = Webhook { kind: WebhookType::Msg, ..webhook(4, "*") };
    let disabled = Webhook { enabled: false, ..webhook(5, "shop") };
    bench
        .store
        .put_webhooks(vec![webhook(1, "*"), webhook(2, "shop"), webhook(3, "cafe"), messages])
        .await
        .unwrap();
    bench.accept(1, vec![change("11", 1)]).await;
    bench.store.put_webhooks(vec![Webhook { id: webhook_id(2), ..disabled }]).await.unwrap();
    bench.accept(2, vec![change("12", 2), change_of("2", "13", 3)]).await;
    let owed: Vec<_> = bench
        .deliveries(deliveries_in(None))
        .await
        .into_iter()
        .rev()
        .map(|delivery| (delivery.id.position(), delivery.webhook))
        .collect();
    let (all, shop) = (webhook_id(1), webhook_id(2));
    assert_eq!(owed, [(1, all), (1, shop), (2, all), (3, all)]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_is_to_get_is_kept_and_listed() {
    let bench = Bench::with_account().await;
    assert_eq!(bench.accept(1, vec![change("11", 1)]).await.accepted, 1);
    assert_eq!(bench.events().await.len(), 1);
    assert_eq!(bench.deliveries(deliveries_in(None)).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_routed_in_order_while_newer_ones_queue_up_behind() {
    let bench = Bench::new();
    let first = bench.accept(1, vec![change("11", 1), change("11", 2), change_of("0", "11", 9)]).await;
    assert_eq!(first.unrouted, 3);
    assert_eq!(bench.accept(2, vec![change("11", 1)]).await.duplicate, 1, "it waits once");
    let bench = bench.and_webhook().await;
    assert_eq!(bench.accept(3, vec![change("11", 3)]).await.unrouted, 1);

    // Routed one by one; meanwhile another comes in.
    for version in 1..=4 {
        let rows = bench.store.waiting(1).await.unwrap();
        assert_eq!(rows.len(), 1);
        let item = Item::Waiting { row: rows[0].row, received_at: at(0), read: Ok(change("11", version)) };
        assert_eq!(rows[0].raw, format!("{{\"version\":{version}}}"));
        let again = bench.store.accept(batch(9 + version, [item.clone(), item])).await.unwrap();
        assert_eq!(again, Receipt { accepted: 1, ..Receipt::default() }, "a row is routed once");
        if version == 1 {
            assert_eq!(bench.accept(10, vec![change("11", 4)]).await.unrouted, 1);
        }
    }
    assert_eq!(waiting(&bench).await, []);
    assert_eq!(bench.accept(20, vec![change("11", 5)]).await.accepted, 1, "no detour any more");
    assert_eq!(bench.store.totals(at(20)).await.unwrap().unrouted, 1, "the other one waits");
    let limits: Vec<_> = bench.events().await.iter().map(limit).collect();
    assert_eq!(limits, ["TIER_1", "TIER_2", "TIER_3", "TIER_4", "TIER_5"]);
}

fn limit(event: &bellwether::store::catalog::EventRow) -> String {
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    body["eventDetails"]["meta"]["currentLimit"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_on_waiting_if_its_business_account_is_gone_again() {
    let bench = Bench::new();
    bench.accept(1, vec![change("11", 1)]).await;
    let bench = bench.and_webhook().await;
    let rows = waiting(&bench).await;
    bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap();
    let item = Item::Waiting { row: rows[0].0, received_at: at(0), read: Ok(change("11", 1)) };
    assert_eq!(bench.store.accept(batch(2, [item])).await.unwrap(), Receipt::default());
    assert_eq!(bench.store.totals(at(3)).await.unwrap().unrouted, 1);
    bench.store.put_business_account(business_account(WABA), at(0)).await.unwrap();
    assert_eq!(waiting(&bench).await, rows);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_kept_once() {
    let bench = Bench::with_webhook().await;
    let items = [1, 2, 1].map(|value| Item::Unparsed(unparsed(value)));
    let receipt = bench.store.accept(batch(1, items)).await.unwrap();
    assert_eq!(receipt, Receipt { unparsed: 2, duplicate: 1, ..Receipt::default() });
    let again = bench.store.accept(batch(2, [Item::Unparsed(unparsed(2))])).await.unwrap();
    assert_eq!(again.duplicate, 1);
    let kept = bench.store.unparsed(None, 9).await.unwrap().items;
    let raw: Vec<_> = kept.iter().map(|kept| (kept.raw.as_slice(), kept.received_at)).collect();
    assert_eq!(raw, [(&[2, b'{'][..], at(1)), (&[1, b'{'][..], at(1))]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_and_cannot_be_read_any_more_joins_the_unparsed() {
    let bench = Bench::new();
    bench.accept(1, vec![change("11", 1)]).await;
    let bench = bench.and_webhook().await;
    let row = waiting(&bench).await[0].0;
    let item = Item::Waiting { row, received_at: at(0), read: Err(unparsed(1)) };
    let receipt = bench.store.accept(batch(2, [item.clone(), item])).await.unwrap();
    assert_eq!(receipt, Receipt { unparsed: 1, ..Receipt::default() });
    assert_eq!(waiting(&bench).await, []);
    assert_eq!(bench.store.unparsed(None, 9).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sequences_count_without_gaps_for_each_account_and_number() {
    let bench = Bench::with_webhook().await;
    bench.store.put_account(account(2)).await.unwrap();
    let theirs = BusinessAccount { account: account_id(2), ..business_account("2") };
    bench.store.put_business_account(theirs, at(0)).await.unwrap();
    for version in 0..4 {
        let mixed = vec![
            change("11", version),
            change("12", version),
            change_of("2", "11", 100 + version),
            template_change(version),
            change("11", version),
        ];
        let spoiled = batch(version, mixed.iter().cloned().map(Item::Change));
        bench.break_once(bellwether::env::Point::BeforeCommit);
        bench.store.accept(spoiled).await.unwrap_err();
        bench.accept(version, mixed).await;
    }
    let mine = bench.events().await;
    for number in [Some("11"), Some("12"), None] {
        let sequences: Vec<_> = mine
            .iter()
            .filter(|event| event.phone_number.as_deref() == number)
            .map(|event| event.sequence)
            .collect();
        assert_eq!(sequences, [1, 2, 3, 4], "{number:?}");
    }
    let theirs = bench.store.events(super::events_of(2)).await.unwrap().items;
    assert_eq!(theirs.iter().map(|event| event.sequence).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_found_by_the_position_in_its_id_and_by_nothing_like_it() {
    let bench = Bench::with_webhook().await;
    bench.accept(5, (0..20).map(|version| change("11", version)).collect()).await;
    let events = bench.events().await;
    for (position, event) in (1..).zip(&events) {
        assert_eq!(event.id.position(), position);
        let (found, owed) = bench.store.event(account_id(ACME), event.id).await.unwrap().unwrap();
        assert_eq!((&found, owed.len()), (event, 1));
        let guessed = EventId::new(at(5), position, 1);
        assert!(guessed != event.id && bench.store.event(account_id(ACME), guessed).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_is_noted_at_the_event_it_repeats() {
    let bench = Bench::with_webhook().await;
    let limit = change("11", 1);
    let other = Change { field: "account_update".into(), ..change("11", 2) };
    bench.accept(1, vec![stamped(100, limit.clone())]).await;
    bench.accept(2, vec![stamped(110, other)]).await;
    for (ms, time) in [(3, 120), (4, 130)] {
        let receipt = bench.accept(ms, vec![stamped(time, limit.clone())]).await;
        assert_eq!(receipt, Receipt { resent: 1, ..Receipt::default() });
    }
    assert_eq!(bench.accept(5, vec![stamped(130, limit)]).await.duplicate, 1);
    let resends: Vec<_> = bench.events().await.iter().map(|event| event.resends).collect();
    assert_eq!(resends, [2, 0]);
}
