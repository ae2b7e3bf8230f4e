//! `bellwether check`: whether a server would start, without starting one.

use std::path::Path;

use secrecy::ExposeSecret;

use super::{ConfigFile, Exit, Failure, say};
use crate::config::{self, Config};
use crate::env::{Entropy, Env};
use crate::node::process::{ProcessError, check_way_out};
use crate::secrets::Vault;
use crate::store::sqlite::{self, Inspected, Problem, inspect};

/// What examples have in the place of a secret.
const PLACEHOLDER: &str = "...";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    say(format_args!(
        "configuration  ok: listens on {}, {} Meta app(s)",
        config.server.listen,
        config.meta.apps.len()
    ));
    check_way_out(&config, &Env::real())?;
    note_oddities(arguments.file.path(), &config);
    let key = check_key(&config)?;
    check_store(&config, key)
}

/// Says what keeps no server from starting and is likely not meant.
fn note_oddities(file: Option<&Path>, config: &Config) {
    if config.meta.apps.is_empty() {
        say(
            "note: no Meta app is configured: nothing that Meta posts is taken; set meta.apps.NAME.app_secret",
        );
    }
    for (name, app) in &config.meta.apps {
        let token = app.verify_token.as_ref().is_some_and(|token| token.expose_secret() == PLACEHOLDER);
        let secret = app.app_secret.expose_secret() == PLACEHOLDER;
        for (key, effect) in [
            ("app_secret", secret.then_some("nothing that Meta posts is taken")),
            ("verify_token", token.then_some("anyone can guess it")),
        ] {
            if let Some(effect) = effect {
                say(format_args!(
                    "note: meta.apps.{name}.{key} is {PLACEHOLDER:?}, as the examples have it: {effect}; set your own"
                ));
            }
        }
    }
    if config.delivery.paused {
        say("note: delivery.paused is set: nothing is sent until it is false and the server was restarted");
    }
    // It was read a moment ago; should it be gone now, the next start says so.
    if let Some(file) = file.filter(|file| config::readable_by_all(file).unwrap_or(false)) {
        let file = file.display();
        say(format_args!("note: {file} holds secrets and every user may read it: chmod 600 {file}"));
    }
}

/// The key, if there is one yet.
fn check_key(config: &Config) -> Result<Option<[u8; 32]>, Failure> {
    config::check_key_file(config)?;
    let file = &config.secrets.key_file;
    if config.secrets.key.is_none() && !file.exists() {
        say(format_args!("key            ok: {} will be created at the first start", file.display()));
        return Ok(None);
    }
    let key = config::secret_key(&config.secrets, &Entropy::from_system())?;
    say("key            ok");
    Ok(Some(key))
}

fn check_store(config: &Config, key: Option<[u8; 32]>) -> Result<(), Failure> {
    let path = &config.store.path;
    match inspect(path) {
        Ok(Inspected { key_check: Some(check), .. })
            if key.is_some_and(|key| !Vault::new(&key).recognises(&check)) =>
        {
            Err(ProcessError::OtherKey.into())
        }
        Ok(Inspected { copied_at, .. }) => {
            say(format_args!("store          ok: {}", path.display()));
            if let Some(at) = copied_at {
                say(format_args!(
                    "note: the store is a copy, made at {at}: nothing is sent before `bellwether resume` was run"
                ));
            }
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
    sqlite::check_directory(path).map_err(|error| Failure::new(Exit::Store, error))?;
    say(format_args!("store          ok: {} will be created at the first start", path.display()));
    Ok(())
}
