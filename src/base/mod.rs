//! The ground floor: clock, randomness, histograms, and a limit on repeated log lines.
//!
//! What may not live here: anything that knows of locks, nodes or requests. This room imports no other.

pub mod clock;
pub mod fatal;
mod future;
pub mod histogram;
mod log_rate_limit;
pub mod random;
mod session_handle;
pub mod wall_clock;

pub use fatal::LAST_WORDS;
pub use future::BoxFuture;
pub use log_rate_limit::{KeyedLogRateLimit, LogRateLimit};
pub use session_handle::session_handle;
