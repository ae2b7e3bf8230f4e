//! The control plane on SQLite: each call is one transaction of the writer, or
//! one snapshot of a reader. What is done in it stands in the modules beside.

use tokio::sync::watch;

use super::{
    Sqlite, by_hand, control, deliveries, history, journal, known, listing, queries, replays, snapshots,
    undelivered, webhooks,
};
use crate::model::account::{Account, ApiKey, BusinessAccount};
use crate::model::attempt::Attempt;
use crate::model::delivery::Delivery;
use crate::model::id::{
    AccountId, BusinessAccountId, DeliveryId, EventId, Position, SubAccountId, WebhookId, WebhookKey,
};
use crate::model::number::Subject;
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryMode, Scope, Webhook, WebhookType};
use crate::store::catalog::{
    Catalog, DeliveryQuery, Entered, EventQuery, EventRow, Health, HistoryPlace, HistoryQuery, HistoryRow,
    NumberEntry, NumberPlace, NumberQuery, NumberRow, NumberSort, Page, Replay, Replayed, Sweep, SweepPlace,
    Totals, Undelivered, UnparsedRow, UnroutedRow,
};
use crate::store::journal::{Follow, Followed};
use crate::store::{Error, Reply};

impl Catalog for Sqlite {
    fn put_account(&self, account: Account) -> Reply<bool> {
        self.add_apart(move |turn| control::put_account(turn, &account))
    }

    fn account(&self, id: AccountId) -> Reply<Option<Account>> {
        self.look_up(move |sql| control::account(sql, id))
    }

    fn accounts(&self, after: Option<AccountId>, limit: usize) -> Reply<Page<Account, AccountId>> {
        self.read(move |sql| control::accounts(sql, after, limit))
    }

    fn delete_account(&self, id: AccountId, now: Timestamp) -> Reply<()> {
        self.write_apart(move |turn| control::delete_account(turn, id, now))
    }

    fn put_business_account(&self, business_account: BusinessAccount, now: Timestamp) -> Reply<bool> {
        self.add_apart(move |turn| control::put_business_account(turn, &business_account, now))
    }

    fn business_account(&self, id: BusinessAccountId) -> Reply<Option<BusinessAccount>> {
        self.read(move |sql| control::business_account(sql, &id))
    }

    fn business_accounts(
        &self,
        after: Option<BusinessAccountId>,
        limit: usize,
        unreconciled: bool,
    ) -> Reply<Page<BusinessAccount, BusinessAccountId>> {
        self.read(move |sql| control::business_accounts(sql, after.as_ref(), limit, unreconciled))
    }

    fn delete_business_account(&self, id: BusinessAccountId) -> Reply<()> {
        self.write_apart(move |turn| control::delete_business_account(turn, &id))
    }

    fn sub_accounts(&self, account: AccountId) -> Reply<Vec<SubAccountId>> {
        self.look_up(move |sql| control::sub_accounts(sql, account))
    }

    fn put_key(&self, key: ApiKey, hash: [u8; 32]) -> Reply<()> {
        self.add_apart(move |turn| control::put_key(turn, &key, &hash))
    }

    fn key(&self, id: String) -> Reply<Option<(ApiKey, [u8; 32])>> {
        self.look_up(move |sql| control::key(sql, &id))
    }

    fn keys(&self, after: Option<String>, limit: usize) -> Reply<Page<ApiKey, String>> {
        self.read(move |sql| control::keys(sql, after.as_deref(), limit))
    }

    fn delete_key(&self, id: String) -> Reply<()> {
        self.write_apart(move |turn| control::delete_key(turn, &id))
    }

    fn webhooks(&self, account: AccountId) -> Reply<Vec<Webhook>> {
        self.look_up(move |sql| webhooks::webhooks(sql, account))
    }

    fn webhook(&self, key: WebhookKey) -> Reply<Option<Webhook>> {
        self.look_up(move |sql| webhooks::webhook(sql, key))
    }

    fn configure(&self, webhooks: Vec<Webhook>, snapshot: Option<u64>) -> Reply<()> {
        self.add_apart(move |turn| webhooks::put_webhooks(turn, &webhooks, snapshot))
    }

    fn set_delivery(
        &self,
        account: AccountId,
        webhook: WebhookId,
        delivery: DeliveryMode,
        now: Timestamp,
    ) -> Reply<Option<Webhook>> {
        self.write_apart(move |turn| webhooks::set_delivery(turn, account, webhook, delivery, now))
    }

    fn put_snapshot(&self, account: AccountId, webhook: WebhookId, random: u64) -> Reply<bool> {
        self.add_apart(move |turn| snapshots::put_snapshot(turn, account, webhook, random))
    }

    /// One transaction for each. Without space they wait, and are under way.
    fn advance_snapshots(&self, step: usize, now: Timestamp) -> Reply<bool> {
        let store = self.clone();
        Box::pin(async move {
            let under_way = store.look_up(|sql| Ok(snapshots::under_way(sql)?)).await?;
            if store.space.refusal().is_some() {
                return Ok(!under_way.is_empty());
            }
            let mut any = false;
            for webhook in under_way {
                any |= store.write_apart(move |turn| snapshots::advance(turn, webhook, step, now)).await?;
            }
            Ok(any)
        })
    }

    fn delete_webhooks(
        &self,
        account: AccountId,
        identities: Vec<(Scope, WebhookType)>,
        now: Timestamp,
    ) -> Reply<()> {
        self.write_apart(move |turn| webhooks::delete_webhooks(turn, account, &identities, now))
    }

    fn health(&self, account: AccountId, webhook: WebhookId) -> Reply<Health> {
        self.survey(move |sql| deliveries::health(sql, account, webhook))
    }

    fn undelivered(
        &self,
        account: AccountId,
        webhook: WebhookId,
        after: Option<i64>,
        limit: usize,
    ) -> Reply<Page<Undelivered, i64>> {
        self.survey(move |sql| undelivered::undelivered(sql, (account, webhook), after, limit))
    }

    fn sweep_undelivered(&self, from: SweepPlace, step: usize) -> Reply<Sweep> {
        self.survey(move |sql| undelivered::sweep(sql, from, step))
    }

    fn events(&self, query: EventQuery) -> Reply<Page<EventRow, Position>> {
        self.read(move |sql| queries::events(sql, &query))
    }

    fn event(&self, account: AccountId, id: EventId) -> Reply<Option<(EventRow, Vec<Delivery>)>> {
        self.read(move |sql| queries::event(sql, account, id))
    }

    /// In other orders than that of the numbers all of the account's are looked at.
    fn numbers(&self, query: NumberQuery) -> Reply<Page<NumberRow, NumberPlace>> {
        let (inside, by_digits) = (self.overlay.enter(), query.sort == NumberSort::Number);
        let look = move |sql: &rusqlite::Connection| known::numbers(sql, &inside, &query);
        if by_digits { self.read(look) } else { self.survey(look) }
    }

    fn number(&self, account: AccountId, number: Subject) -> Reply<Option<NumberRow>> {
        let inside = self.overlay.enter();
        self.look_up(move |sql| known::number(sql, &inside, account, &number))
    }

    fn history(&self, query: HistoryQuery) -> Reply<Option<Page<HistoryRow, HistoryPlace>>> {
        self.read(move |sql| history::history(sql, &query))
    }

    fn put_number(&self, entry: NumberEntry) -> Reply<Entered> {
        self.if_space(|store| store.write(move |turn| by_hand::put_number(turn, &entry)))
    }

    fn delete_number(&self, account: AccountId, number: Subject, now: Timestamp) -> Reply<bool> {
        self.write(move |turn| by_hand::delete_number(turn, account, &number, now))
    }

    fn deliveries(&self, query: DeliveryQuery) -> Reply<Page<Delivery, DeliveryId>> {
        self.read(move |sql| deliveries::deliveries(sql, &query))
    }

    fn delivery(&self, account: AccountId, id: DeliveryId) -> Reply<Option<(Delivery, Vec<Attempt>)>> {
        self.read(move |sql| deliveries::delivery(sql, account, id))
    }

    fn follow(&self, follow: Follow) -> Reply<Option<Followed>> {
        // Before the snapshot is taken, so that all of it is in there.
        let durable = *self.told.borrow();
        let inside = self.overlay.enter();
        self.followers.run(move |sql| journal::follow(sql, &inside, &follow, durable))
    }

    fn told(&self) -> watch::Receiver<i64> {
        self.told.clone()
    }

    fn replay(
        &self,
        account: AccountId,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Reply<Vec<Replayed>> {
        self.add_apart(move |turn| replays::replay(turn, account, &deliveries, now))
    }

    /// Counting may take a while: it is done on a reader, so that the writer
    /// goes on meanwhile.
    fn put_replay(&self, replay: Replay) -> Reply<Replay> {
        let store = self.clone();
        Box::pin(async move {
            let (query, by) = (replay.query.clone(), replay.created_at);
            let matched = store.survey(move |sql| replays::count(sql, &query, by)).await?;
            store.add_apart(move |turn| replays::put_replay(turn, replay, matched)).await
        })
    }

    fn count(&self, query: DeliveryQuery) -> Reply<u64> {
        let any_time = Timestamp::from_ms(i64::MAX);
        self.survey(move |sql| replays::count(sql, &query, any_time))
    }

    fn bulk_replay(&self, account: AccountId, id: String) -> Reply<Option<Replay>> {
        self.read(move |sql| replays::bulk_replay(sql, account, &id))
    }

    fn cancel_replay(&self, account: AccountId, id: String) -> Reply<Option<Replay>> {
        self.write_apart(move |turn| replays::cancel_replay(turn, account, &id))
    }

    /// One transaction for each, so that many of them hold nothing up.
    fn advance_replays(&self, step: usize, now: Timestamp) -> Reply<bool> {
        let store = self.clone();
        Box::pin(async move {
            let mut any = false;
            for id in store.read(replays::running).await? {
                any |= store.write_apart(move |turn| replays::advance(turn, &id, step, now)).await?;
            }
            Ok(any)
        })
    }

    fn unrouted(&self, after: Option<i64>, limit: usize) -> Reply<Page<UnroutedRow, i64>> {
        self.read(move |sql| queries::unrouted(sql, after, limit))
    }

    fn unparsed(&self, before: Option<i64>, limit: usize) -> Reply<Page<UnparsedRow, i64>> {
        self.read(move |sql| queries::unparsed(sql, before, limit))
    }

    fn totals(&self, now: Timestamp) -> Reply<Totals> {
        self.read(move |sql| queries::totals(sql, now))
    }

    fn key_check(&self) -> Reply<Option<Vec<u8>>> {
        self.look_up(|sql| Ok(queries::key_check(sql)?))
    }

    fn put_key_check(&self, sealed: Vec<u8>) -> Reply<()> {
        self.write(move |turn| {
            turn.sql.execute("INSERT INTO key_check (sealed) VALUES (?1)", [sealed]).map(|_| ())
        })
    }

    fn ping(&self) -> Reply<()> {
        let store = self.clone();
        Box::pin(async move {
            store.add_apart(|turn| queries::ping_by_writing(turn.sql)).await?;
            store.read(queries::ping_by_reading).await
        })
    }

    /// Without space it waits: listing gets slower and stays right.
    fn tidy(&self, step: usize) -> Reply<bool> {
        if self.space.refusal().is_some() {
            return Box::pin(std::future::ready(Ok(false)));
        }
        self.write_apart(move |turn| {
            let unlisted = listing::extend(turn.sql, step)?;
            let uncanceled = webhooks::cancel_deleted(turn, step)?;
            Ok::<_, Error>(unlisted || uncanceled)
        })
    }
}
