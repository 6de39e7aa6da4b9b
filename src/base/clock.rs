//! The only file that reads a clock.
//!
//! Monotonic time is the runtime's, which a simulation moves. The wall clock has two uses, neither of them a decision
//! about a lock: where the fencing tokens and event ids of a leadership go on, and the moments in RaftLock's answers.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Measures the time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub fn age(self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the time since 1970.
pub type WallClock = Box<dyn Fn() -> Duration>;

thread_local! {
    /// Set by a simulation, which runs on one thread.
    static WALL_CLOCK: RefCell<Option<WallClock>> = const { RefCell::new(None) };
}

/// Takes the wall-clock time of this thread from `clock`. For simulations only.
pub fn set_wall_clock(clock: WallClock) {
    WALL_CLOCK.set(Some(clock));
}

/// Seconds since 1970 by the wall clock.
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}

/// Since 1970 by the wall clock.
pub fn unix_time() -> Duration {
    let simulated = WALL_CLOCK.with_borrow(|clock| clock.as_ref().map(|clock| clock()));
    simulated.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A moment as RFC 3339 writes it, for people.
pub fn rfc3339(unix_seconds: u64) -> String {
    // The last second of the year 9999, beyond which there is no such text.
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Since this process first asked: for rates and throttles outside the lock table.
pub fn process_age() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}
