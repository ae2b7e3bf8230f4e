//! Every route, by every role, for the own account and another's. The table is
//! the API's own description, so that a new route is in it.

use axum::http::StatusCode;
use serde_json::Value;

use super::{ACCOUNT, House, OTHER};

/// An operation of the description.
struct Operation {
    method: String,
    path: String,
    roles: Vec<String>,
    takes_query: bool,
}

impl Operation {
    /// The path for an account; other ids are ones that do not exist.
    fn path(&self, account: &str) -> String {
        self.path
            .replace("{accountId}", account)
            .replace("{businessAccountId}", "77")
            .replace("{eventId}", OTHER)
            .replace("{webhookId}", OTHER)
            .replace("{deliveryId}", "77")
            .replace("{phoneNumber}", "77")
            .replace("{id}", "77")
    }

    fn is_for(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }

    fn is_of_an_account(&self) -> bool {
        self.path.contains("{accountId}")
    }
}

async fn operations(house: &House) -> Vec<Operation> {
    let document = house.send("GET", "/openapi.json", None, "").await.json;
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let roles = operation["security"][0]["bearer"].as_array().unwrap();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                roles: roles.iter().map(|role| role.as_str().unwrap().to_owned()).collect(),
                takes_query: parameters.iter().any(|parameter| parameter["in"] == "query"),
            });
        }
    }
    all
}

/// A body that is refused after the caller was judged: nothing is changed.
const NO_BODY: &str = "?";

const JUDGED: [StatusCode; 3] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED];

#[tokio::test]
async fn no_route_answers_without_a_valid_key() {
    let house = House::new().await;
    let key = house.key("account", Some(ACCOUNT)).await;
    let swapped = key.replace(&key[20..21], if &key[20..21] == "x" { "y" } else { "x" });
    for operation in operations(&house).await {
        for bad in [None, Some(""), Some("nonsense"), Some(swapped.as_str()), Some("bwk_")] {
            let answer = house.send(&operation.method, &operation.path(ACCOUNT), bad, NO_BODY).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{} {}", operation.method, operation.path);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
    }
}

#[tokio::test]
async fn every_role_does_what_the_description_says_and_sees_its_own_account_only() {
    let house = House::new().await;
    house.register(OTHER, "2").await;
    let table = operations(&house).await;
    assert!(table.len() >= 28, "the table is not empty");
    for role in ["account", "read"] {
        let key = house.key(role, Some(ACCOUNT)).await;
        for operation in &table {
            let told = format!("{role}: {} {}", operation.method, operation.path);
            let own = house.send(&operation.method, &operation.path(ACCOUNT), Some(&key), NO_BODY).await;
            if operation.is_for(role) {
                assert!(!JUDGED.contains(&own.status), "{told}: {}", own.text);
            } else {
                assert_eq!(own.status, StatusCode::FORBIDDEN, "{told}: {}", own.text);
            }
            let theirs = house.send(&operation.method, &operation.path(OTHER), Some(&key), NO_BODY).await;
            if operation.is_of_an_account() && operation.is_for(role) {
                assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{told}: {}", theirs.text);
                let absent = operation.path("99999999-2222-4333-8444-555555555555");
                let absent = house.send(&operation.method, &absent, Some(&key), NO_BODY).await;
                let said = |value: &Value| (value["detail"].clone(), value["message"].clone());
                assert_eq!(said(&absent.json), said(&theirs.json), "{told}: another's account looks absent");
            }
            if operation.is_of_an_account() && !operation.is_for(role) {
                let hidden = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN];
                assert!(hidden.contains(&theirs.status), "{told}: {}", theirs.text);
            }
        }
    }
}

#[tokio::test]
async fn an_operator_may_do_everything() {
    let house = House::new().await;
    let key = house.key("operator", None).await;
    // Deleting the account comes last: the others are about it.
    let mut table = operations(&house).await;
    table.sort_by_key(|operation| operation.method == "DELETE");
    for operation in table {
        let answer = house.send(&operation.method, &operation.path(ACCOUNT), Some(&key), NO_BODY).await;
        let told = format!("{} {}: {}", operation.method, operation.path, answer.text);
        assert!(operation.is_for("operator"), "{told}");
        assert!(!JUDGED.contains(&answer.status), "{told}");
    }
}

#[tokio::test]
async fn no_native_route_takes_a_query_parameter_it_does_not_know() {
    let house = House::new().await;
    for operation in operations(&house).await.iter().filter(|operation| operation.path.starts_with("/v1")) {
        let path = format!("{}?nonsense=1", operation.path(ACCOUNT));
        let answer = house.send(&operation.method, &path, Some(super::OPERATOR), NO_BODY).await;
        let told =
            format!("{} {} ({}): {}", operation.method, operation.path, operation.takes_query, answer.text);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{told}");
        assert_eq!(answer.json["code"], "unknown_parameter", "{told}");
    }
}
