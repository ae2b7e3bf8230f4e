//! Where the commands find a server, and by which key: profiles in a file of the
//! user's, and variables of this process. A key is never an argument, which every
//! user of the machine could read.
//!
//! The file is `$XDG_CONFIG_HOME/bellwether/profiles.toml`, or below `~/.config`:
//!
//! ```toml
//! default = "production"
//!
//! [profiles.production]
//! url = "https://bellwether.example.com"
//! api_key = "bwk_..."
//! account = "0f88f5c4-fae7-4dcf-8ff2-b2990133edea"
//! ```

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::problem::{ConfigError, Problem};

/// Variables that speak to the commands, and are no keys of a server.
pub(super) const VARIABLES: [&str; 4] =
    ["BELLWETHER_URL", "BELLWETHER_API_KEY", "BELLWETHER_ACCOUNT", "BELLWETHER_PROFILE"];

/// What this process's environment says to the commands; what is empty is not said.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// `BELLWETHER_URL`: the server.
    pub url: Option<String>,
    /// `BELLWETHER_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `BELLWETHER_ACCOUNT`: which account, unless said.
    pub account: Option<String>,
    /// `BELLWETHER_PROFILE`: which profile, unless said.
    pub profile: Option<String>,
    /// `NO_COLOR`: colours are not wanted.
    pub no_color: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let said = |name: &str| {
            let value = std::env::var_os(name)?.into_string().ok()?;
            Some(value).filter(|value| !value.is_empty())
        };
        let [url, api_key, account, profile] = VARIABLES.map(said);
        Self {
            url,
            api_key: api_key.map(SecretString::from),
            account,
            profile,
            no_color: said("NO_COLOR").is_some(),
        }
    }
}

/// One server, and how it is called.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Where it is.
    pub url: String,
    /// By which key.
    pub api_key: Option<SecretString>,
    /// Which account, unless said.
    pub account: Option<String>,
    /// Authorities to trust besides the public ones, PEM.
    pub ca_file: Option<PathBuf>,
}

/// All profiles, by name.
#[derive(Debug, Default)]
pub struct Profiles {
    /// Which one, unless said.
    pub default: Option<String>,
    /// By name.
    pub profiles: BTreeMap<String, Profile>,
}

/// Where profiles are kept: there may be no file yet; `None` without a home.
pub fn profiles_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(base.join("bellwether").join("profiles.toml"))
}

impl Profiles {
    /// Those in `file`; none if it does not exist. A file with a key that others
    /// may read is refused. What is wrong is told without any value of the file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed("read", file, &error)),
        };
        let profiles = Self::parse(&text, file)?;
        let secret = profiles.profiles.values().any(|profile| profile.api_key.is_some());
        let mode =
            std::fs::metadata(file).map_err(|error| failed("read", file, &error))?.permissions().mode();
        if secret && mode & 0o077 != 0 {
            let hint = format!("chmod 600 {}", file.display());
            return Err(Problem::new(
                format!("{} holds a key, and others may read it", file.display()),
                hint,
            )
            .into());
        }
        Ok(profiles)
    }

    fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
            wrong(file, &format!("line {line} is not TOML: {}", error.message()))
        })?;
        let mut found = Self::default();
        for (name, value) in table {
            match (name.as_str(), value) {
                ("default", Value::String(name)) => found.default = Some(name),
                ("profiles", Value::Table(profiles)) => {
                    for (name, value) in profiles {
                        let profile = profile(&name, value, file)?;
                        found.profiles.insert(name, profile);
                    }
                }
                _ => return Err(wrong(file, &format!("`{name}` is no key of it"))),
            }
        }
        Ok(found)
    }

    /// Writes `file` anew, for its owner alone.
    pub fn save(&self, file: &Path) -> Result<(), ConfigError> {
        let mut table = Table::new();
        if let Some(name) = &self.default {
            table.insert("default".to_owned(), name.clone().into());
        }
        let profiles = self.profiles.iter().map(|(name, profile)| (name.clone(), written(profile).into()));
        table.insert("profiles".to_owned(), Value::Table(profiles.collect()));
        let text = format!("# Written by `bellwether login`; yours to change.\n\n{table}");
        write(file, &text).map_err(|error| failed("write", file, &error))
    }
}

fn profile(name: &str, value: Value, file: &Path) -> Result<Profile, ConfigError> {
    let Value::Table(table) = value else {
        return Err(wrong(file, &format!("write [profiles.{name}] and its keys below")));
    };
    let mut profile = Profile::default();
    for (key, value) in table {
        let Value::String(text) = value else {
            return Err(wrong(file, &format!("`profiles.{name}.{key}` must be a text in quotes")));
        };
        match key.as_str() {
            "url" => profile.url = text,
            "api_key" => profile.api_key = Some(text.into()),
            "account" => profile.account = Some(text),
            "ca_file" => profile.ca_file = Some(text.into()),
            _ => {
                let known = "there are url, api_key, account and ca_file";
                return Err(wrong(file, &format!("`profiles.{name}.{key}` is no key of a profile; {known}")));
            }
        }
    }
    if profile.url.is_empty() {
        return Err(wrong(file, &format!("`profiles.{name}.url` is missing")));
    }
    Ok(profile)
}

fn written(profile: &Profile) -> Table {
    let text = |value: Option<&str>| value.map(|value| Value::from(value.to_owned()));
    let keys = [
        ("url", text(Some(&profile.url))),
        ("api_key", text(profile.api_key.as_ref().map(ExposeSecret::expose_secret))),
        ("account", text(profile.account.as_deref())),
        ("ca_file", text(profile.ca_file.as_deref().and_then(Path::to_str))),
    ];
    keys.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The whole file or none of it, whatever happens meanwhile.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let partial = file.with_extension("toml.partial");
    // One that an interrupted run has left may have any mode.
    let _ = std::fs::remove_file(&partial);
    let mut options = std::fs::File::options();
    let mut new = options.write(true).create_new(true).mode(0o600).open(&partial)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&partial, file)
}

fn wrong(file: &Path, what: &str) -> ConfigError {
    Problem::new(
        format!("{}: {what}", file.display()),
        "`bellwether login` writes a profile; or mend it by hand",
    )
    .into()
}

fn failed(what: &str, file: &Path, error: &std::io::Error) -> ConfigError {
    let what = format!("failed to {what} {}: {error}", file.display());
    Problem::new(what, "profiles are in $XDG_CONFIG_HOME/bellwether, or ~/.config/bellwether").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Profiles, String> {
        Profiles::parse(text, Path::new("profiles.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_is_read_and_no_value_of_a_wrong_one_is_shown() {
        let good = "default = 'a'\n[profiles.a]\nurl = 'http://127.0.0.1:1'\napi_key = 'bwk_hush'\n";
        let found = parse(good).unwrap();
        assert_eq!(found.default.as_deref(), Some("a"));
        assert_eq!(found.profiles["a"].url, "http://127.0.0.1:1");
        for wrong in [
            "[profiles.a]\nurl = 'http://x'\napi_key = 5551234\n",
            "[profiles.a]\nurl = 'http://x'\napikey = 'bwk_5551234'\n",
            "[profiles.a]\napi_key = 'bwk_5551234'\n",
            "[profiles.a]\napi_key = 'bwk_5551234\n",
            "api_key = 'bwk_5551234'\n",
        ] {
            let told = parse(wrong).unwrap_err();
            assert!(!told.contains("5551234") && told.contains("hint:"), "{told}");
        }
    }
}
