//! The nouns. Plain data with the invariants its constructors check; nothing
//! here knows how it is stored, sent or shown.

pub mod account;
pub mod attempt;
pub mod change;
pub mod delivery;
pub mod event;
pub mod id;
pub mod limit;
pub mod number;
pub mod reading;
pub mod reconciliation;
pub mod time;
pub mod webhook;
pub mod word;
