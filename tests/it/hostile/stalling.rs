//! Receivers that take time (faults 54, 55, 60): one absolute deadline, a place that
//! becomes free on time, and nobody else who waits.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stage::staged;
use crate::sim::world::upgrade;
use crate::support::frozen::{pass, until};
use crate::support::hostile::{Hostile, blackhole, ok, receive, serve, until_closed};

/// The longest attempt, and the longest wait for one address.
const ATTEMPT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(4);

const SECOND: Duration = Duration::from_secs(1);

/// A byte a second, as the node's clock shows it, for ever.
async fn trickle(stream: &mut TcpStream, byte: u8) {
    let mut seconds = tokio::time::interval(SECOND);
    while stream.write_all(&[byte]).await.is_ok() {
        seconds.tick().await;
    }
}

#[test]
fn fault_54_a_host_that_ignores_who_comes_is_given_up_after_the_connect_timeout_every_time() {
    staged(|mut stage| async move {
        let blackhole = blackhole();
        stage.sends_to(&format!("http://{}/hook", blackhole.at)).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        stage.fails_to_the_end(CONNECT, || None).await;
        for attempt in stage.attempts().await {
            assert_eq!(
                (&attempt["outcome"], &attempt["note"]),
                (&"connect".into(), &"no connection in time".into())
            );
            let took = attempt["durationMs"].as_u64().unwrap();
            assert!((4_000..4_100).contains(&took), "{took}");
        }
    });
}

#[test]
fn fault_54_the_places_of_a_blackhole_are_free_again_on_time_and_others_never_wait_for_them() {
    staged(|mut stage| async move {
        let blackhole = blackhole();
        let healthy = Hostile::answers(ok("a")).await;
        stage.sends_to(&format!("http://{}/hook", blackhole.at)).await;
        stage.sends_also_to(&healthy.url("/hook")).await;
        // Twice as many as may be under way to one webhook.
        for n in 0..16 {
            stage.world.notify(upgrade(n, "TIER_10K")).await;
        }
        // Not a millisecond has passed.
        until("the other webhook has them all", async || healthy.requests().len() == 16).await;
        let tried = async || {
            let deliveries = stage.world.deliveries("status=pending&limit=500").await;
            deliveries.iter().filter(|delivery| delivery["attemptCount"] == 1).count()
        };
        pass(Duration::from_millis(3_980)).await;
        assert_eq!(tried().await, 0);
        pass(Duration::from_millis(40)).await;
        until("the first eight are given up", async || tried().await >= 8).await;
        assert_eq!(tried().await, 8);
        pass(CONNECT).await;
        until("the next eight are given up", async || tried().await >= 15).await;
    });
}

#[test]
fn fault_55_silence_and_a_head_that_trickles_end_at_the_deadline_of_each_attempt() {
    for trickles in [false, true] {
        staged(|mut stage| async move {
            let server = Hostile::plays(move |mut stream, log| async move {
                receive(&mut stream, &log).await;
                if trickles {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
                    trickle(&mut stream, b'y').await;
                }
                until_closed(&mut stream).await;
            })
            .await;
            let healthy = Hostile::answers(ok("a")).await;
            stage.sends_to(&server.url("/hook")).await;
            stage.world.notify(upgrade(1, "TIER_10K")).await;
            stage.fails_to_the_end(ATTEMPT, || Some(server.requests().len())).await;
            for attempt in stage.attempts().await {
                assert_eq!(attempt["outcome"], "timeout");
                let took = attempt["durationMs"].as_u64().unwrap();
                assert!((10_000..10_100).contains(&took), "{took}");
            }
            // And while one hangs, the other webhook's events take no time at all.
            stage.sends_also_to(&healthy.url("/hook")).await;
            for n in 2..20 {
                stage.world.notify(upgrade(n, "TIER_10K")).await;
            }
            until("the other webhook has them all", async || healthy.requests().len() == 18).await;
        });
    }
}

#[test]
fn fault_60_a_handshake_that_stalls_ends_at_the_deadline_of_each_attempt() {
    staged(|mut stage| async move {
        let server = Hostile::plays(|mut stream, _| async move { until_closed(&mut stream).await }).await;
        stage.sends_to(&format!("https://{}/hook", server.at)).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        stage.fails_to_the_end(ATTEMPT, || Some(server.connections())).await;
    });
}

#[test]
fn fault_55_a_body_that_trickles_for_ever_ends_at_the_deadline_and_is_a_success() {
    staged(|mut stage| async move {
        let server = Hostile::plays(|mut stream, log| async move {
            serve(&mut stream, &log, b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n").await;
            trickle(&mut stream, b'd').await;
        })
        .await;
        stage.sends_to(&server.url("/hook")).await;
        stage.world.notify(upgrade(1, "TIER_10K")).await;
        until("the request is there", async || server.requests().len() == 1).await;
        for _ in 0..9 {
            pass(SECOND).await;
        }
        assert_eq!(stage.state().await, ("pending".to_owned(), 0), "it still reads");
        pass(SECOND + Duration::from_millis(20)).await;
        stage.delivered().await;
        pass(Duration::from_mins(5)).await;
        assert_eq!((stage.state().await.1, server.requests().len()), (1, 1));
    });
}
