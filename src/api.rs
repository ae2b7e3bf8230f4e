//! To be written.

pub mod ingest;
