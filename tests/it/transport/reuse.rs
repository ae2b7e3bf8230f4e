//! The trap of connections that are kept: the receiver closes an idle one at
//! the very moment it is used again (fault 61).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;
use crate::support::hostile::{Hostile, ok, serve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_61_whenever_a_receiver_closes_a_request_arrives_at_most_once_and_counts_once() {
    // It closes a little later after each answer, across the moment at which
    // the next request comes.
    let round = Arc::new(AtomicU64::new(0));
    let rounds = Arc::clone(&round);
    // Connections on which something came after they had been closed.
    let late = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&late);
    let server = Hostile::plays(move |mut stream, log| {
        let (round, late) = (Arc::clone(&rounds), Arc::clone(&counted));
        async move {
            while serve(&mut stream, &log, &ok("a")).await {
                for _ in 0..round.fetch_add(1, Ordering::SeqCst) % 60 {
                    yield_now().await;
                }
                if timeout(Duration::ZERO, stream.peek(&mut [0])).await.is_err() {
                    break;
                }
            }
            // It says that it is done, and looks at what was on its way.
            let (_, mut rest) = (stream.shutdown().await, Vec::new());
            let _ = timeout(AMPLE, stream.read_to_end(&mut rest)).await;
            late.fetch_add(usize::from(!rest.is_empty()), Ordering::SeqCst);
        }
    })
    .await;
    let transport = under(loopback());
    let mut burned = 0;
    for n in 0..600 {
        // The receiver gives up sooner, so that it is never this deadline that ends one.
        let outcome = post(&transport, &server.url(&format!("/{n}")), 3 * AMPLE).await;
        let asked = format!("POST /{n} ");
        let arrived = server.requests().iter().filter(|request| request.head.starts_with(&asked)).count();
        match outcome.class.as_str() {
            "success" => assert_eq!(arrived, 1, "{n}"),
            // Written into a connection that was being closed: not said again.
            "reset" => {
                assert_eq!(arrived, 0, "{n}");
                burned += 1;
            }
            _ => panic!("{n}: {outcome:?}"),
        }
        for _ in 0..n % 47 {
            yield_now().await;
        }
    }
    assert_eq!(server.requests().len() + burned, 600);
    // Where no byte was written no attempt is burned.
    let deadline = tokio::time::Instant::now() + AMPLE;
    while late.load(Ordering::SeqCst) < burned && tokio::time::Instant::now() < deadline {
        yield_now().await;
    }
    let late = late.load(Ordering::SeqCst);
    println!("{burned} burned, {late} written too late");
    assert!(burned <= late, "{burned} burned, but only {late} were written too late");
    assert!(server.connections() > 10, "it did close: {}", server.connections());
}
