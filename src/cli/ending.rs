//! The end of a command that goes on until it is told: Ctrl-C or SIGTERM. What it has
//! begun to do for a message it does to the end, so that nothing is done twice.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, Failure};

pub(super) struct Ending {
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    /// From now on the signals do not end the process by themselves.
    pub(super) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits until it is told to end.
    pub(super) async fn told(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
