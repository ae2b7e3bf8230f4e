//! `bellwether trigger`: a signed notification, as Meta would send it.

use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{Exit, Failure, dev_config, runtime, say};
use crate::config::Config;
use crate::env::Clock;
use crate::model::change::{CAPABILITY_FIELD, QUALITY_FIELD};
use crate::model::time::Timestamp;
use crate::policy::signature::MetaKey;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What happened: UPGRADE, DOWNGRADE, FLAGGED, UNFLAGGED, ONBOARDING, `THROUGHPUT_UPGRADE`, or
    /// any other value; or `business_capability_update`, by which the portfolio's limit changes for
    /// all numbers of the business account
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
}

/// The seed's number.
const NUMBER: &str = "15550783881";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    refuse_unsuitable(arguments)?;
    let file = arguments.config.clone().or_else(|| Some(dev_config()).filter(|file| file.exists()));
    let config = Config::load(file.as_deref())?;
    let (app, key) = signer(&config, arguments.app.as_deref())?;
    let url = arguments.url.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let body = notification(arguments, Clock::system().now()).to_string().into_bytes();
    let client = Client::new(&url, None);
    let receipt = runtime()?.block_on(client.notify(&app, key.sign(&body), body))?;
    say(told(&receipt));
    Ok(())
}

/// A portfolio's change names neither a number nor a tier of one: given all the
/// same, they would be dropped silently.
fn refuse_unsuitable(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.event.eq_ignore_ascii_case(CAPABILITY_FIELD) {
        return Ok(());
    }
    let given = [
        ("--phone-number", &arguments.phone_number),
        ("--current-limit", &arguments.current_limit),
        ("--old-limit", &arguments.old_limit),
    ];
    let Some((option, _)) = given.into_iter().find(|(_, value)| value.is_some()) else { return Ok(()) };
    let what =
        format!("{option} does not go with {CAPABILITY_FIELD}, which is about a whole business account");
    let hint = "hint: give --max-daily-conversations-per-business LIMIT, and --business-account if it is another one";
    Err(Failure::new(Exit::Usage, format!("{what}\n{hint}")))
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

/// The notification that the arguments describe.
fn notification(arguments: &Arguments, now: Timestamp) -> Value {
    if arguments.event.eq_ignore_ascii_case(CAPABILITY_FIELD) {
        let limit = arguments.max_daily_conversations_per_business.as_deref().unwrap_or("10000");
        // As Meta writes it: a number, if it is one.
        let limit = limit.parse::<i64>().map_or_else(|_| Value::from(limit), Value::from);
        let value = [("max_daily_conversations_per_business".to_owned(), limit)];
        return change_of(CAPABILITY_FIELD, &arguments.business_account, now, &value.into_iter().collect());
    }
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
        ("display_phone_number", Some(arguments.phone_number.clone().unwrap_or_else(|| NUMBER.to_owned()))),
        ("event", Some(event)),
        ("current_limit", limit(&arguments.current_limit, current)),
        ("old_limit", limit(&arguments.old_limit, old)),
        ("max_daily_conversations_per_business", arguments.max_daily_conversations_per_business.clone()),
    ];
    let value: Map<String, Value> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    change(&arguments.business_account, now, &value)
}

/// A notification of one quality change.
pub(super) fn change(business_account: &str, now: Timestamp, value: &Map<String, Value>) -> Value {
    change_of(QUALITY_FIELD, business_account, now, value)
}

fn change_of(field: &str, business_account: &str, now: Timestamp, value: &Map<String, Value>) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{
        "id": business_account, "time": now.seconds(),
        "changes": [{"field": field, "value": value}],
    }]})
}

/// What the server made of it, and what to do if that was not an event.
fn told(receipt: &Value) -> String {
    let count = |name: &str| receipt.get(name).and_then(Value::as_u64).unwrap_or(0);
    let hint = if count("derived") > 0 {
        "one event, and one of each number whose limit it changes; GET .../events/{eventId} shows who gets each"
    } else if count("accepted") > 0 {
        "one event; GET .../events/{eventId} shows who gets it"
    } else if count("resent") > 0 {
        "no event: Meta's latest notification of this number said the same, so this counts as sent again; change a value"
    } else if count("duplicate") > 0 {
        "no event: exactly this change came before"
    } else if count("unrouted") > 0 {
        "stored, waiting: its business account is not registered to an account that uses Chat Apps"
    } else if count("unparsed") > 0 {
        "stored, but it can't be read: see GET /v1/unparsed"
    } else {
        "nothing to store: message traffic is counted only"
    };
    format!("200 {receipt}\n{hint}")
}
