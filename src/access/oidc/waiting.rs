//! Tokens that wait for the keys of their issuer: one fetch for all of them, and not more often than is good for the issuer.

use super::refusal::TokenRefusal;
use crate::base::address_group::AddressGroup;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Requests that wait for one fetch.
const WAITING_MAX: usize = 1024;
/// Those of one address, so that others have a place.
const WAITING_PER_ADDRESS_MAX: usize = 64;

/// The fetches of one issuer's keys.
#[derive(Debug)]
pub(super) struct Fetches {
    state: Mutex<State>,
    wanted: Notify,
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    is_wanted: bool,
    is_running: bool,
    /// When the last one began, since the process started.
    last_begun: Option<Duration>,
    waiting: HashMap<AddressGroup, usize>,
}

impl Default for Fetches {
    fn default() -> Fetches {
        Fetches { state: Mutex::default(), wanted: Notify::new(), ended: watch::Sender::new(0) }
    }
}

impl Fetches {
    /// Waits for the end of the present fetch, or of a new one if the last is long enough ago. False: there was none.
    pub async fn next(&self, from: AddressGroup, now: Duration, interval: Duration) -> Result<bool, TokenRefusal> {
        let (mut ended, _place) = {
            let mut state = self.state.lock();
            let is_on_its_way = state.is_running || state.is_wanted;
            if !is_on_its_way && state.last_begun.is_some_and(|begun| now.saturating_sub(begun) < interval) {
                return Ok(false);
            }
            // One that is not taken must not be given back.
            let place = state.take_place(from).then(|| Place { fetches: self, from }).ok_or(TokenRefusal::NotNow)?;
            if !is_on_its_way {
                state.is_wanted = true;
                self.wanted.notify_one();
            }
            (self.ended.subscribe(), place)
        };
        Ok(ended.changed().await.is_ok())
    }

    /// Until somebody waits.
    pub async fn wanted(&self) {
        while !self.state.lock().is_wanted {
            self.wanted.notified().await;
        }
    }

    pub fn begin(&self, now: Duration) {
        let mut state = self.state.lock();
        (state.is_wanted, state.is_running, state.last_begun) = (false, true, Some(now));
    }

    pub fn end(&self) {
        self.state.lock().is_running = false;
        self.ended.send_modify(|count| *count += 1);
    }
}

impl State {
    fn take_place(&mut self, from: AddressGroup) -> bool {
        let all: usize = self.waiting.values().sum();
        let of_address = self.waiting.entry(from).or_default();
        let has_place = all < WAITING_MAX && *of_address < WAITING_PER_ADDRESS_MAX;
        *of_address += usize::from(has_place);
        if *of_address == 0 {
            self.waiting.remove(&from);
        }
        has_place
    }
}

struct Place<'a> {
    fetches: &'a Fetches,
    from: AddressGroup,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.fetches.state.lock();
        if let Some(count) = state.waiting.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                state.waiting.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn address(last: u8) -> AddressGroup {
        std::net::IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn all_wait_for_one_fetch_and_the_next_is_later() {
        let fetches = Fetches::default();
        let next = |last, seconds| Box::pin(fetches.next(address(last), Duration::from_secs(seconds), INTERVAL));
        let (mut first, mut second) = (next(1, 0), next(2, 0));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert!(fetches.wanted().now_or_never().is_some());
        fetches.begin(Duration::ZERO);
        assert!(fetches.wanted().now_or_never().is_none(), "one for both");
        fetches.end();
        assert_eq!([first.now_or_never(), second.now_or_never()], [Some(Ok(true)), Some(Ok(true))]);
        assert_eq!(next(1, 9).now_or_never(), Some(Ok(false)), "too soon");
        assert!(next(1, 10).now_or_never().is_none());
        assert!(fetches.state.lock().waiting.is_empty(), "who left has no place");
    }

    #[test]
    fn one_address_leaves_places_to_others() {
        let fetches = Fetches::default();
        let mut waiting = Vec::new();
        let mut begin = |last| {
            let mut next = Box::pin(fetches.next(address(last), Duration::ZERO, INTERVAL));
            let refused = next.as_mut().now_or_never();
            waiting.push(next);
            refused
        };
        for _ in 0..WAITING_PER_ADDRESS_MAX {
            assert_eq!(begin(1), None);
        }
        assert_eq!(begin(1), Some(Err(TokenRefusal::NotNow)));
        assert_eq!(begin(2), None);
        for last in 3..200 {
            for _ in 0..WAITING_PER_ADDRESS_MAX {
                begin(last);
            }
        }
        assert_eq!(fetches.state.lock().waiting.values().sum::<usize>(), WAITING_MAX);
    }
}
