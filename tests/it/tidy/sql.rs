//! SQL is in the store's adapters and in migrations, and never asks the
//! database for the time or for chance: both are arguments.

use super::source::Source;
use super::{Complaints, complaint, files, made_up, none, read, sources};

/// Words that in this order, upper or lower case, are SQL and not prose.
const STATEMENTS: [&[&str]; 12] = [
    &["SELECT", "FROM"],
    &["SELECT", "1"],
    &["INSERT", "INTO", "VALUES"],
    &["INSERT", "OR", "INTO"],
    &["INSERT", "INTO", "SELECT"],
    &["UPDATE", "SET"],
    &["DELETE", "FROM", "WHERE"],
    &["CREATE", "TABLE"],
    &["CREATE", "INDEX"],
    &["ALTER", "TABLE"],
    &["DROP", "TABLE"],
    &["BEGIN", "IMMEDIATE"],
];

/// Words that begin a statement when written in capitals.
const OPENINGS: [&str; 6] = ["PRAGMA ", "SAVEPOINT ", "ATTACH ", "VACUUM ", "DELETE FROM ", "INSERT INTO "];

/// What reads a clock or draws randomness. Instants are integers and ids are
/// given, so no statement needs a function of time at all.
const CLOCKS: [&str; 14] = [
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "datetime(",
    "date(",
    "time(",
    "julianday(",
    "unixepoch(",
    "strftime(",
    "now(",
    "random(",
    "randomblob(",
    "gen_random_uuid(",
];

/// Whether a text is, or begins, a statement.
fn is_sql(text: &str) -> bool {
    let upper = text.to_uppercase();
    let words: Vec<_> = upper.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let holds = |statement: &&[&str]| {
        let mut rest = words.iter();
        words.first() == statement.first() && statement.iter().all(|part| rest.any(|word| word == part))
    };
    STATEMENTS.iter().any(holds) || OPENINGS.iter().any(|opening| text.trim_start().starts_with(opening))
}

/// The function of time or chance that a text calls.
fn clock(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let whole = |at: usize| !lower[..at].ends_with(|c: char| c == '_' || c.is_alphanumeric());
    CLOCKS.into_iter().find(|name| lower.match_indices(name).any(|(at, _)| whole(at)))
}

fn check(sources: &[Source]) -> Complaints {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.file.starts_with("src/")) {
        let in_store = source.file.starts_with("src/store/");
        for (text, line) in source.strings() {
            if !in_store && is_sql(text) {
                complaints.push(complaint(&source.file, line, "SQL is in src/store and migrations only"));
            }
            if let (true, Some(name)) = (in_store, clock(text)) {
                complaints.push(complaint(&source.file, line, &asks(name)));
            }
        }
    }
    complaints
}

fn check_migration(file: &str, text: &str) -> Complaints {
    let lines = text.lines().enumerate();
    let code = lines.map(|(at, line)| (at + 1, line.split("--").next().unwrap_or_default()));
    code.filter_map(|(at, line)| Some(complaint(file, at, &asks(clock(line)?)))).collect()
}

fn asks(name: &str) -> String {
    format!("`{name}` asks the database for the time or for chance: give it as an argument")
}

/// `NNNN_name.sql` from 0001 without a gap, the same numbers in each directory.
fn check_numbers(files: &[&str]) -> Complaints {
    let mut complaints = Vec::new();
    let mut next = std::collections::BTreeMap::new();
    for file in files {
        let (directory, name) = file.rsplit_once('/').expect("migrations are in a directory");
        let next = next.entry(directory).or_insert(1);
        if !name.starts_with(&format!("{next:04}_"))
            || name.rsplit_once('.').is_none_or(|(_, end)| end != "sql")
        {
            complaints.push(complaint(
                file,
                1,
                &format!("its name must begin with {next:04}_ and end with .sql"),
            ));
        }
        *next += 1;
    }
    let counts: std::collections::BTreeSet<_> = next.values().collect();
    if counts.len() > 1 {
        complaints.push(format!("migrations: every kind of store has the same numbers; next are {next:?}"));
    }
    complaints
}

#[test]
fn sql_is_in_the_store_and_asks_for_no_time() {
    none(&check(&sources()));
    for file in files().iter().filter(|file| file.starts_with("migrations/")) {
        none(&check_migration(file, &read(file)));
    }
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let files = files();
    let migrations: Vec<_> =
        files.iter().map(String::as_str).filter(|file| file.starts_with("migrations/")).collect();
    assert!(!migrations.is_empty());
    none(&check_numbers(&migrations));
}

#[test]
fn sql_elsewhere_is_found() {
    let found = |file: &str, text: &str| check(&made_up(file, text));
    let api = found("src/api/events.rs", "\nconst A: &str = \"select a\\n from b\";");
    assert_eq!(api, ["src/api/events.rs:2: SQL is in src/store and migrations only"]);
    for text in
        ["INSERT OR IGNORE INTO a VALUES (1)", "update a set b = 1", "PRAGMA journal_mode", "SELECT 1"]
    {
        assert_eq!(found("src/dispatch.rs", &format!("const A: &str = \"{text}\";")).len(), 1, "{text}");
    }
    for text in ["DELETE", "delete them from the list", "choose what to select, from 1 to 3", "update it"] {
        assert_eq!(found("src/dispatch.rs", &format!("const A: &str = \"{text}\";")).len(), 0, "{text}");
    }
    assert_eq!(found("src/store/sqlite/claim.rs", "const A: &str = \"SELECT a FROM b\";").len(), 0);
}

#[test]
fn a_statement_that_asks_for_time_or_chance_is_found() {
    let found =
        |text: &str| check(&made_up("src/store/sqlite/a.rs", &format!("const A: &str = \"{text}\";"))).len();
    for text in
        ["datetime('now')", "DEFAULT CURRENT_TIMESTAMP", "ORDER BY random()", "unixepoch()", "date (1)"]
    {
        assert_eq!(found(&format!("SELECT {}", text.replace(" (", "("))), 1, "{text}");
    }
    for text in ["SELECT due_time FROM a", "WHERE update(a)", "arrival_time(", "randomly"] {
        assert_eq!(found(text), 0, "{text}");
    }
    let migration = check_migration("migrations/sqlite/0001_a.sql", "-- no random()\nid DEFAULT (random())");
    assert_eq!(migration.len(), 1);
}

#[test]
fn a_gap_between_migrations_is_found() {
    assert!(check_numbers(&["migrations/sqlite/0001_a.sql", "migrations/sqlite/0002_b.sql"]).is_empty());
    assert_eq!(check_numbers(&["migrations/sqlite/0001_a.sql", "migrations/sqlite/0003_b.sql"]).len(), 1);
    assert_eq!(check_numbers(&["migrations/sqlite/0001_a.sql", "migrations/sqlite/0001_b.sql"]).len(), 1);
    let unequal =
        ["migrations/postgres/0001_a.sql", "migrations/sqlite/0001_a.sql", "migrations/sqlite/0002_b.sql"];
    assert_eq!(check_numbers(&unequal).len(), 1);
}
