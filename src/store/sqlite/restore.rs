//! Puts a copy in the place of a store.
//!
//! It is read as SQLite reads it, not copied as a file: so what lies in a log beside
//! it is in what is put in place. That is marked as a copy, whatever it was read from,
//! and sends nothing until somebody says so. What was there before is kept beside it.

use std::fs;
use std::path::{Path, PathBuf};

use super::backup::{BackupError, begin, cannot, copied_at, copy, open_to_copy, sync_directory};
use super::connection::{self, beside};
use super::rows::fact;
use crate::model::time::Timestamp;
use crate::store::Error;

/// What was put in place.
#[derive(Debug)]
pub struct Restored {
    /// When the copy was made; the time of the restoring, if it is not known as one.
    pub copied_at: Timestamp,
    /// Deliveries that are pending in it.
    pub pending: u64,
    /// Where the store that was there is kept, if there was one.
    pub replaced: Option<PathBuf>,
}

/// Puts the store at `from` in place at `path`, which no server may use. One that is
/// there is moved aside if `replace` says so, else it is refused to. Whenever this is
/// interrupted, there is a whole store at `path`, the old one or the new one, unless
/// there was none.
pub fn restore(from: &Path, path: &Path, replace: bool, now: Timestamp) -> Result<Restored, BackupError> {
    connection::check_directory(path)?;
    let _alone = connection::lock(path)?;
    let store = open_to_copy(from)?;
    if path.exists() && !replace {
        let path = path.display();
        return Err(BackupError::Copy(format!(
            "there is a store at {path}\nhint: --replace moves it aside and puts the copy in its place"
        )));
    }
    let copied_at = copied_at(&store)?.unwrap_or(now);
    let pending = fact(&store, "deliveries_0").map_err(Error::from)?.unwrap_or(0);
    let pending = u64::try_from(pending).unwrap_or(0);
    let partial = beside(path, ".restoring");
    let put = begin(&partial).and_then(|file| {
        copy(&store, from, &partial, copied_at)?;
        file.sync_all().map_err(|error| cannot("write", &partial, &error))?;
        let replaced = move_aside(path, now)?;
        fs::rename(&partial, path).map_err(|error| cannot("rename what is restored to", path, &error))?;
        sync_directory(path).map_err(|error| cannot("sync the directory of", path, &error))?;
        Ok(Restored { copied_at, pending, replaced })
    });
    if put.is_err() {
        let _ = fs::remove_file(&partial);
    }
    put
}

/// Moves the files of the store at `path` aside but for its name, which goes on
/// naming it until another file takes that. Its log goes with it: SQLite would take it
/// for the new one's.
fn move_aside(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let time: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let aside = beside(path, &format!(".replaced-{time}"));
    let there = path.exists();
    if there {
        fs::hard_link(path, &aside).map_err(|error| cannot("keep what is replaced as", &aside, &error))?;
    }
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(|error| cannot("keep what is replaced as", &to, &error))?;
        }
    }
    Ok(there.then_some(aside))
}
