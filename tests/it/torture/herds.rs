//! Fault 77 on the real binary: a start into a long backlog, at a configured
//! pace. With a million due the benchmark starts (`herd`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::ledger::{Ledger, register};
use super::receiver::Receiver;
use crate::process::running::{Caller, Running, long};
use crate::sim::world::tempdir::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_77_a_start_into_a_backlog_goes_out_at_the_configured_pace_and_the_intake_goes_on() {
    let (backlog, per_s) = if long() { (1_000_000, 2_000) } else { (1_000, 200) };
    let directory = TempDir::new();
    let (caller, receiver, ledger) = (Caller::new(), Receiver::start().await, Ledger::default());
    let mut paused = Running::start(directory.path(), &[("BELLWETHER_DELIVERY__PAUSED", "true")]);
    register(&caller, &paused.base, &receiver).await;
    let load = ledger.start_load(&paused.base);
    ledger.grows_by(backlog).await;
    load.stop().await;
    paused.terminate();
    assert_eq!((paused.ended().await, receiver.count()), (Some(0), 0), "{}", paused.log());

    let running =
        Running::start(directory.path(), &[("BELLWETHER_DELIVERY__ATTEMPTS_PER_S", &per_s.to_string())]);
    while receiver.count() < backlog {
        ledger.send(&caller, &running.base).await.1.expect("it is taken while the backlog goes out");
        receiver.has(receiver.count() + 1).await;
    }
    caller.quiesce(&running.base).await;
    ledger.check(&caller, &running.base, &receiver).await;
    let times: Vec<_> = receiver.arrivals().iter().map(|arrival| arrival.at).collect();
    let (first, last) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for time in &times {
        *seconds.entry((*time - first).as_secs()).or_default() += 1;
    }
    // A test that has no processor for a while sees them closer than they were.
    let took = last - first;
    let at_least =
        Duration::from_secs(1) * u32::try_from(times.len()).unwrap() / u32::try_from(per_s).unwrap();
    assert!(took >= at_least * 4 / 5, "{} in {took:?}", times.len());
    assert!(seconds.values().all(|count| *count <= 2 * per_s), "no second stands out: {seconds:?}");
}
