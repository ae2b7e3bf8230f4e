//! The program: parses arguments, runs, maps the end to an exit code.
fn main() {}
