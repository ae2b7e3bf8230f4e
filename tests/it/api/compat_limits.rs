//! The limits of the 8x8-compatible API (contract.md 5.12).

use serde_json::{Value, json};

use super::House;
use super::compat::PATH;

fn webhooks(numbers: std::ops::Range<usize>) -> Value {
    let one = |n| json!({"subAccountId": format!("sub{n}"), "url": "https://a.example.com/", "type": "CABM"});
    numbers.map(one).collect()
}

#[tokio::test]
async fn an_array_holds_1000_webhooks_and_an_account_10000() {
    let house = House::new().await;
    let answer = house.post(PATH, webhooks(0..1_001)).await;
    assert_eq!(answer.refusal(), (400, &json!(1000)));
    assert!(answer.text.contains("1000"), "{}", answer.text);
    for thousand in 0..10 {
        let answer = house.post(PATH, webhooks(thousand * 1_000..(thousand + 1) * 1_000)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let answer = house.post(PATH, webhooks(10_000..10_001)).await;
    assert_eq!(answer.refusal(), (400, &json!(1000)));
    assert!(answer.text.contains("10000"), "{}", answer.text);
    assert_eq!(house.post(PATH, webhooks(0..1)).await.status, 200, "replacing adds none");
}

#[tokio::test]
async fn the_longest_array_of_the_longest_webhooks_fits_and_a_longer_body_is_too_large() {
    let house = House::new().await;
    let url = format!("https://a.example.com/{}", "x".repeat(2_048 - 22));
    let longest: Value = (0..1_000)
        .map(|n| {
            json!({"subAccountId": format!("{n:0>50}"), "url": url, "type": "CABM",
                "httpAuthorization": "x".repeat(4_096)})
        })
        .collect();
    assert_eq!(house.post(PATH, longest).await.status, 200);
    let answer = house.send("POST", PATH, Some(super::OPERATOR), &" ".repeat(8 * 1024 * 1024 + 1)).await;
    assert_eq!(answer.refusal(), (413, &json!(7001)));
    assert!(answer.text.contains("8388608"), "the limit is named: {}", answer.text);
}
