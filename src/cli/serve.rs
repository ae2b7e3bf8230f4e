//! `bellwether serve`: a server until a signal ends it.

use std::path::Path;

use super::{ConfigFile, Failure, runtime};
use crate::config::Config;
use crate::env::Env;
use crate::node::process::{Process, ProcessError, Reread};
use crate::telemetry::logs::{self, Flush};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.path().map(Path::to_owned);
    let reread = move || Config::load(path.as_deref());
    let config = reread()?;
    run_renewed(&config, Some(Box::new(reread)))
}

/// Serves as `config` says.
pub(super) fn run_with(config: &Config) -> Result<(), Failure> {
    run_renewed(config, None)
}

fn run_renewed(config: &Config, reread: Option<Reread>) -> Result<(), Failure> {
    let logs = logs::start(config.log.level, config.log.format);
    let runtime = runtime()?;
    let served = runtime.block_on(serve(config, reread, &logs));
    // A query that is still under way must not hold up the end.
    runtime.shutdown_background();
    served.map_err(Failure::from)
}

async fn serve(config: &Config, reread: Option<Reread>, logs: &Flush) -> Result<(), ProcessError> {
    let env = Env { faults: config.faults.clone(), ..Env::real() };
    let mut process = Process::open(config, env).await?;
    if let Some(reread) = reread {
        process.renews_by(reread);
    }
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
    process.run().await?;
    tracing::info!("stopped; nothing was left under way");
    Ok(())
}
