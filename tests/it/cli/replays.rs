//! Sending again: counted without a change, refused without a word to agree, and done.

use serde_json::Value;

use super::{Shell, steady};
use crate::process::running::Listening;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_counts_and_changes_nothing_and_a_replay_sends_each_again() {
    let receiver = Listening::start().await;
    let shell = Shell::start(Some(&receiver.url)).await;
    for n in 0..4 {
        shell.change(&format!("1555000000{n}"), "TIER_1K").await;
    }
    receiver.has(4).await;
    shell.caller.quiesce(&shell.running.base).await;
    let before = shell.run(&["deliveries", "list", "--json"]).await;
    let counted = shell.run(&["deliveries", "replay", "--status", "delivered", "--dry-run"]).await;
    assert_eq!((counted.well(), counted.err.as_str()), ("4 would be replayed\n", ""));
    let counted =
        shell.run(&["deliveries", "replay", "--status", "delivered", "--dry-run", "--json"]).await.json();
    assert_eq!((&counted["dryRun"], &counted["matched"]), (&Value::from(true), &Value::from(4)));
    let unasked = shell.run(&["deliveries", "replay", "--status", "delivered"]).await;
    assert!(
        unasked.ill(2).contains("4 would be replayed, and nobody can be asked\nhint: --dry-run"),
        "{}",
        unasked.err
    );
    assert_eq!(shell.run(&["deliveries", "list", "--json"]).await.well(), before.well());
    assert_eq!(receiver.arrived().len(), 4, "nothing was sent");

    let one = ["deliveries", "replay", "--status", "delivered", "--phone-number", "15550000002", "--yes"];
    let replayed = shell.run(&one).await;
    assert_eq!(
        steady(replayed.well()),
        "replay      00000000-0000-0000-0000-000000000000\n\
         status      completed\nmatched     1\nreplayed    1\nsuperseded  0\nbegan       0000-00-00T00:00:00.00Z\n"
    );
    assert!(replayed.err.contains("deliveries cancel-replay"), "{}", replayed.err);
    receiver.has(5).await;
    assert_eq!(receiver.arrived().last().unwrap().number, "15550000002");
    assert_eq!(shell.run(&["deliveries", "replay", "16384", "--json"]).await.json()["deliveryId"], "16384");
    receiver.has(6).await;
    let again = shell.run(&["deliveries", "replay", "16384", "--status", "exhausted"]).await;
    assert!(again.ill(2).contains("cannot be used with"), "one, or those that match: {}", again.err);
    let none = shell.run(&["deliveries", "replay", "--yes"]).await;
    assert_eq!((none.well(), none.err.as_str()), ("", "none match: nothing was replayed\n"));
}
