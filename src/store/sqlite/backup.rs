//! A copy of a store that may be in use, and what a copy is marked with.
//!
//! A copy that starts would send again what the original has sent since. So it
//! is marked as one, and whoever opens a store so marked sends nothing until
//! somebody has said that it takes the original's place. The mark travels with
//! the copy: it asks for nobody's memory, nor for a configuration. An older
//! program does not know it and needs none of it to read the rest.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rusqlite::Connection;

use super::connection::{self, BUSY, OWN, beside};
use super::rows::fact;
use crate::model::time::Timestamp;
use crate::store::{Error, ErrorKind};

/// The fact that a store is a copy: when it was made, in milliseconds.
const COPIED_AT: &str = "copied_at";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] Error),
    /// The copy can't be written.
    #[error("{0}")]
    Copy(String),
}

/// Copies the store at `path`, as it is at one moment, to `to`, where nothing
/// may be; says how many bytes the copy has. A server may use the store
/// meanwhile. What is at `to` is whole and durable, or not there.
pub fn back_up(path: &Path, to: &Path, now: Timestamp) -> Result<u64, BackupError> {
    let store = open_to_copy(path)?;
    refuse_to_overwrite(to)?;
    let partial = beside(to, ".partial");
    let file = begin(&partial)?;
    let copied = copy(&store, path, &partial, now).and_then(|()| {
        file.sync_all().map_err(|error| cannot("write", &partial, &error))?;
        // Somebody may have been quicker.
        refuse_to_overwrite(to)?;
        fs::rename(&partial, to).map_err(|error| cannot("rename what is copied to", to, &error))?;
        sync_directory(to).map_err(|error| cannot("sync the directory of", to, &error))?;
        file.metadata().map(|metadata| metadata.len()).map_err(|error| cannot("look at", to, &error))
    });
    if copied.is_err() {
        // What is left is in nobody's way: the next one begins it anew.
        let _ = fs::remove_file(&partial);
    }
    copied
}

fn no_store(path: &Path) -> Error {
    Error::new(
        ErrorKind::Unusable,
        format!(
            "there is no store at {}\nhint: name the server's configuration with --config FILE",
            path.display()
        ),
    )
}

pub(super) fn open_to_copy(path: &Path) -> Result<Connection, Error> {
    if !path.exists() {
        return Err(no_store(path));
    }
    let store = connection::open_to_read(path)?;
    store.busy_timeout(BUSY)?;
    connection::check_ours(&store, path)?;
    Ok(store)
}

fn refuse_to_overwrite(to: &Path) -> Result<(), BackupError> {
    // A link that leads nowhere is something, too.
    if to.symlink_metadata().is_err() {
        return Ok(());
    }
    let to = to.display();
    Err(BackupError::Copy(format!("{to} is there already\nhint: name a file that is not")))
}

pub(super) fn cannot(do_what: &str, path: &Path, error: &dyn std::error::Error) -> BackupError {
    BackupError::Copy(format!(
        "cannot {do_what} {}: {error}\nhint: check that its directory exists, has space and may be written by this user",
        path.display()
    ))
}

/// An empty file for this user alone, locked while the handle lives. What an
/// interrupted copy has left is begun anew.
pub(super) fn begin(partial: &Path) -> Result<File, BackupError> {
    let opened = File::options().create(true).truncate(false).write(true).mode(OWN).open(partial);
    let file = opened.map_err(|error| cannot("create", partial, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(cannot("lock", partial, &error)),
        Err(TryLockError::WouldBlock) => {
            let partial = partial.display();
            return Err(BackupError::Copy(format!("another backup writes {partial}\nhint: wait for it")));
        }
    }
    let emptied = file.set_len(0).and_then(|()| file.set_permissions(Permissions::from_mode(OWN)));
    emptied.map_err(|error| cannot("write", partial, &error))?;
    Ok(file)
}

/// One read of the whole store, which holds up nobody, into the empty file at
/// `partial`; then the mark.
pub(super) fn copy(
    store: &Connection,
    path: &Path,
    partial: &Path,
    now: Timestamp,
) -> Result<(), BackupError> {
    let name = partial.to_str().ok_or_else(|| {
        let hint = "give it a name that is UTF-8";
        BackupError::Copy(format!("SQLite can't write {}\nhint: {hint}", partial.display()))
    })?;
    store.execute("VACUUM INTO ?1", [name]).map_err(|error| match Error::from(error) {
        error if error.kind == ErrorKind::Damaged => connection::refuse_damaged(path, error).into(),
        error => cannot("write", partial, &error),
    })?;
    mark(partial, now).map_err(|error| cannot("write", partial, &error))
}

fn mark(partial: &Path, now: Timestamp) -> rusqlite::Result<()> {
    let copy = Connection::open(partial)?;
    // No other file is needed for what is thrown away unless it succeeds.
    copy.pragma_update(None, "journal_mode", "MEMORY")?;
    copy.execute(
        "INSERT INTO facts (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (COPIED_AT, now.ms()),
    )?;
    copy.close().map_err(|(_, error)| error)
}

pub(super) fn sync_directory(of: &Path) -> io::Result<()> {
    let parent = of.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// When the store was copied, if it is a copy that has not taken the original's
/// place.
pub(super) fn copied_at(sql: &Connection) -> Result<Option<Timestamp>, Error> {
    Ok(fact(sql, COPIED_AT)?.map(Timestamp::from_ms))
}

/// Takes the mark of a copy away, so that whoever opens the store delivers. Says
/// how many deliveries are pending; `None`: it was not marked. No server may use
/// the store.
pub fn resume(path: &Path) -> Result<Option<u64>, Error> {
    if !path.exists() {
        return Err(no_store(path));
    }
    let _alone = connection::lock(path)?;
    let store = connection::open_to_change(path)?;
    if store.execute("DELETE FROM facts WHERE name = ?1", [COPIED_AT])? == 0 {
        return Ok(None);
    }
    let pending = fact(&store, "deliveries_0")?.unwrap_or(0);
    Ok(Some(u64::try_from(pending).unwrap_or(0)))
}
