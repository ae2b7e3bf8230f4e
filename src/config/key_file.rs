//! The key that secrets are sealed with: from the configuration, or from a
//! file that is made at the first start. The file appears under its name whole
//! or not at all, so that no crash leaves half a key that something could have
//! been sealed with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;

use super::problem::{ConfigError, Problem};
use super::{Config, Secrets};
use crate::env::Entropy;

/// A key file is 44 characters and a line's end; more is another file.
const LONGEST_FILE: u64 = 256;

/// The key: the configured one, else that of the key file, which is made with
/// 32 bytes from `entropy` if it does not exist.
///
/// Refuses a file that others than its owner may read, or that holds no key.
pub fn secret_key(secrets: &Secrets, entropy: &Entropy) -> Result<[u8; 32], ConfigError> {
    if let Some(key) = &secrets.key {
        let hint = "make one with: openssl rand -base64 32";
        let wrong = || Problem::new("`secrets.key` must be the base64 of 32 bytes", hint);
        return Ok(decode(key.expose_secret()).ok_or_else(wrong)?);
    }
    let path = &secrets.key_file;
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, entropy),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Refuses a store whose key file is gone: with another key none of its secrets
/// would open, and every delivery would wait.
pub fn check_key_file(config: &Config) -> Result<(), ConfigError> {
    let (store, key_file) = (&config.store.path, &config.secrets.key_file);
    if config.secrets.key.is_some() || key_file.exists() || !store.exists() {
        return Ok(());
    }
    let what =
        format!("the store {} exists and its key file {} does not", store.display(), key_file.display());
    let hint = "restore the key file from a backup, or name it by secrets.key_file; if nothing in the store matters, \
                remove the store too";
    Err(Problem::new(what, hint).into())
}

/// A key from its base64; `None` if it is not 32 bytes.
pub(super) fn decode(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

fn read(file: File, path: &Path) -> Result<[u8; 32], ConfigError> {
    let metadata = file.metadata().map_err(|error| failed("read", path, &error))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let what =
            format!("the key file {} may be read by others than its owner (mode {mode:03o})", path.display());
        return Err(Problem::new(what, format!("chmod 600 {}", path.display())).into());
    }
    let mut text = String::new();
    file.take(LONGEST_FILE).read_to_string(&mut text).map_err(|error| failed("read", path, &error))?;
    let hint = "restore it from a backup; if the store is new, remove it and start again";
    let wrong = || Problem::new(format!("the key file {} holds no key", path.display()), hint);
    Ok(decode(&text).ok_or_else(wrong)?)
}

/// Writes a key beside `path`, makes it durable, then gives it its name, which
/// fails if another process was quicker: then that one's key counts.
fn create(path: &Path, entropy: &Entropy) -> Result<[u8; 32], ConfigError> {
    let key: [u8; 32] = entropy.bytes();
    let draft = beside(path, entropy.u64());
    let made = write(&draft, &key).and_then(|()| fs::hard_link(&draft, path));
    // A draft that stays behind is a key that nothing was sealed with.
    fs::remove_file(&draft).unwrap_or_default();
    match made {
        Ok(()) => sync_directory(path).map(|()| key).map_err(|error| failed("create", path, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(File::open(path).map_err(|error| failed("read", path, &error))?, path)
        }
        Err(error) => Err(failed("create", path, &error)),
    }
}

fn write(draft: &Path, key: &[u8; 32]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{}", BASE64_STANDARD.encode(key))?;
    file.sync_all()
}

fn beside(path: &Path, random: u64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{random:016x}"));
    path.with_file_name(name)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    File::open(above.unwrap_or(Path::new(".")))?.sync_all()
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> ConfigError {
    let hint =
        "its directory must exist and belong to the user that the program runs as, or set secrets.key_file";
    Problem::new(format!("failed to {verb} the key file {}: {error}", path.display()), hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of its own, removed in the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let name = format!("bellwether-key-{:016x}", Entropy::from_system().u64());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn secrets(&self) -> Secrets {
            Secrets { key_file: self.0.join("store.key"), key: None }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn the_first_start_makes_the_key_file_and_later_ones_read_it() {
        let scratch = Scratch::new();
        let secrets = scratch.secrets();
        let made = secret_key(&secrets, &Entropy::seeded(1)).unwrap();
        assert_eq!(secret_key(&secrets, &Entropy::seeded(2)).unwrap(), made);
        assert_eq!(fs::metadata(&secrets.key_file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let scratch = Scratch::new();
        let secrets = scratch.secrets();
        secret_key(&secrets, &Entropy::seeded(1)).unwrap();
        fs::set_permissions(&secrets.key_file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = secret_key(&secrets, &Entropy::seeded(1)).unwrap_err().to_string();
        assert!(error.contains("mode 640") && error.contains("hint: chmod 600 "), "{error}");
    }

    #[test]
    fn an_empty_or_foreign_key_file_is_refused_and_left_as_it_is() {
        let scratch = Scratch::new();
        let secrets = scratch.secrets();
        for text in ["", "AAAA", &"A".repeat(500)] {
            fs::write(&secrets.key_file, text).unwrap();
            fs::set_permissions(&secrets.key_file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(secret_key(&secrets, &Entropy::seeded(1)).is_err(), "{text}");
            assert_eq!(fs::read_to_string(&secrets.key_file).unwrap(), text);
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let secrets = Secrets { key_file: "/nonexistent/store.key".into(), key: None };
        let error = secret_key(&secrets, &Entropy::seeded(1)).unwrap_err().to_string();
        assert!(error.starts_with("failed to create the key file /nonexistent/store.key"), "{error}");
    }

    #[test]
    fn a_configured_key_needs_no_file() {
        let key = BASE64_STANDARD.encode([7; 32]).into();
        let secrets = Secrets { key_file: "/nonexistent/store.key".into(), key: Some(key) };
        assert_eq!(secret_key(&secrets, &Entropy::seeded(1)).unwrap(), [7; 32]);
    }
}
