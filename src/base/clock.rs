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

/// Since 1970 by the wall clock.
pub fn unix_time() -> Duration {
    let simulated = WALL_CLOCK.with_borrow(|clock| clock.as_ref().map(|clock| clock()));
    simulated.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The moment so long after 1970 began.
pub fn system_time(unix: Duration) -> SystemTime {
    UNIX_EPOCH + unix
}

/// A moment as RFC 3339 writes it, for people.
pub fn rfc3339(unix_seconds: u64) -> String {
    // The last second of the year 9999, beyond which there is no such text.
    let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(time).to_string()
}

/// A moment since 1970 as RFC 3339 writes it, with milliseconds.
pub fn rfc3339_ms(unix_time: Duration) -> String {
    let time = UNIX_EPOCH + unix_time.min(Duration::from_secs(253_402_300_799));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Seconds since 1970 of a moment in UTC as RFC 3339 writes it; `None` before that, and of what is no such text.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The seconds since 1970 of a date as HTTP writes it (RFC 9110, 5.6.7).
pub fn http_date(text: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(text).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Since this process first asked: for rates and throttles outside the lock table.
pub fn process_age() -> Duration {
    static STARTED: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    STARTED.get_or_init(Instant::now).elapsed()
}

/// No machine that runs this program can have an earlier date; a release raises it. A build with
/// `SOURCE_DATE_EPOCH`, as distributions set it, has a later bound.
const RELEASED: u64 = 1_754_524_800;
const BUILT: u64 = built();

pub const YEAR_2100: u64 = 4_102_444_800;

/// The wall clock is wrong, and where tokens begin would stay wrong for as long as the table lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the wall clock of this machine reads {}, which is {}: fencing tokens of a new table begin by it and never go back. \
     Set the clock, or begin all the same with --trust-clock (storage.trust_clock = true)",
    rfc3339(*.unix_seconds), if *.unix_seconds < BUILT { "before this release was built" } else { "beyond the year 2100" }
)]
pub struct ImplausibleClock {
    unix_seconds: u64,
}

/// Whether a new table may begin by the clock as it is.
pub fn check_wall_clock(trust: bool) -> Result<(), ImplausibleClock> {
    let unix_seconds = unix_time().as_secs();
    if trust || (BUILT..YEAR_2100).contains(&unix_seconds) { Ok(()) } else { Err(ImplausibleClock { unix_seconds }) }
}

const fn built() -> u64 {
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => match u64::from_str_radix(text, 10) {
            Ok(built) if built > RELEASED => built,
            _ => RELEASED,
        },
        None => RELEASED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_seconds: u64) -> Result<(), ImplausibleClock> {
        set_wall_clock(Box::new(move || Duration::from_secs(unix_seconds)));
        check_wall_clock(false)
    }

    #[test]
    fn implausible_clock_is_refused_unless_trusted() {
        assert_eq!([BUILT, YEAR_2100 - 1].map(at), [Ok(()); 2]);
        for implausible in [0, BUILT - 1, YEAR_2100, u64::MAX] {
            let refused = at(implausible).expect_err("implausible").to_string();
            assert!(refused.contains("--trust-clock") && refused.contains("storage.trust_clock"), "{refused}");
            assert_eq!(check_wall_clock(true), Ok(()));
        }
        assert!(
            at(0).unwrap_err().to_string().contains("1970-01-01T00:00:00Z, which is before this release was built")
        );
        assert!(
            at(8_835_955_200).unwrap_err().to_string().contains("2250-01-01T00:00:00Z, which is beyond the year 2100")
        );
    }
}
