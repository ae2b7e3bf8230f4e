//! `bellwether check`: whether a server would start, without starting one.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;

use super::output::print;
use super::{ConfigFile, Exit, Failure};
use crate::config::{self, Config};
use crate::env::{Entropy, Env};
use crate::node::process::{ProcessError, ways_out};
use crate::secrets::Vault;
use crate::store::sqlite::{self, Inspected, Problem, inspect};

/// What examples have in the place of a secret.
const PLACEHOLDER: &str = "...";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON: what was found to be well, and notes
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    ways_out(&config, &Env::real())?;
    let mut notes = oddities(arguments.file.path(), &config);
    if !arguments.json {
        print(format_args!("configuration  ok: {}", summary(&config)))?;
        notes.iter().try_for_each(|oddity| print(format_args!("note: {oddity}")))?;
    }
    let (key, told) = key(&config)?;
    if !arguments.json {
        print(format_args!("key            ok{told}"))?;
    }
    let (store, note) = store(&config, key)?;
    if arguments.json {
        notes.extend(note);
        return print(json!({"configuration": summary(&config), "store": store, "notes": notes}));
    }
    print(format_args!("store          ok: {store}"))?;
    note.iter().try_for_each(|note| print(format_args!("note: {note}")))
}

/// What a configuration without a mistake says.
pub(super) fn summary(config: &Config) -> String {
    format!("listens on {}, {} Meta app(s)", config.server.listen, config.meta.apps.len())
}

/// What keeps no server from starting and is likely not meant.
pub(super) fn oddities(file: Option<&Path>, config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if config.meta.apps.is_empty() {
        let what =
            "no Meta app is configured: nothing that Meta posts is taken; set meta.apps.NAME.app_secret";
        found.push(what.to_owned());
    }
    for (name, app) in &config.meta.apps {
        let token = app.verify_token.as_ref().is_some_and(|token| token.expose_secret() == PLACEHOLDER);
        let secret = app.app_secret.expose_secret() == PLACEHOLDER;
        for (key, effect) in [
            ("app_secret", secret.then_some("nothing that Meta posts is taken")),
            ("verify_token", token.then_some("anyone can guess it")),
        ] {
            if let Some(effect) = effect {
                found.push(format!(
                    "meta.apps.{name}.{key} is {PLACEHOLDER:?}, as the examples have it: {effect}; set your own"
                ));
            }
        }
    }
    if config.delivery.paused {
        let what = "delivery.paused is set: nothing is sent until it is false and the server was restarted";
        found.push(what.to_owned());
    }
    // It was read a moment ago; should it be gone now, the next start says so.
    if let Some(file) = file.filter(|file| config::readable_by_all(file).unwrap_or(false)) {
        let file = file.display();
        found.push(format!("{file} holds secrets and every user may read it: chmod 600 {file}"));
    }
    found
}

/// The key, if there is one yet, and what is to be said of it.
pub(super) fn key(config: &Config) -> Result<(Option<[u8; 32]>, String), Failure> {
    config::check_key_file(config)?;
    let file = &config.secrets.key_file;
    if config.secrets.key.is_none() && !file.exists() {
        return Ok((None, format!(": {} will be created at the first start", file.display())));
    }
    let key = config::secret_key(&config.secrets, &Entropy::from_system())?;
    Ok((Some(key), String::new()))
}

/// Where the store is, if it can be used with this key, and what else is to be said of
/// it; looks at all of it.
pub(super) fn store(config: &Config, key: Option<[u8; 32]>) -> Result<(String, Option<String>), Failure> {
    let path = &config.store.path;
    match inspect(path) {
        Ok(Inspected { key_check: Some(check), .. })
            if key.is_some_and(|key| !Vault::new(&key).recognises(&check)) =>
        {
            Err(ProcessError::OtherKey.into())
        }
        Ok(Inspected { copied_at, .. }) => {
            let note = copied_at.map(|at| {
                format!(
                    "the store is a copy, made at {at}: nothing is sent before `bellwether resume` was run"
                )
            });
            Ok((path.display().to_string(), note))
        }
        Err(Problem::Missing) => {
            sqlite::check_directory(path).map_err(|error| Failure::new(Exit::Store, error))?;
            Ok((format!("{} will be created at the first start", path.display()), None))
        }
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
