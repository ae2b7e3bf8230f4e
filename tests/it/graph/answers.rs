//! What Meta answers, or what answers in its place, and what comes of it.

use std::time::Duration;

use axum::http::StatusCode;
use bellwether::policy::address::Rules;
use serde_json::{Value, json};

use super::{Stage, TOKEN, past, staged, transport};
use crate::sim::world::{ACCOUNT, Terms, WABA, simulate_unregistered, upgrade};
use crate::support::frozen::{catch_up, until};
use crate::support::graph::{Script, Standing, error, number};
use crate::support::hostile::Hostile;

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn a_business_account_is_read_to_its_last_page_as_soon_as_it_is_registered() {
    staged(|stage| async move {
        stage.graph.lists(WABA, 230, "TIER_2K");
        stage.registers(WABA).await;
        let gain = stage.succeeds().await;
        assert_eq!(
            (&gain["numbers"], &gain["learned"], &gain["nameless"]),
            (&json!(230), &json!(230), &json!(0))
        );
        let asked = stage.graph.with(|meta| meta.asked.clone());
        assert_eq!(asked.len(), 3, "a hundred at a time: {asked:?}");
        for (_, path, token) in asked {
            assert!(token == TOKEN && !path.contains(TOKEN), "the token is in a header: {path}");
        }
        let standing = stage.standing().await;
        assert_eq!((&standing["accessToken"], &standing["failures"]), (&json!("configuration"), &json!(0)));
        assert!(standing["nextAt"].as_str().unwrap() > "2025-06-01T06:00:00");
    });
}

#[test]
fn the_next_page_is_asked_for_where_the_first_was_whatever_address_an_answer_names() {
    staged(|stage| async move {
        let elsewhere = Hostile::answers(crate::support::hostile::ok("{}")).await;
        stage.graph.with(|meta| meta.next_host = elsewhere.url("").trim_end_matches('/').to_owned());
        stage.graph.lists(WABA, 130, "TIER_2K");
        stage.registers(WABA).await;
        assert_eq!(stage.succeeds().await["numbers"], 130);
        assert_eq!(elsewhere.connections(), 0, "nobody can send the token elsewhere");
    });
}

#[test]
fn what_notifications_never_told_becomes_an_event_once() {
    staged(|mut stage| async move {
        stage.graph.lists(WABA, 1, "TIER_10K");
        stage.graph.with(|meta| {
            meta.tokens.insert(TOKEN.to_owned(), Standing::Expired);
        });
        stage.registers(WABA).await;
        stage.fails(1).await;
        stage.world.notify(upgrade(1, "TIER_2K")).await;
        let before = stage.events().await;
        assert_eq!(before.len(), 1, "{before:?}");
        stage.graph.with(|meta| {
            meta.tokens.insert(TOKEN.to_owned(), Standing::Good);
        });
        for _ in 0..2 {
            // What a notification said a second from now would be newer than the reading.
            past(MINUTE).await;
            assert_eq!(stage.reads().await.0, StatusCode::ACCEPTED);
            let asked = stage.graph.count();
            until("it is read", async || stage.graph.count() > asked).await;
            stage.succeeds().await;
            catch_up().await;
        }
        let told = stage.events().await;
        assert_eq!(told.len(), 2, "{told:?}");
        let (event, shown, old, current) = &told[1];
        assert_eq!((event.as_str(), shown.as_str()), ("UPGRADE", "15550000001"));
        assert_eq!((old, current), (&json!("TIER_2K"), &json!("TIER_10K")));
    });
}

/// Scripts for the second page, and the stable code of what they lead to.
fn lies() -> Vec<(&'static str, Script, &'static str)> {
    let says = |status: u16, body: &str| Script::Says(status, Vec::new(), body.as_bytes().to_vec());
    let whole = json!({"data": [number(1, "TIER_2K")], "paging": {}}).to_string();
    let html = "<!DOCTYPE html><html><title>Sorry, something went wrong.</title></html>";
    vec![
        ("cut JSON", says(200, &whole[..whole.len() - 9]), "unreadable"),
        ("no JSON", says(200, html), "unreadable"),
        ("nothing", says(200, ""), "unreadable"),
        ("another shape", says(200, r#"{"data":{"0":{}}}"#), "unreadable"),
        ("numbers that are none", says(200, r#"{"data":[1,"2",null]}"#), "unreadable"),
        ("a next page without a cursor", says(200, r#"{"data":[],"paging":{"next":"/"}}"#), "unreadable"),
        ("huge", says(200, &format!("{{\"data\":[],\"pad\":\"{}\"}}", "x".repeat(700_000))), "unreachable"),
        ("deep", says(200, &format!("{{\"data\":{}", "[".repeat(100_000))), "unreadable"),
        ("an error page", says(500, html), "upstream_failed"),
        (
            "a redirect",
            Script::Says(302, vec![("location", "http://10.0.0.1/".into())], Vec::new()),
            "rejected",
        ),
        ("a cut connection", Script::Breaks(7), "unreachable"),
        ("no HTTP", Script::Mutters, "unreachable"),
        ("a temporary error", error(400, 2, 0, "Service temporarily unavailable"), "upstream_failed"),
        ("an unknown error", error(400, 987_654, 1, "Whatever"), "rejected"),
    ]
}

#[test]
fn a_reading_that_is_not_whole_changes_nothing_and_says_what_is_wrong() {
    staged(|stage| async move {
        stage.graph.lists(WABA, 130, "TIER_2K");
        let lies = lies();
        let (_, first, _) = lies[0].clone();
        stage.graph.plays([Script::Plain, first]);
        stage.registers(WABA).await;
        for (at, (what, _, code)) in (0..).zip(&lies) {
            let failure = stage.fails(at + 1).await;
            assert_eq!(failure["code"], *code, "{what}: {failure}");
            assert!(failure["hint"].as_str().unwrap().len() > 10, "{what}: {failure}");
            assert_eq!(
                stage.events().await.len(),
                0,
                "{what}: the first page was whole, the reading was not"
            );
            if let Some((_, next, _)) = lies.get(usize::try_from(at).unwrap() + 1) {
                stage.graph.plays([Script::Plain, next.clone()]);
                stage.reads().await;
            }
        }
        let asked = stage.graph.count();
        // However often it has failed, it is tried again within the usual span.
        past(Duration::from_hours(6)).await;
        assert_eq!(stage.succeeds().await["numbers"], 130);
        assert_eq!(stage.graph.count(), asked + 2);
    });
}

#[test]
fn a_page_that_does_not_come_in_time_is_none() {
    staged(|stage| async move {
        stage.graph.lists(WABA, 1, "TIER_2K");
        stage.graph.plays([Script::Hangs, Script::Drips]);
        stage.registers(WABA).await;
        for times in 1..=2 {
            until("it is asked", async || stage.graph.count() == usize::try_from(times).unwrap()).await;
            catch_up().await;
            past(Duration::from_secs(20)).await;
            let failure = stage.fails(times).await;
            assert_eq!(failure["code"], "unreachable");
            assert!(failure["detail"].as_str().unwrap().contains("timeout"), "{failure}");
            stage.reads().await;
        }
        assert_eq!(stage.succeeds().await["numbers"], 1);
    });
}

#[test]
fn a_listing_without_an_end_is_given_up() {
    staged(|stage| async move {
        let page = |cursor: &str| {
            let paging = json!({"cursors": {"after": cursor}, "next": "https://graph.facebook.com/"});
            let body = json!({"data": [number(1, "TIER_2K")], "paging": paging});
            Script::Says(200, Vec::new(), body.to_string().into_bytes())
        };
        stage.graph.plays((0..500).map(|n| page(&format!("page {n}"))));
        stage.registers(WABA).await;
        let failure = stage.fails(1).await;
        assert_eq!((&failure["code"], stage.graph.count()), (&json!("endless"), 100));
        stage.graph.with(|meta| meta.scripts.clear());
        stage.graph.plays([page("a"), page("b"), page("a")]);
        stage.reads().await;
        let failure = stage.fails(2).await;
        assert_eq!((&failure["code"], stage.graph.count()), (&json!("endless"), 103));
        assert!(failure["detail"].as_str().unwrap().contains("circle"), "{failure}");
        let many: Vec<_> = (0..10_001).map(|n| json!({"display_phone_number": n.to_string()})).collect();
        let body = json!({"data": many}).to_string().into_bytes();
        assert!(body.len() < 512 * 1024, "all on one page");
        stage.graph.plays([Script::Says(200, Vec::new(), body)]);
        stage.reads().await;
        assert_eq!(stage.fails(3).await["code"], "endless");
        assert_eq!(stage.events().await.len(), 0);
    });
}

#[test]
fn a_number_that_is_listed_twice_is_learned_once_and_one_without_a_number_is_left_out() {
    staged(|stage| async move {
        stage.graph.with(|meta| {
            let mut moved = number(1, "TIER_250");
            moved["status"] = json!("MIGRATED");
            let mut nameless = number(2, "TIER_2K");
            nameless["display_phone_number"] = Value::Null;
            let mut odd = number(3, "TIER_2K");
            odd["quality_rating"] = json!({"score": 7});
            meta.numbers
                .insert(WABA.to_owned(), vec![moved.clone(), number(1, "TIER_2K"), moved, nameless, odd]);
        });
        stage.registers(WABA).await;
        let gain = stage.succeeds().await;
        assert_eq!((&gain["numbers"], &gain["nameless"]), (&json!(2), &json!(1)), "{gain}");
        let told = stage.events().await;
        let limits: Vec<_> =
            told.iter().map(|(_, shown, _, limit)| (shown.as_str(), limit.clone())).collect();
        assert_eq!(limits, [("15550000001", json!("TIER_2K")), ("15550000003", json!("TIER_2K"))]);
    });
}

async fn failure_after(stage: &Stage, times: u64) -> (Value, Value, Value) {
    let failure = stage.fails(times).await;
    assert!(!failure.to_string().contains("canary"), "{failure}");
    (failure["code"].clone(), failure["graphCode"].clone(), failure["hint"].clone())
}

#[test]
fn what_is_wrong_with_a_token_or_a_business_account_is_told_with_what_to_do() {
    staged(|stage| async move {
        let stands = |standing| {
            stage.graph.with(|meta| meta.tokens = standing);
        };
        let as_token = |standing| [(TOKEN.to_owned(), standing)].into();
        stands(as_token(Standing::Expired));
        stage.registers(WABA).await;
        let (code, graph, hint) = failure_after(&stage, 1).await;
        assert_eq!((code, graph), (json!("token_expired"), json!(190)));
        assert!(hint.as_str().unwrap().contains("make a new token"), "{hint}");

        stands([].into());
        stage.reads().await;
        let (code, graph, _) = failure_after(&stage, 2).await;
        assert_eq!((code, graph), (json!("token_invalid"), json!(190)));

        stands(as_token(Standing::WithoutPermission));
        stage.reads().await;
        let (code, graph, hint) = failure_after(&stage, 3).await;
        assert_eq!((code, graph), (json!("permission_missing"), json!(200)));
        assert!(hint.as_str().unwrap().contains("whatsapp_business_management"), "{hint}");

        stands(as_token(Standing::Good));
        stage.reads().await;
        let (code, graph, hint) = failure_after(&stage, 4).await;
        assert_eq!((code, graph), (json!("not_found"), json!(100)));
        assert!(hint.as_str().unwrap().contains("unregister"), "{hint}");
        let metrics = stage.world.get("/metrics").await;
        let metrics = metrics.as_str().unwrap();
        for line in [
            r#"bellwether_reconciliations_total{result="token_expired"} 1"#,
            r#"bellwether_reconciliations_total{result="succeeded"} 0"#,
            "bellwether_business_accounts_unreconciled 1",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        let failing = stage.world.get("/v1/business-accounts?unreconciled=true").await;
        assert_eq!(failing["items"][0]["businessAccountId"], WABA);
        // What only a person can end is not tried sooner than usual, but then it is.
        let asked = stage.graph.count();
        past(Duration::from_hours(5)).await;
        assert_eq!(stage.graph.count(), asked);
        stage.graph.lists(WABA, 1, "TIER_2K");
        past(Duration::from_hours(1)).await;
        stage.succeeds().await;
    });
}

#[test]
fn a_token_of_its_own_counts_before_the_one_for_all_and_is_never_shown_again() {
    staged(|stage| async move {
        const OWN: &str = "EAAJcanaryOfItsOwn";
        stage.graph.lists(WABA, 1, "TIER_2K");
        stage.registers(WABA).await;
        stage.succeeds().await;
        let path = format!("/v1/business-accounts/{WABA}/access-token");
        let (status, answer) = stage.call("PUT", &path, json!({"accessToken": OWN})).await;
        assert_eq!((status, &answer["accessToken"]), (StatusCode::OK, &json!("own")));
        assert_eq!(stage.fails(1).await["code"], "token_invalid", "it is read with it at once");
        stage.graph.with(|meta| {
            meta.tokens.insert(OWN.to_owned(), Standing::Good);
        });
        stage.reads().await;
        stage.succeeds().await;
        assert_eq!(stage.graph.with(|meta| meta.asked.last().unwrap().2.clone()), OWN);
        let standing = stage.standing().await;
        assert!(
            standing["accessTokenSetAt"].is_string() && !standing.to_string().contains("canary"),
            "{standing}"
        );
        assert_eq!(stage.call("DELETE", &path, Value::Null).await.0, StatusCode::NO_CONTENT);
        stage.reads().await;
        let asked = stage.graph.count();
        until("it is read", async || stage.graph.count() > asked).await;
        assert_eq!(stage.graph.with(|meta| meta.asked.last().unwrap().2.clone()), TOKEN);
        assert_eq!(stage.standing().await["accessToken"], "configuration");
    });
}

#[test]
fn the_address_rules_hold_for_the_graph_api_too() {
    for (base_url, note) in [
        ("https://127.0.0.1:443", "forbidden_address"),
        ("https://169.254.169.254", "forbidden_address"),
        ("http://graph.example.com", "forbidden_address"),
        ("https://metadata.google.internal", "forbidden_address"),
    ] {
        let mut terms =
            Terms { inquirer: std::sync::Arc::new(transport(Rules::default())), ..Terms::default() };
        terms.reconcile.token_for_all = Some(TOKEN.into());
        terms.reconcile.base_url = base_url.to_owned();
        simulate_unregistered(terms, |world| async move {
            let stage = Stage { world, graph: crate::support::graph::Graph::new(TOKEN) };
            stage.registers(WABA).await;
            let failure = stage.fails(1).await;
            assert_eq!(failure["code"], "unreachable");
            assert!(failure["detail"].as_str().unwrap().contains(note), "{base_url}: {failure}");
        });
    }
}

#[test]
fn a_business_account_that_goes_while_it_is_read_leaves_nothing_behind() {
    staged(|stage| async move {
        stage.graph.lists(WABA, 1, "TIER_2K");
        stage.graph.plays([Script::Hangs]);
        stage.registers(WABA).await;
        until("it is asked", async || stage.graph.count() == 1).await;
        let path = format!("/v1/business-accounts/{WABA}");
        assert_eq!(stage.call("DELETE", &path, Value::Null).await.0, StatusCode::NO_CONTENT);
        past(Duration::from_secs(20)).await;
        stage.graph.lists("77", 1, "TIER_2K");
        stage.registers("77").await;
        until("the other is read", async || stage.standing_of("77").await["state"] == "ok").await;
        stage.registers(WABA).await;
        let gain = stage.succeeds().await;
        assert_eq!((&gain["numbers"], &stage.standing().await["lastFailure"]), (&json!(1), &Value::Null));
        let page = stage.world.get(&format!("/v1/accounts/{ACCOUNT}/events?limit=500")).await;
        assert!(page["items"].is_array());
    });
}
