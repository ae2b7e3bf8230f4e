//! The 8x8-compatible API as its users know it (contract.md 2).

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use bellwether::model::webhook::{Authorization, Webhook};
use bellwether::secrets::{Place, oauth::Client};

use super::{ACCOUNT, House};

pub(super) const PATH: &str = "/api/v1/accounts/0f88f5c4-fae7-4dcf-8ff2-b2990133edea/webhooks";

impl House {
    /// The account's webhooks as stored.
    pub(super) async fn stored(&self) -> Vec<Webhook> {
        self.store.webhooks(ACCOUNT.parse().unwrap()).await.unwrap()
    }

    /// What is sealed in a column of a webhook.
    pub(super) fn opened(&self, webhook: &Webhook, column: &str, sealed: &[u8]) -> String {
        let (row, account) = (webhook.id.to_string(), webhook.account.to_string());
        let place = Place { row: &row, account: &account, column };
        self.vault.open(place, sealed).unwrap().expose_secret().to_owned()
    }

    async fn configured(&self, webhooks: Value) {
        let answer = self.post(PATH, webhooks).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""), "an empty 200");
    }

    async fn header_of(&self, at: usize) -> String {
        let stored = self.stored().await;
        match &stored[at].authorization {
            Authorization::Header(sealed) => self.opened(&stored[at], "http_authorization", sealed),
            Authorization::None | Authorization::OAuth(_) => panic!("no header"),
        }
    }
}

fn oauth(secret: &str) -> Value {
    json!({"url": "https://token.example.com/t", "clientId": "id", "clientSecret": secret,
        "credentialsLocation": "body", "scope": "a b"})
}

#[tokio::test]
async fn what_is_posted_is_listed_with_type_and_enabled_and_without_secrets() {
    let house = House::new().await;
    assert_eq!(house.get(PATH).await.json, json!([]));
    house
        .configured(json!([
            {"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM", "httpAuthorization": "Basic eDp5"},
            {"subAccountId": "shop_1", "url": "https://b.example.com/", "type": "CABM", "enabled": false,
             "oauth": oauth("hush")},
        ]))
        .await;
    let listed = house.get(PATH).await;
    assert_eq!(
        listed.json,
        json!([
            {"subAccountId": "*", "url": "https://a.example.com/", "httpAuthorization": "***", "enabled": true,
             "type": "CABM"},
            {"subAccountId": "shop_1", "url": "https://b.example.com/", "enabled": false, "type": "CABM",
             "oauth": oauth("***")},
        ])
    );
    for secret in ["Basic eDp5", "hush", "whsec_"] {
        assert!(!listed.text.contains(secret));
    }
}

#[tokio::test]
async fn without_a_type_receipts_and_messages_are_meant_in_post_and_in_delete() {
    let house = House::new().await;
    let types = async || {
        let listed = house.get(PATH).await.json;
        listed.as_array().unwrap().iter().map(|one| one["type"].clone()).collect::<Vec<_>>()
    };
    house.configured(json!([{"subAccountId": "*", "url": "https://a.example.com/"}])).await;
    assert_eq!(types().await, ["CADR", "MSG"]);
    house.configured(json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let answer = house.delete(PATH, json!([{"subAccountId": "*"}])).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(types().await, ["CABM"]);
}

#[tokio::test]
async fn posting_replaces_what_has_the_same_identity_and_keeps_its_id_and_signing_secret() {
    let house = House::new().await;
    house.configured(json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let before = house.stored().await;
    house
        .configured(json!([
            {"subAccountId": "abc", "url": "https://a.example.com/", "type": "CABM"},
            {"subAccountId": "*", "url": "https://new.example.com/", "type": "CABM"},
        ]))
        .await;
    let after = house.stored().await;
    assert_eq!(after.len(), 2);
    assert_eq!((after[0].id, &after[0].secret), (before[0].id, &before[0].secret));
    assert_eq!(after[0].url, "https://new.example.com/");
    let secrets: Vec<_> = after.iter().map(|one| house.opened(one, "secret", &one.secret)).collect();
    assert!(secrets.iter().all(|secret| secret.starts_with("whsec_")) && secrets[0] != secrets[1]);
}

#[tokio::test]
async fn a_star_in_delete_names_the_one_webhook_of_all_sub_accounts() {
    let house = House::new().await;
    house
        .configured(json!([
            {"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"},
            {"subAccountId": "abc", "url": "https://a.example.com/", "type": "CABM"},
        ]))
        .await;
    let answer = house.delete(PATH, json!([{"subAccountId": "*", "type": "CABM"}])).await;
    assert_eq!(answer.status, 200);
    let listed = house.get(PATH).await.json;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["subAccountId"], "abc");
}

#[tokio::test]
async fn three_stars_posted_back_keep_the_stored_secret_and_a_secret_left_out_is_gone() {
    let house = House::new().await;
    house
        .configured(json!([
            {"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM", "httpAuthorization": "Basic eDp5"},
            {"subAccountId": "abc", "url": "https://b.example.com/", "type": "CABM", "oauth": oauth("hush")},
        ]))
        .await;
    let mut listed = house.get(PATH).await.json;
    listed[0]["url"] = json!("https://moved.example.com/");
    listed[1]["oauth"]["clientId"] = json!("new id");
    house.configured(listed).await;
    assert_eq!(house.header_of(0).await, "Basic eDp5");
    let stored = house.stored().await;
    assert_eq!(stored[0].url, "https://moved.example.com/");
    let Authorization::OAuth(sealed) = &stored[1].authorization else { panic!("no client") };
    let client = Client::from_json(&house.opened(&stored[1], "oauth", sealed)).unwrap();
    assert_eq!((client.client_id.as_str(), client.client_secret.expose_secret()), ("new id", "hush"));

    house.configured(json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    assert!(house.stored().await[0].authorization == Authorization::None);
}

#[tokio::test]
async fn three_stars_with_nothing_stored_are_refused() {
    let house = House::new().await;
    house.configured(json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM"}])).await;
    let bodies = [
        json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM", "httpAuthorization": "***"}]),
        json!([{"subAccountId": "*", "url": "https://a.example.com/", "type": "CABM", "oauth": oauth("***")}]),
        json!([{"subAccountId": "new", "url": "https://a.example.com/", "httpAuthorization": "***"}]),
    ];
    for body in bodies {
        let answer = house.post(PATH, body).await;
        assert_eq!(answer.refusal(), (400, &json!(1000)), "{}", answer.text);
        assert!(answer.json["message"].as_str().unwrap().starts_with("[0]."), "{}", answer.text);
    }
    assert_eq!(house.stored().await.len(), 1);
}

#[tokio::test]
async fn an_account_id_is_taken_in_any_case_with_or_without_hyphens() {
    let house = House::new().await;
    for id in ["0F88F5C4FAE74DCF8FF2B2990133EDEA", "0f88f5c4fae7-4dcf8ff2-b2990133edea"] {
        assert_eq!(house.get(&format!("/api/v1/accounts/{id}/webhooks")).await.status, 200, "{id}");
    }
    let answer = house.get("/api/v1/accounts/0f88f5c4/webhooks").await;
    assert_eq!(answer.refusal(), (400, &json!(1000)));
}

#[tokio::test]
async fn an_account_key_configures_its_own_account_and_a_read_key_only_looks() {
    let house = House::new().await;
    let (owner, reader) = (house.key("account", Some(ACCOUNT)).await, house.key("read", Some(ACCOUNT)).await);
    let body = r#"[{"subAccountId":"*","url":"https://a.example.com/","type":"CABM"}]"#;
    assert_eq!(house.send("POST", PATH, Some(&owner), body).await.status, 200);
    assert_eq!(house.send("GET", PATH, Some(&reader), "").await.json[0]["type"], "CABM");
    let refused = house.send("POST", PATH, Some(&reader), body).await;
    assert_eq!(refused.refusal(), (403, &json!(1201)));
}
