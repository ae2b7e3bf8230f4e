//! What people see of accounts, webhooks, numbers, events and deliveries, to the
//! letter, and that programs get one JSON document.

use super::{Shell, steady};
use crate::process::running::Listening;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_profile_to_an_event_and_its_delivery_the_outputs_are_these() {
    let receiver = Listening::start().await;
    let shell = Shell::start(Some(&receiver.url)).await;
    shell.change("15550783881", "TIER_10K").await;
    receiver.has(1).await;
    shell.caller.quiesce(&shell.running.base).await;

    // A profile is kept once; from then on there is nothing to say but the command.
    let kept = shell.run(&["login", "--url", &shell.running.base]).await;
    assert_eq!((kept.code, kept.out.as_str()), (Some(0), ""), "{}", kept.err);
    let bare = |arguments: &[&str]| super::ran(super::command(shell.directory.path(), arguments));

    assert_eq!(
        steady(bare(&["accounts", "list"]).await.well()),
        "ACCOUNT                               NAME  CHAT APPS  CREATED\n\
         00000000-0000-0000-0000-000000000000  Shop  true       0000-00-00T00:00:00.00Z\n"
    );
    assert_eq!(
        steady(bare(&["wabas", "list"]).await.well()),
        "WABA             ACCOUNT                               SUB-ACCOUNT  CREATED\n\
         102290129340398  00000000-0000-0000-0000-000000000000  -            0000-00-00T00:00:00.00Z\n"
    );
    assert_eq!(
        steady(bare(&["webhooks", "list"]).await.well()),
        "WEBHOOK                               SUB-ACCOUNT  TYPE  ENABLED  PENDING  DELIVERED  EXHAUSTED  URL\n\
         00000000-0000-0000-0000-000000000000  *            CABM  true     0        1          0          http://127.0.0.1:PORT/hook\n"
    );
    assert_eq!(
        steady(bare(&["numbers", "list"]).await.well()),
        "NUMBER       LIMIT     THROUGHPUT  FLAGGED  RATING  WABA             CHANGED\n\
         15550783881  TIER_10K  -           -        -       102290129340398  0000-00-00T00:00:00.00Z\n"
    );
    assert_eq!(
        steady(bare(&["numbers", "history", "+1 555-078-3881"]).await.well()),
        "0000-00-00T00:00:00.00Z  limit: TIER_10K  (notification)\n"
    );
    assert_eq!(
        steady(bare(&["events", "list"]).await.well()),
        "ACCEPTED                 NUMBER       SEQUENCE  EVENT                                 TYPE                         WHAT\n\
         0000-00-00T00:00:00.00Z  15550783881  1         00000000-0000-0000-0000-000000000000  phone_number_quality_update  UPGRADE TIER_10K\n"
    );
    assert_eq!(
        steady(bare(&["deliveries", "show", "16384"]).await.well()),
        "delivery  16384\n\
         status    delivered\n\
         event     00000000-0000-0000-0000-000000000000\n\
         type      phone_number_quality_update\n\
         number    15550783881\n\
         webhook   00000000-0000-0000-0000-000000000000\n\
         created   0000-00-00T00:00:00.00Z\n\
         \n\
         ATTEMPT  STARTED                  MS  OUTCOME  STATUS  NOTE  ANSWER\n\
         1        0000-00-00T00:00:00.00Z  MS   success  200     -     -\n"
            .replace(
                "MS   success",
                &format!("{}  success", ms(&bare(&["deliveries", "show", "16384", "--json"]).await.json()))
            )
    );
    let none = bare(&["keys", "list"]).await;
    assert_eq!((none.well(), none.err.as_str()), ("", "none\n"), "what is no data is said beside it");
}

/// How long its attempt took, as wide as the column.
fn ms(delivery: &serde_json::Value) -> String {
    format!("{:<2}", delivery["attempts"][0]["durationMs"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_one_document_as_the_api_says_it_across_all_pages() {
    let receiver = Listening::start().await;
    let shell = Shell::start(Some(&receiver.url)).await;
    for number in 0..7 {
        shell.change(&format!("1555000000{number}"), "TIER_1K").await;
    }
    receiver.has(7).await;
    shell.caller.quiesce(&shell.running.base).await;
    let whole = shell.run(&["events", "list", "--all", "--json"]).await.json();
    assert_eq!(whole["items"].as_array().unwrap().len(), 7);
    assert_eq!(whole["nextCursor"], serde_json::Value::Null);
    // Page by page it is the same, and what there is more of is said on the other side.
    let first = shell.run(&["events", "list", "--limit", "3"]).await;
    assert_eq!(first.well().lines().count(), 4, "a heading and three");
    let cursor = first.err.trim().rsplit(' ').next().unwrap();
    let rest = shell.run(&["events", "list", "--cursor", cursor, "--json"]).await.json();
    assert_eq!(rest["items"].as_array().unwrap(), &whole["items"].as_array().unwrap()[3..]);
    for arguments in [
        &["accounts", "list", "--json"][..],
        &["accounts", "show", super::ACCOUNT, "--json"],
        &["wabas", "show", super::WABA, "--json"],
        &["wabas", "unrouted", "--json"],
        &["webhooks", "list", "--json"],
        &["numbers", "show", "15550000001", "--json"],
        &["numbers", "history", "15550000001", "--json"],
        &["deliveries", "list", "--status", "delivered", "--json"],
        &["keys", "list", "--json"],
    ] {
        let ran = shell.run(arguments).await;
        assert!(ran.json().is_object() && ran.err.is_empty(), "{arguments:?}: {}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sets_a_customer_up_by_commands_alone() {
    let receiver = Listening::start().await;
    let shell = Shell::start(None).await;
    let account = "11111111-2222-4333-8444-555555555555";
    shell.run(&["accounts", "put", account, "--name", "Harbour Florists"]).await.well();
    let made = shell.run(&["webhooks", "put", &receiver.url, "--account", account, "--json"]).await.json();
    let webhook = made["webhookId"].as_str().unwrap().to_owned();
    let asked = shell.run(&["webhooks", "list"]).await;
    assert!(
        asked.ill(2).contains("which account? there are several\nhint: give --account ID"),
        "{}",
        asked.err
    );
    shell.run(&["wabas", "put", "555", "--account", account]).await.well();
    let key =
        shell.run(&["keys", "create", "--name", "theirs", "--role", "account", "--account", account]).await;
    std::fs::write(shell.file("theirs.key"), key.well()).unwrap();

    // Their key knows whose it is, and sees nothing else.
    let theirs = |arguments: &[&str]| {
        let mut command = shell.command(&[arguments, &["--api-key-file", "theirs.key"]].concat());
        command.env_remove("BELLWETHER_API_KEY");
        super::ran(command)
    };
    assert_eq!(theirs(&["accounts", "list", "--json"]).await.json()["items"].as_array().unwrap().len(), 1);
    let secret = theirs(&["webhooks", "secret", &webhook]).await;
    assert!(secret.well().starts_with("whsec_") && secret.out.lines().count() == 1);
    let event = theirs(&["webhooks", "test", &webhook, "--json"]).await.json()["eventId"].clone();
    let arrived = async {
        loop {
            let shown = theirs(&["events", "show", event.as_str().unwrap(), "--json"]).await.json();
            if shown["deliveries"][0]["status"] == "delivered" {
                return;
            }
        }
    };
    tokio::time::timeout(crate::process::running::PATIENCE, arrived).await.unwrap();
    // What is switched keeps its id, its secret and all else.
    let off = theirs(&["webhooks", "disable", &webhook, "--json"]).await.json();
    assert_eq!((&off["webhookId"], &off["enabled"]), (&webhook.as_str().into(), &false.into()));
    let on = theirs(&["webhooks", "enable", &webhook, "--json"]).await.json();
    assert_eq!(on["enabled"], true);
    assert_eq!(theirs(&["webhooks", "secret", &webhook]).await.well(), secret.well());
    theirs(&["webhooks", "delete", &webhook]).await.well();
    theirs(&["webhooks", "show", &webhook]).await.ill(11);
}
