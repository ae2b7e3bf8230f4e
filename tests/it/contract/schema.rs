//! The JSON Schema of events and the AsyncAPI document: what is committed is what the types say, what is
//! sent is as the schema says, and the receiving crate reads all of it without a loss.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bellwether_receiver::{Details, Event, schema};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::sim::simulate;

/// A judge of events.
struct Judge(Schemas, SchemaIndex);

impl Judge {
    fn of_events() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource("events.schema.json", schema::events()).unwrap();
        let index = compiler.compile("events.schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn takes(&self, event: &Value) -> Result<(), String> {
        self.0.validate(event, self.1).map_err(|error| format!("{error:#}"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_documents_of_events_are_what_the_types_say() {
    for (file, document) in [("events.schema.json", schema::events()), ("asyncapi.json", schema::asyncapi())]
    {
        let path = root().join("docs/reference").join(file);
        let written = format!("{document:#}\n");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        let hint = "is behind receiver/src: run BLESS=1 cargo test --test it documents_of_events";
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == written, "docs/reference/{file} {hint}");
    }
}

/// Notifications of every kind that the contract lists.
fn samples() -> Vec<PathBuf> {
    let directories = ["tests/samples", "tests/samples/management"];
    let files = directories.iter().flat_map(|directory| std::fs::read_dir(root().join(directory)).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let spellings = |path: &PathBuf| path.ends_with("spellings.json");
    files.filter(|path| path.extension().is_some_and(|found| found == "json") && !spellings(path)).collect()
}

#[test]
fn every_event_that_is_sent_is_as_the_schema_says_and_is_read_into_a_type_without_a_loss() {
    simulate(|world| async move {
        let shop = world.receiver("shop").await;
        let customer = json!({"accountId": crate::sim::world::ACCOUNT});
        let (registered, _) = world.call("PUT", "/v1/business-accounts/980198427658004", customer).await;
        assert!(registered.is_success());
        for sample in samples() {
            world.post_signed(&std::fs::read(&sample).unwrap()).await;
        }
        world.quiesce().await;
        let judge = Judge::of_events();
        let mut kinds = BTreeSet::new();
        for arrival in shop.arrivals() {
            let text = String::from_utf8(arrival.body.clone()).unwrap();
            judge.takes(&arrival.json()).unwrap_or_else(|error| panic!("{text}: {error}"));
            let event = Event::read(&arrival.body).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
            assert!(!matches!(event.details, Details::Other(_)), "{text}");
            if !matches!(event.details, Details::Raw(_)) {
                kinds.insert(event.event_type);
            }
        }
        assert_eq!(kinds.len(), 6, "every modelled kind was sent: {kinds:?}");
        assert!(shop.arrivals().len() > 30, "{}", shop.arrivals().len());
    });
}

#[test]
fn the_events_that_the_documents_show_are_as_the_schema_says() {
    let judge = Judge::of_events();
    let mut shown = 0;
    for file in ["README.md", "docs/guide/receiver.md", "docs/guide/account-owner.md", "receiver/src/lib.rs"]
    {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for line in text.lines().filter_map(|line| Some(&line[line.find("{\"eventId\":")?..])) {
            let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
            // A listing of the API has an event's id and more.
            let Some(Ok(event)) = values.next() else { continue };
            if event.get("eventDetails").is_some() {
                judge.takes(&event).unwrap_or_else(|error| panic!("{file}: {error}"));
                shown += 1;
            }
        }
    }
    assert!(shown >= 2, "{shown}");
    let example = &schema::asyncapi()["components"]["messages"]["event"]["examples"][0];
    judge.takes(&example["payload"]).unwrap();
}

#[test]
fn what_is_no_event_of_ours_is_not_as_the_schema_says() {
    let judge = Judge::of_events();
    let good = schema::asyncapi()["components"]["messages"]["event"]["examples"][0]["payload"].clone();
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let (meta, details) = ("/eventDetails/meta", "/eventDetails");
    for (pointer, value) in [
        ("/eventDetails/meta/event", json!("THROUGHPUT_DOWNGRADE")),
        ("/eventDetails/meta/currentLimit", json!("250")),
        (meta, json!({"event": "FLAGGED", "novel": {"a": 1}})),
        (details, json!({"rawEvent": {"field": "phone_number_quality_update", "value": [1]}})),
    ] {
        assert_eq!(judge.takes(&with(pointer, value)), Ok(()), "{pointer}");
    }
    for (pointer, value) in [
        ("/eventId", json!("1")),
        ("/timestamp", json!("2025-05-28T17:46:34Z")),
        ("/accountId", Value::Null),
        ("/eventType", json!("account_update")),
        ("/eventType", json!("of_tomorrow")),
        ("/eventDetails/meta/oldLimit", Value::Null),
        ("/eventDetails/meta/currentLimit", json!(250)),
        (meta, json!({"currentLimit": "TIER_1K"})),
        (details, json!([])),
    ] {
        assert!(judge.takes(&with(pointer, value.clone())).is_err(), "{pointer} {value}");
    }
    for member in ["eventId", "timestamp", "provider", "businessAccountId", "accountId", "eventType"] {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(member);
        assert!(judge.takes(&event).is_err(), "{member} is missing");
    }
}
