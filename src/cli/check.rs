//! `bellwether check`: whether a server would start, without starting one.

use std::path::Path;

use secrecy::ExposeSecret;
use serde_json::json;

use super::output::print;
use super::{ConfigFile, Exit, Failure};
use crate::config::{self, Config};
use crate::env::Entropy;
use crate::node::process::ProcessError;
use crate::secrets::Vault;
use crate::store::sqlite::{self, Problem, inspect};

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
    let notes = oddities(arguments.file.path(), &config);
    if !arguments.json {
        print(format_args!("configuration  ok: {}", summary(&config)))?;
        notes.iter().try_for_each(|oddity| print(format_args!("note: {oddity}")))?;
    }
    let (key, told) = key(&config)?;
    if !arguments.json {
        print(format_args!("key            ok{told}"))?;
    }
    let store = store(&config, key)?;
    if arguments.json {
        return print(json!({"configuration": summary(&config), "store": store, "notes": notes}));
    }
    print(format_args!("store          ok: {store}"))
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

/// Where the store is, if it can be used with this key; looks at all of it.
pub(super) fn store(config: &Config, key: Option<[u8; 32]>) -> Result<String, Failure> {
    let path = &config.store.path;
    match inspect(path) {
        Ok(Some(check)) if key.is_some_and(|key| !Vault::new(&key).recognises(&check)) => {
            Err(ProcessError::OtherKey.into())
        }
        Ok(_) => Ok(path.display().to_string()),
        Err(Problem::Missing) => {
            sqlite::check_directory(path).map_err(|error| Failure::new(Exit::Store, error))?;
            Ok(format!("{} will be created at the first start", path.display()))
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
