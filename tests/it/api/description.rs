//! `/openapi.json` and the page that renders it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::House;

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
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{method} {path}");
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
    assert!(ids.len() >= 28, "{ids:?}");
    references(&document.json, &document.json);
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
