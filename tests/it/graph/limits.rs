//! Meta's limits: what it asks for is heeded, and more than it asks for nothing is
//! put off.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{TOKEN, simulated};
use crate::sim::world::WABA;
use crate::support::graph::{Script, Standing, error};

const MINUTE: Duration = Duration::from_mins(1);

fn throttled(headers: Vec<(&'static str, String)>) -> Script {
    let body = json!({"error": {"message": "limit reached", "type": "OAuthException", "code": 80_007}});
    Script::Says(400, headers, body.to_string().into_bytes())
}

#[test]
fn a_limit_that_is_reached_is_waited_out_also_by_who_asks_for_a_reading() {
    let usage = json!({WABA: [{"type": "whatsapp", "call_count": 100, "total_cputime": 3, "total_time": 4,
        "estimated_time_to_regain_access": 40}]});
    for (script, minutes) in [
        (throttled(vec![("retry-after", "1800".into())]), 30),
        (throttled(vec![("x-business-use-case-usage", usage.to_string())]), 40),
        (throttled(Vec::new()), 15),
        (error(400, 4, 0, "Application request limit reached"), 15),
        (error(400, 17, 0, "User request limit reached"), 15),
        (error(400, 32, 0, "Page request limit reached"), 15),
        (error(400, 613, 0, "Calls to this api have exceeded the rate limit"), 15),
        (error(400, 80_008, 0, "There have been too many calls"), 15),
        (Script::Says(429, vec![("retry-after", "1800".into())], b"slow down".to_vec()), 30),
        (Script::Says(429, vec![("retry-after", "soon".into())], Vec::new()), 15),
        (Script::Says(503, vec![("retry-after", "1800".into())], Vec::new()), 30),
    ] {
        simulated(
            |_| {},
            |stage| async move {
                stage.graph.lists(WABA, 1, "TIER_2K");
                stage.graph.plays([script.clone()]);
                stage.registers(WABA).await;
                let failure = stage.fails(1).await;
                let code =
                    if matches!(script, Script::Says(503, ..)) { "upstream_failed" } else { "throttled" };
                assert_eq!(failure["code"], code, "{script:?}");
                let standing = stage.standing().await;
                assert!(standing["throttledUntil"].is_string(), "{script:?}: {standing}");
                let (status, answer) = stage.reads().await;
                assert_eq!(status, StatusCode::ACCEPTED);
                assert_eq!(answer["nextAt"], answer["throttledUntil"], "asking sooner is in vain");
                stage.world.advance(MINUTE * (minutes - 1)).await;
                assert_eq!(stage.graph.count(), 1, "{script:?}");
                stage.world.advance(MINUTE * 2 + MINUTE * minutes / 10).await;
                assert_eq!(stage.graph.count(), 2, "{script:?}");
                stage.succeeds().await;
                assert_eq!(stage.standing().await["throttledUntil"], Value::Null);
            },
        );
    }
}

#[test]
fn a_wait_of_days_is_believed_for_one_day_only() {
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.graph.plays([throttled(vec![("retry-after", "99999999999999".into())])]);
            stage.registers(WABA).await;
            stage.fails(1).await;
            stage.world.advance(Duration::from_hours(23)).await;
            assert_eq!(stage.graph.count(), 1);
            stage.world.advance(Duration::from_hours(4)).await;
            assert_eq!(stage.graph.count(), 2);
        },
    );
}

#[test]
fn little_left_of_a_business_accounts_limit_is_left_to_others() {
    simulated(
        |terms| terms.reconcile.every = MINUTE,
        |stage| async move {
            let usage =
                json!({WABA: [{"type": "whatsapp", "call_count": 95, "estimated_time_to_regain_access": 0}]});
            stage.graph.lists(WABA, 1, "TIER_2K");
            stage.graph.lists("77", 1, "TIER_2K");
            stage.graph.with(|meta| meta.headers = vec![("x-business-use-case-usage", usage.to_string())]);
            stage.registers(WABA).await;
            stage.succeeds().await;
            stage.graph.with(|meta| meta.headers = Vec::new());
            stage.registers("77").await;
            stage.world.advance(MINUTE * 14).await;
            assert_eq!(stage.graph.count_of(WABA), 1, "a quarter of an hour");
            assert!(stage.graph.count_of("77") > 10, "another business account has limits of its own");
            stage.world.advance(MINUTE * 4).await;
            assert!(stage.graph.count_of(WABA) > 1);
        },
    );
}

#[test]
fn little_left_of_a_tokens_limit_keeps_back_all_who_share_the_token_and_nobody_else() {
    simulated(
        |terms| terms.reconcile.every = MINUTE,
        |stage| async move {
            const OWN: &str = "EAAJown";
            for id in [WABA, "77", "78"] {
                stage.graph.lists(id, 1, "TIER_2K");
            }
            stage.graph.with(|meta| {
                meta.tokens.insert(OWN.to_owned(), Standing::Good);
                meta.headers = vec![("x-app-usage", r#"{"call_count":93,"total_time":5}"#.into())];
            });
            stage.registers(WABA).await;
            stage.succeeds().await;
            stage.graph.with(|meta| meta.headers = Vec::new());
            stage.registers("77").await;
            stage.registers("78").await;
            let path = "/v1/business-accounts/78/access-token";
            stage.call("PUT", path, json!({"accessToken": OWN})).await;
            stage.world.advance(MINUTE * 14).await;
            assert_eq!(
                (stage.graph.count_of(WABA), stage.graph.count_of("77")),
                (1, 0),
                "they share the token"
            );
            assert!(stage.graph.count_of("78") > 10, "it has one of its own");
            assert!(stage.graph.with(|meta| meta.asked.iter().filter(|asked| asked.2 == TOKEN).count() == 1));
            stage.world.advance(MINUTE * 4).await;
            assert!(stage.graph.count_of(WABA) > 1 && stage.graph.count_of("77") > 1);
        },
    );
}

#[test]
fn a_listing_is_not_read_on_when_little_is_left() {
    simulated(
        |_| {},
        |stage| async move {
            stage.graph.lists(WABA, 130, "TIER_2K");
            stage.graph.with(|meta| meta.headers = vec![("x-app-usage", r#"{"call_count":91}"#.into())]);
            stage.registers(WABA).await;
            assert_eq!(stage.fails(1).await["code"], "throttled");
            assert_eq!((stage.graph.count(), stage.events().await.len()), (1, 0));
            stage.graph.with(|meta| meta.headers = Vec::new());
            stage.world.advance(MINUTE * 20).await;
            assert_eq!(stage.succeeds().await["numbers"], 130);
        },
    );
}
