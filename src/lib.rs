//! Bellwether delivers changes of WhatsApp business numbers (messaging limit,
//! throughput, quality) to the webhook of the account they concern: in order,
//! signed, retried, visible, replayable, and never lost once acknowledged.
//!
//! The modules in reading order; arrows between them only point upwards in
//! this list, and a test holds that (`tests/it/tidy.rs`).
//!
//! Pure: no async, no clock, no randomness, no I/O.

pub mod model;
pub mod policy;
pub mod source;

// Ports and their adapters.
pub mod env;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod transport;

// The service.
pub mod dispatch;
pub mod intake;
pub mod reconcile;
pub mod server;

pub mod api;
pub mod dashboard;

// The program.
pub mod config;
pub mod node;

pub mod cli;
