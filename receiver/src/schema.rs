//! The events' JSON Schema, and the AsyncAPI document of the webhook: made from the types, so that they say
//! what the code says.
//!
//! The types carry their schemas; what no type says is said here: which details belong to which `eventType`,
//! the headers, and that a member without a value is left out and never `null`.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::{
    AccountUpdate, CategoryMeta, CorrectCategoryMeta, Quality, RawEvent, ScoreMeta, StatusMeta, Template,
};

/// A string of which these are known: others are as good.
pub(crate) fn open_word(known: &[&str]) -> RefOr<Schema> {
    let listed = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let open = utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .description(Some(format!("One of {listed}, or any other: expect values that are not listed.")))
        .examples(known.iter().map(|word| json!(word)));
    open.into()
}

/// A kind of details.
struct Kind {
    event_type: &'static str,
    name: &'static str,
    schema: Value,
    /// The schemas that it refers to.
    inner: Map<String, Value>,
}

fn kinds() -> [Kind; 6] {
    [
        kind::<Quality>("phone_number_quality_update", "QualityDetails"),
        template::<StatusMeta>("template_status_update", "TemplateStatusDetails"),
        template::<ScoreMeta>("template_quality_update", "TemplateQualityDetails"),
        template::<CategoryMeta>("template_category_update", "TemplateCategoryDetails"),
        template::<CorrectCategoryMeta>(
            "template_correct_category_detection",
            "TemplateCorrectCategoryDetails",
        ),
        kind::<AccountUpdate>("account_update", "AccountUpdateDetails"),
    ]
}

fn kind<T: ToSchema>(event_type: &'static str, name: &'static str) -> Kind {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    let inner = inner.into_iter().map(|(name, schema)| (name, plain(&schema))).collect();
    Kind { event_type, name, schema: plain(&T::schema()), inner }
}

/// Details of a template: what a type refers to does not tell of its own argument.
fn template<Meta: ToSchema>(event_type: &'static str, name: &'static str) -> Kind {
    let mut kind = kind::<Template<Meta>>(event_type, name);
    let meta = self::kind::<Meta>("", "");
    kind.inner.insert(Meta::name().into_owned(), meta.schema);
    kind.inner.extend(meta.inner);
    kind
}

/// A schema as JSON, in which no member may be `null`.
fn plain(schema: &RefOr<Schema>) -> Value {
    let mut json = serde_json::to_value(schema).expect("a schema is JSON by construction");
    without_null(&mut json);
    json
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get("type") {
                let mut types: Vec<_> = types.iter().filter(|name| *name != "null").cloned().collect();
                let types = if types.len() == 1 { types.swap_remove(0) } else { types.into() };
                members.insert("type".to_owned(), types);
            }
            if let Some(Value::Array(mut choices)) = members.remove("oneOf") {
                choices.retain(|choice| choice["type"] != "null");
                match choices.as_slice() {
                    [Value::Object(only)] => members.extend(only.clone()),
                    _ => drop(members.insert("oneOf".to_owned(), choices.into())),
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The event's schema, which refers to the others, and these by their names. References begin with `at`.
fn schemas(at: &str) -> (Value, Map<String, Value>) {
    let mut named = Map::new();
    let mut rules = Vec::new();
    let raw = || json!({"$ref": "#/components/schemas/RawDetails"});
    let kinds = kinds();
    let modelled: Vec<_> = kinds.iter().map(|kind| kind.event_type).collect();
    rules.push(json!({
        "if": {"properties": {"eventType": {"not": {"enum": modelled}}}},
        "then": {"properties": {"eventDetails": raw()}},
    }));
    for Kind { event_type, name, schema, inner } in kinds {
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        rules.push(json!({
            "if": {"properties": {"eventType": {"const": event_type}}},
            "then": {"properties": {"eventDetails": {"anyOf": [reference, raw()]}}},
        }));
        named.insert(name.to_owned(), schema);
        named.extend(inner);
    }
    let raw = kind::<RawEvent>("", "RawDetails");
    named.insert(raw.name.to_owned(), raw.schema);
    named.extend(raw.inner);
    let (mut event, mut named) = (envelope(&modelled), Value::Object(named));
    event["allOf"] = rules.into();
    for schema in [&mut event, &mut named] {
        move_references(schema, at);
    }
    let Value::Object(named) = named else { unreachable!("it was made of an object") };
    (event, named)
}

/// What is common to all events. `Event` has its own way to JSON, so its schema has one too.
fn envelope(modelled: &[&str]) -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let instant = "When it happened, as Meta says: ISO 8601, UTC, two fraction digits.";
    json!({
        "type": "object",
        "title": "Event",
        "required": ["eventId", "timestamp", "provider", "businessAccountId", "accountId", "eventType", "eventDetails"],
        "properties": {
            "eventId": {"type": "string", "format": "uuid",
                "description": "The same on every attempt and replay: deduplicate by it, and treat it as opaque."},
            "timestamp": {"type": "string", "description": instant, "examples": ["2025-01-01T00:00:00.00Z"],
                "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{2}Z$"},
            "provider": {"type": "string", "description": "The messaging provider.", "examples": ["WhatsApp"]},
            "businessAccountId": text("The WhatsApp Business Account (WABA) that it is about."),
            "accountId": {"type": "string", "format": "uuid", "description": "The account it is for."},
            "eventType": {"type": "string", "examples": modelled,
                "description": "One of those that have details of their own, or any other field of Meta's: expect types that are not listed."},
            "eventDetails": {"type": "object",
                "description": "What happened, by eventType. What is not modelled, or does not fit its model, has rawEvent."},
        },
    })
}

fn move_references(schema: &mut Value, at: &str) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/")) {
                    Some(target) if name == "$ref" => *value = format!("{at}{target}").into(),
                    Some(_) | None => move_references(value, at),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The JSON Schema of an event, draft 2020-12.
pub fn events() -> Value {
    let (mut event, named) = schemas("#/$defs/");
    event["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    event["title"] = "The body of a Bellwether webhook".into();
    event["description"] =
        "One event. Members that are not listed may come; a member without a value is left out, never null."
            .into();
    event["$defs"] = named.into();
    event
}

/// The AsyncAPI 3 document of the webhook.
pub fn asyncapi() -> Value {
    let (event, mut named) = schemas("#/components/schemas/");
    named.insert("Event".to_owned(), event);
    named.insert("Headers".to_owned(), headers());
    json!({
        "asyncapi": "3.0.0",
        "info": {"title": "Bellwether's webhooks", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": {"webhook": {
            "address": null,
            "title": "A webhook",
            "description": "The URL that the account's owner has configured.",
            "messages": {"event": {"$ref": "#/components/messages/event"}},
        }},
        "operations": {"deliver": {
            "action": "send",
            "channel": {"$ref": "#/channels/webhook"},
            "messages": [{"$ref": "#/channels/webhook/messages/event"}],
            "summary": "One event a request. 200 to 299 is success; all else is tried again.",
            "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
        }},
        "components": {
            "messages": {"event": {
                "name": "event",
                "title": "An event",
                "contentType": "application/json",
                "correlationId": {"location": "$message.header#/webhook-id"},
                "headers": {"$ref": "#/components/schemas/Headers"},
                "payload": {"$ref": "#/components/schemas/Event"},
                "examples": [example()],
            }},
            "schemas": named,
        },
    })
}

const ABOUT: &str = "Each request is signed as Standard Webhooks 1.0 says (https://www.standardwebhooks.com): \
HMAC-SHA256 over webhook-id, webhook-timestamp and the body's bytes, joined by dots, with the webhook's secret. \
Delivery is at least once, in order for each number, and after a failure there are four more attempts 1, 10, 30 \
and 90 seconds later.";

fn headers() -> Value {
    let text = |description: &str, example: &str| json!({"type": "string", "description": description, "examples": [example]});
    let count = |description: &str| json!({"type": "string", "pattern": "^[1-9][0-9]*$", "description": description, "examples": ["1"]});
    let only_true =
        |description: &str| json!({"type": "string", "const": "true", "description": description});
    json!({
        "type": "object",
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature", "bellwether-attempt", "bellwether-sequence"],
        "properties": {
            "webhook-id": text("The event's id.", "01971800-ca99-7ea1-8000-00000114d3c5"),
            "webhook-timestamp": text("When this attempt was made, in Unix seconds.", "1748454395"),
            "webhook-signature": text("One signature, or two with a blank between them while secrets rotate.",
                "v1,NYzgE2NzabCSb2i7KlTIW3Rdf14c+WnP/UsIlLpr/o4="),
            "bellwether-attempt": count("1, 2, 3.. over the life of the delivery, replays included."),
            "bellwether-sequence": count("1, 2, 3.. for each account and number: where the event stands among those of its number."),
            "bellwether-test": only_true("On test events."),
            "bellwether-derived": text("Why there is the event, if no notification of the number's said it.", "reconciliation"),
            "bellwether-snapshot": only_true("On events that are no news but how the number stands."),
            "bellwether-stale": text("Which values were overtaken when the event was accepted, with commas between them.", "limit"),
            "authorization": text("What the webhook's owner has configured.", "Bearer ..."),
        },
    })
}

/// The request of the guide for authors of receivers.
fn example() -> Value {
    json!({
        "name": "upgrade",
        "headers": {
            "webhook-id": "01971800-ca99-7ea1-8000-00000114d3c5",
            "webhook-timestamp": "1748454395",
            "webhook-signature": "v1,NYzgE2NzabCSb2i7KlTIW3Rdf14c+WnP/UsIlLpr/o4=",
            "bellwether-attempt": "1",
            "bellwether-sequence": "3",
        },
        "payload": {
            "eventId": "01971800-ca99-7ea1-8000-00000114d3c5",
            "timestamp": "2025-05-28T17:46:34.00Z",
            "provider": "WhatsApp",
            "businessAccountId": "102290129340398",
            "accountId": "0f88f5c4-fae7-4dcf-8ff2-b2990133edea",
            "eventType": "phone_number_quality_update",
            "eventDetails": {"displayPhoneNumber": "15550783881",
                "meta": {"event": "UPGRADE", "currentLimit": "TIER_10K", "oldLimit": "TIER_1K"}},
        },
    })
}
