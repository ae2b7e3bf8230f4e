//! Upstream bytes to changes. Pure, and without failure: whatever arrives with
//! a valid signature comes out as something that can be kept.

pub mod meta;
