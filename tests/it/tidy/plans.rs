//! How SQLite means to run the store's statements: a large table is searched by
//! a key or an index, never read from end to end.

use rusqlite::Connection;

use super::lexer::Token;
use super::{Complaints, complaint, none, sources};

const SCHEMA: [&str; 8] = [
    include_str!("../../../migrations/sqlite/0001_spine.sql"),
    include_str!("../../../migrations/sqlite/0002_tail.sql"),
    include_str!("../../../migrations/sqlite/0003_numbers.sql"),
    include_str!("../../../migrations/sqlite/0004_journal.sql"),
    include_str!("../../../migrations/sqlite/0005_graph.sql"),
    include_str!("../../../migrations/sqlite/0006_supersede.sql"),
    include_str!("../../../migrations/sqlite/0007_sums.sql"),
    include_str!("../../../migrations/sqlite/0008_left.sql"),
];

/// Tables that grow with traffic.
const LARGE: [&str; 10] = [
    "events",
    "journal",
    "deliveries",
    "attempts",
    "seen",
    "numbers",
    "unrouted",
    "unparsed",
    "idempotency_keys",
    "observations",
];

/// Statements that are not held to that, with the reason.
const EXCEPT: [(&str, &str); 4] = [
    ("FROM journal ORDER BY row LIMIT", "in the table's own order, as many rows as a step has"),
    ("FROM unparsed ORDER BY row LIMIT", "in the table's own order, as many rows as a step has"),
    ("FROM unrouted ORDER BY row LIMIT", "in the table's own order, as many rows as a step has"),
    (
        "JOIN accounts a ON a.key = w.account WHERE w.deleted_at IS NULL AND",
        "a beginning, to be completed; webhooks are few",
    ),
];

/// What a plan reads from end to end, among the large tables; parameters stay
/// unbound, a plan is made without them.
fn scans(sql: &Connection, statement: &str) -> Result<Vec<String>, rusqlite::Error> {
    let mut explain = sql.prepare(&format!("EXPLAIN QUERY PLAN {statement}"))?;
    let mut rows = explain.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let step: String = row.get(3)?;
        let mut words = step.split(' ');
        let whole = words.next() == Some("SCAN");
        let table = words.next().unwrap_or_default();
        // An index that holds all the columns asked for may be read in its order.
        if whole && LARGE.contains(&table) && !step.contains("USING") {
            found.push(step.clone());
        }
    }
    Ok(found)
}

/// A literal as the compiler reads it: a backslash at a line's end joins lines.
fn joined(literal: &str) -> String {
    literal.split("\\\n").map(str::trim_start).collect::<Vec<_>>().join("")
}

fn database() -> Connection {
    let sql = Connection::open_in_memory().unwrap();
    for migration in SCHEMA {
        sql.execute_batch(migration).unwrap();
    }
    sql
}

fn complaints(sql: &Connection) -> (usize, Complaints) {
    let (mut planned, mut complaints) = (0, Vec::new());
    for source in sources().into_iter().filter(|source| source.file.starts_with("src/store/sqlite")) {
        for placed in source.tokens.iter().filter(|placed| !placed.test) {
            let Token::Text(text) = &placed.token else { continue };
            let text = joined(text);
            let statement = text.trim_start();
            let known = ["SELECT ", "UPDATE ", "DELETE "].iter().any(|word| statement.starts_with(word));
            let allowed = EXCEPT.iter().any(|(part, _)| statement.contains(part));
            if !known || allowed || statement.contains('{') {
                continue;
            }
            planned += 1;
            let steps =
                scans(sql, statement).map_or_else(|error| error.to_string(), |steps| steps.join("; "));
            if !steps.is_empty() {
                complaints.push(complaint(&source.file, placed.line, &format!("{steps}: {statement}")));
            }
        }
    }
    (planned, complaints)
}

#[test]
fn no_statement_reads_a_large_table_from_end_to_end() {
    let (planned, complaints) = complaints(&database());
    none(&complaints);
    assert!(planned > 40, "only {planned} statements were found");
}

#[test]
fn a_statement_that_does_is_recognised() {
    let sql = database();
    assert_eq!(scans(&sql, "SELECT * FROM unrouted WHERE field = ?1").unwrap().len(), 1);
    assert_eq!(scans(&sql, "SELECT * FROM unrouted WHERE business_account = ?1").unwrap().len(), 0);
}
