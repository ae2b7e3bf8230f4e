//! Upstream bytes to changes.

pub mod meta;
