//! The server of `retention`: as `serve` starts it, but what is kept for days is
//! kept for seconds. No configuration can ask for that.

use std::path::PathBuf;

use crate::cli::{Failure, serve};
use crate::config::Config;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How many times as fast things grow old
    #[arg(long, value_name = "N")]
    times: u32,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = Config::load(Some(&arguments.config))?;
    config.retention.hastened = arguments.times;
    serve::run_with(&config, Some(&arguments.config))
}
