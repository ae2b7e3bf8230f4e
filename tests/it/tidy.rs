//! What the compiler can't say about the project, said as tests: each rule is
//! data with its reason, is held over the whole tree, and is shown to go red
//! on a bad line.

mod dependencies;
mod effects;
mod files;
mod layers;
mod lexer;
mod licence;
mod named;
mod plans;
mod source;
mod sql;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use source::Source;

/// What is built: the library, the program, the crate for receivers, the example, the tests.
const ROOTS: [(&str, bool); 7] = [
    ("src/lib.rs", false),
    ("src/main.rs", false),
    ("receiver/src/lib.rs", false),
    ("examples/rust/src/main.rs", false),
    ("examples/rust/tests/it.rs", true),
    ("tests/it/main.rs", true),
    ("tests/guided/src/main.rs", true),
];

/// A complaint reads `file:line: what is wrong`.
type Complaints = Vec<String>;

/// Ends the test with all complaints, if there are any.
#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// A complaint about a line.
fn complaint(file: &str, line: usize, what: &str) -> String {
    format!("{file}:{line}: {what}")
}

/// Every Rust file that is built, found from the roots through their `mod`s.
fn sources() -> Vec<Source> {
    let mut waiting: Vec<(String, bool)> = ROOTS.map(|(file, test)| (file.to_owned(), test)).to_vec();
    let mut found = BTreeMap::new();
    while let Some((file, test)) = waiting.pop() {
        let source = Source::new(&file, &read(&file), test);
        let declared = source.declares.iter();
        waiting.extend(declared.map(|inner| (format!("{}.rs", inner.stem), test || inner.test)));
        found.insert(file, source);
    }
    found.into_values().collect()
}

/// One made-up file, for showing that a check goes red.
fn made_up(file: &str, text: &str) -> Vec<Source> {
    vec![Source::new(file, text, false)]
}

/// The text of a file, named from the project's root.
fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project, from its root, sorted; without what Git ignores.
fn files() -> Vec<String> {
    let ignored = read(".gitignore");
    let ignored: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('/')).chain([".git"]).collect();
    let mut waiting = vec![String::new()];
    let mut found = Vec::new();
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            if ignored.contains(&path.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() { waiting.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
