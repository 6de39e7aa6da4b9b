//! Upper bounds on time that hold on a machine which is held up now and then.

use std::time::Duration;

/// More than a busy machine spoils in a row.
const ATTEMPTS: usize = 5;

/// Attempts something until it takes less than this. A stall makes one attempt late; a defect makes each of them late.
pub fn some_attempt_within(longest: Duration, mut attempt: impl FnMut() -> Duration) {
    let mut late = Vec::new();
    while late.len() < ATTEMPTS {
        match attempt() {
            took if took < longest => return,
            took => late.push(took),
        }
    }
    panic!("no attempt ended within {longest:?}: {late:?}");
}
