//! Receivers that refuse, reset, close and prove nothing (faults 53, 59, 60, 61): the class, the
//! schedule, and what the owner sees, through the whole node and real sockets.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::version;

use super::stage::{Stage, staged};
use crate::sim::world::upgrade;
use crate::support::certs::Authority;
use crate::support::frozen::{pass, until};
use crate::support::hostile::{Hostile, ok, receive, reset, serve};

/// Plays a receiver that always fails so, and holds the delivery against the
/// schedule and what is told of it.
fn fails<F>(
    play: impl Fn(TcpStream, crate::support::hostile::Log) -> F + Clone + Send + 'static,
    outcome: &str,
    note: &str,
) where
    F: Future<Output = ()> + Send + 'static,
{
    staged(|mut stage| async move {
        let server = Hostile::plays(play).await;
        stage.sends_to(&server.url("/hook")).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        stage.fails_to_the_end(Duration::ZERO, || Some(server.connections())).await;
        told(&stage, outcome, note).await;
    });
}

async fn told(stage: &Stage, outcome: &str, note: &str) {
    for attempt in stage.attempts().await {
        assert_eq!((attempt["outcome"].as_str(), attempt["note"].as_str()), (Some(outcome), Some(note)));
    }
    assert_eq!(stage.world.deliveries("status=exhausted").await.len(), 1, "visible");
}

#[test]
fn fault_53_a_refused_connection_is_retried_on_schedule_and_then_exhausted() {
    staged(|mut stage| async move {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        stage.sends_to(&format!("http://{closed}/hook")).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        stage.fails_to_the_end(Duration::ZERO, || None).await;
        told(&stage, "connect", "the connection was refused").await;
    });
}

#[test]
fn fault_53_a_reset_at_accept_after_the_request_or_within_the_answer_is_retried_on_schedule() {
    let ended = "the connection ended before an answer";
    fails(|stream, _| async { reset(stream) }, "reset", ended);
    fails(
        |mut stream, log| async move {
            receive(&mut stream, &log).await;
            reset(stream);
        },
        "reset",
        ended,
    );
    fails(
        |mut stream, log| async move {
            serve(&mut stream, &log, b"HTTP/1.1 200 OK\r\ncontent-le").await;
            reset(stream);
        },
        "reset",
        ended,
    );
    fails(
        |mut stream, log| async move {
            serve(&mut stream, &log, b"HTTP/1.1 ").await;
            let _ = stream.shutdown().await;
        },
        "reset",
        ended,
    );
    fails(
        |mut stream, log| async move {
            serve(&mut stream, &log, b"SSH-2.0-OpenSSH_9.2\r\n").await;
        },
        "protocol",
        "the answer is not HTTP, or its head is too long",
    );
}

#[test]
fn fault_60_a_receiver_that_proves_nothing_is_retried_on_schedule_and_its_owner_told_why() {
    staged(|mut stage| async move {
        // Nobody has told the node of this authority.
        let config = Authority::new().issues("127.0.0.1", |_| {}).server(&[&version::TLS13], &[]);
        let acceptor = TlsAcceptor::from(config);
        let server = Hostile::plays(move |stream, log| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    serve(&mut stream, &log, &ok("secured")).await;
                }
            }
        })
        .await;
        stage.sends_to(&format!("https://{}/hook", server.at)).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        stage.fails_to_the_end(Duration::ZERO, || Some(server.connections())).await;
        let stranger = "the receiver's certificate is self-signed, of an unknown authority, or sent without its intermediate";
        told(&stage, "tls", stranger).await;
        assert_eq!(server.requests(), [], "nothing was said");
    });
}

#[test]
fn fault_59_a_2xx_that_is_cut_off_within_its_body_is_a_success_and_recorded_once() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 202 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        for rudely in [false, true] {
            staged(|mut stage| async move {
                let server = Hostile::plays(move |mut stream, log| async move {
                    serve(&mut stream, &log, answer.as_bytes()).await;
                    if rudely {
                        // What was sent has to be read before the reset comes.
                        pass(Duration::ZERO).await;
                        reset(stream);
                    }
                })
                .await;
                stage.sends_to(&server.url("/hook")).await;
                stage.world.notify(upgrade(1, "TIER_10K")).await;
                stage.delivered().await;
                pass(Duration::from_mins(5)).await;
                assert_eq!(stage.state().await, ("delivered".to_owned(), 1), "{answer:?}");
                assert_eq!((server.requests().len(), server.connections()), (1, 1));
            });
        }
    }
}

#[test]
fn fault_61_a_receiver_that_closes_idle_connections_as_they_are_used_again_costs_nothing_twice() {
    const EVENTS: usize = 60;
    staged(|mut stage| async move {
        let server = Hostile::plays(|mut stream, log| async move {
            let patience = Duration::from_secs(1);
            while let Ok(Some(_)) = timeout(patience, receive(&mut stream, &log)).await {
                let _ = stream.write_all(&ok("a")).await;
            }
        })
        .await;
        stage.sends_to(&server.url("/hook")).await;
        for n in 0..EVENTS {
            stage.world.notify(upgrade(n as u64, "TIER_10K")).await;
            until("arrived", async || {
                // What was written into a closing connection waits for its retry.
                tokio::time::advance(Duration::from_millis(20)).await;
                server.requests().len() > n
            })
            .await;
            // At this moment the server gives up, and the next event comes.
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        until("all delivered", async || {
            tokio::time::advance(Duration::from_millis(100)).await;
            let deliveries = stage.deliveries().await;
            deliveries.iter().all(|delivery| delivery["status"] == "delivered")
        })
        .await;
        let deliveries = stage.deliveries().await;
        let attempts: u64 =
            deliveries.iter().map(|delivery| delivery["attemptCount"].as_u64().unwrap()).sum();
        let ids = |request: &crate::support::hostile::Received| {
            request.head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap().to_owned()
        };
        let arrived: std::collections::BTreeSet<String> = server.requests().iter().map(ids).collect();
        assert_eq!((deliveries.len(), arrived.len()), (EVENTS, EVENTS));
        assert_eq!(server.requests().len(), EVENTS, "DUP: each was answered once");
        assert!(attempts >= EVENTS as u64 && server.connections() > EVENTS / 4, "{attempts} attempts");
    });
}
