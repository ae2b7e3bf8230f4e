//! The fuzz targets under libFuzzer: `FUZZ_TARGET` names the one to drive. What
//! each of them asks of an input is written once, in `tests/it/fuzz/targets.rs`.
#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8]) -> String> = LazyLock::new(|| {
    let name = std::env::var_os("FUZZ_TARGET").unwrap_or_default();
    match name.to_str() {
        Some("signature") => targets::signature,
        Some("notification") => targets::notification,
        Some("graph-answer") => targets::graph_answer,
        Some("url") => targets::url,
        Some("configuration-file") => targets::configuration_file,
        _ => panic!("FUZZ_TARGET must be signature, notification, graph-answer, url or configuration-file"),
    }
});

fuzz_target!(|input: &[u8]| {
    TARGET(input);
});
