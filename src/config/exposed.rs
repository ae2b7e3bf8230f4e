//! A configuration file that every user of the machine may read, secrets
//! included. That is no reason not to start (a container's file is often so),
//! but one to say it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::found::Found;
use super::keys::{self, Kind};

/// Whether the configuration file at `path` holds a secret and may be read by
/// users other than its owner and its group.
pub fn readable_by_all(path: &Path) -> io::Result<bool> {
    const BY_OTHERS: u32 = 0o004;
    let text = std::fs::read_to_string(path)?;
    let mut found = Found::default();
    found.add_file(path, &text);
    let is_secret = |path: &String| keys::at(path).is_some_and(|key| matches!(key.kind, Kind::Secret(_)));
    let mode = std::fs::metadata(path)?.permissions().mode();
    Ok(mode & BY_OTHERS != 0 && found.values.keys().any(is_secret))
}
