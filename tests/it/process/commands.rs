//! The commands as a person in a shell meets them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use super::running::{Caller, Running, binary, write_config};
use crate::sim::world::OPERATOR;
use crate::sim::world::tempdir::TempDir;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn dev_shows_the_seeds_two_changes_arrive_verified_and_says_what_to_try_next() {
    let directory = TempDir::new();
    for round in 1..=2 {
        let mut command = binary();
        command.args(["dev", "--once", "--directory"]).arg(directory.path().join("dev"));
        let shown = command.env("BELLWETHER_SERVER__LISTEN", "127.0.0.1:0").output().unwrap();
        let text = out(&shown);
        assert_eq!(shown.status.code(), Some(0), "round {round}: {text}\n{}", err(&shown));
        assert_eq!(text.matches("signature verified").count(), 2, "{text}");
        for expected in ["\"UPGRADE\"", "\"THROUGHPUT_UPGRADE\"", "Both samples went the whole way"] {
            assert!(text.contains(expected), "{expected} is missing in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trigger_sends_a_signed_notification_and_says_what_became_of_it() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, None).await;
    let config = write_config(directory.path());
    let trigger = |event: &str| {
        let mut command = binary();
        command.args(["trigger", event, "--url", &running.base, "--config"]).arg(&config).output().unwrap()
    };
    let first = trigger("upgrade");
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert!(out(&first).contains("\"accepted\":1"), "{}", out(&first));
    // Within the same second it is the same change; soon it is stamped anew.
    let mut tries = (0..500).map(|_| trigger("upgrade"));
    let again = tries.find(|again| !out(again).contains("\"duplicate\":1")).unwrap();
    assert!(
        out(&again).contains("\"resent\":1") && err(&again).contains("Meta's latest notification"),
        "{}",
        out(&again)
    );
}

/// `dev`, and what it prints.
struct Dev {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Dev {
    fn start(directory: &Path) -> Self {
        let mut command = binary();
        command.args(["dev", "--directory"]).arg(directory).env("BELLWETHER_SERVER__LISTEN", "127.0.0.1:0");
        command.env("BELLWETHER_OPERATOR__KEY", OPERATOR);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let (print, lines) = mpsc::channel();
        // It ends with the process.
        std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| print.send(line)));
        Self { child, lines }
    }

    /// Where it serves.
    fn base(&self) -> String {
        let serves = self.prints("bellwether serves at ");
        serves.split([' ', ',']).find(|word| word.starts_with("http://")).unwrap().to_owned()
    }

    /// The next line with `text`.
    fn prints(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1)).expect(text);
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trigger(base: &str, config: &Path, arguments: &[&str]) -> String {
    let mut command = binary();
    let told = command.arg("trigger").args(arguments).args(["--url", base, "--config"]).arg(config);
    let told = told.output().unwrap();
    assert_eq!(told.status.code(), Some(0), "{}", err(&told));
    out(&told)
}

/// Registers a business account to `dev`'s account.
async fn register(base: &str, business_account: &str) {
    let account = json!({"accountId": "b1a5ed00-0000-4000-8000-000000000001"});
    let path = format!("/v1/business-accounts/{business_account}");
    let (status, answer) = Caller::new().call(base, Method::PUT, &path, account).await.unwrap();
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portfolio_of_three_numbers_goes_from_2000_to_10000_in_dev_by_trigger() {
    let directory = TempDir::new();
    let dev = Dev::start(directory.path());
    let base = &dev.base();
    dev.prints("Both samples went the whole way");
    let config = directory.path().join("dev.toml");
    let numbers = ["15550000001", "15550000002", "15550000003"];
    // As often as one likes, as the guide has it: with a business account of its own each time.
    for portfolio in ["200000000000001", "200000000000002"] {
        register(base, portfolio).await;
        let trigger = |arguments: &[&str]| {
            trigger(base, &config, &[arguments, &["--business-account", portfolio]].concat())
        };
        for number in numbers {
            trigger(&["ONBOARDING", "--phone-number", number, "--current-limit", "TIER_2K"]);
            dev.prints(number);
        }
        let raised =
            trigger(&["business_capability_update", "--max-daily-conversations-per-business", "10000"]);
        assert!(raised.contains("\"accepted\":1") && raised.contains("\"derived\":3"), "{raised}");
        let mut told = BTreeSet::new();
        for _ in numbers {
            dev.prints("derived from business_capability_update");
            let event = dev.prints("\"UPGRADE\"");
            assert!(event.contains(r#""currentLimit":"TIER_10K","oldLimit":"TIER_2K""#), "{event}");
            told.extend(numbers.into_iter().filter(|number| event.contains(number)));
        }
        assert_eq!(told.len(), 3, "one of each number");
        let again = trigger(&["UPGRADE", "--phone-number", numbers[0], "--current-limit", "TIER_10K"]);
        assert!(again.contains("\"resent\":1"), "its own notification says nothing new: {again}");
    }
}

#[test]
fn dev_starts_again_after_its_own_next_steps_although_a_sample_then_tells_nothing_new() {
    let directory = TempDir::new();
    let config = directory.path().join("dev.toml");
    let dev = Dev::start(directory.path());
    let base = dev.base();
    dev.prints("Try next");
    trigger(&base, &config, &["DOWNGRADE"]);
    let raised = trigger(&base, &config, &["business_capability_update"]);
    assert!(raised.contains("\"derived\":1"), "to the limit that the sample tells: {raised}");
    drop(dev);
    let again = Dev::start(directory.path());
    again.prints("signing secret");
    again.prints("that much of the samples is not new");
    again.prints("The other sample went the whole way");
    again.prints("Try next");
}

#[test]
fn trigger_without_a_server_or_a_secret_says_what_to_do() {
    let directory = TempDir::new();
    let config = write_config(directory.path());
    let mut command = binary();
    command.args(["trigger", "UPGRADE", "--url", "http://127.0.0.1:9", "--config"]).arg(config);
    let unreachable = command.output().unwrap();
    assert_eq!(unreachable.status.code(), Some(8));
    assert!(err(&unreachable).contains("hint:"), "{}", err(&unreachable));
    let mut command = binary();
    command.args(["trigger", "business_capability_update", "--current-limit", "TIER_2K"]);
    let unsuitable = command.output().unwrap();
    assert_eq!(unsuitable.status.code(), Some(2), "{}", err(&unsuitable));
    assert!(err(&unsuitable).contains("hint: give --max-daily"), "{}", err(&unsuitable));
    let lost = binary().args(["trigger", "UPGRADE"]).current_dir(directory.path()).output().unwrap();
    assert_eq!(lost.status.code(), Some(3));
    assert!(err(&lost).contains("bellwether dev"), "{}", err(&lost));
}

#[test]
fn check_names_what_is_wrong_with_the_configuration_and_the_store() {
    let directory = TempDir::new();
    let config = write_config(directory.path());
    let check = || binary().arg("check").arg("--config").arg(&config).output().unwrap();
    let fine = check();
    assert_eq!(fine.status.code(), Some(0), "{}", err(&fine));
    drop(Running::start(directory.path(), &[]));
    let used = check();
    assert_eq!(used.status.code(), Some(0), "{}", err(&used));
    for name in ["store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(name));
    }
    std::fs::write(directory.path().join("store.db"), b"this is no database").unwrap();
    let damaged = check();
    assert_eq!(damaged.status.code(), Some(4), "{}", out(&damaged));
    let key_file = directory.path().join("store.db.key");
    for file in ["store.db", "store.db.key"] {
        std::fs::remove_file(directory.path().join(file)).unwrap();
    }
    drop(Running::start(directory.path(), &[]));
    let own = std::fs::read(&key_file).unwrap();
    std::fs::write(&key_file, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    let other = check();
    assert_eq!(other.status.code(), Some(3), "{}", out(&other));
    assert!(err(&other).contains("another key"), "{}", err(&other));
    std::fs::write(&key_file, own).unwrap();
    assert_eq!(check().status.code(), Some(0));
    std::fs::remove_file(directory.path().join("store.db.key")).unwrap();
    let keyless = check();
    assert_eq!(keyless.status.code(), Some(3));
    assert!(err(&keyless).contains("restore the key file"), "{}", err(&keyless));
    std::fs::write(&config, "[delivery]\nretry_shedule_s = [1]\n").unwrap();
    let misspelled = check();
    assert_eq!(misspelled.status.code(), Some(3));
    assert!(err(&misspelled).starts_with("unknown key "), "no mark before a problem: {}", err(&misspelled));
    assert!(err(&misspelled).contains("retry_schedule_s"), "the nearest key is named: {}", err(&misspelled));
}

#[test]
fn whom_to_trust_is_read_before_a_store_is_made_and_check_says_the_same() {
    let directory = TempDir::new();
    let config = directory.path().join("bellwether.toml");
    let not_pem = directory.path().join("ca.pem");
    std::fs::write(&not_pem, "no certificate").unwrap();
    for file in [not_pem, directory.path().join("nowhere.pem")] {
        let store = directory.path().join("store.db");
        let text = format!(
            "store.url = 'sqlite:{}'\nserver.listen = '127.0.0.1:0'\noperator.key = 'sixteen letters!'\n\
             delivery.ca_file = '{}'\n",
            store.display(),
            file.display()
        );
        std::fs::write(&config, text).unwrap();
        for command in ["check", "serve"] {
            let refused = binary().arg(command).arg("--config").arg(&config).output().unwrap();
            assert_eq!(refused.status.code(), Some(3), "{command}: {}", err(&refused));
            assert!(err(&refused).contains("delivery.ca_file"), "{command}: {}", err(&refused));
        }
        assert!(!store.exists(), "nothing was begun");
    }
}

#[test]
fn check_notes_secrets_that_everyone_may_read_or_guess_and_that_no_app_is_configured() {
    let directory = TempDir::new();
    let config = directory.path().join("bellwether.toml");
    let store = format!("store.url = 'sqlite:{}'\n", directory.path().join("store.db").display());
    let check = |text: &str, mode: u32| {
        std::fs::write(&config, format!("{store}{text}")).unwrap();
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = binary().arg("check").arg("--config").arg(&config).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output).lines().filter(|line| line.starts_with("note: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let app = "meta.apps.main.app_secret = 'hush'";
    let exposed = check(app, 0o644);
    assert!(
        exposed.len() == 1 && exposed[0].contains("chmod 600") && !exposed[0].contains("hush"),
        "{exposed:?}"
    );
    assert!(check(app, 0o640).is_empty() && check(app, 0o600).is_empty());
    let copied = check("[meta.apps.main]\napp_secret = '...'\nverify_token = '...'", 0o600);
    assert!(
        copied.len() == 2
            && copied[0].contains("meta.apps.main.app_secret")
            && copied[1].contains("meta.apps.main.verify_token"),
        "{copied:?}"
    );
    let paused = check(&format!("delivery.paused = true\n{app}"), 0o600);
    assert!(paused.len() == 1 && paused[0].contains("nothing is sent"), "{paused:?}");
    let bare = check("", 0o644);
    assert!(bare.len() == 1 && bare[0].contains("no Meta app"), "nothing secret is in it: {bare:?}");
}
