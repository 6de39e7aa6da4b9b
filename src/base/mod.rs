//! Clock, randomness, the byte codec, values, dates, URLs and files of the configuration, histograms, a bounded map, groups of
//! addresses, the id of the current request, the phase of the drain, a limit on repeated log lines, the refusal of a request
//! beyond a rate, which characters cannot be seen, and which names look like what others start with.
//!
//! What may not live here: anything that knows of locks or nodes. This room imports no other.

pub mod address_group;
pub mod bounded_map;
pub mod chunked_file;
pub mod clock;
pub mod codec;
pub mod config_value;
mod drain;
pub mod end_date;
pub mod fatal;
pub mod histogram;
mod invisible;
pub mod listen_url;
mod log_rate_limit;
pub mod named_file;
pub mod random;
pub mod request_id;
pub mod request_times;
mod separator;
mod too_fast;
pub mod value;

use std::pin::Pin;

pub(crate) use codec::byte_enum;
pub use drain::{Drain, DrainPhase};
pub use fatal::FLUSH_TARGET;
pub use invisible::is_invisible;
pub use log_rate_limit::{KeyedLogRateLimit, LogRateLimit};
pub use separator::ends_with_separator;
pub use too_fast::TooFast;

/// Runs an action when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A future in a box, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
