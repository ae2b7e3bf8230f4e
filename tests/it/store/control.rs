//! Accounts, business accounts and keys.

use bellwether::model::account::{Account, ApiKey, BusinessAccount, Role};
use bellwether::model::delivery::DeliveryState;
use bellwether::store::ErrorKind;
use bellwether::store::queue::{Batch, Item};

use super::{ACME, Bench, WABA, account, account_id, at, business_account, change, webhook};

#[tokio::test(start_paused = true)]
async fn an_account_is_registered_once_and_changed_from_then_on() {
    let bench = Bench::new();
    assert!(bench.store.put_account(account(ACME)).await.unwrap());
    let renamed = Account { name: "Acme Ltd".into(), chat_apps: false, created_at: at(9), ..account(ACME) };
    assert!(!bench.store.put_account(renamed.clone()).await.unwrap());
    let found = bench.store.account(account_id(ACME)).await.unwrap();
    assert_eq!(found, Some(Account { created_at: at(0), ..renamed }));
    assert_eq!(bench.store.account(account_id(2)).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn accounts_are_listed_by_id_a_page_at_a_time() {
    let bench = Bench::new();
    for number in [3, 1, 2] {
        bench.store.put_account(account(number)).await.unwrap();
    }
    let first = bench.store.accounts(None, 2).await.unwrap();
    assert_eq!(first.items, [account(1), account(2)]);
    let second = bench.store.accounts(first.next, 2).await.unwrap();
    assert_eq!((second.items, second.next), (vec![account(3)], None));
}

#[tokio::test(start_paused = true)]
async fn a_business_account_needs_its_account_and_can_move() {
    let bench = Bench::new();
    let refused = bench.store.put_business_account(business_account(WABA), at(0)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotFound);
    bench.store.put_account(account(ACME)).await.unwrap();
    bench.store.put_account(account(2)).await.unwrap();
    assert!(bench.store.put_business_account(business_account(WABA), at(0)).await.unwrap());
    let moved = BusinessAccount {
        account: account_id(2),
        sub_account: Some("shop".parse().unwrap()),
        ..business_account(WABA)
    };
    assert!(!bench.store.put_business_account(moved.clone(), at(0)).await.unwrap());
    assert_eq!(bench.store.business_account(moved.id.clone()).await.unwrap(), Some(moved.clone()));
    assert_eq!(bench.store.business_accounts(None, 10, false).await.unwrap().items, [moved]);
    assert_eq!(bench.store.sub_accounts(account_id(2)).await.unwrap(), ["shop".parse().unwrap()]);
    assert_eq!(bench.store.sub_accounts(account_id(ACME)).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_its_business_account_is_routed_before_what_comes_later() {
    let bench = Bench::new();
    bench.store.put_account(account(ACME)).await.unwrap();
    assert_eq!(bench.accept(1, vec![change("15550783881", 1)]).await.unrouted, 1);
    bench.store.put_business_account(business_account(WABA), at(0)).await.unwrap();
    assert_eq!(bench.accept(2, vec![change("15550783881", 2)]).await.unrouted, 1, "it queues up");

    let waiting = bench.store.waiting(10).await.unwrap();
    assert_eq!(
        waiting.iter().map(|waiting| waiting.raw.as_str()).collect::<Vec<_>>(),
        [r#"{"version":1}"#, r#"{"version":2}"#]
    );
    let items = waiting.iter().zip(1..).map(|(waiting, version)| Item::Waiting {
        row: waiting.row,
        received_at: at(0),
        read: Ok(change("15550783881", version)),
    });
    let batch = Batch {
        now: at(3),
        app: "meta".into(),
        items: items.collect(),
        random: 1,
        fill_limits: true,
        derive: true,
    };
    assert_eq!(bench.store.accept(batch).await.unwrap().accepted, 2);
    assert_eq!(bench.store.waiting(10).await.unwrap(), []);
    assert_eq!(bench.accept(4, vec![change("15550783881", 3)]).await.accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_routable_once_its_account_is_configured_for_chat_apps() {
    let bench = Bench::new();
    bench.store.put_account(Account { chat_apps: false, ..account(ACME) }).await.unwrap();
    bench.store.put_business_account(business_account(WABA), at(0)).await.unwrap();
    assert_eq!(bench.accept(1, vec![change("1", 1)]).await.unrouted, 1);
    assert_eq!(bench.store.waiting(10).await.unwrap(), []);
    bench.store.put_account(account(ACME)).await.unwrap();
    assert_eq!(bench.store.waiting(10).await.unwrap().len(), 1);
    assert_eq!(bench.store.totals(at(2)).await.unwrap().unrouted, 1);

    let listed = bench.store.unrouted(None, 10).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].business_account, WABA);
}

#[tokio::test(start_paused = true)]
async fn an_unregistered_business_account_has_its_changes_wait() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["1"]).await;
    bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap();
    assert_eq!(bench.accept(2, vec![change("1", 2)]).await.unrouted, 1);
    let again = bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap_err();
    assert_eq!(again.kind, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_account_goes_with_all_that_is_its_own_once_nothing_is_routed_to_it() {
    let bench = Bench::with_webhook().await;
    bench.store.put_key(key("k1", Some(ACME)), [1; 32]).await.unwrap();
    bench.accept_each(1, &["1", "2"]).await;
    let refused = bench.store.delete_account(account_id(ACME), at(5)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.message.starts_with("1 business account is registered"), "{refused}");

    bench.store.delete_business_account(WABA.parse().unwrap()).await.unwrap();
    bench.store.delete_account(account_id(ACME), at(6)).await.unwrap();
    assert_eq!(bench.store.account(account_id(ACME)).await.unwrap(), None);
    assert_eq!(bench.store.key("k1".into()).await.unwrap(), None);
    assert!(bench.claim(10).await.is_empty(), "what was pending is canceled");
    let totals = bench.store.totals(at(10)).await.unwrap();
    assert_eq!(totals.deliveries[usize::try_from(DeliveryState::Canceled.code()).unwrap()], 2);
    let gone = bench.store.delete_account(account_id(ACME), at(7)).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);

    assert!(bench.store.put_account(account(ACME)).await.unwrap(), "it may come back");
    assert_eq!(bench.store.events(super::events_of(ACME)).await.unwrap().items, [], "with a clean slate");
    assert!(bench.store.webhooks(account_id(ACME)).await.unwrap().is_empty());
    bench.store.put_webhooks(vec![webhook(2, "*")]).await.unwrap();
}

fn key(id: &str, account: Option<u128>) -> ApiKey {
    let role = if account.is_some() { Role::Account } else { Role::Operator };
    ApiKey { id: id.into(), name: "a key".into(), role, account: account.map(account_id), created_at: at(0) }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_found_by_its_id_until_it_is_deleted() {
    let bench = Bench::with_account().await;
    bench.store.put_key(key("b", Some(ACME)), [7; 32]).await.unwrap();
    bench.store.put_key(key("a", None), [8; 32]).await.unwrap();
    assert_eq!(bench.store.key("b".into()).await.unwrap(), Some((key("b", Some(ACME)), [7; 32])));
    let page = bench.store.keys(None, 1).await.unwrap();
    assert_eq!((page.items, page.next.as_deref()), (vec![key("a", None)], Some("a")));
    assert_eq!(bench.store.keys(page.next, 1).await.unwrap().items, [key("b", Some(ACME))]);

    let taken = bench.store.put_key(key("a", None), [9; 32]).await.unwrap_err();
    assert_eq!(taken.kind, ErrorKind::Conflict);
    let unowned = bench.store.put_key(key("c", Some(2)), [9; 32]).await.unwrap_err();
    assert_eq!(unowned.kind, ErrorKind::NotFound);

    bench.store.delete_key("b".into()).await.unwrap();
    assert_eq!(bench.store.key("b".into()).await.unwrap(), None);
    assert_eq!(bench.store.delete_key("b".into()).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_store_at_work_answers_a_ping() {
    Bench::new().store.ping().await.unwrap();
}
