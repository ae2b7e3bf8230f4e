//! Processes that other tests start beside this one. Until such a process runs its
//! program it has copies of all that is open here, a store's lock among them, and
//! so the lock of a store that was just given up is held for a moment more. That
//! moment is the system's, not the test's: no time passes there meanwhile.

use std::time::Duration;

use bellwether::store::Error;

/// Looks so often; a busy machine may let a new process wait for a second.
const LOOKS: u32 = 10_000;

/// Opens a store of which nobody in this process has the lock any more.
pub fn opened<T>(mut open: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..LOOKS {
        match open() {
            Err(error) if is_in_use(&error) => let_others_run(),
            opened => return opened,
        }
    }
    open()
}

/// Whether somebody has a store's lock.
pub fn is_in_use(error: &Error) -> bool {
    error.to_string().contains("in use")
}

/// A millisecond of the system's time.
#[expect(clippy::disallowed_methods, reason = "the system has to go on, and the test's time not")]
pub fn let_others_run() {
    std::thread::sleep(Duration::from_millis(1));
}
