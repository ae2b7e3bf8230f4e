//! What the tests are made of: servers that misbehave on purpose, and what
//! they need.

pub mod certs;
pub mod dns;
pub mod hostile;
pub mod spellings;
