//! What counts of a quality change is that everybody ends up with the newest
//! truth. Here the truth is known: limits that change with the portfolio, flags
//! and throughputs of some numbers. It is told by the numbers' own
//! notifications, by capability updates and by readings, each of which may be
//! missing, late, repeated, cut anew, refused or cut off by a crash, in any
//! order. In the end every receiver that takes values by sequence, and leaves
//! out those that are named stale, knows what the node knows, that is the truth;
//! no sequence has a gap, and no change was told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bellwether::env::{Entropy, Fault, Faults};
use bellwether::model::limit::Step;
use bellwether::model::reading::{NumberReading, Reading};
use bellwether::model::time::Timestamp;
use bellwether::store::queue::Observation;
use serde_json::{Value, json};

use super::receivers::{Answer, Arrival, Receivers};
use super::world::{ACCOUNT, Terms, WABA, World, post_signed, simulate_with};

/// How many seeds `./test` runs.
const SEEDS: u64 = 30;
const NUMBERS: u64 = 5;

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
    limits: Vec<(i64, usize)>,
    /// Since when it is flagged or not.
    flags: Vec<(i64, bool)>,
    fast: bool,
}

/// What is on its way to the node.
#[derive(Clone, PartialEq)]
enum Sent {
    Change { time: i64, field: &'static str, value: Value },
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
}

fn digits(n: usize) -> String {
    format!("1555000{n:04}")
}

impl Play {
    fn one_in(&self, n: u64) -> bool {
        self.chance.below(n) == 0
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
        self.outbox.push(Sent::Change { time, field: "phone_number_quality_update", value });
    }

    /// The truth changes, and is told or not.
    fn change(&mut self, now: i64) {
        let n = self.below(self.numbers.len());
        match self.chance.below(5) {
            0 | 1 => self.change_the_limit(now),
            2 => {
                let flagged = self.numbers[n].flags.last().is_none_or(|(_, flagged)| !flagged);
                self.numbers[n].flags.push((now, flagged));
                if !self.one_in(3) {
                    self.quality(now, n, if flagged { "FLAGGED" } else { "UNFLAGGED" }, None);
                }
            }
            3 if !self.numbers[n].fast => {
                self.numbers[n].fast = true;
                if !self.one_in(3) {
                    self.quality(now, n, "THROUGHPUT_UPGRADE", Some("TIER_UNLIMITED"));
                }
            }
            _ => {}
        }
    }

    fn change_the_limit(&mut self, now: i64) {
        let before = self.numbers[0].limits.last().unwrap().1;
        let next = (before + 1 + self.below(3)) % 4;
        if !self.one_in(4) {
            let limit = self.spelled(next);
            let time = now + self.chance.below(3).cast_signed();
            let value = json!({"max_daily_conversations_per_business": limit});
            self.outbox.push(Sent::Change { time, field: "business_capability_update", value });
        }
        for n in 0..self.numbers.len() {
            self.numbers[n].limits.push((now, next));
            if self.one_in(2) {
                let limit = self.spelled(next);
                let time = now + self.chance.below(3).cast_signed();
                self.quality(time, n, if next > before { "UPGRADE" } else { "DOWNGRADE" }, Some(limit));
            }
        }
    }

    /// What the source of truth says at `now`.
    fn reading(&self, now: Timestamp) -> Reading {
        let number = |(n, really): (usize, &Really)| {
            let flagged = really.flags.last().is_some_and(|(_, flagged)| *flagged);
            NumberReading {
                display_phone_number: format!("+1 555-000-{n:04}"),
                quality_rating: Some(if flagged { "RED" } else { "GREEN" }.into()),
                throughput: Some(if really.fast { "HIGH" } else { "STANDARD" }.into()),
                status: Some("CONNECTED".into()),
                limit: Some(LIMITS[really.limits.last().unwrap().1][0].into()),
            }
        };
        let numbers = self.numbers.iter().enumerate().map(number).collect();
        Reading { business_account: WABA.parse().unwrap(), at: now, numbers }
    }

    async fn act(&mut self, world: &mut World) {
        let now = world.env.clock.now();
        match self.chance.below(12) {
            0..=3 => self.change(now.seconds()),
            4 => self.outbox.push(Sent::Reading(self.reading(now))),
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
        let Some(Sent::Change { time, field, value }) = last else {
            self.outbox.push(again);
            return;
        };
        let anew = Sent::Change { time: time + 1, field, value: value.clone() };
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
            Sent::Change { time, field, value } => {
                let body = json!({"object": "whatsapp_business_account", "entry": [{
                    "id": WABA, "time": time, "changes": [{"field": field, "value": value}],
                }]});
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
    simulate_with(Terms { seed, faults, receivers, ..Terms::default() }, |mut world| async move {
        let body = json!({"accountId": ACCOUNT, "subAccountId": "second"});
        world.call("PUT", &format!("/v1/business-accounts/{WABA}"), body).await;
        let urls = [world.receiver("shop").await.url, world.receiver("second").await.url];
        let began = world.env.clock.now().seconds();
        let really = Really { limits: vec![(began, 0)], ..Really::default() };
        let numbers = vec![really; usize::try_from(NUMBERS).unwrap()];
        let mut play =
            Play { chance, calm, numbers, outbox: Vec::new(), taken: Vec::new(), unsure: BTreeSet::new() };
        for n in 0..play.numbers.len() {
            if play.one_in(2) {
                play.quality(began, n, "ONBOARDING", Some("TIER_2K"));
            }
        }
        world.advance(Duration::from_secs(10)).await;
        play.calm.store(false, Ordering::Relaxed);
        for _ in 0..60 {
            play.act(&mut world).await;
        }
        play.calm.store(true, Ordering::Relaxed);
        let last = play.reading(world.env.clock.now());
        play.outbox.push(Sent::Reading(last));
        while !play.outbox.is_empty() {
            play.send(&mut world).await;
        }
        world.quiesce().await;
        for delivery in world.deliveries("status=exhausted&limit=500").await {
            let id = delivery["deliveryId"].as_str().unwrap();
            world.call("POST", &format!("/v1/accounts/{ACCOUNT}/deliveries/{id}/replay"), Value::Null).await;
        }
        world.quiesce().await;
        check_events(&world, &play).await?;
        for (n, really) in play.numbers.iter().enumerate() {
            for url in &urls {
                check_number(&world, url, n, really).await?;
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
                let of = really.limits.iter().rev().find(|(since, _)| *since <= time).unwrap();
                if Step::of(LIMITS[of.1][0]) != said {
                    return Err(format!("UNTRUE {number}: {event} at {time}"));
                }
                ("limit", of.0)
            }
            "FLAGGED" | "UNFLAGGED" => {
                let of = really.flags.iter().rev().find(|(since, _)| *since <= time);
                ("flag", of.map_or(0, |(since, _)| *since))
            }
            "ONBOARDING" => ("onboarding", 0),
            _ => ("throughput", 0),
        };
        if !told.insert((number.clone(), kind, since)) {
            return Err(format!("TWICE {number} {kind} of {since}: {event}"));
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
async fn check_number(world: &World, url: &str, n: usize, really: &Really) -> Result<(), String> {
    let number = digits(n);
    let state = world.get(&format!("/v1/accounts/{ACCOUNT}/phone-numbers/{number}")).await;
    let known = |name: &str| {
        let value = &state[name]["value"];
        let flag = value.as_bool().map(|flag| flag.to_string());
        value.as_str().map(str::to_owned).or(flag).unwrap_or_default()
    };
    let truth = LIMITS[really.limits.last().unwrap().1][0];
    if Step::of(&known("limit")) != Step::of(truth) {
        return Err(format!("UNTRUE {number} is {truth} and known as {state}"));
    }
    let throughput = if really.fast { "HIGH" } else { "STANDARD" };
    if known("throughput") != throughput {
        return Err(format!("UNTRUE {number} has {throughput} and is known as {state}"));
    }
    for (name, value) in taken(&world.terms.receivers.at(url).arrivals(), &number) {
        if Step::of(&known(name)) != Step::of(&value) {
            return Err(format!("STALE {number} at {url}: {name} is {value} there, and here {state}"));
        }
    }
    Ok(())
}

#[test]
fn every_receiver_ends_up_with_the_newest_truth_and_nothing_is_told_twice() {
    let broken: Vec<String> = (1..=SEEDS)
        .filter_map(|seed| play(seed).err().map(|violation| format!("seed {seed}: {violation}")))
        .collect();
    assert!(broken.is_empty(), "{} of {SEEDS} runs failed:\n{}", broken.len(), broken.join("\n"));
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
