//! A configuration that was read again, held against the one in force: some keys
//! take effect while the program runs, the others wait for the next start.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};

use super::Config;
use super::found::{Found, Raw};
use super::keys::{self, Kind, Standard};

/// What was set, key by key, in one spelling.
#[derive(Debug, Clone, Default)]
pub(super) struct Said(BTreeMap<String, SecretString>);

impl Said {
    pub(super) fn of(found: &Found) -> Self {
        let spelled = found.values.iter().map(|(path, (raw, _))| (path.clone(), spelled(path, raw).into()));
        Self(spelled.collect())
    }

    /// What holds at `path`; `None` if nothing was set and there is no default.
    fn at(&self, path: &str) -> Option<String> {
        let set = self.0.get(path).map(|value| value.expose_secret().to_owned());
        set.or_else(|| match keys::at(path)?.default {
            Standard::Is(word) => Some(spelled(path, &Raw::Word(word.to_owned()))),
            Standard::Unset | Standard::Follows(_) | Standard::Required => None,
        })
    }

    fn differing(&self, other: &Self) -> Vec<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        paths.into_iter().filter(|path| self.at(path) != other.at(path)).cloned().collect()
    }
}

/// The same for a value whether it comes from a file or a variable.
fn spelled(path: &str, raw: &Raw) -> String {
    let of = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match raw {
        Raw::Typed(toml::Value::Array(items)) => items.iter().map(of).collect::<Vec<_>>().join(","),
        Raw::Typed(value) => of(value),
        Raw::Word(word) => {
            let is_list = |kind| matches!(kind, Kind::Texts(_) | Kind::Numbers { .. });
            if keys::at(path).is_some_and(|key| is_list(key.kind)) {
                word.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>().join(",")
            } else {
                word.trim().to_owned()
            }
        }
    }
}

/// What reading it again has brought.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// The configuration in force from now on.
    pub config: Config,
    /// The keys that changed in it.
    pub taken: Vec<String>,
    /// The keys that changed and wait for the next start.
    pub waiting: Vec<String>,
}

impl Config {
    /// What holds from now on, this being in force and `new` read meanwhile: the
    /// live keys of `new`, and of all others what was.
    pub fn renewed(&self, new: &Self) -> Renewal {
        let (taken, waiting): (Vec<_>, Vec<_>) =
            self.said.differing(&new.said).into_iter().partition(|path| keys::is_live(path));
        let mut config = self.clone();
        for path in &taken {
            match new.said.0.get(path) {
                Some(value) => config.said.0.insert(path.clone(), value.clone()),
                None => config.said.0.remove(path),
            };
        }
        let (delivery, read) = (&mut config.delivery, &new.delivery);
        delivery.allow_http = read.allow_http;
        delivery.allow_networks.clone_from(&read.allow_networks);
        delivery.allow_ports.clone_from(&read.allow_ports);
        delivery.deny_networks.clone_from(&read.deny_networks);
        delivery.deny_hosts.clone_from(&read.deny_hosts);
        config.graph.allow_networks.clone_from(&new.graph.allow_networks);
        Renewal { config, taken, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> Config {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(text, owned).unwrap()
    }

    #[test]
    fn live_keys_are_taken_and_the_others_are_named_and_stay_as_they_were() {
        let old = read("[delivery]\nallow_networks = [\"10.0.0.0/8\"]\nmax_loaded = 9\n", &[]);
        let new = read(
            "[delivery]\nallow_http = true\ndeny_hosts = [\"a.example.com\"]\nmax_loaded = 8\n[meta.apps.main]\napp_secret = \"s3cret\"\n",
            &[("BELLWETHER_GRAPH__ALLOW_NETWORKS", "10.1.0.0/16")],
        );
        let Renewal { config, taken, waiting } = old.renewed(&new);
        let live =
            ["delivery.allow_http", "delivery.allow_networks", "delivery.deny_hosts", "graph.allow_networks"];
        assert_eq!(taken, live);
        assert_eq!(waiting, ["delivery.max_loaded", "meta.apps.main.app_secret"]);
        assert!(config.delivery.allow_http && config.delivery.allow_networks.is_empty());
        assert_eq!(config.delivery.deny_hosts, ["a.example.com"]);
        assert_eq!(config.graph.allow_networks, ["10.1.0.0/16".parse().unwrap()]);
        assert_eq!((config.delivery.max_loaded, config.meta.apps.len()), (9, 0));
        let again = config.renewed(&new);
        assert_eq!((again.taken.len(), again.waiting), (0, waiting));
    }

    #[test]
    fn a_value_set_elsewhere_or_spelled_otherwise_has_not_changed() {
        let file = read("[delivery]\nallow_ports = [81, 82]\nallow_http = true\npaused = false\n", &[]);
        let variables =
            [("BELLWETHER_DELIVERY__ALLOW_PORTS", "81, 82"), ("BELLWETHER_DELIVERY__ALLOW_HTTP", "true")];
        let renewal = file.renewed(&read("", &variables));
        assert_eq!((renewal.taken.len(), renewal.waiting.len()), (0, 0));
    }
}
