//! Fault 14: two processes on one store. What a kill does is told in `torture`.

use std::time::Duration;

use super::running::{Caller, Running, binary, write_config};
use crate::sim::world::tempdir::TempDir;

/// It says so at once: it does not wait for the first one's end.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_a_second_process_on_the_same_store_ends_with_a_clear_error_and_the_first_goes_on() {
    let directory = TempDir::new();
    let caller = Caller::new();
    let running = Running::start(directory.path(), &[]);
    let file = write_config(directory.path());
    let began = tokio::time::Instant::now();
    let second = binary().arg("serve").arg("--config").arg(file).output().unwrap();
    assert_eq!(second.status.code(), Some(4));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("in use by another process") && said.contains("hint:"), "{said}");
    assert!(began.elapsed() < SOON, "it waited for {:?}", began.elapsed());
    caller.register(&running.base, None).await;
}
