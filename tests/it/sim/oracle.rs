//! The oracle: an outside observer who knows what was sent and what was
//! acknowledged, and sees every attempt. What it finds wrong is told, not
//! panicked, so that tests without a mechanism can ask for it. What must hold
//! once everything has healed is in `end`.

mod end;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::store::sqlite::Mode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::receivers::Arrival;
use super::world::{ACCOUNT, WABA, World};
use bellwether::model::time::Timestamp;

/// What is wrong, beginning with the invariant's name.
pub(super) type Verdict = Result<(), String>;

/// Instants are kept in milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

/// Where nobody waits for a place, a retry begins so soon after it is due.
const PUNCTUAL: Duration = Duration::from_millis(100);

macro_rules! hold {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}
use hold;

/// What is known outside.
#[derive(Default)]
pub(super) struct Oracle {
    /// Each change by its limit (unique), with its time.
    pub(super) sent: BTreeMap<String, (i64, Value)>,
    pub(super) acknowledged: BTreeSet<String>,
    /// When faults struck that can hide an outcome.
    faults: Arc<Mutex<Vec<Instant>>>,
    /// From when until when the disk stood still, which delays one.
    pub(super) stalls: Stalls,
    /// Whether nothing breaks but receivers, and there is a place for everybody:
    /// then no retry is late.
    punctual: bool,
    /// Receivers that are no matter of this oracle's.
    others: BTreeSet<String>,
    looked_at: usize,
    /// The attempts of each lane.
    lanes: BTreeMap<(String, String), Vec<Arc<Arrival>>>,
    /// The event of each limit.
    events: BTreeMap<String, String>,
    /// Deliveries that were ever confirmed; of these, those whose last attempt was.
    confirmed: BTreeSet<(String, String)>,
    answered: BTreeSet<(String, String)>,
    doubled: usize,
    /// Sequences that never came to a lane before later ones did.
    passed_over: Vec<((String, String), i64)>,
}

/// Spans of time that others add to.
pub(super) type Stalls = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// What tells a sent change from all others.
pub(super) fn limit_of(change: &Value) -> String {
    change["current_limit"].as_str().unwrap().to_owned()
}

impl Oracle {
    /// An oracle that learns of faults from there.
    pub(super) fn new(faults: &Arc<Mutex<Vec<Instant>>>) -> Self {
        Self { faults: Arc::clone(faults), ..Self::default() }
    }

    /// One that holds everybody to the time, where only receivers fail.
    pub(super) fn punctual(others: BTreeSet<String>) -> Self {
        Self { punctual: true, others, ..Self::default() }
    }

    /// Looks at the attempts since the last look.
    pub(super) fn look(&mut self, world: &World) -> Verdict {
        let mut attempts = world.terms.receivers.attempts_after(self.looked_at);
        self.looked_at += attempts.len();
        attempts.retain(|attempt| !self.others.contains(&attempt.url));
        for attempt in attempts {
            self.check_content(&attempt)?;
            let lane = self.lanes.entry((attempt.url.clone(), attempt.number())).or_default();
            lane.push(Arc::clone(&attempt));
            let lane = self.lanes[&(attempt.url.clone(), attempt.number())].as_slice();
            if let [.., before, after] = lane {
                check_order(before, after)?;
                let passed = before.sequence + 1..after.sequence;
                let lane = (after.url.clone(), after.number());
                self.passed_over.extend(passed.map(|sequence| (lane.clone(), sequence)));
                self.check_times(world, before, after)?;
            }
            let delivery = (attempt.url.clone(), attempt.webhook_id.clone());
            // A repeat that fails is retried: that doubles nothing more.
            self.doubled += usize::from(attempt.arrived && self.answered.remove(&delivery));
            if attempt.confirmed {
                self.answered.insert(delivery.clone());
                self.confirmed.insert(delivery);
            }
        }
        self.check_doubled(world)
    }

    /// PHANTOM, CORRUPT: what arrives was sent, by the event of one change, and
    /// says what that said. An old limit may have been filled in: see `end`.
    fn check_content(&mut self, arrival: &Arrival) -> Verdict {
        let limit = arrival.limit();
        let Some((time, sent)) = self.sent.get(&limit) else { return Err(format!("PHANTOM {limit}")) };
        let event = arrival.event["eventId"].as_str().unwrap_or_default();
        hold!(event == arrival.webhook_id, "CORRUPT {limit}: its webhook-id is not its event's id");
        let known = self.events.entry(limit.clone()).or_insert_with(|| event.to_owned());
        hold!(known == event, "PHANTOM {limit} became two events, {known} and {event}");
        let old = sent.get("old_limit").or(arrival.event["eventDetails"]["meta"].get("oldLimit"));
        let owed = owed(event, *time, sent, old);
        hold!(arrival.event == owed, "CORRUPT {limit}: {} instead of {owed}", arrival.event);
        Ok(())
    }

    /// OVERLAP: a lane has one attempt at a time; not over a new start or a pause:
    /// then the lease may have gone. EARLY: after a failure that was recorded the
    /// next attempt waits, whatever happens; but a clock that leaps over a new start
    /// may shorten that. What a fault or an interruption may have hidden is made up
    /// for at once, or when its lease ends. LATE: where everybody is punctual.
    fn check_times(&self, world: &World, before: &Arrival, after: &Arrival) -> Verdict {
        let interrupted = world.interrupted(before.nth, after.nth);
        hold!(
            interrupted || after.at + ROUNDED >= before.ended,
            "OVERLAP {} of {}: {} begins before {} ended",
            after.number(),
            after.url,
            after.limit(),
            before.limit()
        );
        let retried = before.sequence == after.sequence && !before.confirmed;
        let recorded = !self.disturbed(world, before, before);
        if !retried || !recorded && interrupted || world.leapt_between(before.at, after.at) {
            return Ok(());
        }
        let waited = after.at.saturating_duration_since(before.ended);
        let wait = self.wait_after(world, before);
        hold!(waited + ROUNDED >= wait, "EARLY {}: after {waited:?} instead of {wait:?}", after.limit());
        let latest = (wait * 11 / 10).max(before.asked) + PUNCTUAL;
        hold!(
            !self.punctual || waited <= latest,
            "LATE {}: after {waited:?} instead of {wait:?}",
            after.limit()
        );
        Ok(())
    }

    /// The wait that is certain after an attempt that failed: the schedule's, if
    /// nothing can have hidden the outcomes of all before it.
    fn wait_after(&self, world: &World, before: &Arrival) -> Duration {
        let (lane, waits) = (&self.lanes[&(before.url.clone(), before.number())], world.terms.waits);
        let of_it = lane
            .iter()
            .filter(|attempt| attempt.sequence == before.sequence && attempt.attempt <= before.attempt);
        let made: Vec<_> = of_it.collect();
        let known = made.len() == usize::try_from(before.attempt).unwrap();
        if !known || self.disturbed(world, made[0], before) {
            return waits[0];
        }
        // An attempt more than the schedule has can't be: its wait would be told as one.
        waits.get(made.len() - 1).copied().unwrap_or(Duration::MAX).max(before.asked)
    }

    /// Whether an outcome may not have been recorded, from one attempt to another.
    fn disturbed(&self, world: &World, first: &Arrival, last: &Arrival) -> bool {
        // In real time there is no saying what takes how long.
        let recording = match world.terms.mode {
            Mode::Inline => Duration::from_millis(100),
            Mode::Threads => Duration::from_secs(10),
        };
        let (from, until) = (first.at, last.ended + recording);
        let struck = self.faults.lock().unwrap().iter().any(|at| (from..=until).contains(at));
        let stalled =
            self.stalls.lock().unwrap().iter().any(|(began, over)| *began <= until && *over >= from);
        struck || stalled || world.interrupted_until(first.nth, until)
    }

    /// DUP: what was confirmed comes again only if a crash, a pause or a fault hid
    /// that, at most what was under way then.
    fn check_doubled(&self, world: &World) -> Verdict {
        let budget =
            (world.crashes + world.pauses) * world.terms.max_in_flight + self.faults.lock().unwrap().len();
        hold!(self.doubled <= budget, "DUP: {} doubled, at most {budget} allowed", self.doubled);
        Ok(())
    }

    /// All attempts, to compare runs by.
    pub(super) fn trace(&self) -> Vec<String> {
        let line = |a: &Arc<Arrival>| {
            format!(
                "{} {} {} {} {} {}",
                a.url,
                a.webhook_id,
                a.attempt,
                a.sequence,
                a.confirmed,
                String::from_utf8_lossy(&a.body)
            )
        };
        self.lanes.values().flatten().map(line).collect()
    }
}

/// The event that a change owes, with that id and old limit.
fn owed(id: &str, time: i64, sent: &Value, old: Option<&Value>) -> Value {
    let mut meta = json!({"event": sent["event"], "currentLimit": sent["current_limit"]});
    if let Some(old) = old {
        meta["oldLimit"] = old.clone();
    }
    json!({
        "eventId": id,
        "timestamp": Timestamp::from_seconds(time).unwrap().to_string(),
        "provider": "WhatsApp",
        "businessAccountId": WABA,
        "accountId": ACCOUNT,
        "eventType": "phone_number_quality_update",
        "eventDetails": {"displayPhoneNumber": sent["display_phone_number"], "meta": meta},
    })
}

/// ORDER, CORRUPT: a lane's events come one after another, every attempt
/// of one the same, with a higher number.
fn check_order(before: &Arrival, after: &Arrival) -> Verdict {
    let (earlier, later, lane) = (before.sequence, after.sequence, (&after.url, after.number()));
    hold!(later >= earlier, "ORDER {lane:?}: {later} after {earlier}");
    if later == earlier {
        hold!(after.body == before.body, "CORRUPT {lane:?}: an attempt of {later} differs from another");
        hold!(
            after.attempt > before.attempt,
            "ATTEMPTS {lane:?}: {} after {}",
            after.attempt,
            before.attempt
        );
    }
    Ok(())
}
