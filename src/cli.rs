//! The command line. Data goes to standard output, everything else to standard
//! error; every end has its exit code ([`Exit`]); errors end in a hint.

mod access;
mod accounts;
mod backup;
mod bench;
mod check;
mod client;
mod completions;
mod deliveries;
mod dev;
mod doctor;
mod ending;
mod events;
mod follow;
mod keys;
mod listen;
mod login;
mod numbers;
mod output;
mod progress;
mod prompt;
mod receiver;
#[cfg(test)]
mod reference;
mod restore;
mod route;
mod serve;
mod server;
mod tail;
mod trigger;
mod verify;
mod wabas;
mod webhooks;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::ConfigError;
use crate::node::process::ProcessError;
use crate::telemetry::logs;

/// Delivers changes of WhatsApp business numbers to the right webhook.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server
    Serve(serve::Arguments),
    /// Try everything out on this machine: a server, a receiver and two sample
    /// changes, without any configuration
    Dev(dev::Arguments),
    /// Send a signed notification to a running server, as Meta would
    Trigger(trigger::Arguments),
    /// Check the configuration, the key file and the store, and say what is wrong
    Check(check::Arguments),
    /// Look at everything a server needs, from the disk to each webhook, and say what is not well
    Doctor(doctor::Arguments),
    /// Copy the store, also while a server uses it; the copy sends nothing when started
    Backup(backup::Arguments),
    /// Put a copy in the place of the store; it sends nothing when started
    Restore(restore::Arguments),
    /// Let a copy take the original's place: the next server sends what is pending
    Resume(backup::Resume),
    /// Keep a server and a key as a profile, for the commands below
    Login(login::Arguments),
    /// Accounts: the customers
    Accounts(accounts::Arguments),
    /// Business accounts (WABAs): whose they are, and what waits for one
    Wabas(wabas::Arguments),
    /// API keys
    Keys(keys::Arguments),
    /// Webhooks: where events go, and how each fares
    Webhooks(webhooks::Arguments),
    /// Business numbers: how they stand, and how that came about
    Numbers(numbers::Arguments),
    /// Events: what was accepted
    Events(events::Arguments),
    /// Deliveries: what became of each event, and replaying
    Deliveries(deliveries::Arguments),
    /// Bring an account's events to a receiver on this machine, without an address of your own
    Listen(listen::Arguments),
    /// Print a shell's completions
    Completions(completions::Arguments),
    /// Print a manual page, or write them all
    Man(completions::ManArguments),
    /// Measure how fast this machine runs a server, beside the limit of the same machine
    Bench(bench::Arguments),
    /// Ask a receiver of yours what it does with good, forged, stale, repeated and other deliveries
    Verify(verify::Arguments),
}

/// The configuration of a server.
#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file (TOML); without it, defaults and BELLWETHER_* variables
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> Option<&Path> {
        self.config.as_deref()
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed for another reason
  2  wrong arguments
  3  the configuration is wrong
  4  the store can't be used
  5  the store failed while running: start again
  6  the address can't be listened on
  7  stopped before everything under way had ended
  8  the server can't be reached, or refused
  9  a part of the server ended that must not: start again
  10 the API key is missing, wrong, or may not do this
  11 there is no such account, webhook, event..
  12 something that was looked at is not well
  13 the receiver handles a delivery wrongly";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed for another reason.
    Failed = 1,
    /// Wrong arguments.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// The store can't be used.
    Store = 4,
    /// The store failed while running.
    StoreFailed = 5,
    /// The address can't be listened on.
    Listen = 6,
    /// Stopped before everything under way had ended.
    Aborted = 7,
    /// The server can't be reached, or refused.
    Server = 8,
    /// A part of the server ended that must not.
    Broken = 9,
    /// The API key is missing, wrong, or may not do this.
    Key = 10,
    /// There is no such thing.
    Missing = 11,
    /// Something that was looked at is not well.
    Unwell = 12,
    /// The receiver handles a delivery wrongly.
    Receiver = 13,
}

/// Why a command failed: what to say, and the exit code.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
    /// Stands before the message; nothing before a list of problems, of which
    /// the first is like the others.
    mark: &'static str,
}

impl Failure {
    fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), mark: "error: " }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { mark: "", ..Self::new(Exit::Config, error) }
    }
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        let exit = match error {
            ProcessError::Config(error) => return error.into(),
            ProcessError::OtherKey | ProcessError::Transport(_) => Exit::Config,
            ProcessError::Store(_) | ProcessError::StoreDamaged(_) => Exit::Store,
            ProcessError::StoreFailed => Exit::StoreFailed,
            ProcessError::Listen { .. } => Exit::Listen,
            ProcessError::Aborted => Exit::Aborted,
            ProcessError::Broken => Exit::Broken,
            ProcessError::Io(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

/// The heading of options that say which server a command talks to.
const SERVER: &str = "Server";

/// The definitions of all commands.
fn command() -> clap::Command {
    Arguments::command()
}

/// Parses this process's arguments, runs the command, says why it failed.
pub fn run() -> ExitCode {
    let ran = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Trigger(arguments) => trigger::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Resume(arguments) => backup::resume(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Accounts(arguments) => accounts::run(&arguments),
        Command::Wabas(arguments) => wabas::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Webhooks(arguments) => webhooks::run(&arguments),
        Command::Numbers(arguments) => numbers::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Deliveries(arguments) => deliveries::run(&arguments),
        Command::Listen(arguments) => listen::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing to say: whoever read the output has read enough.
            if failure.message.is_empty() {
                return ExitCode::from(failure.exit as u8);
            }
            logs::last_words(format!("{}{}", failure.mark, failure.message));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Prints a line of data.
fn say(line: impl fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Says what was done, on standard error.
fn tell(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The runtime of a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))
}

/// The configuration that `dev` keeps, if it ran in this directory.
fn dev_config() -> PathBuf {
    PathBuf::from(dev::DIRECTORY).join("dev.toml")
}
