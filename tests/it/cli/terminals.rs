//! What is different where a person sits: a key is asked for and not shown, and words
//! have colours unless they are not wanted.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::{OPERATOR, Shell};
use crate::process::running::Listening;

/// The same command on a terminal of its own (`script` of util-linux).
fn on_a_terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_asked_for_on_a_terminal_and_not_shown_while_it_is_typed() {
    let shell = Shell::start(None).await;
    let mut login = shell.command(&["login", "--url", &shell.running.base]);
    login.env_remove("BELLWETHER_API_KEY");
    let mut terminal = on_a_terminal(&login);
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut typed, mut seen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let shown = tokio::task::spawn_blocking(move || {
        let (mut shown, mut piece) = (String::new(), [0; 512]);
        while !shown.contains("API key of") {
            let read = seen.read(&mut piece).unwrap();
            assert!(read > 0, "{shown}");
            shown.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        typed.write_all(format!("{OPERATOR}\n").as_bytes()).unwrap();
        seen.read_to_string(&mut shown).unwrap();
        assert!(terminal.wait().unwrap().success(), "{shown}");
        shown
    });
    let shown = shown.await.unwrap();
    assert!(shown.contains("profile default for") && !shown.contains(OPERATOR), "{shown}");
    let kept = std::fs::read_to_string(shell.file(".config/bellwether/profiles.toml")).unwrap();
    assert!(kept.contains(OPERATOR), "what was typed is kept: {kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_work_shows_how_far_it_is_on_a_terminal_and_only_there() {
    let shell = Shell::start(None).await;
    let burst = |number: &'static str| {
        let arguments = [
            "trigger",
            "UPGRADE",
            "--burst",
            "20",
            "--phone-number",
            number,
            "--config",
            "bellwether.toml",
            "--url",
        ];
        let mut command = shell.command(&[&arguments[..], &[&shell.running.base]].concat());
        command.env_remove("BELLWETHER_URL").env_remove("BELLWETHER_API_KEY");
        command
    };
    let seen = on_a_terminal(&burst("15550000100")).stdin(Stdio::null()).output().unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    assert!(seen.contains("sending [") && seen.contains("] 20 of 20"), "{seen:?}");
    let piped = super::ran(burst("15550000200")).await;
    assert!(piped.well().contains("\"accepted\":20") && !piped.err.contains("sending"), "{}", piped.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_for_a_terminal_on_which_they_are_wanted() {
    let receiver = Listening::start().await;
    let shell = Shell::start(Some(&receiver.url)).await;
    shell.change("15550000001", "TIER_1K").await;
    receiver.has(1).await;
    shell.caller.quiesce(&shell.running.base).await;
    let command = shell.command(&["deliveries", "list"]);
    let on_terminal = |no_color: &str| {
        let mut terminal = on_a_terminal(&command);
        String::from_utf8(terminal.env("NO_COLOR", no_color).stdin(Stdio::null()).output().unwrap().stdout)
            .unwrap()
    };
    assert!(on_terminal("").contains("\u{1b}[32mdelivered\u{1b}[0m"), "{:?}", on_terminal(""));
    assert!(on_terminal("1").contains("  delivered  "));
    assert!(
        !on_terminal("1").contains('\u{1b}')
            && !shell.run(&["deliveries", "list"]).await.well().contains('\u{1b}')
    );
}
