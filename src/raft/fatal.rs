//! What happens when the log cannot be written: the process ends, and nothing is answered any more.
//!
//! After a failed write or sync the kernel may have dropped the pages while reporting the error only once; a retry
//! could "succeed" without the data being there. The only honest continuation is a restart that reads what is on disk.

use std::fmt::Display;

use crate::base::LAST_WORDS;

/// Says why, and ends the process at once.
pub(super) fn abort(what: &str, error: &dyn Display) -> ! {
    tracing::error!(target: LAST_WORDS, %error, "{what}: {error}; the process ends, nothing more is answered");
    std::process::abort();
}

/// Aborts when the scope it guards is left by a panic: half-applied state must never be answered from.
pub(super) struct AbortOnPanic(pub &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            abort(self.0, &"a panic, see above");
        }
    }
}
