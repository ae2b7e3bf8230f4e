//! The commands that talk to a server, as a person or a script in a shell uses them:
//! the real binary against the real server, and whole outputs.

mod definitions;
mod doctoring;
mod following;
mod listings;
mod refusals;
mod replays;
mod restoring;
mod secured;
mod terminals;
mod triggers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::process::running::{Caller, Running, binary};
use crate::sim::world::tempdir::TempDir;
use crate::sim::world::{ACCOUNT, OPERATOR, WABA};

/// A server with an account, and a shell beside it.
struct Shell {
    directory: TempDir,
    running: Running,
    caller: Caller,
}

impl Shell {
    /// With a webhook to `url`, if any.
    async fn start(url: Option<&str>) -> Self {
        Self::start_with(url, &[]).await
    }

    async fn start_with(url: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let directory = TempDir::new();
        let running = Running::start(directory.path(), variables);
        let caller = Caller::new();
        caller.register(&running.base, url).await;
        Self { directory, running, caller }
    }

    /// A file of that name in the shell's directory.
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `bellwether` with these arguments, as a user with a key in the environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.directory.path(), arguments);
        command.env("BELLWETHER_URL", &self.running.base).env("BELLWETHER_API_KEY", OPERATOR);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments)).await
    }

    /// Sends one change of the account's, the `n`th limit of a number.
    async fn change(&self, number: &str, limit: &str) {
        let (status, receipt) = self.caller.notify(&self.running.base, change(number, limit)).await.unwrap();
        assert!(status == 200 && receipt["accepted"] == 1, "{status}: {receipt}");
    }
}

fn change(number: &str, limit: &str) -> Vec<u8> {
    let value = json!({"display_phone_number": number, "event": "UPGRADE", "current_limit": limit});
    let changes = json!([{"field": "phone_number_quality_update", "value": value}]);
    let entry = json!([{"id": WABA, "time": 1_748_454_394, "changes": changes}]);
    json!({"object": "whatsapp_business_account", "entry": entry}).to_string().into_bytes()
}

/// `bellwether` with these arguments, for a user whose home is `directory`.
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.args(arguments).current_dir(directory).env("HOME", directory).env_remove("XDG_CONFIG_HOME");
    command
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The output, if it went well.
    #[track_caller]
    fn well(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        &self.out
    }

    /// The complaint, if it ended so and gave no data.
    #[track_caller]
    fn ill(&self, code: i32) -> &str {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        &self.err
    }

    /// The one JSON document of the output.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(self.well()).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Runs it beside the receivers of this test.
async fn ran(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    Ran::of(&output)
}

/// The text with zeros in the place of what differs from run to run, ids and
/// instants, so that columns stay; and without ports.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for piece in text.split_inclusive(|c: char| " \n\",()".contains(c)) {
        let word = piece.trim_end_matches(|c: char| " \n\",()".contains(c));
        let zeros: String = word.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect();
        let port =
            word.strip_prefix("http://127.0.0.1:").map(|rest| rest.trim_start_matches(char::is_numeric));
        match (zeros.as_str(), port) {
            ("00000000-0000-0000-0000-000000000000" | "0000-00-00T00:00:00.00Z", _) => steady += &zeros,
            (_, Some(path)) => steady += &("http://127.0.0.1:PORT".to_owned() + path),
            _ => steady += word,
        }
        steady += &piece[word.len()..];
    }
    steady
}
