//! Whom to ask what is true, when, and how it went.

use std::time::Duration;

use bellwether::model::account::{Account, BusinessAccount};
use bellwether::model::id::{AccountId, BusinessAccountId};
use bellwether::model::reconciliation::{Failure, Gain, Trouble};
use bellwether::model::time::Timestamp;
use bellwether::policy::reconciliation::horizon;
use bellwether::store::ErrorKind;
use bellwether::store::reconciliations::{Due, Look, Note};

use super::{Bench, WABA};

const EVERY: Duration = Duration::from_hours(6);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_750_000_000_000 + ms)
}

fn waba() -> BusinessAccountId {
    WABA.parse().unwrap()
}

impl Bench {
    async fn due(&self, everyone: bool, now: Timestamp) -> Vec<Due> {
        let look = Look { now, horizon: horizon(EVERY, now), everyone, limit: 10 };
        self.store.agenda(look).await.unwrap().due
    }

    async fn notes(&self, due: &Due, result: Result<Gain, Failure>, next_at: Timestamp) {
        let note = Note {
            business_account: due.business_account.clone(),
            due_at: due.due_at,
            token_at: due.token.as_ref().map(|(_, at)| *at),
            at: at(1),
            result,
            next_at,
            held_until: None,
            all_held_until: None,
        };
        self.store.note_reconciliation(note).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_business_account_is_due_at_once_and_after_a_reading_when_it_was_said() {
    let bench = Bench::with_webhook().await;
    assert!(bench.due(false, at(0)).await.is_empty(), "it has no token of its own");
    let due = bench.due(true, at(0)).await;
    assert_eq!(due.len(), 1);
    bench.notes(&due[0], Ok(Gain { numbers: 3, ..Gain::default() }), at(1_000)).await;
    assert!(bench.due(true, at(999)).await.is_empty());
    assert_eq!(bench.due(true, at(1_000)).await.len(), 1);
    let look = Look { now: at(5), horizon: horizon(EVERY, at(5)), everyone: true, limit: 10 };
    assert_eq!(bench.store.agenda(look).await.unwrap().next, Some(at(1_000)));
    let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
    assert_eq!(standing.success, Some((at(1), Gain { numbers: 3, ..Gain::default() })));
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_that_was_ahead_put_off_for_years_is_due_now() {
    let bench = Bench::with_webhook().await;
    let due = bench.due(true, at(0)).await;
    let years = Duration::from_hours(24 * 365 * 9);
    bench.notes(&due[0], Ok(Gain::default()), at(0).plus(years)).await;
    assert_eq!(bench.due(true, at(0)).await.len(), 1, "nothing is meant to be so late");
    bench.notes(&bench.due(true, at(0)).await[0], Ok(Gain::default()), at(0).plus(EVERY)).await;
    assert!(bench.due(true, at(0)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_until_a_reading_comes_about_and_the_last_stays_visible() {
    let bench = Bench::with_webhook().await;
    let failure =
        Failure { trouble: Trouble::NotFound, codes: (Some(100), Some(33)), note: Some("so".into()) };
    for failures in 1..=3 {
        let due = bench.due(true, at(0)).await;
        assert_eq!(due[0].failures, failures - 1);
        bench.notes(&due[0], Err(failure.clone()), at(0)).await;
        let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
        assert_eq!((standing.failures, standing.failure), (failures, Some((at(1), failure.clone()))));
    }
    let look = Look { now: at(0), horizon: at(0), everyone: false, limit: 1 };
    assert_eq!(bench.store.agenda(look).await.unwrap().failing, 1);
    bench.notes(&bench.due(true, at(0)).await[0], Ok(Gain::default()), at(0)).await;
    let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
    assert_eq!((standing.failures, standing.failure), (0, Some((at(1), failure))));
    assert_eq!(bench.store.agenda(look).await.unwrap().failing, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reading_with_a_token_that_was_changed_meanwhile_leaves_no_trace() {
    let bench = Bench::with_webhook().await;
    bench.store.put_graph_token(waba(), Some(b"one".to_vec()), at(0)).await.unwrap();
    let due = bench.due(false, at(0)).await;
    assert_eq!(due[0].token, Some((b"one".to_vec(), at(0))));
    bench.store.put_graph_token(waba(), Some(b"two".to_vec()), at(7)).await.unwrap();
    bench.notes(&due[0], Err(Failure::plain(Trouble::TokenExpired)), at(9_000)).await;
    let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
    assert_eq!((standing.failures, standing.failure, standing.next_at), (0, None, at(7)));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_during_a_reading_stays_due_after_it() {
    let bench = Bench::with_webhook().await;
    let due = bench.due(true, at(0)).await;
    bench.store.ask_reconciliation(waba(), at(3)).await.unwrap();
    bench.notes(&due[0], Ok(Gain::default()), at(9_000)).await;
    assert_eq!(bench.due(true, at(3)).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_business_account_that_is_unregistered_takes_its_token_and_its_story_along() {
    let bench = Bench::with_webhook().await;
    bench.store.put_graph_token(waba(), Some(b"one".to_vec()), at(0)).await.unwrap();
    let due = bench.due(true, at(0)).await;
    bench.notes(&due[0], Err(Failure::plain(Trouble::NotFound)), at(9_000)).await;
    let registered = bench.store.business_account(waba()).await.unwrap().unwrap();
    bench.store.delete_business_account(waba()).await.unwrap();
    assert_eq!(bench.store.reconciliation(waba()).await.unwrap(), None);
    bench.notes(&due[0], Err(Failure::plain(Trouble::NotFound)), at(9_000)).await;
    bench.store.put_business_account(registered, super::at(0)).await.unwrap();
    let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
    assert_eq!((standing.token_at, standing.failure), (None, None));
    let nobody = "77".parse::<BusinessAccountId>().unwrap();
    for refused in [
        bench.store.put_graph_token(nobody.clone(), None, at(0)).await,
        bench.store.ask_reconciliation(nobody, at(0)).await,
    ] {
        assert_eq!(refused.unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_business_account_that_is_moved_is_due_at_once_and_one_that_stays_is_not() {
    let bench = Bench::with_webhook().await;
    let registered = bench.store.business_account(waba()).await.unwrap().unwrap();
    bench.notes(&bench.due(true, at(0)).await[0], Ok(Gain::default()), at(9_000)).await;
    bench.store.put_business_account(registered.clone(), super::at(0)).await.unwrap();
    assert!(bench.due(true, at(0)).await.is_empty());
    let other = Account {
        id: AccountId::new(uuid::Uuid::from_u128(0xbeef)),
        name: "Other".into(),
        chat_apps: true,
        created_at: at(0),
    };
    bench.store.put_account(other.clone()).await.unwrap();
    bench
        .store
        .put_business_account(BusinessAccount { account: other.id, ..registered }, super::at(0))
        .await
        .unwrap();
    assert_eq!(bench.due(true, at(0)).await.len(), 1, "of the new account nothing is known yet");
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_a_reading_is_under_way_does_not_get_round_what_meta_then_asked_for() {
    let bench = Bench::with_webhook().await;
    let id: bellwether::model::id::BusinessAccountId = super::WABA.parse().unwrap();
    let look = |ms| Look { now: at(ms), horizon: at(1_000_000_000), everyone: true, limit: 10 };
    let due = bench.store.agenda(look(0)).await.unwrap().due;
    bench.store.ask_reconciliation(id.clone(), at(3)).await.unwrap();
    let an_hour = at(3_600_000);
    let note = Note {
        business_account: id,
        due_at: due[0].due_at,
        token_at: None,
        at: at(5),
        result: Err(Failure::plain(Trouble::Throttled)),
        next_at: an_hour,
        held_until: Some(an_hour),
        all_held_until: None,
    };
    bench.store.note_reconciliation(note).await.unwrap();
    assert_eq!(bench.store.agenda(look(10)).await.unwrap().due.len(), 0);
    assert_eq!(bench.store.agenda(look(3_600_000)).await.unwrap().due.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_meta_asks_of_the_token_for_all_outlives_a_restart_and_ends_with_the_token() {
    let bench = Bench::with_webhook().await;
    bench.store.use_token_for_all(Some(1), at(0)).await.unwrap();
    let due = bench.due(true, at(0)).await;
    let (until, next_at) = (at(60_000), at(0).plus(EVERY));
    let note = Note {
        business_account: due[0].business_account.clone(),
        due_at: due[0].due_at,
        token_at: None,
        at: at(1),
        result: Err(Failure::plain(Trouble::TokenExpired)),
        next_at,
        held_until: Some(until),
        all_held_until: Some(until),
    };
    let by_a_clock_ahead = Note { all_held_until: Some(at(0).plus(40 * EVERY)), ..note.clone() };
    bench.store.note_reconciliation(by_a_clock_ahead).await.unwrap();
    bench.store.note_reconciliation(note).await.unwrap();
    let standing = bench.store.reconciliation(waba()).await.unwrap().unwrap();
    assert_eq!((standing.held_until, standing.next_at), (Some(until), next_at), "and it is shown");
    let bench = bench.reopened(2).await;
    bench.store.use_token_for_all(Some(1), at(2)).await.unwrap();
    let look = |ms| Look { now: at(ms), horizon: horizon(EVERY, at(ms)), everyone: true, limit: 10 };
    let agenda = bench.store.agenda(look(3)).await.unwrap();
    assert_eq!((agenda.due, agenda.held_until), (vec![], Some(until)));
    assert_eq!(bench.store.agenda(look(60_000)).await.unwrap().held_until, None, "it is over by then");
    let behind = Look { horizon: at(50_000), ..look(3) };
    assert_eq!(bench.store.agenda(behind).await.unwrap().held_until, None, "or was never meant so long");
    // Another token: Meta asked nothing of it, and what failed with the old one is tried.
    bench.store.use_token_for_all(Some(2), at(4)).await.unwrap();
    let agenda = bench.store.agenda(look(4)).await.unwrap();
    assert_eq!((agenda.due.len(), agenda.held_until), (1, None));
    assert_eq!(bench.store.reconciliation(waba()).await.unwrap().unwrap().held_until, None);
}
