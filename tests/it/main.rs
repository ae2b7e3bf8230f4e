//! The integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod api;
mod cli;
mod contract;
mod dashboard;
mod examples;
mod fuzz;
mod graph;
mod hostile;
mod live;
mod process;
mod server;
mod sim;
mod store;
mod support;
mod tidy;
mod torture;
mod transport;
