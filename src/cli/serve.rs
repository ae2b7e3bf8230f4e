//! `bellwether serve`: a server until a signal ends it.

use std::path::Path;

use super::{ConfigFile, Failure, runtime};
use crate::config::Config;
use crate::env::Env;
use crate::node::process::{Process, ProcessError};
use crate::node::reload::Reload;
use crate::telemetry::logs::{self, Flush};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = arguments.file.path();
    run_with(&Config::load(file)?, file)
}

/// Serves as `config` says, which was read from `file`.
pub(super) fn run_with(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let logs = logs::start(config.log.level, config.log.format);
    let runtime = runtime()?;
    let served = runtime.block_on(serve(config, file, &logs));
    // A query that is still under way must not hold up the end.
    runtime.shutdown_background();
    served.map_err(Failure::from)
}

async fn serve(config: &Config, file: Option<&Path>, logs: &Flush) -> Result<(), ProcessError> {
    let env = Env { faults: config.faults.clone(), ..Env::real() };
    let reload = Reload::on_hangup(config, file)?;
    let process = Process::open(config, env).await?;
    process.count_lost_lines(logs.lost());
    let address = process.address()?;
    tracing::info!(%address, store = %config.store.path.display(), "bellwether {} serves", env!("CARGO_PKG_VERSION"));
    if config.meta.apps.is_empty() {
        tracing::warn!(
            "no Meta app is configured: notifications are refused; hint: set meta.apps.<name>.app_secret"
        );
    }
    if config.operator.key.is_none() {
        tracing::info!("no operator.key is configured; only keys made before can call the API");
    }
    if let Some(paused) = process.paused() {
        tracing::warn!("deliveries are paused: what is owed waits; hint: {}", paused.hint());
    }
    process.run(reload).await?;
    tracing::info!("stopped; nothing was left under way");
    Ok(())
}
