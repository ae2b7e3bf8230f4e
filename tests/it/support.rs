//! What the tests are made of: servers and clients that misbehave on purpose,
//! and what they need.

pub mod certs;
pub mod dns;
pub mod forks;
pub mod frozen;
pub mod graph;
pub mod hostile;
pub mod openssl;
pub mod raw;
pub mod spellings;
pub mod sse;
