//! The oracle: an outside observer who knows what was sent and what was
//! acknowledged, and sees every arrival. What it finds wrong is told, not
//! panicked, so that tests without a mechanism can ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::receivers::Arrival;
use super::world::{ACCOUNT, World};

/// What is wrong, beginning with the invariant's name.
pub(super) type Verdict = Result<(), String>;

/// Instants are kept in milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

macro_rules! hold {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

/// What is known outside.
#[derive(Default)]
pub(super) struct Oracle {
    /// Each change by its limit (unique), with its time.
    pub(super) sent: BTreeMap<String, (i64, Value)>,
    pub(super) acknowledged: BTreeSet<String>,
    /// When faults struck that can hide an outcome.
    faults: Arc<Mutex<Vec<Instant>>>,
    looked_at: usize,
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

/// What is kept of an event.
struct Kept {
    number: String,
    /// Which of the values that a number has it tells.
    kind: Option<&'static str>,
    sequence: i64,
}

impl Kept {
    fn of(event: &Value) -> Self {
        let kind = match event["body"]["eventDetails"]["meta"]["event"].as_str().unwrap_or_default() {
            "UPGRADE" | "DOWNGRADE" | "ONBOARDING" => Some("limit"),
            "FLAGGED" | "UNFLAGGED" => Some("flag"),
            "THROUGHPUT_UPGRADE" => Some("throughput"),
            _ => None,
        };
        let number = event["phoneNumber"].as_str().unwrap_or_default().to_owned();
        Self { number, kind, sequence: event["sequence"].as_i64().unwrap_or_default() }
    }
}

/// What tells a sent change from all others.
pub(super) fn limit_of(change: &Value) -> String {
    change["current_limit"].as_str().unwrap().to_owned()
}

impl Oracle {
    /// An oracle that learns of faults from there.
    pub(super) fn new(faults: &Arc<Mutex<Vec<Instant>>>) -> Self {
        Self { faults: Arc::clone(faults), ..Self::default() }
    }

    /// Looks at what arrived since the last look.
    pub(super) fn look(&mut self, world: &World) -> Verdict {
        let arrivals = world.terms.receivers.arrivals_after(self.looked_at);
        self.looked_at += arrivals.len();
        for arrival in arrivals {
            self.check_content(&arrival)?;
            let lane = self.lanes.entry((arrival.url.clone(), arrival.number())).or_default();
            lane.push(Arc::clone(&arrival));
            let lane = self.lanes[&(arrival.url.clone(), arrival.number())].as_slice();
            if let [.., before, after] = lane {
                check_order(before, after)?;
                let passed = before.sequence + 1..after.sequence;
                let lane = (after.url.clone(), after.number());
                self.passed_over.extend(passed.map(|sequence| (lane.clone(), sequence)));
                self.check_times(world, before, after)?;
            }
            let delivery = (arrival.url.clone(), arrival.webhook_id.clone());
            // A repeat that fails is retried: that doubles nothing more.
            self.doubled += usize::from(self.answered.remove(&delivery));
            if arrival.confirmed {
                self.answered.insert(delivery.clone());
                self.confirmed.insert(delivery);
            }
        }
        self.check_doubled(world)
    }

    /// PHANTOM, CORRUPT: what arrives was sent, by the event of one change.
    fn check_content(&mut self, arrival: &Arrival) -> Verdict {
        let (limit, number) = (arrival.limit(), arrival.number());
        let Some((_, sent)) = self.sent.get(&limit) else { return Err(format!("PHANTOM {limit}")) };
        hold!(sent["display_phone_number"] == *number, "CORRUPT {limit} tells of {number}");
        let event = arrival.event["eventId"].as_str().unwrap_or_default();
        hold!(event == arrival.webhook_id, "CORRUPT {limit}: its webhook-id is not its event's id");
        let known = self.events.entry(limit.clone()).or_insert_with(|| event.to_owned());
        hold!(known == event, "PHANTOM {limit} became two events, {known} and {event}");
        Ok(())
    }

    /// EARLY: an attempt begins at least the schedule's wait after the end of the
    /// failed one before it; at least the shortest one if a fault may have hidden
    /// an outcome. OVERLAP: a lane has one attempt at a time. Neither holds over a
    /// new start or a pause: then the lease may have gone.
    fn check_times(&self, world: &World, before: &Arrival, after: &Arrival) -> Verdict {
        if world.interrupted(before.nth, after.nth) {
            return Ok(());
        }
        let waited = after.at.saturating_duration_since(before.ended);
        hold!(
            after.at + ROUNDED >= before.ended,
            "OVERLAP {} of {}: {} begins before {} ended",
            after.number(),
            after.url,
            after.limit(),
            before.limit()
        );
        if before.sequence == after.sequence && !before.confirmed {
            let wait = self.wait_after(world, before, after);
            hold!(waited + ROUNDED >= wait, "EARLY {}: after {waited:?} instead of {wait:?}", after.limit());
        }
        Ok(())
    }

    /// The wait that is certain between two attempts of a delivery.
    fn wait_after(&self, world: &World, before: &Arrival, after: &Arrival) -> Duration {
        let (lane, waits) = (&self.lanes[&(before.url.clone(), before.number())], world.terms.waits);
        let Some(first) = lane.iter().find(|arrival| arrival.sequence == before.sequence) else {
            return waits[0];
        };
        let struck = self.faults.lock().unwrap().iter().any(|at| (first.at..=after.at).contains(at));
        let disturbed = struck || world.interrupted(first.nth, after.nth);
        let made = usize::try_from(before.attempt).unwrap();
        let follows = first.attempt == 1 && after.attempt == before.attempt + 1;
        waits[if follows && !disturbed { (made - 1).min(3) } else { 0 }]
    }

    /// DUP: what was confirmed comes again only if a crash, a pause or a fault hid
    /// that, at most what was under way then.
    fn check_doubled(&self, world: &World) -> Verdict {
        let budget =
            (world.crashes + world.pauses) * world.terms.max_in_flight + self.faults.lock().unwrap().len();
        hold!(self.doubled <= budget, "DUP: {} doubled, at most {budget} allowed", self.doubled);
        Ok(())
    }

    /// LOST, GAP, and a stale value last: what must hold once everything has healed
    /// and nothing is pending.
    pub(super) async fn look_at_the_end(&self, world: &World, urls: &[String]) -> Verdict {
        let events = world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=500")).await;
        let events = events["items"].as_array().unwrap();
        let id_of = |event: &Value| event["eventId"].as_str().unwrap_or_default().to_owned();
        let mut exhausted = BTreeSet::new();
        for delivery in world.deliveries("status=exhausted&limit=500").await {
            exhausted.insert(id_of(&delivery));
        }
        let superseded = self.look_at_superseded(world, events).await?;
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        let mut numbered: BTreeMap<(String, i64), String> = BTreeMap::new();
        for event in events {
            let limit = event["body"]["eventDetails"]["meta"]["currentLimit"].as_str().unwrap_or_default();
            hold!(self.sent.contains_key(limit), "PHANTOM {limit} is kept");
            let twice = ids.insert(limit.to_owned(), id_of(event));
            hold!(twice.is_none(), "PHANTOM {limit} became two events");
            let (number, sequence) = (event["phoneNumber"].as_str(), event["sequence"].as_i64());
            let at = (number.unwrap_or_default().to_owned(), sequence.unwrap_or_default());
            numbered.insert(at, id_of(event));
        }
        for ((url, number), sequence) in &self.passed_over {
            let id = numbered.get(&(number.clone(), *sequence));
            let given_up = id
                .is_some_and(|id| exhausted.contains(id) || superseded.contains(&(url.clone(), id.clone())));
            hold!(
                given_up,
                "GAP {number}: {sequence} never came to {url} and is neither exhausted nor superseded"
            );
        }
        for limit in &self.acknowledged {
            let Some(id) = ids.get(limit) else { return Err(format!("LOST {limit}: not kept")) };
            for url in urls {
                let delivery = (url.clone(), id.clone());
                let confirmed = self.confirmed.contains(&delivery);
                let there = confirmed || exhausted.contains(id) || superseded.contains(&delivery);
                hold!(there, "LOST {limit} to {url}");
            }
        }
        for ((url, number), lane) in &self.lanes {
            let last = lane.iter().rev().find(|arrival| arrival.confirmed);
            let of_number = (number.clone(), 0)..=(number.clone(), i64::MAX);
            let Some((_, newest)) = numbered.range(of_number).next_back() else { continue };
            let fresh = last.is_none_or(|last| last.webhook_id == *newest) || exhausted.contains(newest);
            hold!(fresh, "STALE {number}: the last that {url} confirmed is not the newest");
        }
        Ok(())
    }

    /// SUPERSEDED, and a stale value of some kind last: what was not sent has a newer
    /// event of its kind that stands for it, and of each kind the newest was sent.
    /// Says which events were superseded for which URL.
    async fn look_at_superseded(
        &self,
        world: &World,
        events: &[Value],
    ) -> Result<BTreeSet<(String, String)>, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events: BTreeMap<String, Kept> =
            events.iter().map(|event| (text(&event["eventId"]), Kept::of(event))).collect();
        let webhooks = world.webhook_ids().await;
        let mut superseded = BTreeSet::new();
        for delivery in world.deliveries("status=superseded&limit=500").await {
            let (id, by) = (text(&delivery["eventId"]), text(&delivery["supersededBy"]));
            let url = webhooks.iter().find(|(_, id)| delivery["webhookId"] == id.as_str());
            let older = events.get(&id).ok_or_else(|| format!("SUPERSEDED {id} is not kept"))?;
            let newer = events.get(&by).ok_or_else(|| format!("SUPERSEDED {id} by nothing that is kept"))?;
            let stands = older.kind.is_some() && (&older.number, older.kind) == (&newer.number, newer.kind);
            hold!(
                stands && older.sequence < newer.sequence,
                "SUPERSEDED {id} by {by}, which tells other things"
            );
            superseded.extend(url.map(|(url, _)| (url.clone(), id)));
        }
        let mut newest: BTreeMap<(&str, &str), (i64, &str)> = BTreeMap::new();
        for (id, Kept { number, kind, sequence }) in &events {
            if let Some(kind) = kind {
                let last = newest.entry((number, kind)).or_default();
                *last = (*last).max((*sequence, id));
            }
        }
        for url in webhooks.keys() {
            for ((number, kind), (_, id)) in &newest {
                let gone = superseded.contains(&(url.clone(), (*id).to_owned()));
                hold!(!gone, "SUPERSEDED {number}: {url} does not get the newest {kind}");
            }
        }
        Ok(superseded)
    }

    /// All that arrived, to compare runs by.
    pub(super) fn trace(&self) -> Vec<String> {
        let line = |a: &Arc<Arrival>| {
            format!(
                "{} {} {} {} {}",
                a.url,
                a.webhook_id,
                a.attempt,
                a.sequence,
                String::from_utf8_lossy(&a.body)
            )
        };
        self.lanes.values().flatten().map(line).collect()
    }
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
