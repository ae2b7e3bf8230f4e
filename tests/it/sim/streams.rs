//! The live stream in the simulation: a client that is cut at any moment, of a
//! node that crashes and whose commits fail, is told of everything once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use bellwether::env::{Entropy, Fault, Faults, Point};
use bellwether::model::attempt::OutcomeClass;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::receivers::{Answer, Receivers};
use super::seeds;
use super::world::{
    ACCOUNT, EPOCH_MS, OPERATOR, Terms, World, notification, simulate, simulate_with, upgrade,
};
use crate::support::sse::{Message, Reader};

/// A client of the stream.
struct Client {
    query: &'static str,
    key: String,
    body: Option<Body>,
    reader: Reader,
    seen: Vec<Message>,
    /// How often it connected.
    connected: usize,
}

impl Client {
    fn new(query: &'static str) -> Self {
        let (body, reader, seen) = (None, Reader::default(), Vec::new());
        Self { query, key: OPERATOR.to_owned(), body, reader, seen, connected: 0 }
    }

    /// Connects, behind what it has read.
    async fn connect(&mut self, world: &World) -> StatusCode {
        let mut request = Request::get(format!("/v1/accounts/{ACCOUNT}/stream{}", self.query))
            .header("authorization", format!("Bearer {}", self.key));
        if let Some(last) = &self.reader.last {
            request = request.header("last-event-id", last);
        }
        let answer = world.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        if status == StatusCode::OK {
            assert_eq!(answer.headers()["content-type"], "text/event-stream");
            self.reader = Reader::behind(self.reader.last.take());
            self.body = Some(answer.into_body());
            self.connected += 1;
        }
        status
    }

    /// Reads for so long; false if the stream ended.
    async fn read(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        while let Some(body) = &mut self.body {
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, body.frame()).await {
                Err(_) => return true,
                Ok(Some(frame)) => {
                    let bytes = frame.unwrap().into_data().unwrap();
                    self.seen.extend(self.reader.feed(&bytes));
                }
                Ok(None) => self.body = None,
            }
        }
        false
    }

    /// The connection breaks in the middle of what is on its way.
    async fn breaks(&mut self, chance: &Entropy) {
        if let Some(mut body) = self.body.take()
            && let Ok(Some(frame)) = timeout(Duration::from_millis(200), body.frame()).await
        {
            let bytes = frame.unwrap().into_data().unwrap();
            let cut = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
            self.seen.extend(self.reader.feed(&bytes[..cut]));
        }
    }

    fn data(&self, event: &str) -> Vec<&Value> {
        self.seen.iter().filter(|message| message.event == event).map(|message| &message.data).collect()
    }
}

/// All of a listing, oldest first.
async fn listed(world: &World, what: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/accounts/{ACCOUNT}/{what}?limit=500{cursor}")).await;
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

/// What was told is what the listings say: each event once and in their order,
/// each attempt of each delivery once, and the last word on it.
async fn agrees(world: &World, client: &Client) {
    let ids = |events: &[&Value]| -> Vec<String> {
        events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect()
    };
    let events = listed(world, "events").await;
    let (told, listed_ids) = (ids(&client.data("event")), ids(&events.iter().collect::<Vec<_>>()));
    let differs = told.iter().zip(&listed_ids).position(|(told, listed)| told != listed);
    assert_eq!((told.len(), differs), (listed_ids.len(), None), "each event once and in order");
    let mut told: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for delivery in client.data("delivery") {
        told.entry(delivery["deliveryId"].as_str().unwrap()).or_default().push(delivery);
    }
    let deliveries = listed(world, "deliveries").await;
    assert_eq!(told.len(), deliveries.len());
    for delivery in &deliveries {
        let told = &told[delivery["deliveryId"].as_str().unwrap()];
        let attempts: Vec<_> = told.iter().map(|told| told["attemptCount"].as_u64().unwrap()).collect();
        let made = delivery["attemptCount"].as_u64().unwrap();
        assert!(attempts.iter().copied().eq(1..=made), "each attempt once: {attempts:?} of {made}");
        assert_eq!(told[told.len() - 1], delivery, "the last word");
    }
    assert_eq!(client.data("gap"), Vec::<&Value>::new());
}

/// Commits that fail or succeed unsaid, while it is not calm.
fn faults(chance: &Entropy, calm: &Arc<AtomicBool>) -> Faults {
    let (chance, calm) = (chance.clone(), Arc::clone(calm));
    Faults::planned(move |point| {
        let strikes = matches!(point, Point::BeforeCommit | Point::AfterCommit)
            && !calm.load(Ordering::Relaxed)
            && chance.below(12) == 0;
        strikes.then_some(Fault::Error)
    })
}

fn receivers(chance: &Entropy, calm: &Arc<AtomicBool>) -> Receivers {
    let (chance, calm) = (chance.clone(), Arc::clone(calm));
    Receivers::by_chance(move |_| match chance.below(if calm.load(Ordering::Relaxed) { 1 } else { 5 }) {
        0 | 1 => Answer::Status(200),
        2 => Answer::Status(500),
        3 => Answer::Fails(OutcomeClass::Reset),
        _ => Answer::Slow(Duration::from_millis(700), 200),
    })
}

/// One run: notifications, failures, crashes, and a client that comes and goes.
fn run(seed: u64) {
    let (chance, calm) = (Entropy::seeded(seed ^ 0x11fe), Arc::new(AtomicBool::new(true)));
    let (faults, receivers) = (faults(&chance, &calm), receivers(&chance, &calm));
    simulate_with(Terms { seed, faults, receivers, ..Terms::default() }, |mut world| async move {
        let _shop = world.receiver("shop").await;
        let mut client = Client::new("");
        assert_eq!(client.connect(&world).await, StatusCode::OK);
        client.read(Duration::from_millis(1)).await;
        calm.store(false, Ordering::Relaxed);
        for step in 0..30 {
            let numbers = 1 + chance.below(14);
            let values: Vec<_> =
                (0..numbers).map(|nth| upgrade(chance.below(5), &format!("TIER_{step}_{nth}"))).collect();
            let body = notification(EPOCH_MS / 1000 + step, &values);
            // Meta repeats what was not taken.
            while world.post_signed(&body).await.0 != StatusCode::OK {
                world.advance(Duration::from_millis(10)).await;
            }
            match chance.below(10) {
                0 => world.crash_and_restart().await,
                1 => world.restart_cleanly().await,
                2..=4 => client.breaks(&chance).await,
                5 => world.advance(Duration::from_secs(chance.below(20))).await,
                _ => {}
            }
            if !client.read(Duration::from_millis(chance.below(300))).await {
                client.connect(&world).await;
            }
        }
        calm.store(true, Ordering::Relaxed);
        world.quiesce().await;
        while !client.read(Duration::from_secs(1)).await {
            client.connect(&world).await;
        }
        client.read(Duration::from_mins(1)).await;
        assert!(client.connected > 3, "it was cut: {}", client.connected);
        agrees(&world, &client).await;
    });
}

#[test]
fn a_client_cut_anywhere_of_a_node_that_crashes_is_told_of_everything_once_and_in_order() {
    seeds::none_fails("streams", 8, |seed| {
        run(seed);
        Ok(())
    });
}

#[test]
fn a_stream_that_is_quiet_says_so_every_few_seconds_and_carries_its_place_on() {
    simulate(|mut world| async move {
        let _shop = world.receiver("shop").await;
        let mut client = Client::new("?phoneNumber=15550000002");
        client.connect(&world).await;
        client.read(Duration::from_millis(1)).await;
        let began = client.reader.last.clone().unwrap();
        world.notify(upgrade(1, "TIER_10K")).await;
        assert!(client.read(Duration::from_secs(6)).await);
        assert_eq!(client.seen, [], "nothing of what was asked for");
        let carried = client.reader.last.clone().unwrap();
        assert_ne!(carried, began, "what it need not see again lies behind");
        world.notify(upgrade(2, "TIER_10K")).await;
        client.read(Duration::from_secs(1)).await;
        let told: Vec<_> = client.seen.iter().map(|message| message.event.as_str()).collect();
        assert_eq!(told, ["event", "delivery"]);
        assert_eq!(client.data("delivery")[0]["status"], "delivered");
    });
}

#[test]
fn stopping_ends_every_stream_at_once() {
    simulate(|mut world| async move {
        let mut client = Client::new("");
        client.connect(&world).await;
        assert!(client.read(Duration::from_secs(1)).await);
        let began = Instant::now();
        world.restart_cleanly().await;
        assert!(!client.read(Duration::from_secs(9)).await, "it has ended");
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        world.notify(upgrade(1, "TIER_10K")).await;
        client.connect(&world).await;
        client.read(Duration::from_secs(1)).await;
        assert_eq!(client.data("event").len(), 1, "and goes on at the next node");
    });
}

#[test]
fn a_key_that_is_deleted_reads_on_for_seconds_at_most() {
    simulate(|mut world| async move {
        let body = json!({"name": "wall", "role": "read", "accountId": ACCOUNT});
        let (_, made) = world.call("POST", "/v1/api-keys", body).await;
        let mut client = Client::new("");
        made["key"].as_str().unwrap().clone_into(&mut client.key);
        assert_eq!(client.connect(&world).await, StatusCode::OK);
        world.notify(upgrade(1, "TIER_10K")).await;
        assert!(client.read(Duration::from_mins(1)).await, "a valid key reads for as long as it likes");
        assert_eq!(client.data("event").len(), 1);
        let (status, _) = world
            .call("DELETE", &format!("/v1/api-keys/{}", made["id"].as_str().unwrap()), Value::Null)
            .await;
        assert!(status.is_success(), "{status}");
        assert!(!client.read(Duration::from_secs(6)).await, "it has ended");
        assert_eq!(client.connect(&world).await, StatusCode::UNAUTHORIZED);
    });
}

#[test]
fn an_id_that_is_none_is_refused_and_one_from_elsewhere_is_told_of_the_gap() {
    simulate(|mut world| async move {
        world.notify(upgrade(1, "TIER_10K")).await;
        for wrong in ["nonsense", "MS5ldmVudHMuNA"] {
            let mut client = Client::new("");
            client.reader.last = Some(wrong.to_owned());
            assert_eq!(client.connect(&world).await, StatusCode::BAD_REQUEST, "{wrong}");
        }
        let mut client = Client::new("");
        // Row 4711 of a store that was.
        client.reader.last = Some("MS5zdHJlYW0uNDcxMS4xLjU".to_owned());
        client.connect(&world).await;
        client.read(Duration::from_secs(1)).await;
        let told: Vec<_> = client.seen.iter().map(|message| message.event.as_str()).collect();
        assert_eq!(told, ["gap", "event"]);
        assert!(client.data("gap")[0]["hint"].as_str().unwrap().contains("since"));
        // Once told, it is behind.
        let mut again = Client::new("");
        again.reader.last = Some(client.seen[0].id.clone());
        again.connect(&world).await;
        again.read(Duration::from_secs(1)).await;
        assert_eq!(again.seen, client.seen[1..]);
    });
}

#[test]
fn an_account_has_sixteen_streams_and_a_place_is_free_as_soon_as_a_client_goes() {
    simulate(|world| async move {
        let mut clients = Vec::new();
        for _ in 0..16 {
            let mut client = Client::new("");
            assert_eq!(client.connect(&world).await, StatusCode::OK);
            clients.push(client);
        }
        let mut late = Client::new("");
        assert_eq!(late.connect(&world).await, StatusCode::TOO_MANY_REQUESTS);
        clients.pop();
        world.advance(Duration::from_millis(1)).await;
        assert_eq!(late.connect(&world).await, StatusCode::OK);
    });
}
