//! Ends the process where it must not go on, such as after a write to the log that failed.
//!
//! After a failed write or sync the kernel may have dropped the pages while reporting the error only once; a retry
//! could "succeed" without the data being there. So the process ends, and a restart reads what is on disk.

use std::fmt::Display;

/// The target of log lines that must be written before the process goes on: it may end right after them.
pub const FLUSH_TARGET: &str = "latchd::flush";

/// Logs the reason and ends the process at once.
pub fn abort(what: &str, error: &dyn Display) -> ! {
    tracing::error!(target: FLUSH_TARGET, %error, "{what}: {error}; the process ends, nothing more is answered");
    std::process::abort();
}

/// Aborts when a panic leaves the scope it guards: nothing may be answered from half-applied state.
pub struct AbortOnPanic(pub &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            abort(self.0, &"a panic, see above");
        }
    }
}
