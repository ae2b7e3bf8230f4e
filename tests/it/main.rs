//! The integration tests, one binary.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;
mod transport;
