//! `bellwether login`: keeps where a server is, and by which key, as a profile, after
//! it has been seen to work.

use axum::http::Method;
use serde_json::Value;
use url::Url;

use super::access::{Access, Whose};
use super::client::Client;
use super::{Exit, Failure, runtime, tell};
use crate::config::{Profiles, profiles_file};

/// What a profile is called unless said.
const NAME: &str = "default";

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    whose: Whose,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = profiles_file().ok_or_else(|| {
        Failure::new(Exit::Config, "there is nowhere to keep a profile\nhint: set HOME or XDG_CONFIG_HOME")
    })?;
    // What is wrong with the file is said before a key is asked for.
    let mut kept = Profiles::load(&file)?;
    let mut profile = arguments.access.to_keep()?;
    if let Some(warning) = unprotected(&profile.url) {
        tell(warning);
    }
    let client = Client::trusting(&profile.url, profile.api_key.clone(), profile.ca_file.as_deref())?;
    let accounts = runtime()?.block_on(client.call(Method::GET, "/v1/accounts?limit=1", &Value::Null))?;
    if accounts.get("items").is_none() {
        let what = format!("{} answers, but not as a Bellwether server does", profile.url);
        return Err(Failure::new(Exit::Server, what));
    }
    profile.account = arguments.whose.account().map(str::to_owned);
    let name = arguments.access.profile().unwrap_or(NAME).to_owned();
    let url = profile.url.clone();
    kept.default.get_or_insert_with(|| name.clone());
    kept.profiles.insert(name.clone(), profile);
    kept.save(&file)?;
    let how = if kept.default.as_ref() == Some(&name) {
        "commands go there unless told otherwise".to_owned()
    } else {
        format!("use it with --profile {name}")
    };
    tell(format_args!("profile {name} for {url} is in {}: {how}", file.display()));
    Ok(())
}

/// Whether the key would cross a network in the clear.
fn unprotected(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let local = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    };
    let open = url.scheme() == "http" && !local;
    open.then(|| format!("note: {url} is no https: whoever is between can read the key"))
}
