//! The reference for people, written from the table of keys.

use std::fmt::Write;

use super::keys::{self, KEYS, Key, Kind, Standard};

const HEAD: &str = "\
# Configuration

<!-- Written from src/config/keys.rs: `BLESS=1 cargo test --lib reference` writes it anew. -->

A TOML file, and environment variables, which win over it. Without either, every key has its default. A key that is
not listed here is refused at start, as is a value out of its range.

A variable is named after its key: `BELLWETHER_`, then the key in upper case with `__` for each dot. A list in a
variable stands between commas: `BELLWETHER_DELIVERY__RETRY_SCHEDULE_S=1,10,30,90`. `NAME` stands for a name of yours:
`meta.apps.main.app_secret` is `BELLWETHER_META__APPS__MAIN__APP_SECRET`.

When `serve` gets SIGHUP, it reads the file again. The keys marked *live* take effect at once: new attempts, webhooks that are
saved and connections that are kept are judged by what they say. Of the others the log names those that changed; they wait for a
restart. A file that is refused changes nothing, and the log says what is wrong with it. A variable is as at the start, and wins.

```toml
[server]
listen = \"127.0.0.1:8700\"

[meta.apps.main]
app_secret = \"...\"
verify_token = \"...\"
```
";

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let here = key.path.split('.').next().unwrap_or_default();
        if here != section {
            section = here;
            write_line(&mut page, &format!("\n## {section}\n"));
            write_line(&mut page, "| key | value | default | |\n|---|---|---|---|");
        }
        write_line(&mut page, &row(key));
    }
    page
}

fn write_line(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a string takes all that is written to it");
}

fn row(key: &Key) -> String {
    let path = key.path.replace('*', "NAME");
    let default = match key.default {
        Standard::Is("") => "none".to_owned(),
        Standard::Is(word) => format!("`{word}`"),
        Standard::Unset => "not set".to_owned(),
        Standard::Follows(what) => what.to_owned(),
        Standard::Required => "**required**".to_owned(),
    };
    let live = if keys::is_live(key.path) { " *Live.*" } else { "" };
    format!(
        "| `{path}`<br>`{}` | {} | {default} | {}{live} |",
        keys::variable(&path),
        value(key.kind),
        key.doc
    )
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text(what) => what.to_owned(),
        Kind::Secret(0 | 1) => "secret text".to_owned(),
        Kind::Secret(least) => format!("secret text, at least {least} characters"),
        Kind::Switch => "`true` or `false`".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Texts(what) => format!("list of {what}"),
        Kind::Numbers { count, each } => {
            format!("list of {} to {} integers, each {} to {}", count.0, count.1, each.0, each.1)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_says_what_the_table_of_keys_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/configuration.md");
        let written = super::reference();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &written).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == written,
            "{path} is behind src/config/keys.rs: run BLESS=1 cargo test --lib reference"
        );
    }
}
