//! The real binary: killed, terminated, started twice, and used from a shell.

mod bench;
mod canaries;
mod clocks;
mod commands;
mod crashes;
mod disk;
mod limits;
pub(crate) mod nemesis;
mod outwards;
mod pauses;
pub(crate) mod running;
mod shutdown;
mod unread;
mod verify;
