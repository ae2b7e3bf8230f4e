//! `bellwether check`: whether a server would start, without starting one.

use std::path::{Path, PathBuf};

use super::{Exit, Failure, say};
use crate::config::{self, Config};
use crate::env::Entropy;
use crate::store::sqlite::{Problem, inspect};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration file (TOML); without it, defaults and BELLWETHER_* variables
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.config.as_deref())?;
    say(format_args!(
        "configuration  ok: listens on {}, {} Meta app(s)",
        config.server.listen,
        config.meta.apps.len()
    ));
    note_oddities(arguments.config.as_deref(), &config);
    check_key(&config)?;
    check_store(&config)
}

/// Says what keeps no server from starting and is likely not meant.
fn note_oddities(file: Option<&Path>, config: &Config) {
    if config.meta.apps.is_empty() {
        say(
            "note: no Meta app is configured: nothing that Meta posts is taken; set meta.apps.NAME.app_secret",
        );
    }
    // It was read a moment ago; should it be gone now, the next start says so.
    if let Some(file) = file.filter(|file| config::readable_by_all(file).unwrap_or(false)) {
        let file = file.display();
        say(format_args!("note: {file} holds secrets and every user may read it: chmod 600 {file}"));
    }
}

fn check_key(config: &Config) -> Result<(), Failure> {
    config::check_key_file(config)?;
    let file = &config.secrets.key_file;
    if config.secrets.key.is_none() && !file.exists() {
        say(format_args!("key            ok: {} will be created at the first start", file.display()));
        return Ok(());
    }
    config::secret_key(&config.secrets, &Entropy::from_system())?;
    say("key            ok");
    Ok(())
}

fn check_store(config: &Config) -> Result<(), Failure> {
    let path = &config.store.path;
    match inspect(path) {
        Ok(()) => {
            say(format_args!("store          ok: {}", path.display()));
            Ok(())
        }
        Err(Problem::Missing) => check_directory(config),
        Err(Problem::Unusable(reason)) => Err(Failure::new(Exit::Store, reason)),
        Err(Problem::Damaged(what)) => Err(Failure::new(
            Exit::Store,
            format!(
                "the store {} is damaged: {what}\nhint: stop the server, keep a copy of the file, and restore a backup",
                path.display()
            ),
        )),
    }
}

fn check_directory(config: &Config) -> Result<(), Failure> {
    let path = &config.store.path;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some((directory, false)) = directory.map(|directory| (directory, directory.is_dir())) {
        Err(Failure::new(
            Exit::Store,
            format!(
                "the store's directory {} does not exist\nhint: create it, owned by the server's user",
                directory.display()
            ),
        ))
    } else {
        say(format_args!("store          ok: {} will be created at the first start", path.display()));
        Ok(())
    }
}
