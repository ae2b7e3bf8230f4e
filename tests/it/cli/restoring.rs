//! A backup of a server that serves, put in its place.

use super::{Ran, Shell, command, ran};
use crate::process::running::{Listening, Running};
use crate::sim::world::{ACCOUNT, tempdir::TempDir};

impl Shell {
    /// A command about the store of this directory.
    async fn of_store(&self, arguments: &[&str]) -> Ran {
        ran(command(self.directory.path(), &[arguments, &["--config", "bellwether.toml"]].concat())).await
    }

    async fn numbers(&self) -> usize {
        let path = format!("/v1/accounts/{ACCOUNT}/phone-numbers");
        self.caller.all(&self.running.base, &path).await.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_takes_the_stores_place_while_nothing_serves_and_sends_nothing_until_told() {
    let receiver = Listening::start().await;
    let mut shell = Shell::start(Some(&receiver.url)).await;
    shell.change("15550000001", "TIER_1K").await;
    receiver.has(1).await;
    // Recorded, too: what is pending in a copy is sent again.
    shell.caller.quiesce(&shell.running.base).await;
    let copied = shell.of_store(&["backup", "copy.db", "--json"]).await;
    assert_eq!(copied.json()["file"], "copy.db");
    assert!(copied.err.contains("bellwether restore FILE --replace"), "{}", copied.err);
    shell.change("15550000002", "TIER_1K").await;
    receiver.has(2).await;

    let serving = shell.of_store(&["restore", "copy.db", "--replace"]).await;
    assert!(
        serving.ill(4).contains("in use by another process\nhint: stop that one first"),
        "{}",
        serving.err
    );
    assert_eq!(shell.numbers().await, 2, "it serves what it served");
    // Killed, so that its log holds what is in no other file.
    shell.running.kill();
    let there = shell.of_store(&["restore", "copy.db"]).await;
    assert!(
        there.ill(1).contains("there is a store at") && there.err.contains("hint: --replace"),
        "{}",
        there.err
    );
    let restored = shell.of_store(&["restore", "copy.db", "--replace", "--json"]).await;
    assert_eq!(restored.json()["pending"], 0);
    let aside = restored.json()["replaced"].as_str().unwrap().to_owned();

    shell.running = Running::start(shell.directory.path(), &[]);
    assert_eq!(shell.numbers().await, 1, "as it was at the backup");
    let ready = shell.run(&["doctor"]).await;
    assert!(ready.out.contains("note  ") || ready.out.contains("note   server"), "{}", ready.out);
    assert!(ready.out.contains("paused"), "{}", ready.out);
    shell.change("15550000003", "TIER_1K").await;
    shell.running.kill();
    let resumed = shell.of_store(&["resume", "--json"]).await;
    assert_eq!(resumed.json()["resumed"], true);
    assert!(resumed.err.contains("takes the place"), "{}", resumed.err);
    shell.running = Running::start(shell.directory.path(), &[]);
    receiver.has(3).await;

    // What was moved aside is a whole store, its log with it.
    shell.running.kill();
    let back = shell.of_store(&["restore", &aside, "--replace"]).await;
    back.well();
    shell.running = Running::start(shell.directory.path(), &[]);
    assert_eq!(shell.numbers().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_copy_damaged_or_sealed_by_another_key_is_not_put_in_place() {
    let shell = Shell::start(None).await;
    let directory = TempDir::new();
    crate::process::running::write_config(directory.path());
    let restore =
        |from: &str| ran(command(directory.path(), &["restore", from, "--config", "bellwether.toml"]));
    let copy = shell.file("copy.db").display().to_string();
    shell.of_store(&["backup", "copy.db"]).await.well();
    std::fs::write(directory.path().join("text"), "no database").unwrap();
    let mut damaged = std::fs::read(&copy).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4096].fill(0xff);
    std::fs::write(directory.path().join("damaged"), damaged).unwrap();
    restore("nothing").await.ill(4);
    restore("text").await.ill(4);
    let told = restore("damaged").await;
    assert!(told.ill(4).contains("is damaged") && told.err.contains("nothing was changed"), "{}", told.err);
    // Elsewhere without its key it is put in place, and that is said.
    let bare = restore(&copy).await;
    assert!(
        bare.code == Some(0) && bare.err.contains("put the key file that belongs to it at"),
        "{}",
        bare.err
    );
    std::fs::remove_file(directory.path().join("store.db")).unwrap();
    let mut other = Running::start(directory.path(), &[]);
    other.kill();
    let sealed =
        ran(command(directory.path(), &["restore", &copy, "--replace", "--config", "bellwether.toml"])).await;
    assert!(sealed.ill(3).contains("sealed with another key"), "{}", sealed.err);
}
