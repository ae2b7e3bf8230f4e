//! The simulation: the whole node (router, intake, real SQLite, dispatcher) on
//! one thread and paused time, with a scripted world of receivers as its
//! transport. A seed decides everything that chance decides, so a failure
//! repeats; invariants are checked at every arrival and at the end.

mod chaos;
mod clocks;
mod controls;
mod herds;
mod latest;
mod live;

mod oauth;
mod oracle;
mod poison;
pub(crate) mod receivers;
mod recoveries;
mod seeds;
mod stories;
mod streams;
mod threads;
mod truth;
pub(crate) mod world;

pub(crate) use world::simulate;
