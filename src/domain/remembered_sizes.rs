//! LDLM's rule: the size of an idle lock is remembered for a while. Their number is limited.

use super::cow_map::{CowMap, FrozenMap};
use super::ids::Name;
use super::time::Timestamp;
use std::collections::BTreeSet;

#[derive(Default)]
pub struct RememberedSizes {
    sizes: CowMap<Name, (u32, Timestamp)>,
    by_end: BTreeSet<(Timestamp, Name)>,
    bytes: u64,
}

/// Besides the name; see `usage`.
const SIZE_BYTES: u64 = 160;

fn bytes_of(name: &Name) -> u64 {
    SIZE_BYTES + name.len() as u64
}

impl RememberedSizes {
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Their memory, by the estimate of `usage`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn size(&self, name: &Name) -> Option<u32> {
        self.sizes.get(name).map(|(size, _)| *size)
    }

    /// Remembers a size until `until`. Beyond `count_max` sizes, the one that would be forgotten first is forgotten.
    pub fn remember(&mut self, name: &Name, size: u32, until: Timestamp, count_max: u64) {
        if let Some((_, before)) = self.sizes.insert(name.clone(), (size, until)) {
            self.by_end.remove(&(before, name.clone()));
        } else {
            self.bytes += bytes_of(name);
        }
        self.by_end.insert((until, name.clone()));
        while self.sizes.len() as u64 > count_max {
            let Some((_, first)) = self.by_end.pop_first() else { return };
            self.sizes.remove(&first);
            self.bytes -= bytes_of(&first);
        }
    }

    pub fn forget(&mut self, name: &Name) {
        if self.sizes.get(name).is_none() {
            return;
        }
        if let Some((_, until)) = self.sizes.remove(name) {
            self.by_end.remove(&(until, name.clone()));
            self.bytes -= bytes_of(name);
        }
    }

    /// Forgets one size whose time has passed; whether there was one.
    pub fn forget_due(&mut self, now: Timestamp) -> bool {
        let due = self.next_deadline().filter(|until| until.is_past(now)).and_then(|_| self.by_end.pop_first());
        due.inspect(|(_, name)| {
            self.sizes.remove(name);
            self.bytes -= bytes_of(name);
        })
        .is_some()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub fn freeze(&self) -> FrozenMap<Name, (u32, Timestamp)> {
        self.sizes.freeze()
    }
}
