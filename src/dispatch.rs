//! From a leased delivery to a settled one.
//!
//! One task decides what is attempted next; each attempt is a task of its own.
//! What is decided here is only who goes first: leases, lanes and due times are
//! the store's, so losing this task's memory loses nothing. The store leases
//! none but the heads of lanes, one per lane, and promotes the next when one
//! settles: order needs no bookkeeping here.
//!
//! Fairness has three locks. Places in the handover are bounded per webhook, so
//! a webhook with 100,000 waiting fills its own places only. Accounts share places
//! and attempts (`policy::shares`), so one with 400 webhooks that hang leaves as
//! many free as it has. And what is ready, or in line for a place, goes round by
//! account and by webhook (`rounds`), so one with a single event waits for one
//! attempt of each other, not for a backlog.

pub mod attempt;
pub mod oauth;
mod remembered;
mod rounds;
pub mod target;
mod timetable;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::env::{Env, Weakness};
use crate::model::id::WebhookKey;
use crate::model::time::Timestamp;
use crate::policy::pace::Pace;
use crate::policy::retry::Schedule;
use crate::secrets::Vault;
use crate::store::queue::{Claimed, Want};
use crate::store::{Error, Handover, Reply, Store};
use crate::telemetry::Metrics;
use crate::transport::Transport;
use attempt::{Attempter, Ended};
use timetable::Timetable;
use turns::Turns;

/// How a dispatcher behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The waits between attempts.
    pub schedule: Schedule,
    /// The absolute deadline of one attempt.
    pub attempt_timeout: Duration,
    /// At most so many attempts at once, which accounts share.
    pub max_in_flight: usize,
    /// At most so many attempts at once to one webhook.
    pub max_in_flight_per_webhook: usize,
    /// At most so many attempts begin in a second; 0: as many as there is room for.
    pub attempts_per_s: usize,
}

/// What a dispatcher works with.
#[derive(Clone)]
pub struct Means {
    /// Where deliveries are.
    pub store: Arc<dyn Store>,
    /// Where they come from.
    pub handover: Arc<Handover>,
    /// The way out.
    pub transport: Arc<dyn Transport>,
    /// Opens webhooks' secrets.
    pub vault: Vault,
    /// Time, chance, faults.
    pub env: Env,
    /// Counts.
    pub metrics: Metrics,
}

/// Whether a node is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It works.
    Running,
    /// It finishes what is under way and starts nothing.
    Draining,
    /// It drops everything.
    Aborting,
}

/// At most so many webhooks are claimed for in one transaction.
const CLAIM: usize = 64;

/// After a failed claim.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// How often it is looked whether leases in memory are about to end.
const LOOK: Duration = Duration::from_secs(1);

/// When each webhook that was claimed for is next due.
type NextDue = Vec<(WebhookKey, Option<Timestamp>)>;

/// A claim under way, and what it was for.
type Claiming = Option<(Vec<Want>, Reply<NextDue>)>;

/// What is remembered of an attempt while it is under way.
struct UnderWay {
    webhook: WebhookKey,
    /// When its lease ends.
    until: Timestamp,
    /// The size of its body.
    bytes: usize,
}

/// The task that decides.
pub struct Dispatcher {
    means: Means,
    options: Options,
    attempter: Arc<Attempter>,
    attempts: JoinSet<Ended>,
    under_way: HashMap<Id, UnderWay>,
    turns: Turns,
    pace: Pace,
    timetable: Timetable,
    in_flight: watch::Sender<usize>,
    /// Leased too long ago to be attempted, since the process stood still.
    stalled: Vec<Claimed>,
    looked: Timestamp,
}

impl Dispatcher {
    /// A dispatcher; [`Dispatcher::run`] starts it.
    pub fn new(means: Means, options: Options) -> Self {
        let attempter = Arc::new(Attempter::new(means.clone(), options.clone()));
        let turns = Turns::new(options.max_in_flight, options.max_in_flight_per_webhook);
        let timetable = Timetable::new(Arc::clone(&means.handover));
        let pace = Pace::new(options.attempts_per_s);
        Self {
            means,
            options,
            attempter,
            attempts: JoinSet::new(),
            under_way: HashMap::new(),
            turns,
            pace,
            timetable,
            in_flight: watch::Sender::new(0),
            stalled: Vec::new(),
            looked: Timestamp::default(),
        }
    }

    /// How many attempts are under way.
    pub fn in_flight(&self) -> watch::Receiver<usize> {
        self.in_flight.subscribe()
    }

    /// Works until the phase says otherwise: draining lets attempts end and
    /// gives every unused lease back; aborting drops all.
    pub async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        self.means.handover.open();
        self.learn_schedule().await;
        let mut claiming: Claiming = None;
        while *phase.borrow_and_update() == Phase::Running {
            self.take_news();
            self.find_stalled();
            let paced = self.start_attempts();
            if claiming.is_none() {
                claiming = self.claim_due();
            }
            self.means.env.clock.rest(claiming.is_none() && self.is_idle());
            let wake = self.timetable.next().map_or(Duration::from_hours(1), |at| at.since(self.now()));
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { break },
                Some(ended) = self.attempts.join_next_with_id() => self.attempt_ended(ended),
                answer = answered(&mut claiming) => self.claimed(answer),
                () = self.means.handover.news() => {}
                () = tokio::time::sleep(paced.unwrap_or_default()), if paced.is_some() => {}
                // Time that passes while a claim is under way changes nothing yet.
                () = tokio::time::sleep(wake), if claiming.is_none() => {}
            }
        }
        if let Some((_, reply)) = claiming {
            // What it leases lands in the handover and is given back below.
            let _ = reply.await;
        }
        self.drain(phase).await;
    }

    fn now(&self) -> Timestamp {
        self.means.env.clock.now()
    }

    /// Nothing waits for an instant: no place is taken, no webhook noted.
    fn is_idle(&self) -> bool {
        self.means.handover.depth().0 == 0 && self.timetable.next().is_none()
    }

    /// The store's word on what is due; asked again until it answers.
    async fn learn_schedule(&mut self) {
        loop {
            match self.means.store.schedule().await {
                Ok(schedule) => {
                    for (webhook, at) in schedule {
                        self.timetable.note(webhook, at);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read what is due; trying again in a second");
                    tokio::time::sleep(CLAIM_AGAIN).await;
                }
            }
        }
    }

    fn take_news(&mut self) {
        let news = self.means.handover.take();
        let dies = !news.ready.is_empty() && self.means.env.faults.weakens(Weakness::DispatcherDies);
        assert!(!dies, "the dispatcher ends as it was told to");
        news.changed.into_iter().for_each(|webhook| self.attempter.forget(webhook));
        news.due.into_iter().for_each(|(webhook, at)| self.timetable.note(webhook, at));
        for claimed in news.ready {
            self.turns.push(self.means.handover.account_of(claimed.lane.webhook), claimed);
        }
        news.freed.into_iter().for_each(|webhook| self.timetable.freed(webhook));
    }

    /// Sets aside what could outlive its lease if it were attempted now. It goes
    /// back before the next claim, which would take it for interrupted.
    fn find_stalled(&mut self) {
        let now = self.now();
        if now < self.looked.plus(LOOK) {
            return;
        }
        self.looked = now;
        let stalled = self.turns.take_ending(now.plus(self.options.attempt_timeout));
        for claimed in &stalled {
            self.means.handover.free(claimed.lane.webhook, claimed.body.len());
            self.timetable.freed(claimed.lane.webhook);
            // Should it not go back, the end of its lease makes it due.
            self.timetable.note(claimed.lane.webhook, claimed.lease.until);
        }
        self.stalled.extend(stalled);
    }

    /// Starts what may be; how long the next one waits for its turn by the pace, if
    /// that is all it waits for.
    fn start_attempts(&mut self) -> Option<Duration> {
        let now = self.now();
        let paced = loop {
            let paced = self.pace.wait(now);
            if paced.is_some() {
                break paced.filter(|_| self.turns.has_ready());
            }
            let Some(claimed) = self.turns.next() else { break None };
            self.pace.begin(now);
            let attempter = Arc::clone(&self.attempter);
            let (webhook, until, bytes) = (claimed.lane.webhook, claimed.lease.until, claimed.body.len());
            let task = self.attempts.spawn(async move { attempter.attempt(claimed).await });
            self.under_way.insert(task.id(), UnderWay { webhook, until, bytes });
        };
        self.in_flight.send_if_modified(|shown| {
            let changed = *shown != self.attempts.len();
            *shown = self.attempts.len();
            changed
        });
        paced
    }

    fn claim_due(&mut self) -> Claiming {
        let now = self.now();
        let wants = self.timetable.due(now, CLAIM);
        if wants.is_empty() && self.stalled.is_empty() {
            return None;
        }
        let leases =
            self.stalled.drain(..).map(|claimed| (claimed.delivery, claimed.lease)).collect::<Vec<_>>();
        let store = Arc::clone(&self.means.store);
        let claimed_for = wants.clone();
        let reply: Reply<NextDue> = Box::pin(async move {
            if !leases.is_empty() {
                tracing::info!(
                    deliveries = leases.len(),
                    "the process stood still; what was not attempted yet is due again"
                );
                store.release(leases, now).await?;
            }
            store.claim(wants, now).await
        });
        Some((claimed_for, reply))
    }

    fn claimed(&mut self, (wants, answer): (Vec<Want>, Result<NextDue, Error>)) {
        match answer {
            Ok(next) => {
                for (webhook, at) in next {
                    if let Some(at) = at {
                        self.timetable.note(webhook, at);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "claiming failed; trying again in a second");
                let again = self.now().plus(CLAIM_AGAIN);
                for want in wants {
                    self.timetable.note(want.webhook, again);
                }
            }
        }
    }

    /// Its place is free. What the attempt could not record, the end of its lease
    /// makes due again: then the webhook is looked at.
    fn attempt_ended(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(UnderWay { webhook, until, bytes }) = self.under_way.remove(&id) else { return };
        self.turns.done(webhook);
        self.means.handover.free(webhook, bytes);
        self.timetable.freed(webhook);
        match ended {
            Ok((_, Ended::Recorded)) => {}
            Ok((_, Ended::Unrecorded)) => self.timetable.note(webhook, until),
            Err(error) => {
                tracing::error!(%error, webhook = webhook.0, "an attempt ended abruptly; its delivery is attempted again");
                self.timetable.note(webhook, until);
            }
        }
    }

    /// Ends: unused leases go back, attempts under way may end.
    async fn drain(mut self, mut phase: watch::Receiver<Phase>) {
        self.means.env.clock.rest(false);
        self.means.handover.close();
        let news = self.means.handover.take();
        let stalled = std::mem::take(&mut self.stalled);
        let unused: Vec<Claimed> = self.turns.drain().into_iter().chain(stalled).chain(news.ready).collect();
        let leases = unused.iter().map(|claimed| (claimed.delivery, claimed.lease)).collect();
        if let Err(error) = self.means.store.release(leases, self.now()).await {
            tracing::warn!(%error, "leases could not be given back; the next start picks them up");
        }
        while *phase.borrow_and_update() != Phase::Aborting && !self.attempts.is_empty() {
            tokio::select! {
                biased;
                changed = phase.changed() => if changed.is_err() { break },
                _ = self.attempts.join_next() => {}
            }
        }
        self.attempts.shutdown().await;
        // A settlement may have promoted the next of its lane meanwhile.
        let promoted = self.means.handover.take().ready;
        let leases = promoted.iter().map(|claimed| (claimed.delivery, claimed.lease)).collect();
        let _ = self.means.store.release(leases, self.now()).await;
    }
}

/// The answer to the claim under way; never, if there is none.
async fn answered(claiming: &mut Claiming) -> (Vec<Want>, Result<NextDue, Error>) {
    match claiming {
        Some((_, reply)) => {
            let answer = reply.await;
            let wants = claiming.take().map(|(wants, _)| wants).unwrap_or_default();
            (wants, answer)
        }
        None => std::future::pending().await,
    }
}
