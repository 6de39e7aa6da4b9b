//! Where the tokens of a table begin, and go on at a later leadership, and whether the wall clock can be believed that
//! says so.

use super::clock;

/// Milliseconds since 1970 times this is where the tokens and the event ids of a new table begin: room for a million
/// grants a second before a service that lost its data could give a token again, and for a restart within a millisecond
/// or two. 2^53 is reached in the year 2248.
const TOKENS_PER_MS: u64 = 1 << 10;

/// No machine that runs this program can have an earlier date; a release raises it. A build that is told its time
/// (`SOURCE_DATE_EPOCH`, as distributions set it) knows better.
const RELEASED: u64 = 1_754_524_800;
const BUILT: u64 = built();

const YEAR_2100: u64 = 4_102_444_800;

/// The wall clock is wrong, and where tokens begin would stay wrong for as long as the table lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the wall clock of this machine reads {}, which is {}: fencing tokens of a new table begin by it and never go back. \
     Set the clock, or begin all the same with --trust-clock (storage.trust_clock = true)",
    clock::rfc3339(*.unix_seconds), if *.unix_seconds < BUILT { "before this release was built" } else { "beyond the year 2100" }
)]
pub struct AbsurdClock {
    unix_seconds: u64,
}

/// Whether a new table may begin by the clock as it is.
pub fn check_clock(trust: bool) -> Result<(), AbsurdClock> {
    let unix_seconds = clock::unix_time().as_secs();
    if trust || (BUILT..YEAR_2100).contains(&unix_seconds) { Ok(()) } else { Err(AbsurdClock { unix_seconds }) }
}

/// The first token of a new table.
pub fn first_token() -> u64 {
    let unix_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
    unix_ms.saturating_mul(TOKENS_PER_MS)
}

/// What a leadership that opens in this epoch says of the tokens: a later one says nothing by a clock that is wrong,
/// and does not end for it.
pub fn first_token_of(epoch: u64) -> u64 {
    if epoch == 0 || check_clock(false).is_ok() { first_token() } else { 0 }
}

const fn built() -> u64 {
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) => match u64::from_str_radix(text, 10) {
            Ok(told) if told > RELEASED => told,
            _ => RELEASED,
        },
        None => RELEASED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_seconds: u64) -> Result<(), AbsurdClock> {
        clock::pretend_unix_seconds(unix_seconds);
        check_clock(false)
    }

    #[test]
    fn a_new_table_begins_at_the_milliseconds_of_the_clock() {
        clock::pretend_unix_seconds(1_800_000_000);
        assert_eq!(first_token(), 1_800_000_000_000 << 10);
        assert!(first_token() < 1 << 53);
    }

    #[test]
    fn a_later_leadership_takes_nothing_from_an_absurd_clock() {
        for (unix_seconds, believed) in [(0, false), (1_800_000_000, true), (YEAR_2100, false), (8_835_955_200, false)]
        {
            clock::pretend_unix_seconds(unix_seconds);
            assert_eq!(first_token_of(1), if believed { first_token() } else { 0 }, "{unix_seconds}");
            assert_eq!(first_token_of(0), first_token(), "the start of a new table has been refused or told");
        }
    }

    #[test]
    fn a_clock_before_the_release_or_beyond_2100_is_refused_unless_it_is_trusted() {
        assert_eq!([BUILT, YEAR_2100 - 1].map(at), [Ok(()); 2]);
        for absurd in [0, BUILT - 1, YEAR_2100, u64::MAX] {
            let refused = at(absurd).expect_err("absurd").to_string();
            assert!(refused.contains("--trust-clock") && refused.contains("storage.trust_clock"), "{refused}");
            assert_eq!(check_clock(true), Ok(()));
        }
        assert!(
            at(0).unwrap_err().to_string().contains("1970-01-01T00:00:00Z, which is before this release was built")
        );
        assert!(
            at(8_835_955_200).unwrap_err().to_string().contains("2250-01-01T00:00:00Z, which is beyond the year 2100")
        );
    }
}
