//! `/openapi.json` and the page that renders it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ACCOUNT, House, WABA};

#[tokio::test]
async fn every_operation_is_described_whole_and_every_reference_leads_somewhere() {
    let house = House::empty();
    let document = house.send("GET", "/openapi.json", None, "").await;
    assert_eq!(document.header("content-type"), "application/json");
    let mut ids = BTreeSet::new();
    for (path, item) in document.json["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(operation["security"][0]["bearer"].is_array(), "{method} {path} names its roles");
            assert!(operation["responses"]["401"].is_object(), "{method} {path} tells its errors");
            let summary = operation["summary"].as_str().unwrap();
            let plain = summary.ends_with('.') && !summary.contains('`') && summary.len() <= 100;
            assert!(plain, "{method} {path}: {summary}");
            let roles: Vec<_> = operation["security"][0]["bearer"].as_array().unwrap().iter().collect();
            let roles: Vec<_> = roles.iter().map(|role| role.as_str().unwrap()).collect();
            let told = format!("Roles: {}.", roles.join(", "));
            assert!(operation["description"].as_str().unwrap().ends_with(&told), "{method} {path}");
            let success =
                operation["responses"].as_object().unwrap().keys().any(|code| code.starts_with('2'));
            assert!(success, "{method} {path}");
            let named = path.matches('{').count();
            let parameters = operation["parameters"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|parameter| parameter["in"] == "path").count());
            assert_eq!(named, parameters, "{method} {path}");
        }
    }
    assert!(ids.len() >= 30, "{ids:?}");
    references(&document.json, &document.json);
}

#[tokio::test]
async fn the_guides_examples_of_answers_have_the_fields_that_the_description_lists() {
    let house = House::empty();
    let document = house.send("GET", "/openapi.json", None, "").await.json;
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/account-owner.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let streamed = guide.lines().filter_map(|line| line.strip_prefix("data: "));
    let mut shown = Vec::new();
    for text in blocks.chain(streamed) {
        let example: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let schema = match example.as_object().unwrap() {
            fields if fields.contains_key("deliveryId") => "Delivery",
            fields if fields.contains_key("sequence") => "Number",
            _ => continue,
        };
        shown.push(schema);
        is_like(&document, &document["components"]["schemas"][schema], &example);
    }
    assert_eq!(shown, ["Delivery", "Number", "Delivery"], "in a listing, of a number, and of the stream");
}

/// Holds an example against its schema, as far as fields go.
fn is_like(document: &Value, schema: &Value, example: &Value) {
    let alternatives = [&schema["oneOf"], &schema["allOf"]].into_iter().filter_map(Value::as_array).flatten();
    let reference = alternatives.chain([schema]).find_map(|schema| schema["$ref"].as_str());
    let schema = reference.map_or(schema, |target| document.pointer(&target[1..]).unwrap());
    for (name, value) in example.as_object().into_iter().flatten() {
        let property = &schema["properties"][name];
        assert!(property.is_object(), "{name} is in the guide and not in the description");
        is_like(document, property, value);
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(example.get(required.as_str().unwrap()).is_some(), "the guide leaves out {required}");
    }
}

#[tokio::test]
async fn what_the_description_shows_as_an_example_works_as_it_is() {
    let house = House::empty();
    let document = house.send("GET", "/openapi.json", None, "").await.json;
    let example = |path: &str, method: &str| {
        let content = &document["paths"][path][method]["requestBody"]["content"]["application/json"];
        let schema = content["schema"]["$ref"].as_str();
        let of_schema =
            schema.and_then(|target| document.pointer(&target[1..])).map(|schema| &schema["example"]);
        content.get("example").or(of_schema).cloned().unwrap_or_else(|| panic!("{method} {path} has none"))
    };
    let steps = [
        ("put", "/v1/accounts/{accountId}", 201),
        ("post", "/api/v1/accounts/{accountId}/webhooks", 200),
        ("put", "/v1/business-accounts/{businessAccountId}", 201),
        ("post", "/v1/api-keys", 201),
        ("post", "/v1/accounts/{accountId}/events", 202),
        ("post", "/v1/accounts/{accountId}/replays", 200),
        ("delete", "/api/v1/accounts/{accountId}/webhooks", 200),
    ];
    for (method, path, status) in steps {
        let body = example(path, method).to_string();
        let at = path.replace("{accountId}", ACCOUNT).replace("{businessAccountId}", WABA);
        let answer = house.send(&method.to_uppercase(), &at, Some(super::OPERATOR), &body).await;
        assert_eq!(answer.status, status, "{method} {path} {body}: {}", answer.text);
    }
    let webhook = &document["components"]["schemas"]["CompatibleWebhook"]["example"];
    let alone = serde_json::Value::Array(vec![webhook.clone()]);
    assert_eq!(house.post(&format!("/api/v1/accounts/{ACCOUNT}/webhooks"), alone).await.status, 200);
}

#[tokio::test]
async fn what_webhooks_get_is_described_beside_it_and_every_reference_leads_somewhere() {
    let house = House::empty();
    for (path, kind, file) in [
        ("/asyncapi.json", "application/json", "asyncapi.json"),
        ("/events.schema.json", "application/schema+json", "events.schema.json"),
    ] {
        let answer = house.send("GET", path, None, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{path}");
        let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/");
        assert_eq!(answer.text, std::fs::read_to_string(format!("{committed}{file}")).unwrap());
        references(&answer.json, &answer.json);
    }
}

fn references(document: &Value, at: &Value) {
    match at {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&target[1..]).is_some(), "{target} leads nowhere");
            }
            fields.values().for_each(|value| references(document, value));
        }
        Value::Array(items) => items.iter().for_each(|value| references(document, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_any_other_host() {
    let house = House::empty();
    let page = house.send("GET", "/docs", None, "").await;
    assert!(!page.text.contains("//"), "a URL of another host: {}", page.text);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    let script = house.send("GET", "/docs/rapidoc.js", None, "").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert!(script.text.contains("RapiDoc"));
}
