//! Faults 20, 80 and 81: a slow disk, no descriptors, no memory. What is taken
//! on is bounded, the rest is refused, and deliveries go on.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

use super::nemesis::{Poster, descriptors, long_body, many_changes, meddle, memory_kib, processor_time};
use super::running::{Caller, Listening, Running, long};
use crate::sim::world::{notification, tempdir::TempDir, upgrade};
use crate::torture::ledger::{Ledger, register};
use crate::torture::receiver::Receiver;

/// What memory may grow by, besides what is configured to be in flight.
const SLACK_KIB: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_on_a_slow_disk_notifications_wait_deliveries_go_on_and_memory_is_bounded() {
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let running = Running::start(directory.path(), &[]);
    register(&caller, &running.base, &receiver).await;
    let idle = memory_kib(&running, "VmRSS");
    let inject = "inject=fsync,fdatasync:delay_exit=500000";
    let slow = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", inject]);
    let load = ledger.start_load(&running.base);
    let enough = if long() { 500 } else { 40 };
    ledger.grows_by(enough).await;
    receiver.has(enough / 2).await;
    load.stop().await;
    drop(slow);
    let peak = memory_kib(&running, "VmHWM");
    assert!(peak <= idle + SLACK_KIB, "{peak} KiB, {idle} when idle");
    ledger.check(&caller, &running.base, &receiver).await;
}

/// So many notifications at once, on connections that share them out; how many
/// were taken and how many refused.
async fn post_at_once(base: &str, count: u64) -> (usize, usize) {
    let mut posts = tokio::task::JoinSet::new();
    let posters: Vec<Poster> = (0..count.div_ceil(60)).map(|_| Poster::multiplexing()).collect();
    for n in 0..count {
        let poster = posters[usize::try_from(n / 60).unwrap()].clone();
        let body = notification(1_748_736_000, &[upgrade(n, &format!("TIER_{n}"))]);
        let base = base.to_owned();
        posts.spawn(async move { poster.post(&base, body).await });
    }
    let answers: Vec<_> =
        posts.join_all().await.into_iter().map(|answer| answer.expect("it answers")).collect();
    let taken = answers.iter().filter(|answer| answer.is_taken()).count();
    let refused = answers.iter().filter(|answer| answer.is_refusal()).count();
    assert_eq!(taken + refused, answers.len(), "nothing else is answered");
    (taken, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_more_writes_than_may_wait_are_refused_and_what_was_taken_arrives() {
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let idle = memory_kib(&running, "VmRSS");
    let inject = "inject=fsync,fdatasync:delay_exit=8000000:when=1";
    let slow = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", inject]);
    let (taken, refused) = post_at_once(&running.base, 9_500).await;
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    drop(slow);
    let peak = memory_kib(&running, "VmHWM");
    println!("{peak} KiB at most, {idle} when idle");
    assert!(peak <= idle + 2 * SLACK_KIB, "{peak} KiB, {idle} when idle");
    caller.quiesce(&running.base).await;
    receiver.has_each_of(taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_80_without_descriptors_it_waits_without_spinning_delivers_and_recovers() {
    let directory = TempDir::new();
    let (caller, poster, receiver) = (Caller::new(), Poster::new(), Listening::start().await);
    let few = ["prlimit", "--nofile=128"];
    // Idle connections stay, so that nobody else gets a place.
    let idle = ("BELLWETHER_SERVER__HEADER_TIMEOUT_MS", "60000");
    let mut running = Running::start_within(&few, directory.path(), &[idle]);
    assert!(running.log().contains("hint: raise it"), "{}", running.log());
    caller.register(&running.base, Some(&receiver.url)).await;
    receiver.answer_after(Duration::from_millis(200));
    assert!(poster.post(&running.base, many_changes(200)).await.unwrap().is_taken());
    drop((caller, poster));
    let address = running.base.strip_prefix("http://").unwrap().to_owned();
    let leaked: Vec<TcpStream> = (0..140).map(|_| TcpStream::connect(&address).unwrap()).collect();
    receiver.has(200).await;
    let before = processor_time(&running);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = processor_time(&running).saturating_sub(before);
    assert!(used < Duration::from_millis(500), "{used:?} in a second of doing nothing");
    assert!(descriptors(&running) <= 128, "{}", descriptors(&running));
    drop(leaked);
    let (caller, poster) = (Caller::new(), Poster::new());
    caller.quiesce(&running.base).await;
    assert!(poster.post(&running.base, many_changes(201)).await.unwrap().is_taken());
    receiver.has(201).await;
    let arrived = receiver.arrived();
    receiver.has_each_of(201);
    assert!(arrived.iter().all(|arrived| arrived.attempt == 1));
    assert!(running.child.try_wait().unwrap().is_none() && !running.log().contains("panicked"));
}

/// So many long bodies at once, each on a connection of its own; which were
/// taken, and how many refused. Who is refused before having sent everything may see
/// the connection end.
async fn post_long_bodies(base: &str, count: u64) -> (BTreeSet<u64>, usize) {
    let mut posts = tokio::task::JoinSet::new();
    for n in 0..count {
        let (poster, base) = (Poster::new(), base.to_owned());
        posts.spawn(async move { Some((n, poster.post(&base, long_body(n)).await?)) });
    }
    let answers: Vec<_> = posts.join_all().await.into_iter().flatten().collect();
    let taken: BTreeSet<u64> =
        answers.iter().filter(|(_, answer)| answer.is_taken()).map(|(n, _)| *n).collect();
    let refused = answers.iter().filter(|(_, answer)| answer.is_refusal()).count();
    assert_eq!(taken.len() + refused, answers.len(), "nothing else is answered");
    (taken, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_81_many_long_bodies_at_once_are_refused_beyond_what_memory_is_set_aside_for() {
    let count = if long() { 1_000 } else { 90 };
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    let running = Running::start(directory.path(), &[]);
    caller.register(&running.base, Some(&receiver.url)).await;
    let idle = memory_kib(&running, "VmRSS");
    // While the disk is slow all of them are in memory.
    let inject = "inject=fsync,fdatasync:delay_exit=1000000";
    let slow = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", inject]);
    let (taken, refused) = post_long_bodies(&running.base, count).await;
    drop(slow);
    let peak = memory_kib(&running, "VmHWM");
    let taken = taken.len();
    println!("{taken} taken, {refused} refused of {count}; {peak} KiB at most, {idle} when idle");
    assert!(taken > 0 && u64::try_from(taken).unwrap() < count);
    let in_flight = u64::try_from(bellwether::intake::BODIES_IN_MEMORY_BYTES).unwrap() >> 10;
    assert!(peak <= idle + SLACK_KIB + in_flight, "{peak} KiB, {idle} when idle");
    let small = notification(1_748_736_000, &[upgrade(1, "TIER_1")]);
    let poster = Poster::new();
    assert!(poster.post(&running.base, small).await.unwrap().is_taken());
    receiver.has(1).await;
    caller.quiesce(&running.base).await;
}

/// Keeps the allocators, Rust's and that of SQLite, from setting address space
/// aside that they never use: else a limit of it bounds nothing.
const FRUGAL: [(&str, &str); 2] = [("MIMALLOC_ARENA_RESERVE", "32MiB"), ("MALLOC_ARENA_MAX", "1")];

/// The address space, in bytes, of a server that may have what an idle one has, 64
/// MiB, and the bodies in memory.
fn little_memory() -> u64 {
    let directory = TempDir::new();
    let idle = Running::start(directory.path(), &FRUGAL);
    let in_flight = u64::try_from(bellwether::intake::BODIES_IN_MEMORY_BYTES).unwrap();
    ((memory_kib(&idle, "VmSize") + SLACK_KIB) << 10) + in_flight
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_81_with_little_memory_to_have_long_bodies_are_taken_or_refused_and_nothing_is_lost() {
    let count = if long() { 1_000 } else { 90 };
    let directory = TempDir::new();
    let (caller, receiver) = (Caller::new(), Listening::start().await);
    let limit = format!("--as={}", little_memory());
    let mut running = Running::start_within(&["prlimit", &limit], directory.path(), &FRUGAL);
    caller.register(&running.base, Some(&receiver.url)).await;
    let inject = "inject=fsync,fdatasync:delay_exit=1000000";
    let slow = meddle(&running, &["-e", "trace=fsync,fdatasync", "-e", inject]);
    let (taken, refused) = post_long_bodies(&running.base, count).await;
    drop(slow);
    println!("{} taken, {refused} refused of {count}, within {limit}", taken.len());
    assert!(running.child.try_wait().unwrap().is_none(), "{}", running.log());
    assert!(!taken.is_empty() && refused > 0, "{} taken, {refused} refused", taken.len());
    let kept = caller.all(&running.base, "/v1/unparsed").await;
    let begins = |n: &u64| {
        kept.iter().any(|kept| kept["raw"].as_str().unwrap().starts_with(&format!("no notification {n} ")))
    };
    assert!(taken.iter().all(begins), "what was taken is kept, though it is nothing but noise");
    let small = notification(1_748_736_000, &[upgrade(1, "TIER_1")]);
    assert!(Poster::new().post(&running.base, small).await.unwrap().is_taken());
    receiver.has(1).await;
    caller.quiesce(&running.base).await;
    running.terminate();
    assert_eq!(running.ended().await, Some(0), "{}", running.log());
    assert!(!running.log().contains("panicked"), "{}", running.log());
}
