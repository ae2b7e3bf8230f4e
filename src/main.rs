//! The program: parses arguments, runs, ends with a documented exit code.

fn main() -> std::process::ExitCode {
    bellwether::cli::run()
}
