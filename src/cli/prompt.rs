//! Asking for a secret, without showing what is typed; on a terminal only.

use std::io::{IsTerminal, Write, stderr, stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;
use secrecy::zeroize::Zeroize;

use super::{Exit, Failure};

/// What was typed; `None` if nobody can be asked, or nothing was said.
pub(super) fn secret(question: &str) -> Result<Option<SecretString>, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(None);
    }
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("cannot ask on this terminal: {error}"));
    // First, so that not even what is typed too early shows.
    let silent = Silent::begin().map_err(failed)?;
    let _ = write!(stderr(), "{question}");
    let _ = stderr().flush();
    let mut line = String::new();
    let read = stdin().read_line(&mut line);
    drop(silent);
    let _ = writeln!(stderr());
    read.map_err(failed)?;
    let text = line.trim().to_owned();
    line.zeroize();
    Ok(Some(text).filter(|text| !text.is_empty()).map(SecretString::from))
}

/// The terminal shows nothing of what is typed while this lives.
struct Silent(Termios);

impl Silent {
    fn begin() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
