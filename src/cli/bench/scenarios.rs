//! The scenarios: each sets its stage, does its part and says what it measured.

pub(super) mod beside;
pub(super) mod restart;
pub(super) mod retention;
pub(super) mod stages;
pub(super) mod stored;
pub(super) mod throughput;

use super::meta::Audience;

/// The usual audience: so many accounts, each with a webhook on a host of its
/// own, and so many numbers that hardly two events of a lane meet.
const USUAL: Audience = Audience { first: 0, accounts: 16, numbers: 1_000 };
