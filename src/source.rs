//! Upstream bytes to changes and readings. Pure, and without failure: whatever
//! arrives with a valid signature comes out as something that can be kept, and of
//! an answer that was asked for, what is wrong with it comes out.

pub mod graph;
mod json;
pub mod meta;
