//! What must hold once everything has healed and nothing is pending: nothing is
//! missing, and what arrived is what is kept, filled in as it should be and
//! signed by the webhook's secret.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use standardwebhooks::Webhook;

use super::{Oracle, Verdict, hold, owed};
use crate::sim::receivers::Arrival;
use crate::sim::world::{ACCOUNT, World};

/// What the API shows at the end.
struct Shown {
    /// The event of each limit.
    ids: BTreeMap<String, String>,
    /// The same by number and sequence, with the limit.
    numbered: BTreeMap<(String, i64), (String, String)>,
    /// Each event's content.
    bodies: BTreeMap<String, Value>,
    /// What was given up, by the webhook's URL: that another webhook's attempts were
    /// exhausted excuses nothing.
    exhausted: BTreeSet<(String, String)>,
    /// What a newer event stands for, by the webhook's URL.
    superseded: BTreeSet<(String, String)>,
    /// By the webhook's URL.
    secrets: BTreeMap<String, Webhook>,
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

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Oracle {
    /// LOST, GAP, a stale value last, and what is CORRUPT only when all is known.
    pub(in crate::sim) async fn look_at_the_end(&self, world: &World, urls: &[String]) -> Verdict {
        let shown = self.shown(world).await?;
        for ((url, number), sequence) in &self.passed_over {
            let id = shown.numbered.get(&(number.clone(), *sequence)).map(|(id, _)| id);
            let given_up = id.is_some_and(|id| shown.is_given_up(url, id));
            hold!(
                given_up,
                "GAP {number}: {sequence} never came to {url} and is neither exhausted nor superseded"
            );
        }
        for limit in &self.acknowledged {
            let Some(id) = shown.ids.get(limit) else { return Err(format!("LOST {limit}: not kept")) };
            for url in urls {
                let there = self.confirmed.contains(&(url.clone(), id.clone()));
                hold!(there || shown.is_given_up(url, id), "LOST {limit} to {url}");
            }
        }
        for ((url, number), lane) in &self.lanes {
            let last = lane.iter().rev().find(|arrival| arrival.confirmed);
            let of_number = (number.clone(), 0)..=(number.clone(), i64::MAX);
            let Some((_, (newest, _))) = shown.numbered.range(of_number).next_back() else { continue };
            let fresh = last.is_none_or(|last| last.webhook_id == *newest) || shown.is_exhausted(url, newest);
            hold!(fresh, "STALE {number}: the last that {url} confirmed is not the newest");
        }
        self.check_filled(&shown)?;
        self.lanes.values().flatten().try_for_each(|arrival| shown.check(arrival))
    }

    /// PHANTOM: one event for each change that is kept.
    async fn shown(&self, world: &World) -> Result<Shown, String> {
        let account = format!("/v1/accounts/{ACCOUNT}");
        let events = world.get(&format!("{account}/events?limit=500")).await;
        let webhooks = world.get(&format!("{account}/webhooks")).await;
        let (mut urls, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for webhook in webhooks["items"].as_array().unwrap() {
            let (id, url) = (text(&webhook["webhookId"]), text(&webhook["url"]));
            let secret = world.get(&format!("{account}/webhooks/{id}/secret")).await;
            secrets.insert(url.clone(), Webhook::new(secret["secret"].as_str().unwrap()).unwrap());
            urls.insert(id, url);
        }
        let mut exhausted = BTreeSet::new();
        for delivery in world.deliveries("status=exhausted&limit=500").await {
            let url = urls[delivery["webhookId"].as_str().unwrap()].clone();
            exhausted.insert((url, text(&delivery["eventId"])));
        }
        let (mut ids, mut numbered, mut bodies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for event in events["items"].as_array().unwrap() {
            let (id, limit) = (&event["eventId"], &event["body"]["eventDetails"]["meta"]["currentLimit"]);
            let (id, limit) = (text(id), text(limit));
            hold!(self.sent.contains_key(&limit), "PHANTOM {limit} is kept");
            let twice = ids.insert(limit.clone(), id.clone());
            hold!(twice.is_none(), "PHANTOM {limit} became two events");
            let at = (text(&event["phoneNumber"]), event["sequence"].as_i64().unwrap_or_default());
            numbered.insert(at, (id.clone(), limit));
            bodies.insert(id, event["body"].clone());
        }
        let superseded = self.look_at_superseded(world, events["items"].as_array().unwrap()).await?;
        Ok(Shown { ids, numbered, bodies, exhausted, superseded, secrets })
    }

    /// SUPERSEDED, and a stale value of some kind last: what was not sent has a newer
    /// event of its kind that stands for it, and of each kind the newest was sent.
    /// Says which events were superseded for which URL.
    async fn look_at_superseded(
        &self,
        world: &World,
        events: &[Value],
    ) -> Result<BTreeSet<(String, String)>, String> {
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

    /// CORRUPT: an event says the old limit that its change said, else the latest
    /// that was known of its number, if that is not newer.
    fn check_filled(&self, shown: &Shown) -> Verdict {
        let mut known: BTreeMap<&str, (i64, &str)> = BTreeMap::new();
        for ((number, sequence), (id, limit)) in &shown.numbered {
            let (time, sent) = &self.sent[limit];
            let event = sent["event"].as_str().unwrap_or_default();
            let of_limit = ["UPGRADE", "DOWNGRADE"].contains(&event);
            // What is known by the time of a late one came after it.
            let before = known.get(number.as_str()).filter(|(since, _)| of_limit && since <= time);
            let before = before.map(|(_, limit)| Value::from(*limit));
            let owed = owed(id, *time, sent, sent.get("old_limit").or(before.as_ref()));
            let kept = &shown.bodies[id];
            hold!(*kept == owed, "CORRUPT {number}, {sequence}: {kept} instead of {owed}");
            // On throughput changes the current limit is the throughput's level.
            let says_limit = !event.starts_with("THROUGHPUT");
            if says_limit && known.get(number.as_str()).is_none_or(|(since, _)| since <= time) {
                known.insert(number, (*time, limit));
            }
        }
        Ok(())
    }
}

impl Shown {
    fn is_given_up(&self, url: &str, id: &str) -> bool {
        self.is_exhausted(url, id) || self.superseded.contains(&(url.to_owned(), id.to_owned()))
    }

    fn is_exhausted(&self, url: &str, id: &str) -> bool {
        self.exhausted.contains(&(url.to_owned(), id.to_owned()))
    }

    /// CORRUPT: an attempt is signed, and says what is kept.
    fn check(&self, arrival: &Arrival) -> Verdict {
        let (id, limit) = (&arrival.webhook_id, arrival.limit());
        hold!(
            self.bodies.get(id) == Some(&arrival.event),
            "CORRUPT {limit}: what was sent is not what is kept"
        );
        let Some(secret) = self.secrets.get(&arrival.url) else {
            return Err(format!("PHANTOM {limit}: to nobody"));
        };
        let said = &arrival.headers["webhook-signature"];
        let at = arrival.headers["webhook-timestamp"].parse().unwrap();
        let signed = secret.sign(id, at, &arrival.body).unwrap();
        hold!(*said == signed, "CORRUPT {limit}: {said} is not its signature, {signed}");
        Ok(())
    }
}
