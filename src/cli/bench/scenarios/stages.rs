//! What an event costs stage by stage, each by itself and in this process: the
//! same calls that a server makes, without its sockets. What is left between
//! their sum and an event of `single` is HTTP, waking and waiting.

use std::hint::black_box;
use std::time::Duration;

use tokio::time::Instant;

use super::USUAL;
use crate::cli::Failure;
use crate::cli::bench::Plan;
use crate::cli::bench::ledger::MARK;
use crate::cli::bench::load::failure;
use crate::cli::bench::measure::usage;
use crate::cli::bench::meta;
use crate::cli::bench::prefill;
use crate::cli::bench::report::Measured;
use crate::cli::bench::stage::{Layout, Stage};
use crate::model::attempt::{Attempt, OutcomeClass};
use crate::model::delivery::DeliveryState;
use crate::policy::signature::{MetaKey, WebhookKey, sign_webhook, verify_meta};
use crate::source::meta as source;
use crate::store::queue::{Batch, Claimed, Item, Settlement};
use crate::store::sqlite::Sqlite;
use crate::store::{Error, Handover, Queue};

/// Jobs that are with the writer at once: about as many as in a commit of `single`.
const GROUP: usize = 32;

/// Events accepted before as many are settled: what the handover has places for.
const ROUND: u32 = 1_500;

/// Parse, verify, sign, accept, settle: microseconds an event.
pub(in crate::cli::bench) async fn stages(plan: &Plan, name: &'static str) -> Result<Measured, Failure> {
    let events = plan.sizes.load / 2;
    let layout = Layout { accounts: USUAL.accounts, hosts: USUAL.accounts, events: 0, prefill: None };
    let stage = Stage::set(plan, name, layout).await?;
    let began = Instant::now();
    let mut measured = Measured::idle(name, "microseconds an event, one stage at a time", 0.0);
    let ended = stage.end(&mut measured, 0).await?;
    plan.progress.step(format_args!("{name}: {events} events"));
    pure(plan, &mut measured, events);
    let (store, handover) = prefill::open(plan, &ended.store)?;
    handover.open();
    let spent = Costs::of(plan, &store, &handover, events).await;
    let costs = spent.map_err(|error| failure("the store broke", error))?;
    prefill::close(store, &ended.store).await;
    measured.note("acceptWriterMicros", each(costs.accept, events));
    measured.note("settleWriterMicros", each(costs.settle, events));
    measured.note("stagesSeconds", began.elapsed().as_secs_f64());
    Ok(measured)
}

fn each(spent: Duration, events: u32) -> f64 {
    spent.as_secs_f64() * 1e6 / f64::from(events)
}

fn body(plan: &Plan, event: u32) -> String {
    meta::body(USUAL, event..event + 1, MARK, plan.env.clock.now().seconds())
}

/// The stages that need no store.
fn pure(plan: &Plan, measured: &mut Measured, events: u32) {
    let key = MetaKey::new("a secret of the benchmark's own");
    let keys = [key.clone()];
    let webhook = WebhookKey::parse(&WebhookKey::text([7; 32])).expect("a secret that was just made");
    let webhook = [webhook];
    let body = body(plan, 1);
    let signature = key.sign(body.as_bytes());
    let now = plan.env.clock.now();
    let mut time = |name, work: &dyn Fn()| {
        let began = Instant::now();
        (0..events).for_each(|_| work());
        measured.note(name, each(began.elapsed(), events));
    };
    time("verifyMicros", &|| {
        let verdict = verify_meta(&keys, std::iter::once(signature.as_bytes()), body.as_bytes());
        black_box(verdict.is_ok());
    });
    time("parseMicros", &|| drop(black_box(source::read(body.as_bytes()))));
    time("signMicros", &|| {
        drop(black_box(sign_webhook(&webhook, "01a20286-49cc-7ba9-8000-000000110430", now, body.as_bytes())));
    });
}

/// Processor time of the thread that writes.
#[derive(Default)]
struct Costs {
    accept: Duration,
    settle: Duration,
}

impl Costs {
    async fn of(plan: &Plan, store: &Sqlite, handover: &Handover, events: u32) -> Result<Self, Error> {
        let mut costs = Self::default();
        for first in (0..events).step_by(ROUND as usize) {
            let batches: Vec<Batch> = (first..events.min(first + ROUND)).map(|at| batch(plan, at)).collect();
            let before = written();
            for group in batches.chunks(GROUP) {
                let replies: Vec<_> = group.iter().map(|batch| store.accept(batch.clone())).collect();
                for reply in replies {
                    reply.await?;
                }
            }
            let between = written();
            let claimed = Vec::from(handover.take().ready);
            for group in claimed.chunks(GROUP) {
                let replies: Vec<_> =
                    group.iter().map(|claimed| store.settle(delivered(plan, claimed))).collect();
                for reply in replies {
                    reply.await?;
                }
            }
            costs.settle += written().saturating_sub(between);
            costs.accept += between.saturating_sub(before);
            for claimed in claimed {
                handover.free(claimed.lane.webhook, claimed.body.len());
            }
        }
        Ok(costs)
    }
}

/// What the thread that writes has used so far, in this process.
fn written() -> Duration {
    usage(std::process::id()).map_or(Duration::ZERO, |usage| usage.writer)
}

fn batch(plan: &Plan, event: u32) -> Batch {
    let items = source::read(body(plan, event).as_bytes()).items.into_iter().map(|item| match item {
        source::Item::Change(change) => Item::Change(change),
        source::Item::Unparsed(unparsed) => Item::Unparsed(unparsed),
    });
    Batch {
        now: plan.env.clock.now(),
        app: "main".to_owned(),
        items: items.collect(),
        random: plan.env.entropy.u64(),
        fill_limits: true,
        derive: true,
    }
}

fn delivered(plan: &Plan, claimed: &Claimed) -> Settlement {
    let now = plan.env.clock.now();
    let attempt = Attempt {
        number: claimed.attempts + 1,
        started_at: now,
        duration_ms: 2,
        class: OutcomeClass::Success,
        status: Some(200),
        note: None,
        answer: Vec::new(),
        next_at: None,
    };
    let Claimed { delivery, lease, lane, .. } = *claimed;
    Settlement { delivery, lane, lease, attempt, state: DeliveryState::Delivered, now }
}
