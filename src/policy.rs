//! The decisions, as pure functions of their arguments.

pub mod address;
pub mod interruption;
pub mod pace;
pub mod reconciliation;
pub mod retry;
pub mod routing;
pub mod shares;
pub mod signature;
pub mod snapshot;
pub mod supersede;
pub mod transition;
