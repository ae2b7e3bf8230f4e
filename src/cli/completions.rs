//! `bellwether completions` and `bellwether man`: made of the same definitions that
//! arguments are read by.

use std::path::PathBuf;

use clap_complete::Shell;
use clap_mangen::Man;

use super::output::print;
use super::{Exit, Failure, command, tell};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// For which shell
    shell: Shell,
}

/// Prints a shell's completions.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command(), "bellwether", &mut text);
    print(String::from_utf8_lossy(&text).trim_end())
}

#[derive(clap::Args)]
pub(super) struct ManArguments {
    /// Of which command, `events list`; without one, of the program
    #[arg(value_name = "COMMAND")]
    of: Vec<String>,
    /// Write the pages of all commands into this directory instead
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "of")]
    directory: Option<PathBuf>,
}

/// Prints a manual page, or writes them all.
pub(super) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    let mut program = command();
    if let Some(directory) = &arguments.directory {
        let failed = |error| {
            Failure::new(
                Exit::Failed,
                format!("cannot write manual pages to {}: {error}", directory.display()),
            )
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        clap_mangen::generate_to(program, directory).map_err(failed)?;
        tell(format_args!("for `man bellwether`: MANPATH={}", directory.display()));
        return Ok(());
    }
    program.build();
    let mut found = &program;
    for name in &arguments.of {
        found = found.find_subcommand(name).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!("there is no command {:?}\nhint: bellwether help", arguments.of.join(" ")),
            )
        })?;
    }
    let mut page = Vec::new();
    let rendered = Man::new(found.clone()).render(&mut page);
    rendered.map_err(|error| Failure::new(Exit::Failed, error))?;
    print(String::from_utf8_lossy(&page).trim_end())
}
