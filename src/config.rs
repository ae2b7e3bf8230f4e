//! The configuration: a TOML file, then environment variables, which win over
//! it. All that can be wrong is found at start, said at once, and refused: a
//! key that is misspelled must not silently mean its default. Nothing else in
//! the program reads the environment.

mod environment;
mod exposed;
mod failpoint;
mod found;
mod graph;
mod key_file;
mod keys;
mod problem;
mod profiles;
mod reader;
mod reference;
mod renewal;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use tracing::level_filters::LevelFilter;

pub use environment::variable;
pub use exposed::readable_by_all;
pub use failpoint::EXIT_CODE as FAILPOINT_EXIT_CODE;
pub use key_file::{check_key_file, secret_key};
pub use problem::{ConfigError, Problem};
pub use profiles::{Profile, Profiles, Surroundings, profiles_file};
pub use reference::reference;
pub use renewal::Renewal;

use crate::env::Faults;
use crate::policy::address::{CLOSED_PORTS, host_name};
use crate::policy::retry::Schedule;
use crate::telemetry::logs::Format;
use found::Found;
use reader::{Reader, Wrong};
use renewal::Said;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server serves.
    pub server: Server,
    /// Where everything is kept.
    pub store: Store,
    /// The operator's first key.
    pub operator: Operator,
    /// The Meta apps whose notifications are taken.
    pub meta: Meta,
    /// How deliveries go out.
    pub delivery: Delivery,
    /// What is done to events.
    pub events: Events,
    /// How the Graph API is asked.
    pub graph: Graph,
    /// How long things are kept.
    pub retention: Retention,
    /// The key that secrets are sealed with.
    pub secrets: Secrets,
    /// What is logged.
    pub log: Log,
    /// What breaks, in tests of a debug build; nothing in a release build.
    pub faults: Faults,
    /// What was set.
    said: Said,
}

/// How the server serves.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections at once.
    pub max_connections: usize,
    /// For a request's headers, and for an idle connection.
    pub header_timeout: Duration,
    /// For a request's body.
    pub body_timeout: Duration,
    /// For what is under way when the server stops.
    pub drain_timeout: Duration,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
pub struct Store {
    /// The SQLite file.
    pub path: PathBuf,
}

/// The operator's first key.
#[derive(Debug, Clone)]
pub struct Operator {
    /// A key with every right; none if not set.
    pub key: Option<SecretString>,
}

/// The Meta apps whose notifications are taken.
#[derive(Debug, Clone)]
pub struct Meta {
    /// By the name that is part of the callback URL.
    pub apps: BTreeMap<String, App>,
}

/// A Meta app.
#[derive(Debug, Clone)]
pub struct App {
    /// What it signs with.
    pub app_secret: SecretString,
    /// What it signed with before, during a rotation.
    pub previous_app_secret: Option<SecretString>,
    /// What its verification request must say.
    pub verify_token: Option<SecretString>,
}

/// How deliveries go out.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The waits between attempts.
    pub retry_schedule: Schedule,
    /// For one attempt, from the name to the last byte.
    pub attempt_timeout: Duration,
    /// Whether `http://` is allowed.
    pub allow_http: bool,
    /// Networks that are allowed although not public, every port included.
    pub allow_networks: Vec<IpNet>,
    /// Ports allowed besides the usual ones.
    pub allow_ports: Vec<u16>,
    /// Networks that are closed, public or allowed.
    pub deny_networks: Vec<IpNet>,
    /// Host names that are closed, and those under them.
    pub deny_hosts: Vec<String>,
    /// DNS servers; none: the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Authorities to trust besides the public ones, PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether nothing is attempted.
    pub paused: bool,
    /// When an event that has not arrived is late; `None`: nobody looks.
    pub late_after: Option<Duration>,
    /// Attempts at once.
    pub max_in_flight: usize,
    /// Attempts at once to one webhook.
    pub max_in_flight_per_webhook: usize,
    /// Attempts that begin in a second; 0: as many as there is room for.
    pub attempts_per_s: usize,
    /// Deliveries in memory.
    pub max_loaded: usize,
}

/// What is done to events.
#[expect(clippy::struct_excessive_bools, reason = "switches, each by itself")]
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// Whether limits that Meta leaves out are filled in.
    pub fill_limits: bool,
    /// Whether events are derived from capability updates.
    pub derive_from_capability: bool,
    /// Whether a rating that was read becomes an event.
    pub flag_from_rating: bool,
    /// Whether a webhook that is created, or enabled again, is told how the numbers
    /// stand.
    pub snapshot_on_enable: bool,
}

/// How the Graph API is asked.
#[derive(Debug, Clone)]
pub struct Graph {
    /// For business accounts without one of their own.
    pub access_token: Option<SecretString>,
    /// Where it is: no slash at the end.
    pub base_url: String,
    /// Which version.
    pub version: String,
    /// Networks that are allowed although not public.
    pub allow_networks: Vec<IpNet>,
    /// From one reading to the next.
    pub reconcile_every: Duration,
    /// Readings at once.
    pub max_in_flight: usize,
    /// For one page.
    pub page_timeout: Duration,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Events and their deliveries.
    pub events: Duration,
    /// The journal that the live stream is read from.
    pub journal: Duration,
    /// How many times as fast things grow old: 1, whatever is configured; the
    /// benchmark looks at years in minutes.
    pub hastened: u32,
}

/// The key that secrets are sealed with.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The file it is in, unless `key` is set.
    pub key_file: PathBuf,
    /// The base64 of the key itself.
    pub key: Option<SecretString>,
}

/// What is logged.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// How much.
    pub level: LevelFilter,
    /// In which form.
    pub format: Format,
}

impl Config {
    /// The configuration in `file` and this process's environment.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                let what = format!("failed to read the configuration file {}: {error}", path.display());
                Problem::new(what, "name a file that exists and that this user may read, or none")
            })?,
            None => String::new(),
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            // What is not UTF-8 keeps a mark by which no key takes it.
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self::parse(file.unwrap_or(Path::new("")), &text, variables)
    }

    /// The configuration in `text` (TOML) and `variables`, those of other
    /// programs included.
    pub fn read(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::parse(Path::new("bellwether.toml"), text, variables)
    }

    fn parse(
        file: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut found = Found::default();
        let mut faults = Faults::none();
        found.add_file(file, text);
        for (name, value) in variables {
            if cfg!(debug_assertions) && name == failpoint::VARIABLE {
                match failpoint::parse(&value) {
                    Ok(planned) => faults = planned,
                    Err(problem) => found.problems.push(problem),
                }
            } else {
                found.add_variable(&name, value);
            }
        }
        let mut reader = Reader { found };
        let config = Self::build(&mut reader, faults);
        let problems = reader.found.problems;
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError { problems }),
        }
    }

    /// `None`, or a stand-in, if there are problems.
    fn build(from: &mut Reader, faults: Faults) -> Option<Self> {
        let server = server(from);
        let store = from.text("store.url", store_path).map(|path| Store { path });
        let operator = Operator { key: from.secret("operator.key") };
        let meta = Meta { apps: apps(from) };
        let delivery = delivery(from);
        let events = Events {
            fill_limits: from.switch("events.fill_limits"),
            derive_from_capability: from.switch("events.derive_from_capability"),
            flag_from_rating: from.switch("events.flag_from_rating"),
            snapshot_on_enable: from.switch("events.snapshot_on_enable"),
        };
        let graph = graph::graph(from);
        let days = from.number("retention.events_days");
        let journal = Duration::from_hours(from.number("retention.journal_hours"));
        let retention = Retention { events: Duration::from_hours(24 * days), journal, hastened: 1 };
        let secrets = secrets(from, store.as_ref());
        let level = from.choice("log.level");
        let format = from.choice("log.format");
        Some(Self {
            server: server?,
            store: store?,
            operator,
            meta,
            delivery,
            events,
            graph: graph?,
            retention,
            secrets: secrets?,
            log: Log { level: level?, format: format? },
            faults,
            said: Said::of(&from.found),
        })
    }
}

fn server(from: &mut Reader) -> Option<Server> {
    let listen = from.text("server.listen", listen);
    Some(Server {
        listen: listen?,
        max_connections: from.count("server.max_connections"),
        header_timeout: from.millis("server.header_timeout_ms"),
        body_timeout: from.millis("server.body_timeout_ms"),
        drain_timeout: from.millis("server.drain_timeout_ms"),
    })
}

/// An address to listen on. A name could mean several, or another one tomorrow.
fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    const USUAL: u16 = 8700;
    text.parse().map_err(|_| {
        let port = text.rsplit_once(':').map_or(text, |(_, port)| port).parse().unwrap_or(USUAL);
        let hint = match text.parse::<IpAddr>() {
            Ok(ip) => format!("write {}", SocketAddr::new(ip, USUAL)),
            Err(_) => {
                format!("write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} for its networks too")
            }
        };
        Wrong::new(
            format!("must be an IP address and a port such as 127.0.0.1:8700, found {text:?}"),
            Some(hint),
        )
    })
}

/// The file that `sqlite:PATH` names. What is wrong is told without the text:
/// a database's URL may hold a password; the hint shows it only if it is a path.
fn store_path(url: &str) -> Result<PathBuf, Wrong> {
    let example = || Some("write sqlite:/var/lib/bellwether/bellwether.db".to_owned());
    let corrected = |path: &str| {
        let is_path = !path.is_empty() && !path.contains([':', '@', '?']);
        if is_path { Some(format!("write sqlite:{path}")) } else { example() }
    };
    if ["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        let reason = "names a PostgreSQL database: this version keeps everything in SQLite";
        return Err(Wrong::new(reason, example()));
    }
    match url.strip_prefix("sqlite:") {
        None => Err(Wrong::new("must begin with `sqlite:`", corrected(url))),
        Some("") => Err(Wrong::new("names no file", example())),
        Some(path) if path.starts_with("//") => {
            let reason = "must not have `//`: the path follows `sqlite:` as it is";
            Err(Wrong::new(reason, corrected(&path[2..])))
        }
        Some(path) if path.starts_with(':') => {
            Err(Wrong::new("must name a file: what is kept in memory only is not kept", example()))
        }
        Some(path) => Ok(path.into()),
    }
}

fn apps(from: &mut Reader) -> BTreeMap<String, App> {
    let mut apps = BTreeMap::new();
    for name in from.found.app_names() {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !fits {
            from.found.problems.push(Problem::new(
                format!("`meta.apps.{name}` is not a name for an app"),
                "take 1 to 64 of a-z, 0-9, `_` and `-`",
            ));
        }
        let app_secret = from.secret(&format!("meta.apps.{name}.app_secret"));
        let previous_app_secret = from.secret(&format!("meta.apps.{name}.previous_app_secret"));
        let verify_token = from.secret(&format!("meta.apps.{name}.verify_token"));
        if let Some(app_secret) = app_secret {
            apps.insert(name, App { app_secret, previous_app_secret, verify_token });
        }
    }
    apps
}

fn delivery(from: &mut Reader) -> Delivery {
    let waits = from.numbers("delivery.retry_schedule_s").into_iter().map(Duration::from_secs);
    let ports: Vec<u16> = from
        .numbers("delivery.allow_ports")
        .into_iter()
        .filter_map(|port| u16::try_from(port).ok())
        .collect();
    if let Some(closed) = ports.iter().find(|port| CLOSED_PORTS.contains(port)) {
        let origin = from.origin("delivery.allow_ports");
        let reason = format!("lists {closed}, a port of internal services that is never open to the public");
        let hint =
            "leave it out; `delivery.allow_networks` opens every port of a network of yours".to_owned();
        from.refuse("delivery.allow_ports", &origin, Wrong::new(reason, Some(hint)));
    }
    Delivery {
        retry_schedule: Schedule::new(waits.collect()),
        attempt_timeout: from.millis("delivery.attempt_timeout_ms"),
        allow_http: from.switch("delivery.allow_http"),
        allow_networks: from.networks("delivery.allow_networks"),
        allow_ports: ports,
        deny_networks: from.networks("delivery.deny_networks"),
        deny_hosts: from.texts("delivery.deny_hosts", host_name),
        dns_servers: from.texts("delivery.dns_servers", dns_server),
        ca_file: from.text("delivery.ca_file", |path| Ok(path.into())),
        paused: from.switch("delivery.paused"),
        late_after: from.number_if_set("delivery.late_after_s").map(Duration::from_secs),
        max_in_flight: from.count("delivery.max_in_flight"),
        max_in_flight_per_webhook: from.count("delivery.max_in_flight_per_webhook"),
        attempts_per_s: from.count("delivery.attempts_per_s"),
        max_loaded: from.count("delivery.max_loaded"),
    }
}

fn dns_server(text: &str) -> Option<SocketAddr> {
    const DNS: u16 = 53;
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, DNS)))
}

fn secrets(from: &mut Reader, store: Option<&Store>) -> Option<Secrets> {
    let key = from.secret("secrets.key");
    let key_file: Option<PathBuf> = from.text("secrets.key_file", |path| Ok(path.into()));
    if let Some(key) = &key {
        let origin = from.origin("secrets.key");
        if key_file::decode(key.expose_secret()).is_none() {
            from.refuse("secrets.key", &origin, "must be the base64 of 32 bytes");
        } else if key_file.is_some() {
            from.refuse("secrets.key", &origin, "is set, and so is `secrets.key_file`: one of them counts");
        }
    }
    let beside_store = || {
        let mut path = store?.path.clone().into_os_string();
        path.push(".key");
        Some(path.into())
    };
    Some(Secrets { key_file: key_file.or_else(beside_store)?, key })
}

#[cfg(test)]
mod tests;
