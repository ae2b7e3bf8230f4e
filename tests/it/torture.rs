//! The real binary under a nemesis: killed at every moment, its files torn and
//! flipped, its checkpoints and backups forced under load. Everything is held
//! from outside: the generator keeps what it sent and what was acknowledged, the
//! receiver logs each arrival, and the oracle decides.

mod backup;
mod controls;
mod damage;
mod failpoints;
mod herds;
mod kills;
pub(crate) mod ledger;
mod oracle;
pub(crate) mod receiver;
mod soak;
mod syncs;
mod traced;
