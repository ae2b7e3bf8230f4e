//! The reference of all commands, written from their definitions.

use std::fmt::Write;

use clap::Command;

use super::{SERVER, command};

const HEAD: &str = "\
# Commands

<!-- Written from src/cli: `BLESS=1 cargo test --lib reference` writes it anew. -->

One program. What is data goes to standard output, all else to standard error. `--json` prints what the API says, one
document (one a line from what goes on, such as `events tail`); without it there are tables for people, with colours on a
terminal unless `NO_COLOR` is set. Times are RFC 3339. `bellwether completions SHELL` and `bellwether man` make completions
and manual pages of the same definitions.

## Which server, and by which key

Commands that talk to a server find it in one of these places, the first that says something: `--url`, `--profile`,
`BELLWETHER_URL`, the profile that `BELLWETHER_PROFILE` names, the default profile, and, in a directory where
`bellwether dev` ran, that server.

The key is that of `--api-key-file`, of `BELLWETHER_API_KEY`, or of the profile; on a terminal it is asked for. It is never
an argument, which other users of the machine could read. A profile's key goes to the profile's address only, and a server
that is only found in the directory is given the key that is found there only. The account
is that of `--account`, `BELLWETHER_ACCOUNT` or the profile, or the only one that the key may see.

`bellwether login` keeps a profile in `~/.config/bellwether/profiles.toml` (`$XDG_CONFIG_HOME`), for its owner alone:

```toml
default = \"production\"

[profiles.production]
url = \"https://bellwether.example.com\"
api_key = \"bwk_...\"
account = \"0f88f5c4-fae7-4dcf-8ff2-b2990133edea\"
```

";

/// The reference, in Markdown.
pub(super) fn reference() -> String {
    let mut program = command();
    program.build();
    let mut page = HEAD.to_owned();
    page.push_str("All of these commands take the options under *Server*:\n\n```text\n");
    page.push_str(&server_options(&program));
    page.push_str("```\n\n## bellwether\n");
    write(&mut page, program.clone());
    for below in program.get_subcommands().filter(|below| below.get_name() != "help") {
        let _ = writeln!(page, "\n## {}", below.get_name());
        write(&mut page, below.clone());
        for leaf in below.get_subcommands().filter(|leaf| leaf.get_name() != "help") {
            let _ = writeln!(page, "\n### {} {}", below.get_name(), leaf.get_name());
            write(&mut page, leaf.clone());
        }
    }
    page
}

/// A command's help, without what is said of all.
fn write(page: &mut String, command: Command) {
    let ours = command.mut_args(|argument| {
        let of_all = argument.get_help_heading() == Some(SERVER) || argument.get_id() == "help";
        argument.hide(of_all)
    });
    let help = ours.disable_help_subcommand(true).render_long_help().to_string();
    let _ = writeln!(page, "\n```text\n{}\n```", tidied(&help));
}

/// What is said of all.
fn server_options(program: &Command) -> String {
    let events = program.find_subcommand("events").and_then(|events| events.find_subcommand("list"));
    let shown = events.expect("there is `events list`").clone();
    let only = shown.mut_args(|argument| {
        let of_all = argument.get_help_heading() == Some(SERVER);
        argument.hide(!of_all)
    });
    let help = tidied(&only.help_template("{options}").render_long_help().to_string());
    format!("{}\n", help.trim_start_matches("Server:\n"))
}

/// Without blanks at the ends of lines.
fn tidied(help: &str) -> String {
    help.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_says_what_the_definitions_of_the_commands_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
        let written = super::reference();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &written).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == written, "{path} is behind src/cli: run BLESS=1 cargo test --lib reference");
    }

    #[test]
    fn the_definitions_of_the_commands_hold_together() {
        super::command().debug_assert();
    }
}
