//! The wire contract, row by row, through the real router: what Meta posts,
//! what becomes of it, and the bytes that go out.

mod events;
mod intake;
mod samples;
mod schema;
