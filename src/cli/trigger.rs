//! `bellwether trigger`: a signed notification, as Meta would send it.

mod sample;

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::client::Client;
use super::output::print;
use super::progress::Progress;
use super::{Exit, Failure, dev_config, runtime, tell};
use crate::config::Config;
use crate::env::Clock;
use crate::model::change::{CAPABILITY_FIELD, QUALITY_FIELD};
use crate::model::time::Timestamp;
use crate::policy::signature::MetaKey;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What happened: UPGRADE, DOWNGRADE, FLAGGED, UNFLAGGED, ONBOARDING, `THROUGHPUT_UPGRADE`, or
    /// any other value; or `business_capability_update`, by which the portfolio's limit changes for
    /// all numbers of the business account; or a field of Meta's: `account_alerts`, `account_review_update`,
    /// `account_update`, `message_template_quality_update`, `message_template_status_update`,
    /// `phone_number_name_update`, security, `template_category_update`, `template_correct_category_detection`
    #[arg(value_name = "EVENT")]
    event: String,
    /// The number it happened to, as Meta shows it [default: 15550783881]
    #[arg(long)]
    phone_number: Option<String>,
    /// The limit now [default: one that fits the event]
    #[arg(long, value_name = "TIER")]
    current_limit: Option<String>,
    /// The limit before [default: one that fits the event]
    #[arg(long, value_name = "TIER")]
    old_limit: Option<String>,
    /// The portfolio's limit [default of a `business_capability_update`: 10000]
    #[arg(long, value_name = "TIER")]
    max_daily_conversations_per_business: Option<String>,
    /// Set a member of the change's value, as often as needed: `alert_info.alert_severity=CRITICAL`
    #[arg(long = "override", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// Send so many at once, of as many numbers (or templates), counted up
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    burst: u64,
    /// The WhatsApp Business Account
    #[arg(long, default_value = super::dev::BUSINESS_ACCOUNT)]
    business_account: String,
    /// The server [default: where the configuration says it listens]
    #[arg(long)]
    url: Option<String>,
    /// The Meta app to sign as [default: the only one configured]
    #[arg(long)]
    app: Option<String>,
    /// The server's configuration, which holds the app secret [default: that of `bellwether dev`,
    /// if it ran in this directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON: what the server made of it
    #[arg(long)]
    json: bool,
}

/// The seed's number.
const NUMBER: &str = "15550783881";

/// Notifications of a burst at once.
const AT_ONCE: usize = 16;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    refuse_unsuitable(arguments)?;
    let (field, value) = changed(arguments)?;
    let file = arguments.config.clone().or_else(|| Some(dev_config()).filter(|file| file.exists()));
    let config = Config::load(file.as_deref())?;
    let (app, key) = signer(&config, arguments.app.as_deref())?;
    let url = arguments.url.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let sender = Sender { client: Client::new(&url, None), app, key };
    let notification =
        |value: &Value| change_of(field, &arguments.business_account, Clock::system().now(), value);
    let receipt = if arguments.burst == 1 {
        runtime()?.block_on(sender.send(&notification(&value)))?
    } else {
        let all: Option<Vec<Value>> =
            (0..arguments.burst).map(|n| sample::nth(&value, n).map(|value| notification(&value))).collect();
        let all = all.ok_or_else(|| {
            let what = format!("a burst of {field} would be one change said again and again: it names no number and no template");
            Failure::new(Exit::Usage, format!("{what}\nhint: send it without --burst"))
        })?;
        runtime()?.block_on(burst(Arc::new(sender), all))?
    };
    print(if arguments.json { receipt.to_string() } else { format!("200 {receipt}") })?;
    tell(told(&receipt, arguments.burst));
    Ok(())
}

/// Whoever posts as Meta does.
struct Sender {
    client: Client,
    app: String,
    key: MetaKey,
}

impl Sender {
    /// What the server made of it.
    async fn send(&self, notification: &Value) -> Result<Value, Failure> {
        let body = notification.to_string().into_bytes();
        self.client.notify(&self.app, self.key.sign(&body), body).await
    }
}

/// Sends them, some at once; what the server made of all of them.
async fn burst(sender: Arc<Sender>, notifications: Vec<Value>) -> Result<Value, Failure> {
    let (all, mut waiting) = (notifications.len() as u64, notifications.into_iter());
    let (mut under_way, mut progress) = (JoinSet::new(), Progress::new("sending"));
    let mut sums: Map<String, Value> = Map::new();
    let mut done = 0;
    loop {
        while under_way.len() < AT_ONCE
            && let Some(notification) = waiting.next()
        {
            let sender = Arc::clone(&sender);
            under_way.spawn(async move { sender.send(&notification).await });
        }
        let Some(receipt) = under_way.join_next().await else { return Ok(sums.into()) };
        let receipt = receipt.map_err(|error| Failure::new(Exit::Failed, error))??;
        for (name, count) in receipt.as_object().into_iter().flatten() {
            let sum = sums.get(name).and_then(Value::as_u64).unwrap_or(0) + count.as_u64().unwrap_or(0);
            sums.insert(name.clone(), sum.into());
        }
        done += 1;
        progress.at(done, all);
    }
}

/// What does not belong to the event would be dropped silently, if it were taken.
fn refuse_unsuitable(arguments: &Arguments) -> Result<(), Failure> {
    let field = arguments.event.to_lowercase();
    let given = |options: &[(&'static str, &Option<String>)]| {
        options.iter().find(|(_, value)| value.is_some()).map(|(option, _)| *option)
    };
    let limits = [("--current-limit", &arguments.current_limit), ("--old-limit", &arguments.old_limit)];
    let number = ("--phone-number", &arguments.phone_number);
    let portfolio =
        ("--max-daily-conversations-per-business", &arguments.max_daily_conversations_per_business);
    let (unsuitable, about, hint) = if field == CAPABILITY_FIELD {
        let hint =
            "give --max-daily-conversations-per-business LIMIT, and --business-account if it is another one";
        (given(&[number, limits[0], limits[1]]), "a whole business account", hint)
    } else if sample::FIELDS.contains(&field.as_str()) {
        (
            given(&[limits[0], limits[1], portfolio]),
            "something else",
            "--override PATH=VALUE changes what it says",
        )
    } else {
        return Ok(());
    };
    let Some(option) = unsuitable else { return Ok(()) };
    let what = format!("{option} does not go with {field}, which is about {about}");
    Err(Failure::new(Exit::Usage, format!("{what}\nhint: {hint}")))
}

fn signer(config: &Config, wanted: Option<&str>) -> Result<(String, MetaKey), Failure> {
    let apps = &config.meta.apps;
    let name = match wanted {
        Some(name) => name.to_owned(),
        None if apps.len() == 1 => apps.keys().next().cloned().unwrap_or_default(),
        None => {
            let hint =
                "hint: run `bellwether dev` in this directory first, or give --config FILE (and --app NAME)";
            let what = format!("no app secret to sign with: {} Meta apps are configured", apps.len());
            return Err(Failure::new(Exit::Config, format!("{what}\n{hint}")));
        }
    };
    let app = apps.get(&name).ok_or_else(|| {
        let known = apps.keys().cloned().collect::<Vec<_>>().join(", ");
        Failure::new(
            Exit::Config,
            format!("no Meta app {name:?} is configured\nhint: configured are: {known}"),
        )
    })?;
    Ok((name, MetaKey::new(app.app_secret.expose_secret())))
}

/// The known events in any case; any other value is sent as it is.
fn spelled(event: &str) -> String {
    const KNOWN: [&str; 6] =
        ["DOWNGRADE", "FLAGGED", "ONBOARDING", "THROUGHPUT_UPGRADE", "UNFLAGGED", "UPGRADE"];
    let known = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(event));
    known.unwrap_or(event).to_owned()
}

/// The change that the arguments describe: its field and its value.
fn changed(arguments: &Arguments) -> Result<(&'static str, Value), Failure> {
    let (field, mut value) = usual(arguments);
    for said in &arguments.overrides {
        sample::set(&mut value, said)?;
    }
    Ok((field, value))
}

fn usual(arguments: &Arguments) -> (&'static str, Value) {
    let number = arguments.phone_number.as_deref().unwrap_or(NUMBER);
    let is = |field: &&str| arguments.event.eq_ignore_ascii_case(field);
    if is(&CAPABILITY_FIELD) {
        let limit = arguments.max_daily_conversations_per_business.as_deref().unwrap_or("10000");
        // As Meta writes it: a number, if it is one.
        let limit = limit.parse::<i64>().map_or_else(|_| Value::from(limit), Value::from);
        return (CAPABILITY_FIELD, json!({"max_daily_conversations_per_business": limit}));
    }
    if let Some(field) = sample::FIELDS.into_iter().find(is) {
        return (field, sample::value(field, number));
    }
    (QUALITY_FIELD, quality(arguments, number).into())
}

/// A change of a number's limit, throughput or quality.
fn quality(arguments: &Arguments, number: &str) -> Map<String, Value> {
    let event = spelled(&arguments.event);
    let (old, current) = match event.as_str() {
        "UPGRADE" => (Some("TIER_1K"), Some("TIER_10K")),
        "DOWNGRADE" => (Some("TIER_10K"), Some("TIER_1K")),
        "THROUGHPUT_UPGRADE" => (None, Some("TIER_UNLIMITED")),
        "ONBOARDING" => (None, Some("TIER_250")),
        _ => (None, None),
    };
    // Limits that are given stand for themselves; only without any are some made up.
    let given = arguments.current_limit.is_some()
        || arguments.old_limit.is_some()
        || arguments.max_daily_conversations_per_business.is_some();
    let limit = |said: &Option<String>, usual: Option<&str>| match said {
        Some(said) => Some(said.clone()),
        None if given => None,
        None => usual.map(str::to_owned),
    };
    let fields = [
        ("display_phone_number", Some(number.to_owned())),
        ("event", Some(event)),
        ("current_limit", limit(&arguments.current_limit, current)),
        ("old_limit", limit(&arguments.old_limit, old)),
        ("max_daily_conversations_per_business", arguments.max_daily_conversations_per_business.clone()),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// A notification of one quality change.
pub(super) fn change(business_account: &str, now: Timestamp, value: &Map<String, Value>) -> Value {
    change_of(QUALITY_FIELD, business_account, now, &Value::Object(value.clone()))
}

fn change_of(field: &str, business_account: &str, now: Timestamp, value: &Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{
        "id": business_account, "time": now.seconds(),
        "changes": [{"field": field, "value": value}],
    }]})
}

/// What the server made of it, and what to do if that was not an event.
fn told(receipt: &Value, sent: u64) -> String {
    let count = |name: &str| receipt.get(name).and_then(Value::as_u64).unwrap_or(0);
    if sent > 1 {
        return format!(
            "{} events of {sent} notifications; `bellwether events list` shows them",
            count("accepted")
        );
    }
    let hint = if count("derived") > 0 {
        "one event, and one of each number whose limit it changes; `bellwether events list` shows them"
    } else if count("accepted") > 0 {
        "one event; `bellwether events list` shows it, `bellwether events show` who gets it"
    } else if count("resent") > 0 {
        "no event: Meta's latest notification of this number said the same, so this counts as sent again; change a value"
    } else if count("duplicate") > 0 {
        "no event: exactly this change came before"
    } else if count("unrouted") > 0 {
        "stored, waiting: its business account is not registered to an account that uses Chat Apps"
    } else if count("unparsed") > 0 {
        "stored, but it can't be read: see `bellwether wabas unparsed`"
    } else {
        "nothing to store: message traffic is counted only"
    };
    hint.to_owned()
}
