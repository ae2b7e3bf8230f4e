//! `bellwether backup`: a copy of the store, whether or not a server uses it,
//! that sends nothing when it is started. `bellwether resume` ends that.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;

use super::output::print;
use super::progress::Progress;
use super::{ConfigFile, Exit, Failure, tell};
use crate::config::Config;
use crate::env::Clock;
use crate::store::sqlite::{self, BackupError};

/// Between two looks at how far a copy is.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the copy goes; nothing may be there yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON: the file, its bytes, and as of when it is
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    let (path, to) = (&config.store.path, &arguments.to);
    let now = Clock::system().now();
    let bytes = watched(to, path, || sqlite::back_up(path, to, now)).map_err(|error| match error {
        BackupError::Store(error) => Failure::new(Exit::Store, error),
        BackupError::Copy(message) => Failure::new(Exit::Failed, message),
    })?;
    if arguments.json {
        print(json!({"file": to, "bytes": bytes, "at": now.to_string()}))?;
    }
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
        "to restore: stop the server, `bellwether restore FILE --replace`, start. It sends nothing until `bellwether resume`",
    );
    Ok(())
}

/// Shows how much of the store at `path` is copied to `to` while `copying`; what is
/// free in the store is not copied, so it may end early.
fn watched<T: Send>(to: &Path, path: &Path, copying: impl FnOnce() -> T + Send) -> T {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let (all, mut progress) = (size(path), Progress::new("copying (bytes)"));
    std::thread::scope(|scope| {
        let (ended, waiting) = mpsc::channel::<()>();
        let copying = scope.spawn(move || {
            let copied = copying();
            drop(ended);
            copied
        });
        while waiting.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            progress.at(size(Path::new(&partial)), all);
        }
        copying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[derive(clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON: whether anything was changed, and what is pending
    #[arg(long)]
    json: bool,
}

pub(super) fn resume(arguments: &Resume) -> Result<(), Failure> {
    let config = Config::load(arguments.file.path())?;
    let path = config.store.path.display();
    let resumed = sqlite::resume(&config.store.path).map_err(|error| Failure::new(Exit::Store, error))?;
    if arguments.json {
        print(json!({"resumed": resumed.is_some(), "pending": resumed}))?;
    }
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
