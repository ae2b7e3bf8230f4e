//! Arrows between modules point one way: up this table, and only where it says.

use super::source::Source;
use super::{Complaints, complaint, made_up, none, read, sources};

/// Each layer and those it may name, in the order of `src/lib.rs`; `*` is all
/// above. A port and its adapter are layers of their own: the service knows
/// the port, and only what wires a process knows the adapter.
const LAYERS: [(&str, &[&str]); 20] = [
    ("model", &[]),
    ("policy", &["model"]),
    ("source", &["model", "policy"]),
    ("env", &["model"]),
    ("secrets", &["env"]),
    ("store", &["model", "policy", "env"]),
    // What is counted is said in the store's plain types.
    ("telemetry", &["model", "store"]),
    ("store::sqlite", &["model", "policy", "env", "store", "telemetry"]),
    ("transport", &["model", "policy", "env"]),
    ("transport::http", &["model", "policy", "env", "transport"]),
    ("dispatch", &["model", "policy", "env", "secrets", "store", "telemetry", "transport"]),
    ("intake", &["model", "policy", "source", "env", "secrets", "store", "telemetry"]),
    ("reconcile", &["model", "policy", "source", "env", "secrets", "store", "telemetry", "transport"]),
    ("server", &["telemetry"]),
    ("api", &["model", "policy", "env", "secrets", "store", "telemetry", "intake", "reconcile", "server"]),
    // A client of the API like any other: it knows nothing of it.
    ("dashboard", &[]),
    ("config", &["model", "policy", "env", "telemetry"]),
    ("node", &["*"]),
    ("cli", &["*"]),
    ("main", &["cli"]),
];

/// The longest layer that begins the path (given without `crate`).
fn layer(path: &[String]) -> Option<&'static str> {
    let begins = |layer: &&str| {
        let mut segments = path.iter();
        layer.split("::").all(|part| segments.next().is_some_and(|segment| segment == part))
    };
    LAYERS.iter().map(|(layer, _)| *layer).filter(begins).max_by_key(|layer| layer.len())
}

fn allowed(from: &str, to: &str) -> bool {
    let (_, list) = LAYERS.iter().find(|(layer, _)| *layer == from).expect("asked for layers of the table");
    from == to || list.contains(&to) || list.contains(&"*")
}

fn check(sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for source in
        sources.iter().filter(|source| source.file.starts_with("src/") && source.file != "src/lib.rs")
    {
        let Some(from) = layer(&source.module()) else {
            complaints.push(complaint(&source.file, 1, "its module is not in the table of layers"));
            continue;
        };
        for path in source.code().filter(|path| path.segments.len() > 1 && path.segments[0] == "crate") {
            let what = match layer(&path.segments[1..]) {
                Some(to) if allowed(from, to) => continue,
                Some(to) => format!("{from} names {to}: that arrow is not in the table of layers"),
                None => format!("{} is in no layer: name the module it is from", path.segments.join("::")),
            };
            complaints.push(complaint(&source.file, path.line, &what));
        }
    }
    complaints
}

#[test]
fn modules_name_only_what_their_layer_may() {
    none(&check(&sources()));
}

#[test]
fn the_table_has_no_cycles_and_the_order_of_the_crate() {
    for (at, (layer, list)) in LAYERS.iter().enumerate() {
        for below in list.iter().filter(|&&below| below != "*") {
            assert!(LAYERS[..at].iter().any(|(above, _)| above == below), "{layer} -> {below} points down");
        }
    }
    let library = read("src/lib.rs");
    let listed = library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let table =
        LAYERS.iter().map(|(layer, _)| *layer).filter(|layer| !layer.contains("::") && *layer != "main");
    assert_eq!(listed.collect::<Vec<_>>(), table.collect::<Vec<_>>(), "src/lib.rs and the table of layers");
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_found() {
    let found = |file: &str, text: &str| check(&made_up(file, text));
    let down = found("src/model/id.rs", "use std::fmt;\nuse crate::store::Error;");
    assert_eq!(down, ["src/model/id.rs:2: model names store: that arrow is not in the table of layers"]);
    assert_eq!(found("src/api/events.rs", "use crate::{dispatch::Phase, model};").len(), 1, "siblings");
    assert_eq!(found("src/dispatch.rs", "fn f() { crate::transport::http::open() }").len(), 1, "an adapter");
    assert_eq!(found("src/dispatch.rs", "use super::api::Router;").len(), 1, "through super");
    assert_eq!(found("src/telemetry.rs", "use crate::store::sqlite::Sqlite;").len(), 1, "a cycle");
    assert_eq!(found("src/helper.rs", "").len(), 1, "a module of no layer");
    assert_eq!(found("src/store/queue.rs", "use crate::model::id; // crate::api").len(), 0);
    assert_eq!(
        found("src/model.rs", "#[cfg(test)] mod tests { use crate::env::Env; }").len(),
        0,
        "tests may"
    );
}
