//! The shape of the tree: what files are called, how they begin, how long they
//! are, and that each is used.

use super::source::Source;
use super::{Complaints, complaint, files, made_up, none, read, sources};

/// The longest file, in lines.
const LONGEST: usize = 700;

/// The longest median. Around 130 is the aim: a file is read in one go.
const LONGEST_MEDIAN: usize = 200;

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] = ["mod", "core", "common", "utils", "helpers", "types", "manager", "service"];

fn check(sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for Source { file, text, .. } in sources {
        if !text.starts_with("//!") {
            complaints.push(complaint(file, 1, "begin with `//!`: what is this file for?"));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            complaints.push(complaint(
                file,
                lines,
                &format!("more than {LONGEST} lines: split it by meaning"),
            ));
        }
    }
    complaints
}

fn check_names(files: &[&str]) -> Complaints {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| has_extension(file, "rs")) {
        for part in file.trim_end_matches(".rs").split('/').filter(|part| EMPTY_NAMES.contains(part)) {
            complaints.push(complaint(file, 1, &format!("`{part}` says nothing: name what it is")));
        }
    }
    complaints
}

/// Files that no `mod` leads to.
fn check_dead(files: &[&str], sources: &[Source]) -> Complaints {
    let dead = files.iter().filter(|file| has_extension(file, "rs"));
    let dead = dead.filter(|file| !sources.iter().any(|source| source.file == **file));
    dead.map(|file| complaint(file, 1, "no `mod` leads here: it is not built")).collect()
}

/// Where files of others are.
const VENDORED: [&str; 2] = ["assets/vendor/", "tests/vendor/"];

/// Files of others in `place` that the list beside them does not name.
fn check_vendored(files: &[&str], place: &str, list: &str) -> Complaints {
    let others = files.iter().filter_map(|file| Some((file, file.strip_prefix(place)?)));
    let unnamed = others.filter(|(_, name)| *name != "README.md" && !list.contains(name));
    unnamed.map(|(file, _)| complaint(file, 1, &format!("{place}README.md says nothing of it"))).collect()
}

fn has_extension(file: &str, extension: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|found| found == extension)
}

/// The lines of the file in the middle.
fn median(sources: &[Source]) -> usize {
    let mut lengths: Vec<_> = sources.iter().map(|source| source.text.lines().count()).collect();
    lengths.sort_unstable();
    lengths[lengths.len() / 2]
}

#[test]
fn files_say_what_they_are_and_are_short() {
    let sources = sources();
    none(&check(&sources));
    let median = median(&sources);
    println!("{} files, half of them of at most {median} lines", sources.len());
    assert!(median <= LONGEST_MEDIAN, "half of all files have more than {median} lines");
}

#[test]
fn files_are_named_after_what_is_inside_and_are_built() {
    let files = files();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    none(&check_names(&files));
    none(&check_dead(&files, &sources()));
}

#[test]
fn files_of_others_are_listed() {
    let files = files();
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    for place in VENDORED {
        none(&check_vendored(&files, place, &read(&format!("{place}README.md"))));
    }
}

#[test]
fn the_licences_that_are_named_are_there() {
    assert!(read("Cargo.toml").contains("license = \"MIT OR Apache-2.0\""));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(read("LICENSE-APACHE").contains("Version 2.0, January 2004"));
}

#[test]
fn a_file_without_a_purpose_or_too_long_is_found() {
    let found = |text: &str| check(&made_up("src/a.rs", text));
    assert_eq!(found("use std::fmt;"), ["src/a.rs:1: begin with `//!`: what is this file for?"]);
    assert_eq!(found(&format!("//! A.\n{}", "\n".repeat(LONGEST))).len(), 1);
    assert_eq!(found(&format!("//! A.\n{}", "\n".repeat(LONGEST - 1))).len(), 0);
}

#[test]
fn an_empty_name_is_found() {
    assert_eq!(check_names(&["src/utils.rs", "src/store/mod.rs", "tests/common/a.rs"]).len(), 3);
    assert_eq!(check_names(&["src/commonplace.rs", "docs/types.md", "src/model.rs"]).len(), 0);
}

#[test]
fn a_file_that_is_not_built_is_found() {
    let dead = check_dead(&["src/a.rs", "src/old.rs", "README.md"], &made_up("src/a.rs", ""));
    assert_eq!(dead, ["src/old.rs:1: no `mod` leads here: it is not built"]);
}

#[test]
fn a_file_of_others_that_is_not_listed_is_found() {
    let files = ["assets/vendor/README.md", "assets/vendor/a.js", "assets/vendor/b.js", "assets/c.html"];
    assert_eq!(check_vendored(&files, "assets/vendor/", "| a.js | what it is |").len(), 1);
}
