//! What is made of the commands' definitions: completions that a shell takes, and
//! manual pages.

use std::process::Command;

use super::{command, ran};
use crate::sim::world::tempdir::TempDir;

#[tokio::test]
async fn completions_are_a_script_that_bash_reads_and_knows_the_commands_by() {
    let directory = TempDir::new();
    let run = |arguments: &[&str]| ran(command(directory.path(), arguments));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).await.well().contains("deliveries"), "{shell}");
    }
    let script = directory.path().join("completions");
    std::fs::write(&script, run(&["completions", "bash"]).await.well()).unwrap();
    let asked = "source \"$0\"; COMP_WORDS=(bellwether deliv); COMP_CWORD=1; _bellwether bellwether deliv bellwether; echo \"${COMPREPLY[@]}\"";
    let completed = Command::new("bash").args(["-c", asked]).arg(&script).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&completed.stdout),
        "deliveries\n",
        "{}",
        String::from_utf8_lossy(&completed.stderr)
    );
}

#[tokio::test]
async fn manual_pages_are_printed_and_written_for_every_command() {
    let directory = TempDir::new();
    let run = |arguments: &[&str]| ran(command(directory.path(), arguments));
    let page = run(&["man", "events", "tail"]).await;
    assert!(
        page.well().contains(".TH bellwether-events-tail 1") && page.out.contains("cursor\\-file"),
        "{}",
        page.out
    );
    run(&["man", "evnts"]).await.ill(2);
    run(&["man", "--directory", "man1"]).await.well();
    for page in ["bellwether.1", "bellwether-events-tail.1", "bellwether-doctor.1"] {
        assert!(directory.path().join("man1").join(page).exists(), "{page}");
    }
}
