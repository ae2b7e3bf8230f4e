//! The real program, looked at from outside: how much memory it took at most,
//! and how many descriptors it holds. The catalogue's bound is what it takes
//! when idle, 64 MiB, and what it is configured to hold.

use std::net::SocketAddr;

use axum::http::Method;
use serde_json::{Value, json};

use crate::process::running::{Caller, Running};
use crate::sim::world::{ACCOUNT, notification, tempdir::TempDir, upgrade};
use crate::support::frozen::until;

/// What idling and work may differ by.
const SLACK_KIB: u64 = 64 << 10;

/// Descriptors that may come and go: files of the store, connections of pools.
const SLACK_DESCRIPTORS: usize = 10;

/// A program at work.
pub(super) struct Measured {
    pub(super) running: Running,
    pub(super) caller: Caller,
    pub(super) at: SocketAddr,
    descriptors: usize,
    idle_kib: u64,
    _directory: TempDir,
}

impl Measured {
    /// Starts it with these variables and registers the account; `url` is where
    /// its events go. Measured from here on.
    pub(super) async fn start(variables: &[(&str, &str)], url: Option<&str>) -> Self {
        let directory = TempDir::new();
        let running = Running::start(directory.path(), variables);
        let caller = Caller::new();
        caller.register(&running.base, url).await;
        let at = running.base.trim_start_matches("http://").parse().unwrap();
        let mut this = Self { running, caller, at, descriptors: 0, idle_kib: 0, _directory: directory };
        // Once through everything, so that what is set up late is there.
        this.works("TIER_WARM").await;
        this.descriptors = this.open_descriptors();
        this.begin();
        this
    }

    /// Forgets the peak so far.
    pub(super) fn begin(&mut self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.running.child.id()), "5").unwrap();
        self.idle_kib = self.status("VmRSS:");
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(super) fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.running.child.id())).unwrap().count()
    }

    /// Since [`Self::begin`] it took no more than it may, with `held` bytes that it
    /// is configured to hold.
    #[track_caller]
    pub(super) fn kept_its_memory(&self, held: usize) {
        let grown = self.status("VmHWM:").saturating_sub(self.idle_kib);
        assert!(grown <= SLACK_KIB + (held as u64 >> 10), "grown by {grown} KiB over {} KiB", self.idle_kib);
    }

    /// Whatever connected has gone, and its descriptors with it.
    pub(super) async fn let_go(&self) {
        let most = self.descriptors + SLACK_DESCRIPTORS;
        until("descriptors are closed", async || self.open_descriptors() <= most).await;
    }

    /// It runs, has not panicked, and takes and shows an event as ever.
    pub(super) async fn works(&mut self, limit: &str) {
        let body = notification(1_748_736_000, &[upgrade(9_999, limit)]);
        let (status, receipt) = self.caller.notify(&self.running.base, body).await.expect("it answers");
        assert_eq!((status.as_u16(), &receipt["accepted"]), (200, &json!(1)), "{receipt}");
        assert!(self.running.child.try_wait().unwrap().is_none(), "{}", self.running.log());
        assert!(!self.running.log().contains("panicked"), "{}", self.running.log());
    }

    /// How many events the account has, of those shown first.
    pub(super) async fn shown(&self, path: &str) -> Vec<Value> {
        self.caller.all(&self.running.base, path).await
    }

    /// All of the account's events.
    pub(super) async fn events(&self) -> usize {
        self.shown(&format!("/v1/accounts/{ACCOUNT}/events")).await.len()
    }

    /// Calls the API as the operator.
    pub(super) async fn put(&self, path: &str, method: Method, body: Value) {
        let (status, answer) = self.caller.call(&self.running.base, method, path, body).await.unwrap();
        assert!(status.is_success(), "{path}: {answer}");
    }
}
