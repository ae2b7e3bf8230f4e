//! The one table of keys. It drives the check for unknown keys, the hint at
//! the nearest known one, the defaults, the ranges and the reference: a key
//! that is not here does not exist.

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path; `*` stands for a name that the operator chooses.
    pub path: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds without it.
    pub default: Standard,
    /// What it does, a sentence or two of Markdown.
    pub doc: &'static str,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text; what it must be, as a fragment that fits "must be ...".
    Text(&'static str),
    /// Text that is never shown, of at least so many characters.
    Secret(usize),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An integer, both ends included.
    Number(u64, u64),
    /// A list of texts; what each must be.
    Texts(&'static str),
    /// A list of so many integers (at least, at most), each in a range.
    Numbers { count: (usize, usize), each: (u64, u64) },
}

/// What holds if a key is not set.
#[derive(Debug, Clone, Copy)]
pub enum Standard {
    /// This value, spelled as in an environment variable.
    Is(&'static str),
    /// Nothing: the feature is off.
    Unset,
    /// Something that follows from other keys; this says what.
    Follows(&'static str),
    /// There is none: it must be set.
    Required,
}

use Kind::{Choice, Number, Numbers, Secret, Switch, Text, Texts};
use Standard::{Follows, Is, Required, Unset};

const fn key(path: &'static str, kind: Kind, default: Standard, doc: &'static str) -> Key {
    Key { path, kind, default, doc }
}

/// Every key, by section.
pub const KEYS: &[Key] = &[
    key(
        "server.listen",
        Text("an IP address and a port such as 127.0.0.1:8700"),
        Is("127.0.0.1:8700"),
        "Where the server listens, plain HTTP: put a proxy that speaks TLS before it. Port 0 takes any free one.",
    ),
    key(
        "server.max_connections",
        Number(1, 65_536),
        Is("4096"),
        "Connections served at once. Further ones wait in the system's queue.",
    ),
    key(
        "server.header_timeout_ms",
        Number(100, 120_000),
        Is("10000"),
        "How long a connection may take to send a request's headers, and how long it may stay idle.",
    ),
    key(
        "server.body_timeout_ms",
        Number(100, 600_000),
        Is("20000"),
        "How long a request's body may take to arrive whole.",
    ),
    key(
        "server.drain_timeout_ms",
        Number(0, 600_000),
        Is("15000"),
        "How long requests and attempts under way may take to end when the server stops.",
    ),
    key(
        "store.url",
        Text("`sqlite:` and a path such as sqlite:/var/lib/bellwether/bellwether.db"),
        Is("sqlite:bellwether.db"),
        "Where everything is kept. A relative path starts at the working directory.",
    ),
    key(
        "operator.key",
        Secret(16),
        Unset,
        "A key with every right, to set the first things up with. Remove it once other keys exist.",
    ),
    key(
        "meta.apps.*.app_secret",
        Secret(1),
        Required,
        "The secret of a Meta app whose notifications are taken. NAME is yours to choose (1 to 64 of `a-z`, `0-9`, `_`, `-`) and is part of the callback URL.",
    ),
    key(
        "meta.apps.*.previous_app_secret",
        Secret(1),
        Unset,
        "The app's secret before the last change; signatures made with it count, too. For the time of a rotation.",
    ),
    key(
        "meta.apps.*.verify_token",
        Secret(1),
        Unset,
        "What Meta's verification request must say. Without it no verification succeeds.",
    ),
    key(
        "delivery.retry_schedule_s",
        Numbers { count: (1, 20), each: (1, 86_400) },
        Is("1, 10, 30, 90"),
        "The waits between attempts, in seconds: one attempt more than waits.",
    ),
    key(
        "delivery.attempt_timeout_ms",
        Number(100, 60_000),
        Is("10000"),
        "How long one attempt may take, from resolving the name to the last byte of the answer.",
    ),
    key(
        "delivery.allow_http",
        Switch,
        Is("false"),
        "Whether webhooks may have `http://` URLs, which anyone on the way can read.",
    ),
    key(
        "delivery.allow_networks",
        Texts("networks in CIDR notation such as 10.1.0.0/16"),
        Is(""),
        "Networks that deliveries may go to although they are not public; every port is open in them.",
    ),
    key(
        "delivery.allow_ports",
        Numbers { count: (0, 1024), each: (1, 65_535) },
        Is(""),
        "Ports that deliveries may go to besides 80, 443, 8080 and 8443. Those of well-known internal services (22, 25, 3306, 5432, 6379 and the like) can't be opened but by `delivery.allow_networks`.",
    ),
    key(
        "delivery.deny_networks",
        Texts("networks in CIDR notation such as 10.1.0.0/16"),
        Is(""),
        "Networks that deliveries never go to, public or allowed: this server's public addresses above all, else an event could go round for ever.",
    ),
    key(
        "delivery.deny_hosts",
        Texts("host names such as bellwether.example.com"),
        Is(""),
        "Host names that deliveries never go to, with all names under them: this server's public name above all.",
    ),
    key(
        "delivery.dns_servers",
        Texts("IP addresses with or without a port such as 9.9.9.9 or 127.0.0.1:5353"),
        Is(""),
        "The DNS servers that receivers' names are resolved with. None: the system's.",
    ),
    key(
        "delivery.ca_file",
        Text("the path of a PEM file"),
        Unset,
        "Certificates of authorities to trust besides the public ones.",
    ),
    key(
        "delivery.paused",
        Switch,
        Is("false"),
        "Whether nothing is attempted: what is owed waits, notifications are taken as ever. For a restored store, until you know what it would send.",
    ),
    key(
        "delivery.late_after_s",
        Number(1, 31_536_000),
        Unset,
        "When an event counts as late, in seconds after its acceptance, while it is pending or exhausted: `/readyz` and the metric `bellwether_late_accounts` then tell of it. 900, say.",
    ),
    key(
        "delivery.max_in_flight",
        Number(1, 65_536),
        Is("512"),
        "Attempts under way at once; an account has as many as are free, at most half.",
    ),
    key(
        "delivery.max_in_flight_per_webhook",
        Number(1, 1024),
        Is("16"),
        "Attempts under way at once to one webhook.",
    ),
    key(
        "delivery.attempts_per_s",
        Number(0, 1_000_000),
        Is("0"),
        "At most so many attempts begin in a second, evenly: what comes due together, after an outage or at a start, goes out at this pace. 0: as many as there is room for.",
    ),
    key(
        "delivery.max_loaded",
        Number(1, 1_000_000),
        Is("4096"),
        "Deliveries held in memory, of an account at most half; the others wait in the store.",
    ),
    key(
        "events.fill_limits",
        Switch,
        Is("true"),
        "Whether `currentLimit` and `oldLimit` are filled in where Meta leaves them out and they are known.",
    ),
    key(
        "events.derive_from_capability",
        Switch,
        Is("true"),
        "Whether a `business_capability_update` that changes the limit becomes an `UPGRADE` or `DOWNGRADE` event of each number of the business account, unless the number's own notification said it.",
    ),
    key(
        "events.flag_from_rating",
        Switch,
        Is("true"),
        "Whether a quality rating that the Graph API tells becomes an event: falling to `RED` as `FLAGGED`, returning from it as `UNFLAGGED`.",
    ),
    key(
        "events.snapshot_on_enable",
        Switch,
        Is("false"),
        "Whether a webhook that is created, or enabled again, is told at once how each of its numbers stands.",
    ),
    key(
        "graph.access_token",
        Secret(1),
        Unset,
        "A system user's access token, with which the numbers of every business account are read that has no token of its own.",
    ),
    key(
        "graph.base_url",
        Text("a URL such as https://graph.facebook.com"),
        Is("https://graph.facebook.com"),
        "Where the Graph API is, or a gateway to it. `http://` only to this machine itself, by its address: the access token goes along.",
    ),
    key(
        "graph.version",
        Text("a version such as v23.0"),
        Is("v23.0"),
        "Which version of the Graph API is asked. Meta ends each after some two years.",
    ),
    key(
        "graph.allow_networks",
        Texts("networks in CIDR notation such as 10.1.0.0/16"),
        Is(""),
        "Networks that `graph.base_url` may lead to although they are not public. `delivery.allow_networks` does not count here, nor this for webhooks; what `delivery.deny_networks` and `delivery.deny_hosts` close is closed here, too.",
    ),
    key(
        "graph.reconcile_every_s",
        Number(60, 2_592_000),
        Is("21600"),
        "How long after one reading of a business account's numbers the next one comes, in seconds; up to a tenth is added by chance.",
    ),
    key("graph.max_in_flight", Number(1, 64), Is("2"), "Business accounts whose numbers are read at once."),
    key(
        "graph.page_timeout_ms",
        Number(100, 60_000),
        Is("20000"),
        "How long one page of a business account's numbers may take, from resolving the name to the last byte.",
    ),
    key(
        "retention.events_days",
        Number(1, 3650),
        Is("30"),
        "How many days events and their deliveries are kept. What is still to be delivered is kept longer.",
    ),
    key(
        "retention.journal_hours",
        Number(1, 87_600),
        Is("72"),
        "After how many hours a client of the live stream can still resume it without a gap. Never longer than `retention.events_days`.",
    ),
    key(
        "secrets.key_file",
        Text("the path of a file"),
        Follows("the path in `store.url` and `.key`"),
        "The file with the key that webhooks' secrets are encrypted with. Made at the first start; back it up apart from the store.",
    ),
    key(
        "secrets.key",
        Secret(1),
        Unset,
        "The key itself, the base64 of 32 bytes, instead of a file: `openssl rand -base64 32`.",
    ),
    key(
        "log.level",
        Choice(&["off", "error", "warn", "info", "debug", "trace"]),
        Is("info"),
        "How much is logged, to standard error.",
    ),
    key(
        "log.format",
        Choice(&["human", "json"]),
        Is("human"),
        "How it is written: for people, or one JSON object a line.",
    ),
];

/// The keys that `serve` takes while it runs, when it is told to read the
/// configuration again: where requests may go. The others count from the start on.
const LIVE: [&str; 6] = [
    "delivery.allow_http",
    "delivery.allow_networks",
    "delivery.allow_ports",
    "delivery.deny_networks",
    "delivery.deny_hosts",
    "graph.allow_networks",
];

/// Whether the key at `path` is taken while the program runs.
pub fn is_live(path: &str) -> bool {
    LIVE.contains(&path)
}

/// The key at `path`, in which names stand where the table has `*`.
pub fn at(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| {
        let same = |(segment, name): (&str, &str)| segment == "*" || segment == name;
        key.path.split('.').count() == path.split('.').count()
            && key.path.split('.').zip(path.split('.')).all(same)
    })
}

/// Whether keys lie below `path`.
pub fn is_section(path: &str) -> bool {
    let depth = path.split('.').count();
    KEYS.iter().any(|key| {
        let same = |(segment, name): (&str, &str)| segment == "*" || segment == name;
        key.path.split('.').count() > depth && key.path.split('.').zip(path.split('.')).all(same)
    })
}

/// How alike two paths must be, from 0 to 1, for one to be a slip for the other.
const ALIKE: f64 = 0.6;

/// The known path that `path` is most likely a slip for, with the names in it.
pub fn nearest(path: &str) -> Option<String> {
    let names: Vec<&str> = path.split('.').collect();
    let alike = |candidate: &str| {
        let same_end = candidate.rsplit('.').next() == path.rsplit('.').next();
        strsim::normalized_damerau_levenshtein(path, candidate).max(if same_end { ALIKE } else { 0.0 })
    };
    KEYS.iter()
        .map(|key| {
            let segments = key.path.split('.').enumerate().map(|(at, segment)| match segment {
                "*" => names.get(at).copied().unwrap_or("NAME"),
                _ => segment,
            });
            segments.collect::<Vec<_>>().join(".")
        })
        .map(|candidate| (alike(&candidate), candidate))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// The environment variable of `path`.
pub fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_uppercase())
}

/// What the environment variables of this program begin with.
pub const PREFIX: &str = "BELLWETHER_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_in_the_table_twice() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[at + 1..].iter().all(|other| other.path != key.path), "{}", key.path);
        }
    }

    #[test]
    fn a_slip_is_led_to_the_key_that_was_meant() {
        for (slip, meant) in [
            ("server.lisen", "server.listen"),
            ("sever.listen", "server.listen"),
            ("listen", "server.listen"),
            ("delivery.timeout_ms", "delivery.attempt_timeout_ms"),
            ("meta.apps.main.secret", "meta.apps.main.app_secret"),
            ("meta.app.main.verify_token", "meta.apps.main.verify_token"),
        ] {
            assert_eq!(nearest(slip).as_deref(), Some(meant), "{slip}");
        }
        assert_eq!(nearest("colour"), None);
    }

    #[test]
    fn a_name_stands_for_the_star_and_for_nothing_else() {
        assert_eq!(at("meta.apps.main.app_secret").unwrap().path, "meta.apps.*.app_secret");
        assert!(at("meta.apps.app_secret").is_none());
        assert!(at("server").is_none());
        assert!(is_section("server") && is_section("meta.apps.main") && !is_section("server.listen"));
    }
}
