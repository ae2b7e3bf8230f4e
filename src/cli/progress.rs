//! How far long work is: a bar on standard error, on a terminal only.

use std::io::{IsTerminal, Write, stderr};

const WIDTH: u64 = 30;

/// Gone, with its line, when dropped.
pub(super) struct Progress {
    what: &'static str,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, shown: false }
    }

    /// So much is done of so much, as far as is known.
    pub(super) fn at(&mut self, done: u64, of: u64) {
        if stderr().is_terminal() {
            self.shown = true;
            let _ = write!(stderr(), "\r\u{1b}[K{}", bar(self.what, done, of));
            let _ = stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\u{1b}[K");
        }
    }
}

fn bar(what: &str, done: u64, of: u64) -> String {
    let full = (done.min(of) * WIDTH).checked_div(of).unwrap_or(WIDTH);
    let part = |mark: &str, times: u64| mark.repeat(usize::try_from(times).unwrap_or(0));
    format!("{what} [{}{}] {done} of {of}", part("#", full), part(".", WIDTH - full))
}

#[test]
fn a_bar_is_as_full_as_the_work_is_done() {
    assert_eq!(bar("replaying", 50, 100), "replaying [###############...............] 50 of 100");
    assert!(bar("a", 0, 0).contains(&"#".repeat(30)) && bar("a", 9, 3).contains(&"#".repeat(30)));
}
