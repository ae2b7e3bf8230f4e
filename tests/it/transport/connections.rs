//! Connections that fail, stall, or are used again (faults 53 to 55, 59, 61).

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::support::hostile::{Hostile, blackhole, drip, ok, receive, reset, serve, until_closed};

#[tokio::test]
async fn a_refused_connection_is_a_connect_failure() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = post_once(&format!("http://{closed}/"), AMPLE).await;
    assert_eq!(class_and_note(&outcome), (OutcomeClass::Connect, "the connection was refused"));
}

#[tokio::test]
async fn a_connection_that_is_never_made_ends_with_its_own_limit_or_the_deadline() {
    let blackhole = blackhole();
    let url = format!("http://{}/", blackhole.at);
    let outcome = post_once(&url, SHORT).await;
    assert_eq!(outcome.class, OutcomeClass::Timeout);
    let impatient = limited(Limits { connect: SHORT, ..Limits::default() });
    let outcome = post(&impatient, &url, AMPLE).await;
    assert_eq!(class_and_note(&outcome), (OutcomeClass::Connect, "no connection in time"));
    let impatient = limited(Limits { dial: SHORT, ..Limits::default() });
    let outcome = post(&impatient, &url, AMPLE).await;
    assert_eq!(class_and_note(&outcome), (OutcomeClass::Connect, "no connection in time"));
}

#[tokio::test]
async fn a_reset_at_accept_after_the_request_and_within_the_answer_is_a_reset() {
    let at_accept = Hostile::plays(|stream, _| async { reset(stream) }).await;
    let after_request = Hostile::plays(|mut stream, log| async move {
        receive(&mut stream, &log).await;
        reset(stream);
    })
    .await;
    let within_head = Hostile::plays(|mut stream, log| async move {
        serve(&mut stream, &log, b"HTTP/1.1 200 OK\r\ncontent-le").await;
        reset(stream);
    })
    .await;
    for server in [&at_accept, &after_request, &within_head] {
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!((outcome.class, outcome.status), (OutcomeClass::Reset, None), "{outcome:?}");
        assert_eq!(server.connections(), 1, "nothing is sent twice");
    }
    assert_eq!((after_request.requests().len(), within_head.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_close_without_an_answer_is_a_reset() {
    for said in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nx: y\r\n"] {
        let server = Hostile::says(said).await;
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!((outcome.class, server.requests().len()), (OutcomeClass::Reset, 1), "{said:?}");
    }
}

#[tokio::test]
async fn an_answer_counts_once_its_head_is_there_though_its_body_never_ends() {
    let cut = Hostile::says("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
    let bad_chunk =
        Hostile::says("HTTP/1.1 202 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n").await;
    let dripping = Hostile::plays(|mut stream, log| async move {
        serve(&mut stream, &log, b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\nabc").await;
        drip(&mut stream, b'd').await;
    })
    .await;
    for (server, deadline, status) in [(&cut, AMPLE, 200), (&bad_chunk, AMPLE, 202), (&dripping, SHORT, 200)]
    {
        let outcome = post_once(&server.url("/"), deadline).await;
        assert_eq!((outcome.class, outcome.status), (OutcomeClass::Success, Some(status)));
        assert!(outcome.answer.starts_with(b"abc"), "{outcome:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn one_deadline_ends_what_never_answers_or_drips_its_head() {
    let silent = Hostile::plays(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let dripping = Hostile::plays(|mut stream, log| async move {
        serve(&mut stream, &log, b"HTTP/1.1 200 OK\r\nx: ").await;
        drip(&mut stream, b'd').await;
    })
    .await;
    for server in [&silent, &dripping] {
        let outcome = post_once(&server.url("/"), SHORT).await;
        assert_eq!(class_and_note(&outcome), (OutcomeClass::Timeout, "no answer before the deadline"));
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_stalled_receiver_is_hung_up_on_at_the_deadline() {
    let gone = Arc::new(Notify::new());
    let noticed = Arc::clone(&gone);
    let silent = Hostile::plays(move |mut stream, _| {
        let gone = Arc::clone(&gone);
        async move {
            until_closed(&mut stream).await;
            gone.notify_one();
        }
    })
    .await;
    let transport = under(loopback());
    post(&transport, &silent.url("/"), SHORT).await;
    bounded(noticed.notified()).await;
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Hostile::answers(ok("a")).await;
    let transport = under(loopback());
    for _ in 0..5 {
        assert_eq!(post(&transport, &server.url("/"), AMPLE).await.class, OutcomeClass::Success);
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_burns_no_attempt() {
    let server = Hostile::says(ok("a")).await;
    let transport = under(loopback());
    for sent in 1..=5 {
        let outcome = post(&transport, &server.url("/"), AMPLE).await;
        assert_eq!((outcome.class, server.requests().len()), (OutcomeClass::Success, sent));
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_request_that_was_written_is_never_repeated() {
    let server = Hostile::plays(|mut stream, log| async move {
        serve(&mut stream, &log, &ok("a")).await;
        receive(&mut stream, &log).await;
        reset(stream);
    })
    .await;
    let transport = under(loopback());
    assert_eq!(post(&transport, &server.url("/1"), AMPLE).await.class, OutcomeClass::Success);
    assert_eq!(post(&transport, &server.url("/2"), AMPLE).await.class, OutcomeClass::Reset);
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
}

#[tokio::test]
async fn what_a_receiver_adds_to_an_answer_is_not_the_next_answer() {
    let server =
        Hostile::answers("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let transport = under(loopback());
    for _ in 0..3 {
        assert_eq!(post(&transport, &server.url("/"), AMPLE).await.status, Some(204));
    }
}

#[tokio::test]
async fn a_receiver_that_speaks_first_or_not_http_is_a_protocol_failure() {
    let banner = Hostile::plays(|mut stream, log| async move {
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
        receive(&mut stream, &log).await;
        until_closed(&mut stream).await;
    })
    .await;
    let garbage = Hostile::says([0, 159, 146, 150, b'\r', b'\n', b'\r', b'\n']).await;
    let version = Hostile::says("HTTP/9.9 200 OK\r\n\r\n").await;
    let status = Hostile::says("HTTP/1.1 20x OK\r\n\r\n").await;
    let lengths = Hostile::says("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await;
    for server in [&banner, &garbage, &version, &status, &lengths] {
        let outcome = post_once(&server.url("/"), AMPLE).await;
        assert_eq!(outcome.class, OutcomeClass::Protocol, "{outcome:?}");
    }
}
