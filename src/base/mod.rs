//! The ground floor: clock, randomness, histograms, and a limit on repeated log lines.
//!
//! What may not live here: anything that knows of locks, nodes or requests. This room imports no other.

pub mod clock;
pub mod histogram;
mod log_rate_limit;
pub mod random;
mod session_handle;
pub mod wall_clock;

pub use log_rate_limit::{KeyedLogRateLimit, LogRateLimit};
pub use session_handle::session_handle;

/// The `tracing` target of the last line that a process logs: such a line is written before the logging call returns.
pub const LAST_WORDS: &str = "latchd::last_words";
