//! `bellwether bench`: how fast this machine runs a server, beside the limit of
//! the same machine.
//!
//! Every scenario starts the same server that `serve` starts, as a process of
//! its own on a fresh store with full durability, plays Meta and the receivers
//! over real sockets, and keeps an outside ledger of every event. The `limit`
//! is a forwarder that only does the HTTP of it. See docs/reference/performance.md.

mod child;
mod hastened;
mod ledger;
mod limit;
mod load;
mod measure;
mod meta;
mod prefill;
mod receivers;
mod report;
mod scenarios;
mod stage;
mod wire;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::{Exit, Failure};
use crate::env::Env;
use report::{Measured, Report};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Options,
}

/// What the benchmark starts as processes of their own.
#[derive(clap::Subcommand)]
enum Part {
    /// A minimal forwarder, which marks the limit
    #[command(hide = true)]
    LimitForwarder(limit::Arguments),
    /// A server that keeps for seconds what others keep for days
    #[command(hide = true)]
    HastenedServer(hastened::Arguments),
}

#[derive(clap::Args)]
struct Options {
    /// Only this scenario (may be given several times); `limit` always runs first
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Events of each scenario, instead of its own number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    events: Option<u32>,
    /// Delivered events that `large-store` begins with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    prefill: Option<u32>,
    /// Deliveries that wait for their retry in `backlog`, and are due in `herd`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    backlog: Option<u32>,
    /// A few events per scenario: whether all arrives, not how fast
    #[arg(long)]
    smoke: bool,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Where the stores are made, and removed [default: the system's directory for
    /// temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// The scenarios, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// The minimal forwarder, one change a notification
    Limit,
    /// One change a notification, 64 senders
    Single,
    /// 100 changes a notification
    Batched,
    /// 1,000 events a second, whatever the answers
    Steady,
    /// The same while retention removes as much as comes: how large the file gets
    Retention,
    /// As single, over 10,000 accounts with a webhook each
    Accounts,
    /// As single, with delivered events in the store
    LargeStore,
    /// Events for healthy webhooks while many deliveries wait for their retry
    Backlog,
    /// The same after a start with many deliveries due, at a pace
    Herd,
    /// The same while one webhook hangs with many events waiting
    DeadWebhook,
    /// kill -9 with many events pending
    Restart,
    /// Nothing
    Idle,
    /// What an event costs stage by stage
    Stages,
}

/// How much each scenario does.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Events as fast as they go.
    load: u32,
    /// Events at 1,000 a second.
    steady: u32,
    /// Events at 1,000 a second while as many are removed.
    retained: u32,
    /// Events at 500 a second, once without and once with trouble.
    beside: u32,
    /// Accounts of `accounts`.
    accounts: u32,
    /// Events delivered before.
    prefill: u32,
    /// Deliveries that wait for their retry.
    backlog: u32,
    /// Events pending at kill -9, or for the webhook that hangs.
    pending: u32,
    /// How long nothing is done.
    idle: Duration,
}

impl Sizes {
    fn new(options: &Options) -> Self {
        let usual = if options.smoke {
            Self {
                load: 300,
                steady: 200,
                retained: 300,
                beside: 100,
                accounts: 20,
                prefill: 2_000,
                backlog: 2_000,
                pending: 400,
                idle: Duration::from_millis(200),
            }
        } else {
            Self {
                load: 100_000,
                steady: 60_000,
                retained: 90_000,
                beside: 10_000,
                accounts: 10_000,
                prefill: 10_000_000,
                backlog: 1_000_000,
                pending: 100_000,
                idle: Duration::from_secs(10),
            }
        };
        let events = |usual| options.events.unwrap_or(usual);
        Self {
            load: events(usual.load),
            steady: events(usual.steady),
            retained: events(usual.retained),
            beside: events(usual.beside),
            pending: events(usual.pending),
            prefill: options.prefill.unwrap_or(usual.prefill),
            backlog: options.backlog.unwrap_or(usual.backlog),
            ..usual
        }
    }
}

/// What all scenarios share.
struct Plan {
    sizes: Sizes,
    directory: PathBuf,
    env: Env,
    progress: Progress,
}

/// Says on standard error what is going on: one line that changes if that is a
/// terminal, else one line per step.
struct Progress {
    terminal: bool,
}

impl Progress {
    /// Something begins.
    fn step(&self, what: impl std::fmt::Display) {
        let (begin, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "{begin}{what}{end}");
        let _ = out.flush();
    }

    /// It goes on.
    fn tick(&self, what: impl std::fmt::Display) {
        if self.terminal {
            self.step(what);
        }
    }

    fn done(&self) {
        self.tick("");
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.part {
        Some(Part::LimitForwarder(arguments)) => return limit::run(arguments),
        Some(Part::HastenedServer(arguments)) => return hastened::run(arguments),
        None => {}
    }
    let options = &arguments.options;
    let plan = Plan {
        sizes: Sizes::new(options),
        directory: options.directory.clone().unwrap_or_else(std::env::temp_dir),
        env: Env::real(),
        progress: Progress { terminal: std::io::stderr().is_terminal() },
    };
    // One thread: it shares the processors with what it measures.
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = built.map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    let mut report = Report::new(&plan.directory, plan.env.clock.now(), options.smoke);
    for scenario in chosen(&options.scenario) {
        plan.progress.step(format_args!("{}: preparing", scenario.name()));
        report.add(runtime.block_on(scenario.run(&plan))?);
    }
    plan.progress.done();
    super::say(if options.json { report.json() } else { report.table() });
    report.verdict()
}

/// In their order, each once; the limit always, for the ratios.
fn chosen(asked: &[Scenario]) -> impl Iterator<Item = Scenario> {
    let all = <Scenario as clap::ValueEnum>::value_variants().iter().copied();
    all.filter(move |scenario| asked.is_empty() || asked.contains(scenario) || *scenario == Scenario::Limit)
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Single => "single",
            Self::Batched => "batched",
            Self::Steady => "steady",
            Self::Retention => "retention",
            Self::Accounts => "accounts",
            Self::LargeStore => "large-store",
            Self::Backlog => "backlog",
            Self::Herd => "herd",
            Self::DeadWebhook => "dead-webhook",
            Self::Restart => "restart",
            Self::Idle => "idle",
            Self::Stages => "stages",
        }
    }

    async fn run(self, plan: &Plan) -> Result<Measured, Failure> {
        let name = self.name();
        match self {
            Self::Limit => scenarios::throughput::limit(plan, name).await,
            Self::Single => scenarios::throughput::single(plan, name).await,
            Self::Batched => scenarios::throughput::batched(plan, name).await,
            Self::Accounts => scenarios::throughput::accounts(plan, name).await,
            Self::Steady => scenarios::beside::steady(plan, name).await,
            Self::Retention => scenarios::retention::retention(plan, name).await,
            Self::Backlog => scenarios::beside::backlog(plan, name).await,
            Self::Herd => scenarios::beside::herd(plan, name).await,
            Self::DeadWebhook => scenarios::beside::dead_webhook(plan, name).await,
            Self::LargeStore => scenarios::stored::large_store(plan, name).await,
            Self::Restart => scenarios::restart::restart(plan, name).await,
            Self::Idle => scenarios::restart::idle(plan, name).await,
            Self::Stages => scenarios::stages::stages(plan, name).await,
        }
    }
}
