//! Opening: what must hold before a store is used, and what is said if it does
//! not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bellwether::env::Faults;
use bellwether::store::sqlite::{Inspected, Problem, inspect};
use bellwether::store::{ErrorKind, Handover};
use rusqlite::Connection;

use super::{Bench, Home, open};

/// Why a store can't be opened.
fn refusal(path: &Path) -> String {
    match open(path, &Arc::new(Handover::new(9, 9)), Faults::none(), 0) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Unusable, "{error}");
            assert!(error.message.contains("hint: "), "{error}");
            error.message
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A store that was used, closed and left.
async fn left() -> Home {
    let bench = Bench::with_webhook().await;
    let numbers: Vec<_> = (1..300).map(|number| super::change(&number.to_string(), 1)).collect();
    bench.accept(1, numbers).await;
    let Bench { store, home, .. } = bench;
    drop(store);
    tokio::task::yield_now().await;
    home
}

#[tokio::test(start_paused = true)]
async fn a_store_keeps_what_it_has_when_it_is_opened_again() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11"]).await;
    let events = bench.events().await;
    let bench = bench.reopened(2).await;
    assert_eq!(bench.events().await, events);
    assert_eq!(bench.accept(3, vec![super::change("11", 1)]).await.duplicate, 1);
}

#[tokio::test(start_paused = true)]
async fn the_files_are_for_this_user_alone() {
    let bench = Bench::with_webhook().await;
    for name in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock"] {
        assert_eq!(mode(&bench.home.0.join(name)), 0o600, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_schema_is_refused_and_left_alone() {
    let home = left().await;
    Connection::open(home.database()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let said = refusal(&home.database());
    assert!(said.contains("has schema 99") && said.contains("newer bellwether"), "{said}");
    assert_eq!(inspect(&home.database()), Err(Problem::Unusable(said)));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_not_ours_is_refused_and_left_alone() {
    let home = Home::new();
    let theirs = Connection::open(home.database()).unwrap();
    theirs.execute_batch("CREATE TABLE accounts (id); INSERT INTO accounts VALUES (1)").unwrap();
    drop(theirs);
    let before = std::fs::read(home.database()).unwrap();
    let said = refusal(&home.database());
    assert!(said.contains("is not a Bellwether store"), "{said}");
    assert_eq!(inspect(&home.database()), Err(Problem::Unusable(said)));
    assert!(std::fs::read(home.database()).unwrap() == before, "not a byte is touched");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let home = Home::new();
    let text = "dear diary, ".repeat(400);
    std::fs::write(home.database(), &text).unwrap();
    let said = refusal(&home.database());
    assert!(said.contains("is not a Bellwether store"), "{said}");
    assert_eq!(inspect(&home.database()), Err(Problem::Unusable(said)));
    assert_eq!(std::fs::read_to_string(home.database()).unwrap(), text);
}

#[tokio::test(start_paused = true)]
async fn a_store_in_use_is_refused_to_a_second_and_goes_on() {
    let bench = Bench::with_webhook().await;
    let said = refusal(&bench.home.database());
    assert!(said.contains("is in use") && said.contains("stop that one first"), "{said}");
    assert_eq!(inspect(&bench.home.database()), Ok(Inspected::default()), "it may be inspected");
    bench.accept_each(1, &["11"]).await;
}

/// Runs itself as the second process.
#[tokio::test(start_paused = true)]
async fn a_store_in_use_is_refused_to_a_second_process() {
    const PATH: &str = "STORE_IN_USE";
    if let Some(path) = std::env::var_os(PATH) {
        assert!(refusal(Path::new(&path)).contains("is in use"));
        return;
    }
    let bench = Bench::with_webhook().await;
    let this = "store::opening::a_store_in_use_is_refused_to_a_second_process";
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env(PATH, bench.home.database())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stdout);
    assert!(second.status.success() && said.contains("1 passed"), "{said}");
    bench.accept_each(1, &["11"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_directory_is_named() {
    let home = Home::new();
    let path = home.0.join("nowhere").join("store.db");
    let said = refusal(&path);
    assert!(said.contains("nowhere") && said.contains("its directory exists"), "{said}");
    assert_eq!(inspect(&path), Err(Problem::Missing));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_store_is_told_from_a_sound_one() {
    let home = left().await;
    assert_eq!(inspect(&home.database()), Ok(Inspected::default()));
    let sound = std::fs::read(home.database()).unwrap();
    let pages = sound.len() / 4096;
    assert!(pages > 20, "{pages}");
    for page in [1, 5, pages / 2, pages - 2] {
        let mut damaged = sound.clone();
        damaged[page * 4096..][..2048].fill(0xa5);
        std::fs::write(home.database(), damaged).unwrap();
        let found = inspect(&home.database());
        assert!(matches!(found, Err(Problem::Damaged(_))), "page {page}: {found:?}");
    }
    std::fs::write(home.database(), &sound[..sound.len() / 2]).unwrap();
    assert!(matches!(inspect(&home.database()), Err(Problem::Damaged(_))), "half of it is missing");
}

/// What the third and later migrations did, undone: numbers know a limit alone.
pub(super) const SECOND_SCHEMA: &str = "DROP TABLE business_accounts_left; ALTER TABLE events DROP COLUMN sum; DROP TABLE snapshots; DELETE FROM facts WHERE name = 'deliveries_4'; \
     ALTER TABLE events DROP COLUMN tells; ALTER TABLE events DROP COLUMN snapshot; \
     ALTER TABLE webhooks DROP COLUMN latest; ALTER TABLE deliveries DROP COLUMN superseded_by; \
     ALTER TABLE replays DROP COLUMN skip; ALTER TABLE replays DROP COLUMN superseded; \
     DROP TABLE journal; DROP INDEX deliveries_exhausted; \
     DROP TABLE reconciliations; \
     DROP INDEX business_accounts_to_reconcile; DROP INDEX business_accounts_with_token; \
     ALTER TABLE business_accounts DROP COLUMN graph_token; \
     ALTER TABLE business_accounts DROP COLUMN graph_token_at; \
     ALTER TABLE business_accounts DROP COLUMN reconcile_at; \
     ALTER TABLE business_accounts DROP COLUMN held_until; \
     DROP INDEX numbers_of_business_account; DROP TABLE observations; DROP TABLE capabilities; \
     UPDATE numbers SET limit_value = 'TIER_2K', limit_since = 1790000000000, latest = x''; \
     ALTER TABLE numbers DROP COLUMN business_account; ALTER TABLE numbers DROP COLUMN state; \
     ALTER TABLE events DROP COLUMN changed; ALTER TABLE events DROP COLUMN derived; \
     PRAGMA user_version = 2";

/// What the second migration did, undone.
const FIRST_SCHEMA: &str = "DROP TABLE tail; DROP INDEX deliveries_pending; DROP INDEX deliveries_due; \
     DROP INDEX deliveries_leased; \
     CREATE INDEX deliveries_pending ON deliveries (account, webhook, number, id) WHERE state = 0; \
     CREATE INDEX deliveries_due ON deliveries (webhook, due_at, lease) WHERE state = 0 AND due_at IS NOT NULL; \
     PRAGMA user_version = 1";

#[tokio::test(start_paused = true)]
async fn a_store_of_the_first_schema_is_brought_up_to_date_and_still_owes_what_it_owed() {
    let bench = Bench::with_webhook().await;
    bench.accept_each(1, &["11", "11", "12"]).await;
    let under_way = bench.claim(10).await;
    assert_eq!(under_way.len(), 2);
    bench.meddle(SECOND_SCHEMA);
    bench.meddle(FIRST_SCHEMA);
    let bench = bench.reopened(20).await;
    let again = bench.claim(30).await;
    let ids = |claimed: &[bellwether::store::queue::Claimed]| -> Vec<_> {
        claimed.iter().map(|claimed| claimed.delivery).collect()
    };
    assert_eq!(ids(&again), ids(&under_way), "interrupted, and due again");
    bench.settle(&again[0], 40, bellwether::model::delivery::DeliveryState::Delivered).await;
    assert_eq!(bench.claim(50).await.len(), 1, "the next of its number follows");
    assert_eq!(bench.accept(60, vec![super::change("11", 9)]).await.accepted, 1);
}
