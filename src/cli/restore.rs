//! `bellwether restore`: puts a copy that `backup` has made in the place of the store.

use std::path::PathBuf;

use serde_json::json;

use super::output::print;
use super::{ConfigFile, Exit, Failure, tell};
use crate::config::{self, Config};
use crate::env::{Clock, Entropy};
use crate::node::process::ProcessError;
use crate::secrets::Vault;
use crate::store::sqlite::{self, BackupError, Problem};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The copy; it is left as it is
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Move the store that is there aside
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON: as of when it is, what is pending, and where the store that was there is kept
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    let (from, path) = (&arguments.from, &config.store.path);
    let key_is_there = check(arguments, &config)?;
    let restored = sqlite::restore(from, path, arguments.replace, Clock::system().now());
    let restored = restored.map_err(|error| match error {
        BackupError::Store(error) => Failure::new(Exit::Store, error),
        BackupError::Copy(message) => Failure::new(Exit::Failed, message),
    })?;
    if arguments.json {
        let (at, pending) = (restored.copied_at.to_string(), restored.pending);
        print(json!({"store": path, "at": at, "pending": pending, "replaced": restored.replaced}))?;
    }
    let (path, from, at) = (path.display(), from.display(), restored.copied_at);
    tell(format_args!(
        "{path} is what {from} holds, as of {at}: {} deliveries are pending",
        restored.pending
    ));
    if let Some(aside) = restored.replaced {
        tell(format_args!("what was there is kept as {}; remove it when nobody needs it", aside.display()));
    }
    if !key_is_there {
        let key = config.secrets.key_file.display();
        tell(format_args!(
            "next: put the key file that belongs to it at {key}, mode 600: without it nothing starts"
        ));
    }
    tell("next: start the server and look. It sends nothing until `bellwether resume`");
    Ok(())
}

/// Refuses what could not be used once it is in place. Whether its key is there.
fn check(arguments: &Arguments, config: &Config) -> Result<bool, Failure> {
    let from = arguments.from.display();
    let sqlite::Inspected { key_check: seal, .. } = sqlite::inspect(&arguments.from).map_err(|problem| {
        let what = match problem {
            Problem::Missing => {
                format!("there is no file {from}\nhint: name a copy that `bellwether backup` has made")
            }
            Problem::Unusable(reason) => reason,
            Problem::Damaged(what) => {
                format!("{from} is damaged: {what}\nhint: take an earlier copy; nothing was changed")
            }
        };
        Failure::new(Exit::Store, what)
    })?;
    if config.secrets.key.is_none() && !config.secrets.key_file.exists() {
        return Ok(false);
    }
    let key = config::secret_key(&config.secrets, &Entropy::from_system())?;
    match seal {
        Some(seal) if !Vault::new(&key).recognises(&seal) => Err(ProcessError::OtherKey.into()),
        _ => Ok(true),
    }
}
