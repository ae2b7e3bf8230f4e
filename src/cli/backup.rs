//! `bellwether backup`: a copy of the store, whether or not a server uses it,
//! that sends nothing when it is started. `bellwether resume` ends that.

use std::path::PathBuf;

use super::{ConfigFile, Exit, Failure, tell};
use crate::config::Config;
use crate::env::Clock;
use crate::store::sqlite::{self, BackupError};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the copy goes; nothing may be there yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    let (path, to) = (&config.store.path, &arguments.to);
    let now = Clock::system().now();
    let bytes = sqlite::back_up(path, to, now).map_err(|error| match error {
        BackupError::Store(error) => Failure::new(Exit::Store, error),
        BackupError::Copy(message) => Failure::new(Exit::Failed, message),
    })?;
    tell(format_args!(
        "{to} holds all that was in {path} at {now}: {bytes} bytes",
        to = to.display(),
        path = path.display()
    ));
    if config.secrets.key.is_none() {
        let key = config.secrets.key_file.display();
        tell(format_args!(
            "next: keep a copy of {key}, too, but not beside it: it opens what is sealed there"
        ));
    }
    tell(
        "to restore: stop the server, put the copy in the place of the store and remove that one's -wal and -shm \
         files, start. It sends nothing until `bellwether resume`",
    );
    Ok(())
}

#[derive(clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    let path = config.store.path.display();
    let resumed = sqlite::resume(&config.store.path).map_err(|error| Failure::new(Exit::Store, error))?;
    match resumed {
        Some(pending) => tell(format_args!(
            "{path} takes the place of what it was copied from: the next start sends the {pending} that are pending"
        )),
        None => tell(format_args!("{path} is no copy that waits for this: nothing was changed")),
    }
    if config.delivery.paused {
        tell("note: delivery.paused is set, and keeps it from sending");
    }
    Ok(())
}
