//! Notifications by hand: each kind of event, changed where one likes, and many at once.

use serde_json::Value;

use super::{Shell, ran};

impl Shell {
    async fn trigger(&self, arguments: &[&str]) -> super::Ran {
        let mut command = self.command(
            &[&["trigger", "--config", "bellwether.toml", "--url", &self.running.base], arguments].concat(),
        );
        command.env_remove("BELLWETHER_URL").env_remove("BELLWETHER_API_KEY");
        ran(command).await
    }

    async fn events(&self) -> Vec<Value> {
        let listed = self.run(&["events", "list", "--all", "--json"]).await.json();
        listed["items"].as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_event_is_triggered_read_and_changed_by_hand() {
    let shell = Shell::start(None).await;
    let kinds = [
        ("UPGRADE", "phone_number_quality_update"),
        ("business_capability_update", "business_capability_update"),
        ("account_alerts", "account_alerts"),
        ("account_review_update", "account_review_update"),
        ("account_update", "account_update"),
        ("message_template_quality_update", "template_quality_update"),
        ("message_template_status_update", "template_status_update"),
        ("phone_number_name_update", "phone_number_name_update"),
        ("security", "security"),
        ("template_category_update", "template_category_update"),
        ("template_correct_category_detection", "template_correct_category_detection"),
    ];
    for (event, kind) in kinds {
        let receipt = shell.trigger(&[event, "--json"]).await;
        assert_eq!(receipt.json()["accepted"], 1, "{event}: {}", receipt.out);
        let newest = shell.events().await.remove(0);
        assert_eq!(newest["body"]["eventType"], kind);
        let modelled = kind != event
            || ["account_update", "template_category_update", "template_correct_category_detection"]
                .contains(&kind);
        assert_eq!(newest["body"]["eventDetails"]["rawEvent"].is_null(), modelled, "{event}");
    }
    let changed = [
        "account_alerts",
        "--override",
        "alert_info.alert_severity=CRITICAL",
        "--override",
        "entity_id=+15550001111",
    ];
    shell.trigger(&changed).await.well();
    let newest = shell.events().await.remove(0);
    assert_eq!(newest["phoneNumber"], "15550001111");
    assert_eq!(
        newest["body"]["eventDetails"]["rawEvent"]["value"]["alert_info"]["alert_severity"],
        "CRITICAL"
    );
    let unsuitable = shell.trigger(&["account_alerts", "--old-limit", "TIER_1K"]).await;
    assert!(unsuitable.ill(2).contains("--old-limit does not go with account_alerts"), "{}", unsuitable.err);
    let astray = shell.trigger(&["account_alerts", "--override", "entity_id.x=1"]).await;
    assert!(astray.ill(2).contains("leads nowhere"), "{}", astray.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_as_many_events_as_were_asked_for_each_of_a_number_of_its_own() {
    let shell = Shell::start(None).await;
    let sent = shell.trigger(&["UPGRADE", "--phone-number", "15550009990", "--burst", "40"]).await;
    assert!(sent.well().contains("\"accepted\":40"), "{}", sent.out);
    assert_eq!(sent.err, "40 events of 40 notifications; `bellwether events list` shows them\n");
    let mut numbers: Vec<_> =
        shell.events().await.iter().map(|event| event["phoneNumber"].as_str().unwrap().to_owned()).collect();
    numbers.sort();
    assert_eq!(
        numbers,
        (15_550_009_990_u64..15_550_010_030).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    let senseless = shell.trigger(&["account_review_update", "--burst", "2"]).await;
    assert!(senseless.ill(2).contains("would be one change said again and again"), "{}", senseless.err);
}
