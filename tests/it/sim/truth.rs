//! What counts of a quality change is that everybody ends up with the newest
//! truth. Here the truth is known: limits that change with the portfolio, flags
//! and throughputs of some numbers, that move from one business account to
//! another and are retired by hand. It is told by the numbers' own
//! notifications, by capability updates and by readings, each of which may be
//! missing, late, repeated, cut anew, without a time, refused or cut off by a
//! crash, in any order; the node asks a stand-in of the Graph API that fails. In
//! the end every receiver that takes values by sequence and leaves out those that
//! are named stale, also one that wants the latest only, knows what the node
//! knows, that is the truth; no sequence has a gap, and no change was told twice.
//!
//! Readings mend whatever went wrong before. So every other play has none: then
//! each change is told once in the end, and what is known must come of that alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bellwether::env::{Entropy, Fault, Faults};
use bellwether::model::limit::Step;
use bellwether::model::reading::{NumberReading, Reading};
use bellwether::model::time::Timestamp;
use bellwether::store::queue::Observation;
use serde_json::{Value, json};

use super::receivers::{Answer, Arrival, Receivers};
use super::seeds;
use super::world::{ACCOUNT, Terms, WABA, World, post_signed, simulate_with};
use crate::support::graph::{self, Graph, Script};

/// The Graph API's.
const TOKEN: &str = "EAAJforAll";

/// How many seeds `./test` runs.
const SEEDS: u64 = 40;
const NUMBERS: u64 = 5;

/// The portfolio's business accounts.
const OTHER: &str = "102290129340399";
const BUSINESS_ACCOUNTS: [&str; 2] = [WABA, OTHER];

/// Limits by turns, each in several spellings.
const LIMITS: [[&str; 3]; 4] = [
    ["TIER_2K", "2000", "tier_2k"],
    ["TIER_10K", "10000", "TIER_10K"],
    ["TIER_100K", "100000", "tier_100k"],
    ["TIER_UNLIMITED", "-1", "UNLIMITED"],
];

/// How a number is, really.
#[derive(Clone, Default)]
struct Really {
    /// Since when which limit.
    limits: Vec<(Timestamp, usize)>,
    /// Since when it is flagged or not.
    flags: Vec<(i64, bool)>,
    fast: bool,
    /// In which business account it is.
    place: usize,
    /// Whether it has ever been in another.
    moved: bool,
    /// When it was retired by hand, or may have been.
    retired: Vec<i64>,
}

impl Really {
    /// The limit at that time.
    fn limit(&self, at: Timestamp) -> usize {
        self.limits.iter().rev().find(|(since, _)| *since <= at).map_or(0, |(_, limit)| *limit)
    }

    fn is_flagged(&self, at: Timestamp) -> bool {
        self.flags.iter().rev().find(|(since, _)| *since <= at.seconds()).is_some_and(|(_, flagged)| *flagged)
    }
}

/// How far what is read may lag behind; and so long nothing changes again where there
/// are readings. Two changes in one lag, told late and in the wrong order, are told
/// once more by the next reading.
const LAG: Duration = Duration::from_secs(15);
const SETTLED: Duration = Duration::from_secs(31);

/// What is on its way to the node.
#[derive(Clone, PartialEq)]
enum Sent {
    Change { place: usize, time: Option<i64>, field: &'static str, value: Value },
    Reading(Reading),
}

impl Sent {
    /// The number whose own it is.
    fn number(&self) -> Option<String> {
        match self {
            Self::Change { value, .. } => value["display_phone_number"].as_str().map(str::to_owned),
            Self::Reading(_) => None,
        }
    }
}

struct Play {
    chance: Entropy,
    calm: Arc<AtomicBool>,
    numbers: Vec<Really>,
    outbox: Vec<Sent>,
    /// What was taken and may come again, in the order in which it was first.
    taken: Vec<Sent>,
    /// Numbers of which something was refused, and may count nevertheless: which
    /// is their last change is not known outside.
    unsure: BTreeSet<String>,
    graph: Graph,
    /// Nothing is read, and nothing stays untold.
    unread: bool,
    /// When something changed last.
    changed: Timestamp,
}

fn digits(n: usize) -> String {
    format!("1555000{n:04}")
}

impl Play {
    fn one_in(&self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    /// Whether something that changed is not told.
    fn keeps_silent(&self, one_in: u64) -> bool {
        !self.unread && self.one_in(one_in)
    }

    fn below(&self, n: usize) -> usize {
        usize::try_from(self.chance.below(n as u64)).unwrap()
    }

    fn spelled(&self, limit: usize) -> &'static str {
        LIMITS[limit][self.below(3)]
    }

    fn quality(&mut self, time: i64, n: usize, event: &str, limit: Option<&str>) {
        let mut value = json!({"display_phone_number": digits(n), "event": event});
        if let Some(limit) = limit {
            let level = event.starts_with("THROUGHPUT");
            let name = if level || self.one_in(2) {
                "current_limit"
            } else {
                "max_daily_conversations_per_business"
            };
            value[name] = json!(limit);
        }
        let (place, time) = (self.numbers[n].place, Some(time));
        self.outbox.push(Sent::Change { place, time, field: "phone_number_quality_update", value });
    }

    /// The truth changes, and is told or not.
    fn change(&mut self, at: Timestamp) {
        let now = at.seconds();
        let n = self.below(self.numbers.len());
        match self.chance.below(6) {
            0 | 1 => self.change_the_limit(at),
            5 => {
                self.numbers[n].place = 1 - self.numbers[n].place;
                self.numbers[n].moved = true;
                if !self.keeps_silent(2) {
                    let limit = self.spelled(self.numbers[n].limits.last().unwrap().1);
                    self.quality(now, n, "MOVED", Some(limit));
                }
            }
            2 => {
                let flagged = self.numbers[n].flags.last().is_none_or(|(_, flagged)| !flagged);
                self.numbers[n].flags.push((now, flagged));
                if !self.keeps_silent(3) {
                    self.quality(now, n, if flagged { "FLAGGED" } else { "UNFLAGGED" }, None);
                }
            }
            3 if !self.numbers[n].fast => {
                self.numbers[n].fast = true;
                if !self.keeps_silent(3) {
                    self.quality(now, n, "THROUGHPUT_UPGRADE", Some("TIER_UNLIMITED"));
                }
            }
            _ => {}
        }
        self.changed = at;
    }

    /// What is seen of the truth lags behind now and then.
    fn seen(&self, at: Timestamp) -> Timestamp {
        let lag = if self.one_in(3) { self.chance.below(u64::try_from(LAG.as_millis()).unwrap()) } else { 0 };
        at.minus(Duration::from_millis(lag))
    }

    /// What the stand-in lists from now on: in the business account that a number
    /// has left it is listed, too.
    fn show(&self, at: Timestamp) {
        for (place, business_account) in BUSINESS_ACCOUNTS.into_iter().enumerate() {
            let listed = self.numbers.iter().enumerate().map(|(n, really)| {
                let mut number = graph::number(n, LIMITS[really.limit(at)][0]);
                let flagged = really.is_flagged(at);
                number["quality_rating"] = json!(if flagged { "RED" } else { "GREEN" });
                number["throughput"]["level"] = json!(if really.fast { "HIGH" } else { "STANDARD" });
                number["status"] = json!(if really.place == place { "CONNECTED" } else { "DISCONNECTED" });
                number
            });
            let listed = listed.collect();
            self.graph.with(|meta| meta.numbers.insert(business_account.to_owned(), listed));
        }
    }

    /// The node is asked to read; now and then what it asks fails.
    async fn reconcile(&self, world: &World) {
        let business_account = BUSINESS_ACCOUNTS[self.below(2)];
        if self.one_in(4) {
            let nonsense = Script::Says(200, Vec::new(), b"{\"data\": [{}".to_vec());
            self.graph.plays([if self.one_in(2) { nonsense } else { graph::error(500, 2, 0, "Sorry.") }]);
        }
        world.call("POST", &format!("/v1/business-accounts/{business_account}/reconcile"), Value::Null).await;
    }

    /// Somebody retires a number that is in use.
    async fn retire(&mut self, world: &World) {
        let n = self.below(self.numbers.len());
        let path = format!("/v1/accounts/{ACCOUNT}/phone-numbers/{}", digits(n));
        let (status, _) = world.call("DELETE", &path, Value::Null).await;
        if status != StatusCode::NOT_FOUND {
            self.numbers[n].retired.push(world.env.clock.now().seconds());
        }
    }

    /// What was said last is said without a time, at once or never.
    async fn hurry(&mut self, world: &mut World) {
        let Some(Sent::Change { place, field, value, .. }) = self.outbox.pop() else { return };
        let timeless = Sent::Change { place, time: None, field, value };
        self.is_taken(world, &timeless).await;
        self.unsure.extend(timeless.number());
    }

    fn change_the_limit(&mut self, at: Timestamp) {
        let now = at.seconds();
        let before = self.numbers[0].limits.last().unwrap().1;
        let next = (before + 1 + self.below(3)) % 4;
        for place in 0..BUSINESS_ACCOUNTS.len() {
            if !self.keeps_silent(4) {
                let limit = self.spelled(next);
                let time = Some(now + self.chance.below(3).cast_signed());
                let value = json!({"max_daily_conversations_per_business": limit});
                self.outbox.push(Sent::Change { place, time, field: "business_capability_update", value });
            }
        }
        for n in 0..self.numbers.len() {
            self.numbers[n].limits.push((at, next));
            if self.one_in(2) {
                let limit = self.spelled(next);
                let time = now + self.chance.below(3).cast_signed();
                self.quality(time, n, if next > before { "UPGRADE" } else { "DOWNGRADE" }, Some(limit));
            }
        }
    }

    /// What the source of truth says at `now` of the numbers of a business account.
    fn reading(&self, place: usize, now: Timestamp) -> Reading {
        let seen = self.seen(now);
        let number = |(n, really): (usize, &Really)| {
            let flagged = really.is_flagged(seen);
            NumberReading {
                display_phone_number: format!("+1 555-000-{n:04}"),
                quality_rating: Some(if flagged { "RED" } else { "GREEN" }.into()),
                throughput: Some(if really.fast { "HIGH" } else { "STANDARD" }.into()),
                status: Some("CONNECTED".into()),
                limit: Some(LIMITS[really.limit(seen)][0].into()),
                of_portfolio: true,
            }
        };
        let here = self.numbers.iter().enumerate().filter(|(_, really)| really.place == place);
        let business_account = BUSINESS_ACCOUNTS[place].parse().unwrap();
        Reading { business_account, at: now, numbers: here.map(number).collect() }
    }

    async fn act(&mut self, world: &mut World) {
        let now = world.env.clock.now();
        self.show(self.seen(now));
        match self.chance.below(15) {
            0..=3 if self.unread || now >= self.changed.plus(SETTLED) => {
                let before = self.outbox.len();
                self.change(now);
                if self.outbox.len() > before && !self.unread && self.one_in(4) {
                    self.hurry(world).await;
                }
            }
            4 if !self.unread => self.outbox.push(Sent::Reading(self.reading(self.below(2), now))),
            12 if !self.unread => self.reconcile(world).await,
            13 if self.one_in(2) => self.retire(world).await,
            5 => world.crash_and_restart().await,
            6 if !self.taken.is_empty() => self.repeat(world).await,
            _ if !self.outbox.is_empty() => self.send(world).await,
            _ => {}
        }
        world.advance(Duration::from_millis(3_000 + self.chance.below(9_000))).await;
    }

    /// What was taken comes again: the same, or stamped anew if it was the last of
    /// its number.
    async fn repeat(&mut self, world: &mut World) {
        let again = self.taken[self.below(self.taken.len())].clone();
        let wanted = again.number().filter(|number| !self.unsure.contains(number) && self.one_in(2));
        let last = self.taken.iter().rev().find(|sent| wanted.is_some() && sent.number() == wanted);
        let Some(Sent::Change { place, time: Some(time), field, value }) = last else {
            self.outbox.push(again);
            return;
        };
        let anew = Sent::Change { place: *place, time: Some(time + 1), field, value: value.clone() };
        if self.is_taken(world, &anew).await { self.taken.push(anew) } else { self.unsure.extend(wanted) }
    }

    /// Something is sent; what was refused, or may have been lost, comes again.
    async fn send(&mut self, world: &mut World) {
        let sent = self.outbox.swap_remove(self.below(self.outbox.len()));
        let taken = self.is_taken(world, &sent).await;
        if !taken {
            self.unsure.extend(sent.number());
            self.outbox.push(sent);
        } else if !self.taken.contains(&sent) {
            self.taken.push(sent);
        }
    }

    /// Sends it; now and then the node ends meanwhile.
    async fn is_taken(&mut self, world: &mut World, sent: &Sent) -> bool {
        match sent {
            Sent::Reading(reading) => {
                let random = self.chance.u64();
                let now = world.env.clock.now();
                let observation =
                    Observation { now, reading: reading.clone(), flags: true, fill_limits: true, random };
                world.store().observe(observation).await.is_ok()
            }
            Sent::Change { place, time, field, value } => {
                let mut body = json!({"object": "whatsapp_business_account", "entry": [{
                    "id": BUSINESS_ACCOUNTS[*place], "changes": [{"field": field, "value": value}],
                }]});
                if let Some(time) = time {
                    body["entry"][0]["time"] = json!(time);
                }
                let posting = tokio::spawn(post_signed(world.router(), body.to_string().into_bytes()));
                if self.calm.load(Ordering::Relaxed) || !self.one_in(10) {
                    return posting.await.unwrap().0.is_success();
                }
                for _ in 0..self.chance.below(12) {
                    tokio::task::yield_now().await;
                }
                posting.abort();
                world.crash_and_restart().await;
                false
            }
        }
    }
}

/// What a receiver makes of its events: values by sequence, none that is stale.
fn taken(arrivals: &[Arrival], number: &str) -> BTreeMap<&'static str, String> {
    let mut events: BTreeMap<i64, &Arrival> = BTreeMap::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.confirmed && arrival.number() == number) {
        events.insert(arrival.sequence, arrival);
    }
    let mut values = BTreeMap::new();
    for arrival in events.values() {
        let meta = arrival.json()["eventDetails"]["meta"].clone();
        let stale = arrival.headers.get("bellwether-stale").map_or("", String::as_str).to_owned();
        let fresh = |name: &str| !stale.split(", ").any(|stale| stale == name);
        let event = meta["event"].as_str().unwrap_or_default();
        match event {
            "THROUGHPUT_UPGRADE" if fresh("throughput") => {
                values.insert("throughput", "HIGH".to_owned());
            }
            "FLAGGED" | "UNFLAGGED" if fresh("flagged") => {
                values.insert("flagged", (event == "FLAGGED").to_string());
            }
            _ => {}
        }
        let limit = meta["currentLimit"].as_str().filter(|_| event != "THROUGHPUT_UPGRADE" && fresh("limit"));
        if let Some(limit) = limit {
            values.insert("limit", limit.to_owned());
        }
    }
    values
}

fn play(seed: u64) -> Result<(), String> {
    let chance = Entropy::seeded(seed ^ 0x7247);
    let (calm, counted) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
    let (striking, at_rest) = (Entropy::seeded(seed), Arc::clone(&calm));
    let faults = Faults::planned(move |_| {
        (!at_rest.load(Ordering::Relaxed) && striking.below(20) == 0).then_some(Fault::Error)
    });
    let well = Arc::clone(&calm);
    let receivers = Receivers::by_chance(move |_| {
        let nth = counted.fetch_add(1, Ordering::Relaxed);
        if well.load(Ordering::Relaxed) || !nth.is_multiple_of(3) {
            Answer::Status(200)
        } else {
            Answer::TakesAndBreaks
        }
    });
    let graph = Graph::new(TOKEN);
    let mut terms = Terms { seed, faults, receivers, inquirer: Arc::new(graph.clone()), ..Terms::default() };
    let unread = seed.is_multiple_of(2);
    terms.reconcile.token_for_all = (!unread).then(|| TOKEN.into());
    simulate_with(terms, |mut world| async move {
        let first = world.env.clock.now();
        let began = first.seconds();
        let really = Really { limits: vec![(first, 0)], ..Really::default() };
        let numbers = vec![really; usize::try_from(NUMBERS).unwrap()];
        let (outbox, taken, unsure) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut play = Play { chance, calm, numbers, outbox, taken, unsure, graph, unread, changed: first };
        play.show(first);
        for business_account in BUSINESS_ACCOUNTS {
            let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
            world.call("PUT", &format!("/v1/business-accounts/{business_account}"), body).await;
        }
        let urls = [world.receiver("shop").await.url, world.receiver("second").await.url];
        world.set_delivery(&urls[1], "latest").await;
        for n in 0..play.numbers.len() {
            if !play.keeps_silent(2) {
                play.quality(began, n, "ONBOARDING", Some("TIER_2K"));
            }
        }
        while play.unread && !play.outbox.is_empty() {
            // A capability update tells of numbers that are known.
            play.send(&mut world).await;
        }
        world.advance(Duration::from_secs(10)).await;
        play.calm.store(false, Ordering::Relaxed);
        for _ in 0..if unread { 60 } else { 150 } {
            play.act(&mut world).await;
        }
        play.calm.store(true, Ordering::Relaxed);
        while !play.outbox.is_empty() {
            play.send(&mut world).await;
        }
        // Whatever went wrong with readings, the next comes within hours.
        play.graph.with(|meta| meta.scripts.clear());
        play.show(world.env.clock.now());
        world.advance(Duration::from_hours(7)).await;
        world.quiesce().await;
        for delivery in world.deliveries("status=exhausted&limit=500").await {
            let id = delivery["deliveryId"].as_str().unwrap();
            world.call("POST", &format!("/v1/accounts/{ACCOUNT}/deliveries/{id}/replay"), Value::Null).await;
        }
        world.quiesce().await;
        check_events(&world, &play).await?;
        for (n, really) in play.numbers.iter().enumerate() {
            for url in &urls {
                check_number(&world, url, n, really, unread).await?;
            }
        }
        Ok(())
    })
}

/// No sequence has a gap, and no change of the truth was told twice.
async fn check_events(world: &World, play: &Play) -> Result<(), String> {
    let page = world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=500")).await;
    let mut sequences: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut told: BTreeSet<(String, &str, i64)> = BTreeSet::new();
    let events = page["items"].as_array().unwrap();
    for event in events.iter().filter(|event| event["phoneNumber"].is_string()) {
        let number = event["phoneNumber"].as_str().unwrap().to_owned();
        sequences.entry(number.clone()).or_default().insert(event["sequence"].as_i64().unwrap());
        let really =
            (0..play.numbers.len()).find(|n| digits(*n) == number).map(|n| &play.numbers[n]).unwrap();
        let time = Timestamp::parse(event["body"]["timestamp"].as_str().unwrap()).unwrap().seconds();
        let meta = &event["body"]["eventDetails"]["meta"];
        let (kind, since) = match meta["event"].as_str().unwrap() {
            "UPGRADE" | "DOWNGRADE" => {
                let said = Step::of(meta["currentLimit"].as_str().unwrap());
                // Meta says times in whole seconds; the node says its own to the hundredth.
                let at = Timestamp::parse(event["body"]["timestamp"].as_str().unwrap()).unwrap();
                let whole = at == at.whole_seconds();
                let by_then = |since: Timestamp| {
                    if whole { since.seconds() <= time } else { since.ms() / 10 <= at.ms() / 10 }
                };
                let mut by_then = really.limits.iter().rev().filter(|(since, _)| by_then(*since));
                let of = by_then.next().unwrap();
                // A reading may have seen what was so a moment before.
                let before = by_then.next().filter(|_| !play.unread && of.0.plus(LAG) > at);
                let is_said = |of: &&(Timestamp, usize)| Step::of(LIMITS[of.1][0]) == said;
                let Some(of) = Some(of).filter(is_said).or(before.filter(is_said)) else {
                    return Err(format!("UNTRUE {number}: {event} at {time}"));
                };
                ("limit", of.0.ms())
            }
            "FLAGGED" | "UNFLAGGED" => {
                let of = really.flags.iter().rev().find(|(since, _)| *since <= time);
                ("flag", of.map_or(0, |(since, _)| *since))
            }
            "ONBOARDING" => {
                let retired = really.retired.iter().filter(|retired| **retired <= time).count();
                ("onboarding", i64::try_from(retired).unwrap())
            }
            "MOVED" => continue,
            _ => ("throughput", 0),
        };
        if !told.insert((number.clone(), kind, since)) {
            let all = events.iter().filter(|event| event["phoneNumber"] == number.as_str()).map(|event| {
                let (meta, body) = (&event["body"]["eventDetails"]["meta"], &event["body"]);
                format!("{} {meta} for {} stale {}", event["sequence"], body["timestamp"], event["stale"])
            });
            let all = all.collect::<Vec<_>>().join("\n  ");
            return Err(format!("TWICE {number} {kind} of {since}, retired {:?}:\n  {all}", really.retired));
        }
    }
    for (number, sequences) in sequences {
        let expected: BTreeSet<i64> = (1..=i64::try_from(sequences.len()).unwrap()).collect();
        if sequences != expected {
            return Err(format!("GAP {number}: {sequences:?}"));
        }
    }
    Ok(())
}

/// A receiver knows what the node knows, and that is the truth.
async fn check_number(
    world: &World,
    url: &str,
    n: usize,
    really: &Really,
    unread: bool,
) -> Result<(), String> {
    let number = digits(n);
    let path = format!("/v1/accounts/{ACCOUNT}/phone-numbers/{number}");
    let (status, state) = world.call("GET", &path, Value::Null).await;
    if unread && !really.retired.is_empty() && status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    let known = |name: &str| {
        let value = &state[name]["value"];
        let flag = value.as_bool().map(|flag| flag.to_string());
        value.as_str().map(str::to_owned).or(flag).unwrap_or_default()
    };
    let truth = LIMITS[really.limits.last().unwrap().1][0];
    // Who moves may hear of it neither from where it was nor from where it is, and
    // who is retired hears nothing.
    let heard = !unread || !really.moved && really.retired.is_empty();
    if heard && Step::of(&known("limit")) != Step::of(truth) {
        return Err(format!("UNTRUE {number} is {truth} and known as {state}"));
    }
    // Only a reading says that one is nothing but usual.
    let usual = if unread { "" } else { "STANDARD" };
    let throughput = if really.fast { "HIGH" } else { usual };
    if known("throughput") != throughput {
        return Err(format!("UNTRUE {number} has {throughput} and is known as {state}"));
    }
    if unread
        && let Some((_, flagged)) = really.flags.last()
        && known("flagged") != flagged.to_string()
    {
        return Err(format!("UNTRUE {number} is flagged: {flagged}, and known as {state}"));
    }
    let place = BUSINESS_ACCOUNTS[really.place];
    if state["businessAccountId"] != place {
        return Err(format!("UNTRUE {number} is in {place} and known as {state}"));
    }
    for (name, value) in taken(&world.terms.receivers.at(url).arrivals(), &number) {
        // What was known of a number that was retired is not known any more.
        let forgotten = !really.retired.is_empty() && state[name].is_null();
        if !forgotten && Step::of(&known(name)) != Step::of(&value) {
            return Err(format!("STALE {number} at {url}: {name} is {value} there, and here {state}"));
        }
    }
    Ok(())
}

#[test]
fn every_receiver_ends_up_with_the_newest_truth_and_nothing_is_told_twice() {
    seeds::none_fails("truth", SEEDS, play);
}

#[test]
fn a_receiver_that_takes_what_is_stale_does_not_end_up_with_the_truth() {
    let late = |sequence, limit: &str, stale: &str| {
        let event = json!({"eventDetails": {"displayPhoneNumber": "1", "meta": {"event": "UPGRADE", "currentLimit": limit}}});
        let now = tokio::time::Instant::now();
        Arrival {
            nth: 0,
            arrived: true,
            asked: Duration::ZERO,
            url: String::new(),
            at: now,
            ended: now,
            webhook_id: String::new(),
            attempt: 1,
            sequence,
            headers: [("bellwether-stale".to_owned(), stale.to_owned())].into(),
            body: Vec::new(),
            confirmed: true,
            event,
        }
    };
    let limit = |arrivals: &[Arrival]| taken(arrivals, "1").remove("limit");
    assert_eq!(limit(&[late(2, "TIER_2K", "limit"), late(1, "TIER_10K", "")]).as_deref(), Some("TIER_10K"));
    assert_eq!(limit(&[late(2, "TIER_2K", ""), late(1, "TIER_10K", "")]).as_deref(), Some("TIER_2K"));
}
