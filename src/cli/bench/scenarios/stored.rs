//! A store with a past: whether years of delivered events make it slower.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::ledger::{Spread, spread};
use crate::cli::bench::load::{Flow, failure};
use crate::cli::bench::meta::{self, Pace, account_id};
use crate::cli::bench::prefill::{self, Prefill};
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Ended, Layout, Stage};
use crate::source::meta as source;
use crate::store::queue::{Batch, Item, Want};
use crate::store::{Error, Queue};

/// Calls of each kind, and claims.
const CALLS: u32 = 200;

/// Deliveries a claim asks for: as many as the server's own.
const ROOM: usize = 32;

/// As `single`, with delivered events in the store; then listing, searching and
/// claiming, one call at a time.
pub(in crate::cli::bench) async fn large_store(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let (before, events) = (plan.sizes.prefill, plan.sizes.load);
    let past = Duration::from_hours(10 * 24);
    let prefill = Prefill { audience: USUAL, events: before, past, retry_after: None };
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events, prefill: Some(prefill) };
    let stage = Stage::set(plan, name, layout).await?;
    let load = stage.load(&Flow { audience: USUAL, events: 0..events, each: 1, pace: Pace::Closed }).await?;
    let what = format!("as single, with {before} delivered events in the store");
    let mut measured = Measured::of(name, &what, &load);
    plan.progress.step(format_args!("{name}: listing, searching, claiming"));
    let lists = ["events?limit=50", "deliveries?limit=50", "deliveries?status=delivered&limit=50"];
    note(
        &mut measured,
        ["listingP50Ms", "listingP99Ms"],
        calls(&stage, |at| lists[at as usize % 3].to_owned()).await?,
    );
    let search = |at: u32| {
        let kind = ["events", "deliveries"][at as usize % 2];
        // Any number of the account that is asked: those of one round apart.
        format!(
            "{kind}?phoneNumber={}&limit=50",
            USUAL.number(at * 37 * USUAL.accounts + at % USUAL.accounts)
        )
    };
    note(&mut measured, ["searchingP50Ms", "searchingP99Ms"], calls(&stage, search).await?);
    let ended = stage.end(&mut measured, events).await?;
    let claimed = claims(plan, &ended).await.map_err(|error| failure("claiming broke", error))?;
    note(&mut measured, ["claimingP50Ms", "claimingP99Ms"], claimed);
    Ok(measured)
}

fn note(measured: &mut Measured, [p50, p99]: [&'static str; 2], spread: Option<Spread>) {
    if let Some(spread) = spread {
        measured.note(p50, spread.p50);
        measured.note(p99, spread.p99);
    }
}

/// Calls the API for the accounts in turn.
async fn calls(stage: &Stage<'_>, path: impl Fn(u32) -> String) -> Result<Option<Spread>, Failure> {
    let client = stage.client();
    let mut took = Vec::new();
    for at in 0..CALLS {
        let path = format!("/v1/accounts/{}/{}", account_id(USUAL.account(at)), path(at));
        let began = Instant::now();
        client.call(Method::GET, &path, &Value::Null).await?;
        took.push(micros(began));
    }
    Ok(spread(took.into_iter()))
}

/// Claims from the store itself, each with its commit: events that nobody took
/// when they were accepted wait for every webhook.
async fn claims(plan: &Plan, ended: &Ended) -> Result<Option<Spread>, Error> {
    let opened = prefill::open(plan, &ended.store);
    let (store, handover) =
        opened.map_err(|failure| Error::new(crate::store::ErrorKind::Unusable, failure.message))?;
    let waiting = CALLS * u32::try_from(ROOM).unwrap_or(1);
    let now = plan.env.clock.now();
    for first in (0..waiting).step_by(500) {
        let body = meta::body(USUAL, first..waiting.min(first + 500), "CLAIM_", now.seconds());
        let items = source::read(body.as_bytes()).items.into_iter().filter_map(|item| match item {
            source::Item::Change(change) => Some(Item::Change(change)),
            source::Item::Unparsed(_) => None,
        });
        let random = plan.env.entropy.u64();
        store
            .accept(Batch {
                now,
                app: "main".to_owned(),
                items: items.collect(),
                random,
                fill_limits: true,
                derive: true,
            })
            .await?;
    }
    let webhooks: Vec<_> = store.schedule().await?.into_keys().collect();
    handover.open();
    let mut took = Vec::new();
    for webhook in webhooks.iter().cycle().take(CALLS as usize) {
        let began = Instant::now();
        store.claim(vec![Want { webhook: *webhook, room: ROOM }], plan.env.clock.now()).await?;
        took.push(micros(began));
        handover
            .take()
            .ready
            .iter()
            .for_each(|claimed| handover.free(claimed.lane.webhook, claimed.body.len()));
    }
    prefill::close(store, &ended.store).await;
    Ok(spread(took.into_iter()))
}

fn micros(began: Instant) -> u32 {
    u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)
}
