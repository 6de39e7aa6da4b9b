//! What a request occupies until its caller has shown a credential.

use super::addresses::{Address, AddressPool, Place};
use super::identity::Identity;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// About what a request occupies besides its header fields, and a field besides its text.
const REQUEST_BYTES: u64 = 3 << 10;
const FIELD_BYTES: u64 = 200;
/// What an ordinary request occupies at most.
const ORDINARY_BYTES: u64 = 8 << 10;

/// One request, from its head until its caller is known or it ends.
#[derive(Debug)]
pub struct Unidentified {
    address: Arc<Address>,
    place: Option<Place>,
    /// What is more than an ordinary request.
    excess: u64,
    body_to_come: AtomicBool,
    is_anonymous: AtomicBool,
    /// Its caller, where the credential may end before the request does.
    caller: OnceLock<Identity>,
}

impl Unidentified {
    /// Takes room for a request with so many header fields and so many bytes of text; `None` where none is left.
    pub fn begin(address: &Arc<Address>, fields: usize, text_bytes: usize, has_body: bool) -> Option<Unidentified> {
        let bytes = REQUEST_BYTES + FIELD_BYTES * fields as u64 + text_bytes as u64;
        let place = address.take(AddressPool::UnidentifiedBytes, bytes)?;
        let excess = bytes.saturating_sub(ORDINARY_BYTES);
        Some(Unidentified { place: Some(place), excess, ..Unidentified::free(address, has_body) })
    }

    /// A request that occupies next to nothing.
    pub fn free(address: &Arc<Address>, has_body: bool) -> Unidentified {
        Unidentified {
            address: Arc::clone(address),
            place: None,
            excess: 0,
            body_to_come: AtomicBool::new(has_body),
            is_anonymous: AtomicBool::new(false),
            caller: OnceLock::new(),
        }
    }

    /// Its caller has shown a credential: other bounds are for those.
    pub fn identified(&self, caller: &Identity) {
        self.shrink_to(0);
        if caller.ending().is_some() {
            self.caller.get_or_init(|| caller.clone());
        }
    }

    /// Its caller, where the credential may end before the request does.
    pub fn caller_that_may_end(&self) -> Option<&Identity> {
        self.caller.get()
    }

    /// No credential is asked for: it may wait as long as it is an ordinary request that has come whole.
    pub fn anonymous_caller(&self) {
        self.is_anonymous.store(true, Relaxed);
        self.settle();
    }

    /// Its body has come to its end.
    pub fn body_received(&self) {
        self.body_to_come.store(false, Relaxed);
        self.settle();
    }

    pub fn address(&self) -> &Arc<Address> {
        &self.address
    }

    fn settle(&self) {
        if self.is_anonymous.load(Relaxed) && !self.body_to_come.load(Relaxed) {
            self.shrink_to(self.excess);
        }
    }

    fn shrink_to(&self, bytes: u64) {
        self.place.iter().for_each(|place| place.shrink_to(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::addresses::{Addresses, Share};
    use super::super::identity::Role;
    use super::*;

    const FAT: (usize, usize) = (100, 10_000);

    #[test]
    fn request_is_counted_until_caller_is_identified() {
        let all = Addresses::new(|_| Share::of(40_000, 40_000), |_| false);
        let address = all.of([192, 0, 2, 1].into());
        let begin = |(fields, text), has_body| Unidentified::begin(&address, fields, text, has_body);
        let somebody = Identity::new("somebody", Role::Client, &[]);
        let first = begin(FAT, false).expect("room");
        assert!(begin(FAT, false).is_none(), "no room for two");
        first.anonymous_caller();
        assert!(begin(FAT, false).is_none(), "what is more than an ordinary request stays counted");
        first.identified(&somebody);
        let second = begin(FAT, true).expect("room");
        second.identified(&somebody);
        let small = (5, 200);
        let waiting: Vec<_> = std::iter::from_fn(|| begin(small, true)).inspect(|one| one.anonymous_caller()).collect();
        assert!((5..20).contains(&waiting.len()), "their bodies are to come: {}", waiting.len());
        waiting.iter().for_each(Unidentified::body_received);
        assert!(begin(small, true).is_some());
    }
}
