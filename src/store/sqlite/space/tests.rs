//! Space taken away and given back, on files and limits of a size to play with.

use super::*;

const SMALL: Limits =
    Limits { reserve: 100_000, copy_from: COPY_FROM, long_log: 1 << 20, longest_log: 2 << 20 };

/// A store with one table, and its space.
struct Fixture {
    home: PathBuf,
    sql: Connection,
    space: Space,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("bellwether-space-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let path = home.join("store.db");
        let sql = Connection::open(&path).unwrap();
        sql.pragma_update(None, "journal_mode", "WAL").unwrap();
        sql.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        sql.execute_batch("CREATE TABLE things (thing BLOB)").unwrap();
        let space = Space::with(&path, SMALL, Metrics::new());
        space.restore();
        space.keep(&sql).unwrap();
        Self { home, sql, space }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// Writes a quarter of a MiB, and looks after the space as the writer does.
    fn write(&self) {
        self.sql.execute("INSERT INTO things VALUES (zeroblob(1 << 18))", []).unwrap();
        self.space.keep(&self.sql).unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

#[test]
fn fault_17_the_reserve_is_given_up_when_the_disk_is_full_and_made_anew_later() {
    let fixture = Fixture::new("reserve");
    let reserve = fixture.path("store.db.reserve");
    let length = || std::fs::metadata(&reserve).map(|metadata| metadata.len()).ok();
    assert_eq!((length(), fixture.space.refusal().is_none()), (Some(SMALL.reserve), true));
    fixture.space.ran_out();
    assert_eq!(length(), None);
    let refusal = fixture.space.refusal().unwrap();
    assert!(refusal.kind == ErrorKind::Full && refusal.message.contains("hint:"), "{refusal}");
    fixture.space.look();
    assert_eq!((length(), fixture.space.refusal().is_none()), (Some(SMALL.reserve), true));
}

#[test]
fn fault_21_a_log_that_a_reader_holds_is_bounded_and_short_again_when_the_reader_goes() {
    let fixture = Fixture::new("log");
    fixture.write();
    let reader = Connection::open(fixture.path("store.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM things").unwrap();
    for _ in 0..4 {
        fixture.write();
    }
    assert!(fixture.space.state().warned_of_log && fixture.space.refusal().is_none());
    for _ in 0..5 {
        fixture.write();
    }
    let refusal = fixture.space.refusal().unwrap();
    assert!(refusal.message.contains("long transaction"), "{refusal}");
    drop(reader);
    fixture.space.keep(&fixture.sql).unwrap();
    assert!(fixture.space.refusal().is_none());
    assert_eq!(std::fs::metadata(fixture.path("store.db-wal")).unwrap().len(), 0);
}

#[test]
fn fault_23_nothing_new_is_stored_in_files_that_were_moved_away_until_they_are_back() {
    for file in ["store.db", "store.db-wal"] {
        let fixture = Fixture::new(file);
        fixture.write();
        std::fs::rename(fixture.path(file), fixture.path("elsewhere")).unwrap();
        fixture.space.keep(&fixture.sql).unwrap();
        let refusal = fixture.space.refusal().unwrap();
        assert!(refusal.message.contains("moved or removed"), "{refusal}");
        std::fs::write(fixture.path(file), "another").unwrap();
        fixture.space.look();
        assert!(fixture.space.refusal().is_some());
        std::fs::rename(fixture.path("elsewhere"), fixture.path(file)).unwrap();
        fixture.space.look();
        assert!(fixture.space.refusal().is_none());
    }
}

#[test]
fn who_is_refused_looks_again_once_in_a_while_only() {
    let fixture = Fixture::new("look");
    assert!(fixture.space.may_look() && !fixture.space.may_look());
}
