//! What the program may be made of: whose licences, which packages never, from
//! where, how many, and which twice.
//!
//! Licences are those of the packages built on this platform, as cargo tells
//! them offline; everything else is judged from the lockfile and the manifest,
//! for all platforms.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::licence::is_allowed;
use super::source::Source;
use super::{Complaints, complaint, made_up, none, read, root, sources};

/// Licences that ask for no more than to be named.
const LICENCES: [&str; 8] =
    ["MIT", "MIT-0", "Apache-2.0", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "CDLA-Permissive-2.0"];

/// Packages that must not come in, not even through others.
const BANNED: [(&str, &str); 21] = [
    ("openssl", TLS),
    ("openssl-sys", TLS),
    ("native-tls", TLS),
    ("aws-lc-rs", TLS),
    ("aws-lc-sys", TLS),
    ("sqlite3-sys", SQLITE),
    ("sqlx-sqlite", SQLITE),
    ("diesel", SQLITE),
    ("libsql", SQLITE),
    ("chrono", "time is jiff and milliseconds"),
    ("reqwest", "one HTTP stack: hyper"),
    ("ureq", "one HTTP stack: hyper"),
    ("isahc", "one HTTP stack: hyper"),
    ("async-std", "one runtime: tokio"),
    ("smol", "one runtime: tokio"),
    ("async-compression", BOMBS),
    ("brotli", BOMBS),
    ("flate2", BOMBS),
    ("miniz_oxide", BOMBS),
    ("zstd", BOMBS),
    ("zstd-sys", BOMBS),
];

const TLS: &str = "one TLS with one provider: rustls with ring, which needs a C compiler and nothing else";

const BOMBS: &str = "what can't inflate anything needs no limits for it";

const SQLITE: &str = "two bindings clash over the library's name: rusqlite is the one";

/// Direct dependencies of the program, each of which has to be worth its place.
const MOST_DIRECT: usize = 35;

/// Packages that are in the lockfile more than once, and why that can't be helped.
const TWICE: [(&str, &str); 6] = [
    ("base64", "standardwebhooks, a dependency of tests, is at 0.21"),
    ("getrandom", "ring is at 0.2"),
    ("r-efi", "of getrandom, for boon, a dependency of tests; not built here"),
    ("syn", "derive macros are moving from 2 to 3; nothing of it is in the program"),
    ("synstructure", "as syn"),
    ("windows-sys", "ring is at 0.52; not built here"),
];

/// The packages of the workspace.
const OURS: [&str; 3] = ["bellwether", "bellwether-receiver", "bellwether-example"];

/// Their manifests.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "receiver/Cargo.toml", "examples/rust/Cargo.toml"];

/// Where all packages come from, but our own.
const SOURCE: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

fn check_licences(metadata: &Value) -> Complaints {
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let refused = packages.iter().filter(|package| {
        !package["license"].as_str().is_some_and(|expression| is_allowed(expression, &LICENCES))
    });
    refused
        .map(|package| format!("{}: its licence {} is not allowed", package["id"], package["license"]))
        .collect()
}

fn check_lockfile(lockfile: &str) -> Complaints {
    let lockfile: toml::Table = lockfile.parse().expect("cargo writes TOML");
    let packages = lockfile["package"].as_array().expect("it lists packages");
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut complaints = Vec::new();
    for package in packages {
        let text = |key| package.get(key).and_then(toml::Value::as_str);
        let name = text("name").expect("a package has a name");
        *versions.entry(name).or_default() += 1;
        if !OURS.contains(&name) && text("source") != Some(SOURCE) {
            complaints.push(format!("Cargo.lock: {name} comes from {:?}", text("source")));
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            complaints.push(format!("Cargo.lock: {name} is banned: {why}"));
        }
    }
    let is_excused = |name: &str| TWICE.iter().any(|(excused, _)| *excused == name);
    for (name, count) in &versions {
        if *count > 1 && !is_excused(name) {
            complaints
                .push(format!("Cargo.lock: {name} is there {count} times: agree on one, or say why not"));
        }
    }
    for (name, _) in TWICE.iter().filter(|(name, _)| versions.get(name).is_none_or(|count| *count < 2)) {
        complaints.push(format!("{name} is no longer there twice: take it from the list"));
    }
    complaints
}

/// A line of the manifest that asks for a package.
struct Direct<'a> {
    name: &'a str,
    line: usize,
    above: &'a str,
    /// The heading it stands under.
    list: &'a str,
}

fn direct(manifest: &str) -> Vec<Direct<'_>> {
    let (mut list, mut above) = ("", "");
    let mut found = Vec::new();
    for (at, text) in manifest.lines().enumerate() {
        if text.starts_with('[') {
            list = text;
        } else if let (true, Some((name, _))) = (list.ends_with("dependencies]"), text.split_once(" = "))
            && !text.starts_with('#')
        {
            found.push(Direct { name, line: at + 1, above, list });
        }
        above = text;
    }
    found
}

/// Each dependency has its reason on the line above, and the program has few.
fn check_manifest(manifest: &str) -> Complaints {
    let direct = direct(manifest);
    let bare = direct.iter().filter(|direct| !direct.above.starts_with("# "));
    let what = |name| format!("{name}: say on the line above what it is for");
    let mut complaints: Vec<_> =
        bare.map(|direct| complaint("Cargo.toml", direct.line, &what(direct.name))).collect();
    let of_program = direct.iter().filter(|direct| direct.list == "[dependencies]").count();
    if of_program > MOST_DIRECT {
        complaints.push(format!("Cargo.toml: {of_program} direct dependencies, more than {MOST_DIRECT}"));
    }
    complaints
}

/// Dependencies that no code names: of the program in `src`, of tests anywhere.
fn check_used(manifest: &str, sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for Direct { name, line, list, .. } in direct(manifest) {
        let of_tests = list == "[dev-dependencies]";
        let places = sources.iter().filter(|source| of_tests || source.file.starts_with("src/"));
        let mut paths = places.flat_map(|source| source.paths.iter().filter(|path| of_tests || !path.test));
        let name = name.replace('-', "_");
        if !paths.any(|path| path.segments[0] == name) {
            complaints.push(complaint("Cargo.toml", line, &format!("{name}: no code names it")));
        }
    }
    complaints
}

/// What cargo knows of the packages for this platform.
fn metadata() -> Value {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).current_dir(root()).args(arguments).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {}: {problem}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments =
        ["metadata", "--locked", "--offline", "--format-version=1", "--filter-platform", platform];
    serde_json::from_str(&cargo(&arguments)).unwrap()
}

#[test]
fn licences_are_among_those_allowed() {
    none(&check_licences(&metadata()));
}

#[test]
fn packages_are_from_the_registry_not_banned_and_there_once() {
    none(&check_lockfile(&read("Cargo.lock")));
}

#[test]
fn each_direct_dependency_has_its_reason() {
    for manifest in MANIFESTS {
        none(&check_manifest(&read(manifest)));
    }
}

#[test]
fn each_direct_dependency_is_used() {
    none(&check_used(&read("Cargo.toml"), &sources()));
}

#[test]
fn a_licence_that_is_not_allowed_or_missing_is_found() {
    let metadata = serde_json::json!({ "packages": [
        { "id": "good", "license": "MIT OR GPL-3.0" },
        { "id": "bad", "license": "GPL-3.0" },
        { "id": "none", "license": null },
    ] });
    assert_eq!(check_licences(&metadata).len(), 2);
}

#[test]
fn a_package_that_must_not_be_locked_is_found() {
    let package =
        |name: &str, source: &str| format!("[[package]]\nname = \"{name}\"\nsource = \"{source}\"\n");
    let twice: String = TWICE.iter().map(|(name, _)| package(name, SOURCE).repeat(2)).collect();
    let found = |more: &str| check_lockfile(&format!("{twice}{more}"));
    assert_eq!(found(&package("serde", SOURCE)), [""; 0]);
    assert_eq!(found(&package("openssl", SOURCE)).len(), 1, "banned");
    assert_eq!(found(&package("serde", "git+https://example.com/serde")).len(), 1, "from elsewhere");
    assert_eq!(found("[[package]]\nname = \"local\"\n").len(), 1, "from a path");
    assert_eq!(found(&package("serde", SOURCE).repeat(2)).len(), 1, "twice");
    assert_eq!(check_lockfile(&package("serde", SOURCE)).len(), TWICE.len(), "an excuse without need");
}

#[test]
fn a_dependency_without_a_reason_and_one_too_many_are_found() {
    let one = "# Why.\na = \"1\"\n";
    assert_eq!(check_manifest(&format!("[lints]\nz = 1\n[dependencies]\n{one}")), [""; 0]);
    let bare = check_manifest(&format!("[dev-dependencies]\n{one}b = {{ version = \"1\" }}\n"));
    assert_eq!(bare, ["Cargo.toml:4: b: say on the line above what it is for"]);
    assert_eq!(check_manifest(&format!("[dependencies]\n{}", one.repeat(MOST_DIRECT + 1))).len(), 1);
}

#[test]
fn a_dependency_that_is_not_used_is_found() {
    let manifest = "[dependencies]\nhttp-body = \"1\"\nserde = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
    let used = "use http_body::Body; #[cfg(test)] mod tests { use proptest::any; use serde::Serialize; }";
    let found = check_used(manifest, &made_up("src/a.rs", used));
    assert_eq!(found, ["Cargo.toml:3: serde: no code names it"]);
}
