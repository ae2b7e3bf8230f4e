//! Connections, and what must hold before one is used.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::time::Instant;

use crate::model::time::Timestamp;
use crate::store::{Error, ErrorKind};

/// The migrations in order; a store's `user_version` counts those applied.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../../migrations/sqlite/0001_spine.sql"),
    include_str!("../../../migrations/sqlite/0002_tail.sql"),
    include_str!("../../../migrations/sqlite/0003_numbers.sql"),
    include_str!("../../../migrations/sqlite/0004_journal.sql"),
    include_str!("../../../migrations/sqlite/0005_graph.sql"),
    include_str!("../../../migrations/sqlite/0006_supersede.sql"),
    include_str!("../../../migrations/sqlite/0007_sums.sql"),
    include_str!("../../../migrations/sqlite/0008_left.sql"),
];

/// "BELL" in ASCII: marks a database file as ours.
const APPLICATION_ID: i64 = 0x4245_4c4c;

/// SQLite before this can lose committed data in WAL mode.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Files for their owner alone: they hold what customers are told.
pub(super) const OWN: u32 = 0o600;

/// How long a connection waits for another one's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements kept per connection.
const STATEMENTS: usize = 128;

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::Unusable, message)
}

/// Refuses a store whose directory is missing, before anything is made beside it.
pub fn check_directory(path: &Path) -> Result<(), Error> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => Err(unusable(format!(
            "the store's directory {} does not exist\nhint: create it, owned by the server's user",
            parent.display()
        ))),
        _ => Ok(()),
    }
}

/// Opens the connection that writes; the store is locked.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(unusable(format!(
            "SQLite {} can lose committed data; 3.51.3 or later is needed",
            rusqlite::version()
        )));
    }
    make(path)?;
    let mut connection = open_to_change(path)?;
    look_over(&mut connection, path, LOOK_OVER)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// A connection that writes as durably as the server's; the store is there, and
/// locked.
pub(super) fn open_to_change(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path).map_err(|error| cannot_open(path, &error))?;
    // Before anything is set: preparing would change a file of somebody else's.
    check_ours(&connection, path)?;
    prepare(&connection, path)?;
    Ok(connection)
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => not_ours(path),
        Some(ErrorCode::DatabaseCorrupt) => damaged(path, error),
        _ => cannot("open the store", path, error),
    }
}

fn cannot(do_what: &str, path: &Path, error: &dyn std::error::Error) -> Error {
    unusable(format!(
        "cannot {do_what} {}: {error}\nhint: check that its directory exists and that this user may write there",
        path.display()
    ))
}

fn damaged(path: &Path, what: &dyn std::fmt::Display) -> Error {
    unusable(format!(
        "the store {} is damaged: {what}\nhint: keep a copy of its files and restore a backup",
        path.display()
    ))
}

/// An error of opening, told as such if it comes from damage.
pub(super) fn refuse_damaged(path: &Path, error: Error) -> Error {
    if error.kind == ErrorKind::Damaged {
        return unusable(format!(
            "{}\nhint: keep a copy of the files of {} and restore a backup",
            error.message,
            path.display()
        ));
    }
    error
}

fn not_ours(path: &Path) -> Error {
    unusable(format!("{} is not a Bellwether store\nhint: give store.url another path", path.display()))
}

/// Makes the database file, if there is none, for this user alone: SQLite gives
/// its WAL the same mode. One that is there is not opened, since closing it
/// would drop locks that SQLite holds in this process.
fn make(path: &Path) -> Result<(), Error> {
    match File::options().create_new(true).write(true).mode(OWN).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(cannot("create the store", path, &error))
        }
        _ => Ok(()),
    }
}

/// `path` with `suffix` after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes sure that this process is alone with the store: the lock file next to the
/// database stays locked while the returned handle, or a copy of it, lives.
pub(super) fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = beside(path, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(OWN)
        .open(&lock_path)
        .map_err(|error| cannot("create", &lock_path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(cannot_lock(&lock_path, &error)),
        Err(TryLockError::WouldBlock) => Err(unusable(format!(
            "the store {} is in use by another process\nhint: stop that one first, one store serves one process",
            path.display()
        ))),
    }
}

pub(super) fn cannot_lock(path: &Path, error: &io::Error) -> Error {
    unusable(format!("cannot lock {}: {error}\nhint: the store needs a local file system", path.display()))
}

/// Sets what durability rests on, and reads it back.
fn prepare(connection: &Connection, path: &Path) -> Result<(), Error> {
    let set_up = || -> rusqlite::Result<()> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // A plan does not change with the values bound: without this, statements
        // whose values decide about a partial index are planned anew each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        // The log is copied back by `space`, which sees errors.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.pragma_update(None, "temp_store", "MEMORY")
    };
    set_up().map_err(|error| cannot_open(path, &error))?;
    check_settings(connection)
}

/// Refuses a connection whose durability settings did not take.
fn check_settings(connection: &Connection) -> Result<(), Error> {
    let read =
        |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
    let expect = [
        ("journal_mode", rusqlite::types::Value::Text("wal".into())),
        ("synchronous", rusqlite::types::Value::Integer(2)),
        ("foreign_keys", rusqlite::types::Value::Integer(1)),
    ];
    for (name, wanted) in expect {
        let found = read(name)?;
        if found != wanted {
            return Err(unusable(format!(
                "the store's {name} is {found:?} where {wanted:?} was asked for: it would not be durable\nhint: check the file system"
            )));
        }
    }
    Ok(())
}

fn integer(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

pub(super) fn check_ours(connection: &Connection, path: &Path) -> Result<(), Error> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((integer(connection, "application_id")?, integer(connection, "user_version")?, tables))
    };
    let (id, version, tables) = read().map_err(|error| cannot_open(path, &error))?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(not_ours(path));
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(unusable(format!(
            "the store {} has schema {version} and this program knows {known}\nhint: run the newer bellwether that made it",
            path.display()
        )));
    }
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let done = usize::try_from(integer(connection, "user_version")?).unwrap_or(0);
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", i64::try_from(number + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
        tracing::info!(path = %path.display(), schema = number + 1, "store migrated");
    }
    Ok(())
}

/// A start may spend this on looking for damage: enough for all of a store of
/// some ten thousand events. `check` takes the time that a larger one needs, and
/// damage that is met later ends the process.
const LOOK_OVER: Duration = Duration::from_millis(100);

/// Pages checked between two looks at the clock.
const PAGES_PER_LOOK: i32 = 100;

/// Refuses a store that is found damaged while there is time to look: first how
/// its pages hang together, then whether the indexes say what the tables say.
fn look_over(connection: &mut Connection, path: &Path, within: Duration) -> Result<(), Error> {
    let started = Instant::now();
    connection.progress_handler(PAGES_PER_LOOK, Some(move || started.elapsed() > within))?;
    let found = ["quick_check", "integrity_check"].into_iter().try_for_each(|check| {
        match connection.pragma_query_value(None, check, |row| row.get::<_, String>(0)) {
            Ok(verdict) if verdict == "ok" => Ok(()),
            Ok(verdict) => Err(damaged(path, &verdict)),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                tracing::debug!(check, "the store is too large to be looked over whole at a start");
                Ok(())
            }
            Err(error) => Err(cannot_open(path, &error)),
        }
    });
    connection.progress_handler(0, None::<fn() -> bool>)?;
    found
}

/// What is wrong with a store file at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is none yet.
    Missing,
    /// It can't be used, for the reason given.
    Unusable(String),
    /// SQLite's integrity check found damage.
    Damaged(String),
}

/// What is told of a store that could be opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// What was kept to recognise the key that seals secrets.
    pub key_check: Option<Vec<u8>>,
    /// When it was copied, if it is a copy that has not taken the original's place.
    pub copied_at: Option<Timestamp>,
}

/// Looks at a store without changing it: whether it is ours, of a known schema
/// and undamaged. A store in use may be inspected too.
pub fn inspect(path: &Path) -> Result<Inspected, Problem> {
    if !path.exists() {
        return Err(Problem::Missing);
    }
    let unusable = |error: Error| Problem::Unusable(error.message);
    let connection = open_to_read(path).map_err(unusable)?;
    // First, because in a damaged file anything may fail.
    let verdict: rusqlite::Result<String> =
        connection.pragma_query_value(None, "integrity_check", |row| row.get(0));
    if let Err(error) = &verdict
        && error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
    {
        return Err(Problem::Damaged(error.to_string()));
    }
    check_ours(&connection, path).map_err(unusable)?;
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(Inspected {
            key_check: super::queries::key_check(&connection).unwrap_or_default(),
            copied_at: super::backup::copied_at(&connection).unwrap_or_default(),
        }),
        Ok(verdict) => Err(Problem::Damaged(verdict)),
        Err(error) => Err(unusable(cannot_open(path, &error))),
    }
}

pub(super) fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let connection = open_to_read(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    check_settings(&connection)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of many pages, with damage in the middle of its table.
    fn damaged(path: &Path) {
        let sql = Connection::open(path).unwrap();
        sql.execute_batch(
            "CREATE TABLE many (n INTEGER PRIMARY KEY, text TEXT); \
             WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 50000) \
             INSERT INTO many SELECT n, 'forty letters or so for each of the rows' FROM count",
        )
        .unwrap();
        drop(sql);
        let mut file = std::fs::read(path).unwrap();
        let middle = file.len() / 8192 * 4096;
        file[middle..middle + 100].fill(0xa5);
        std::fs::write(path, file).unwrap();
    }

    #[test]
    fn a_start_looks_for_damage_as_long_as_it_may_and_no_longer() {
        let path = std::env::temp_dir().join(format!("bellwether-look-over-{}.db", std::process::id()));
        damaged(&path);
        let mut sql = Connection::open(&path).unwrap();
        let found = look_over(&mut sql, &path, Duration::from_mins(1)).unwrap_err();
        assert!(found.kind == ErrorKind::Unusable && found.message.contains("is damaged"), "{found}");
        look_over(&mut sql, &path, Duration::ZERO).expect("there was no time to find it");
        let rows = sql.query_row("SELECT count(*) FROM many WHERE n < 100", [], |row| row.get(0));
        assert_eq!(rows, Ok(99), "the connection goes on as before");
        drop(sql);
        std::fs::remove_file(&path).unwrap();
    }
}
