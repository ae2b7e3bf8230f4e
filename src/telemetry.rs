//! What the program tells about itself: logs for what happened, metrics for
//! how much of it. Neither is ever waited for: a log that nobody reads loses
//! lines, and a counter is one atomic addition.

pub mod logs;
pub mod metrics;

pub use metrics::{Depths, Metrics, NoSpace, Refused};
