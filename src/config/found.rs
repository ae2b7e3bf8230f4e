//! What the file and the environment say, key by key: the environment wins.
//! What is not a known key is a problem here already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::keys;
use super::problem::{Origin, Problem};
use super::profiles;

/// A value as it was set.
#[derive(Clone)]
pub(super) enum Raw {
    /// In a file, with a type.
    Typed(toml::Value),
    /// In a variable or by default: to be read as the key's kind says.
    Word(String),
}

/// All that was set.
#[derive(Default)]
pub(super) struct Found {
    /// By the key's path.
    pub values: BTreeMap<String, (Raw, Origin)>,
    /// Sections without a key in them, which names an app all the same.
    pub empty_sections: BTreeSet<String>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
}

impl Found {
    /// Takes the file `name` with this text.
    pub fn add_file(&mut self, name: &Path, text: &str) {
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table("", table, name),
            Err(error) => {
                // The error's own text would show the line, and with it secrets.
                let at = error.span().map_or(0, |span| span.start).min(text.len());
                let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
                let hint = if error.message().contains("unclosed table") {
                    "close the bracket: [server]"
                } else {
                    "write [section] on a line of its own and key = value below; texts stand in quotes: \
                     listen = \"127.0.0.1:8700\""
                };
                self.problems.push(Problem::new(
                    format!("line {line} of {} is not TOML: {}", name.display(), error.message()),
                    hint,
                ));
            }
        }
    }

    fn add_table(&mut self, above: &str, table: toml::Table, name: &Path) {
        for (segment, value) in table {
            let path = if above.is_empty() { segment } else { format!("{above}.{segment}") };
            let origin = Origin::File(name.to_owned());
            if keys::at(&path).is_some() {
                self.values.insert(path, (Raw::Typed(value), origin));
                continue;
            }
            let is_section = keys::is_section(&path);
            if let toml::Value::Table(table) = value {
                if !table.is_empty() {
                    self.add_table(&path, table, name);
                } else if is_section {
                    self.empty_sections.insert(path);
                } else {
                    self.add_unknown(&path, &origin);
                }
            } else if is_section {
                self.problems.push(Problem::new(
                    format!("`{path}` {origin} must be a section, found {}", kind_of(&value)),
                    format!("write [{path}] and its keys below"),
                ));
            } else {
                self.add_unknown(&path, &origin);
            }
        }
    }

    /// Takes an environment variable, if it is one of this program's.
    pub fn add_variable(&mut self, name: &str, value: String) {
        let Some(spelled) = name.strip_prefix(keys::PREFIX) else {
            return;
        };
        if profiles::VARIABLES.contains(&name) {
            return;
        }
        let path = spelled.to_lowercase().replace("__", ".");
        let origin = Origin::Variable(name.to_owned());
        if keys::at(&path).is_some() {
            self.values.insert(path, (Raw::Word(value), origin));
        } else {
            self.add_unknown(&path, &origin);
        }
    }

    fn add_unknown(&mut self, path: &str, origin: &Origin) {
        let in_file = !matches!(origin, Origin::Variable(_));
        let hint = match keys::nearest(path) {
            Some(known) if in_file => format!("did you mean `{known}`?"),
            Some(known) => format!("did you mean {}?", keys::variable(&known)),
            None => "docs/reference/configuration.md lists every key".to_owned(),
        };
        self.problems.push(Problem::new(format!("unknown key `{path}` {origin}"), hint));
    }

    /// The names of the apps that anything is said of, in order.
    pub fn app_names(&self) -> BTreeSet<String> {
        let paths = self.values.keys().chain(&self.empty_sections);
        let below = paths.filter_map(|path| path.strip_prefix("meta.apps."));
        below.filter_map(|rest| rest.split('.').next()).map(str::to_owned).collect()
    }
}

/// What a typed value is, with its article.
pub(super) fn kind_of(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "text",
        toml::Value::Integer(_) => "an integer",
        toml::Value::Float(_) => "a fraction",
        toml::Value::Boolean(_) => "a boolean",
        toml::Value::Datetime(_) => "a date",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a section",
    }
}
