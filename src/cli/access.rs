//! Which server a command talks to, as whom, and about which account.
//!
//! The address comes from one place: `--url`, `--profile`, `BELLWETHER_URL`, the
//! profile that `BELLWETHER_PROFILE` names, the default one, or what
//! `bellwether dev` keeps in this directory. A profile's key goes to the profile's
//! address alone; one that is given (`--api-key-file`, `BELLWETHER_API_KEY`) goes
//! where the person says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::output::Output;
use super::server::Server;
use super::{Exit, Failure, dev, dev_config, prompt};
use crate::cli::client::Client;
use crate::config::{Config, Profile, Profiles, Surroundings, profiles_file};

#[derive(clap::Args)]
#[command(next_help_heading = super::SERVER)]
pub(super) struct Access {
    /// The server [default: `BELLWETHER_URL`, or the profile's]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// A profile that `bellwether login` has written [default: `BELLWETHER_PROFILE`, or the default one]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// A file with the API key [default: `BELLWETHER_API_KEY`, or the profile's]
    #[arg(long, global = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Authorities to trust besides the public ones (PEM)
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print JSON, as the API says it
    #[arg(long, global = true)]
    json: bool,
}

/// Which account, for commands that are about one.
#[derive(clap::Args)]
pub(super) struct Whose {
    /// The account [default: `BELLWETHER_ACCOUNT`, the profile's, or the only one there is]
    #[arg(long, global = true, value_name = "ID", help_heading = super::SERVER)]
    account: Option<String>,
}

impl Whose {
    /// The account that was named.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }
}

const NO_SERVER: &str = "no server is named\nhint: `bellwether login --url URL` keeps one as a profile; or give --url or \
                         BELLWETHER_URL; or run this where `bellwether dev` ran";
const NO_KEY: &str = "no API key\nhint: `bellwether login` keeps one in a profile; or give --api-key-file FILE or BELLWETHER_API_KEY";

impl Access {
    /// The server, about no account in particular.
    pub(super) fn open(&self) -> Result<Server, Failure> {
        self.open_for(None)
    }

    /// The server, about an account.
    pub(super) fn open_of(&self, whose: &Whose) -> Result<Server, Failure> {
        self.open_for(whose.account())
    }

    fn open_for(&self, account: Option<&str>) -> Result<Server, Failure> {
        let mut said = Surroundings::of_process();
        let found = self.find(&mut said)?;
        let url = checked(&found.url)?;
        let key = match (&self.api_key_file, said.api_key.take(), found.api_key) {
            (Some(file), ..) => key_in(file)?,
            (None, Some(key), _) | (None, None, Some(key)) => key,
            (None, None, None) => prompt::secret(&format!("API key of {url}: "))?
                .ok_or_else(|| Failure::new(Exit::Key, NO_KEY))?,
        };
        let ca_file = self.ca_file.as_deref().or(found.ca_file.as_deref());
        let client = Client::trusting(&url, Some(key), ca_file)?;
        let account = account.map(str::to_owned).or(said.account).or(found.account);
        Ok(Server::new(client, Output::new(self.json, said.no_color), account))
    }

    /// The server that is named, if one is; else the one of this configuration, which
    /// knows the operator's key, too. If the configuration was `chosen`, and not just
    /// found here, the environment's key will do.
    pub(super) fn open_or(&self, config: Option<&Config>, chosen: bool) -> Result<Server, Failure> {
        let named = self.url.is_some() || self.profile.is_some();
        let Some(config) = config.filter(|_| !named) else { return self.open() };
        let said = Surroundings::of_process();
        let key = match &self.api_key_file {
            Some(file) => Some(key_in(file)?),
            None => config.operator.key.clone().or(said.api_key.filter(|_| chosen)),
        };
        let client = Client::trusting(&local(config), key, self.ca_file.as_deref())?;
        Ok(Server::new(client, self.output(), None))
    }

    /// Whether JSON is wanted, and colours are not.
    pub(super) fn output(&self) -> Output {
        Output::new(self.json, Surroundings::of_process().no_color)
    }

    /// The one place that says where the server is. What a directory says, which may be
    /// somebody else's, is not given the key of the environment.
    fn find(&self, said: &mut Surroundings) -> Result<Profile, Failure> {
        if self.url.is_some() && self.profile.is_some() {
            let what = "--url and --profile both name a server\nhint: leave one out: a profile's key goes to its own address only";
            return Err(Failure::new(Exit::Usage, what));
        }
        let at = |url: &String| Profile { url: url.clone(), ..Profile::default() };
        if let Some(url) = &self.url {
            return Ok(at(url));
        }
        if let (None, Some(url)) = (&self.profile, &said.url) {
            return Ok(at(url));
        }
        let file = profiles_file();
        let mut kept = match &file {
            Some(file) => Profiles::load(file)?,
            None => Profiles::default(),
        };
        if let Some(name) = self.profile.as_ref().or(said.profile.as_ref()).or(kept.default.as_ref()) {
            let name = name.clone();
            return kept.profiles.remove(&name).ok_or_else(|| unknown(&name, &kept));
        }
        said.api_key = None;
        of_dev().unwrap_or_else(|| Err(Failure::new(Exit::Usage, NO_SERVER)))
    }

    /// What a new profile is to be: address, key, authorities.
    pub(super) fn to_keep(&self) -> Result<Profile, Failure> {
        let said = Surroundings::of_process();
        let url = self.url.clone().or(said.url).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "which server?\nhint: bellwether login --url https://bellwether.example.com",
            )
        })?;
        let url = checked(&url)?;
        let key = match (&self.api_key_file, said.api_key) {
            (Some(file), _) => Some(key_in(file)?),
            (None, Some(key)) => Some(key),
            (None, None) => prompt::secret(&format!("API key of {url}: "))?,
        };
        let key = key.ok_or_else(|| {
            Failure::new(
                Exit::Key,
                "no API key\nhint: give --api-key-file FILE or BELLWETHER_API_KEY, or run this on a terminal",
            )
        })?;
        // The profile is used from elsewhere, too.
        let ca_file = self.ca_file.as_deref().map(std::path::absolute).transpose();
        let ca_file = ca_file.map_err(|error| Failure::new(Exit::Usage, format!("--ca-file: {error}")))?;
        Ok(Profile { url, api_key: Some(key), account: None, ca_file })
    }

    /// The name of the profile that is asked for.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}

fn unknown(name: &str, kept: &Profiles) -> Failure {
    let names: Vec<_> = kept.profiles.keys().map(String::as_str).collect();
    let hint = match names.as_slice() {
        [] => "there is none yet: `bellwether login` writes one".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Failure::new(Exit::Usage, format!("there is no profile {name:?}\nhint: {hint}"))
}

/// What `dev` keeps in this directory, if it ran here.
fn of_dev() -> Option<Result<Profile, Failure>> {
    let file = Some(dev_config()).filter(|file| file.exists())?;
    let profile = Config::load(Some(&file)).map(|config| Profile {
        url: local(&config),
        api_key: config.operator.key,
        account: Some(dev::ACCOUNT.to_owned()),
        ca_file: None,
    });
    Some(profile.map_err(Failure::from))
}

/// Where a server of this configuration is reached on its own machine.
fn local(config: &Config) -> String {
    let listen = config.server.listen;
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// A server's address without what it can't have. It is shown, so it may hold no
/// password.
fn checked(text: &str) -> Result<String, Failure> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let url = url.ok_or_else(|| {
        let hint = "write http://HOST:PORT or https://HOST, without user and password";
        Failure::new(Exit::Usage, format!("that is no address of a server\nhint: {hint}"))
    })?;
    let path = url.path().trim_end_matches('/');
    Ok(format!("{}{path}", url.origin().ascii_serialization()))
}

/// The key in a file, without the line's end.
fn key_in(file: &Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the API key in {}: {error}", file.display()))
    })?;
    let key = text.trim();
    if key.is_empty() || key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let what = format!("{} holds no API key: one line, nothing else", file.display());
        return Err(Failure::new(Exit::Usage, what));
    }
    Ok(key.into())
}

/// The text of a secret in a file, for a body of the API.
pub(super) fn secret_in(file: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", file.display())))?;
    Ok(text.trim_end_matches(['\n', '\r']).into())
}
