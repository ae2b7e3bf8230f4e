//! The real binary: killed, terminated, started twice, and used from a shell.

mod bench;
mod canaries;
mod commands;
mod crashes;
mod ledger;
pub(crate) mod running;
mod shutdown;
