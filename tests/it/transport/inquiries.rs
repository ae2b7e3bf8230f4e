//! Questions: their answers are whole, or there is none.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use bellwether::model::attempt::OutcomeClass;
use bellwether::policy::address::Rules;
use bellwether::transport::{Answer, Inquirer, Inquiry, Unanswered};

use super::{AMPLE, SHORT, loopback, under};
use crate::support::hostile::{Hostile, bounded, ok};

const MOST: usize = 1_000;

async fn ask(url: &str, deadline: Duration) -> Result<Answer, Unanswered> {
    let headers = vec![(AUTHORIZATION, HeaderValue::from_static("Bearer EAAJ"))];
    let inquiry = Inquiry { url: url.to_owned(), headers, most_bytes: MOST, deadline };
    bounded(under(loopback()).inquire(inquiry)).await
}

async fn class(bytes: impl Into<Vec<u8>>) -> OutcomeClass {
    let server = Hostile::says(bytes).await;
    ask(&server.url("/"), AMPLE).await.unwrap_err().class
}

#[tokio::test]
async fn a_question_is_a_get_without_a_body_and_its_answer_comes_with_status_headers_and_body() {
    let answer = "HTTP/1.1 400 Bad Request\r\nx-app-usage: {}\r\ncontent-length: 2\r\n\r\n{}";
    let server = Hostile::answers(answer).await;
    let answer = ask(&server.url("/v23.0/1?a=b&after=c%3D"), AMPLE).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (400, &b"{}"[..]));
    assert_eq!(answer.headers["x-app-usage"], "{}");
    let asked = server.requests().remove(0);
    assert!(asked.head.starts_with("GET /v23.0/1?a=b&after=c%3D HTTP/1.1\r\n"), "{}", asked.head);
    assert!(asked.head.contains("authorization: Bearer EAAJ") && !asked.head.contains("content-length"));
    assert!(asked.body.is_empty());
}

#[tokio::test]
async fn an_answer_of_the_longest_length_is_whole_and_a_longer_one_is_none() {
    let server = Hostile::answers(ok(&"x".repeat(MOST))).await;
    assert_eq!(ask(&server.url("/"), AMPLE).await.unwrap().body.len(), MOST);
    assert_eq!(class(ok(&"x".repeat(MOST + 1))).await, OutcomeClass::Protocol);
    let endless =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", "5\r\nxxxxx\r\n".repeat(500));
    assert_eq!(class(endless).await, OutcomeClass::Protocol);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    assert_eq!(class("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"data\"").await, OutcomeClass::Reset);
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"d\r\n";
    assert_eq!(class(chunked).await, OutcomeClass::Reset);
    assert_eq!(class("").await, OutcomeClass::Reset);
}

#[tokio::test]
async fn the_deadline_covers_the_last_byte() {
    let server = Hostile::plays(|mut stream, log| async move {
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"data\"";
        crate::support::hostile::serve(&mut stream, &log, half).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(ask(&server.url("/"), SHORT).await.unwrap_err().class, OutcomeClass::Timeout);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Hostile::answers(ok("{}")).await;
    let head = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url("/"));
    let server = Hostile::answers(head).await;
    assert_eq!(ask(&server.url("/"), AMPLE).await.unwrap().status, 307);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn a_question_to_a_forbidden_address_is_not_asked() {
    let inside = Hostile::answers(ok("{}")).await;
    let transport = under(Rules { allow_http: true, ..Rules::default() });
    let inquiry = Inquiry { url: inside.url("/"), headers: Vec::new(), most_bytes: MOST, deadline: AMPLE };
    let refused = bounded(transport.inquire(inquiry)).await.unwrap_err();
    assert_eq!((refused.class, inside.connections()), (OutcomeClass::ForbiddenAddress, 0));
}
