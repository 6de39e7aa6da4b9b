//! The first fencing token of a new table, and the floor that a later leadership sets for tokens.

use crate::base::clock;
use crate::base::clock::check_wall_clock;

/// Milliseconds since 1970 times this is where the tokens and the event ids of a new table begin: room for a million
/// grants a second before a service that lost its data could give a token again, and for a restart within a millisecond
/// or two. 2^53 is reached in the year 2248.
const TOKENS_PER_MS: u64 = 1 << 10;

/// The first token of a new table.
pub fn first_token() -> u64 {
    let unix_ms = u64::try_from(clock::unix_time().as_millis()).unwrap_or(u64::MAX);
    unix_ms.saturating_mul(TOKENS_PER_MS)
}

/// The floor for tokens of a leadership that follows this epoch. A later leadership sets none if its clock is implausible.
pub fn first_token_of(epoch: u64) -> u64 {
    if epoch == 0 || check_wall_clock(false).is_ok() { first_token() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::YEAR_2100;
    use std::time::Duration;

    #[test]
    fn new_table_begins_at_the_milliseconds_of_the_clock() {
        clock::set_wall_clock(Box::new(|| Duration::from_secs(1_800_000_000)));
        assert_eq!(first_token(), 1_800_000_000_000 << 10);
        assert!(first_token() < 1 << 53);
    }

    #[test]
    fn later_leadership_ignores_an_implausible_clock() {
        for (unix_seconds, believed) in [(0, false), (1_800_000_000, true), (YEAR_2100, false), (8_835_955_200, false)]
        {
            clock::set_wall_clock(Box::new(move || Duration::from_secs(unix_seconds)));
            assert_eq!(first_token_of(1), if believed { first_token() } else { 0 }, "{unix_seconds}");
            assert_eq!(first_token_of(0), first_token(), "the start of a new table has been refused or told");
        }
    }
}
