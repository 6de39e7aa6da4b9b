//! Clock, randomness, the byte codec, histograms, the id of the current request, and a limit on repeated log lines.
//!
//! What may not live here: anything that knows of locks or nodes. This room imports no other.

mod byte_enum;
pub mod chunked_file;
pub mod clock;
pub mod codec;
pub mod fatal;
mod future;
pub mod histogram;
mod log_rate_limit;
pub mod random;
pub mod request_id;
mod session_handle;
pub mod wall_clock;

pub(crate) use byte_enum::byte_enum;
pub use fatal::FLUSH_TARGET;
pub use future::BoxFuture;
pub use log_rate_limit::{KeyedLogRateLimit, LogRateLimit};
pub use session_handle::session_handle;
