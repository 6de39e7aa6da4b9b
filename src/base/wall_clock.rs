//! Whether the wall clock of this machine can be right.

use super::clock;

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
    clock::rfc3339(*.unix_seconds), if *.unix_seconds < BUILT { "before this release was built" } else { "beyond the year 2100" }
)]
pub struct ImplausibleClock {
    unix_seconds: u64,
}

/// Whether a new table may begin by the clock as it is.
pub fn check_wall_clock(trust: bool) -> Result<(), ImplausibleClock> {
    let unix_seconds = clock::unix_time().as_secs();
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
    use std::time::Duration;

    use super::*;

    fn at(unix_seconds: u64) -> Result<(), ImplausibleClock> {
        clock::set_wall_clock(Box::new(move || Duration::from_secs(unix_seconds)));
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
