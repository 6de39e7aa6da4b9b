//! Terms: what a hold is, beyond one place in one lock.

use super::ids::Name;
use arcstr::ArcStr;

/// The size of a lock in shared use: any number of holds fits.
pub const SHARED: u32 = u32::MAX;

/// Kept from the request to the end of the hold. A plain hold has none.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// How many places of a counted lock the hold takes; at least 1.
    pub weight: u32,
    /// For how long nobody is granted the lock after an unclean end of the hold.
    pub lock_delay_ms: u64,
    /// The names of a hold of several, each with its size: the first is the one that indexes name. Empty for one name.
    pub names: Vec<(Name, u32)>,
    /// What the leader of an election says about itself.
    pub value: Option<ArcStr>,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms { weight: 1, lock_delay_ms: 0, names: Vec::new(), value: None }
    }
}

impl Terms {
    /// The names of a hold that was found under `name`, each with its size.
    pub fn places<'a>(terms: Option<&'a Terms>, name: &'a Name, size: u32) -> impl Iterator<Item = (&'a Name, u32)> {
        let names = terms.map_or(&[][..], |terms| &terms.names);
        let single = names.is_empty().then_some((name, size));
        single.into_iter().chain(names.iter().map(|(name, size)| (name, *size)))
    }

    /// With another size of one of the names.
    pub fn with_size(&self, name: &Name, size: u32) -> Terms {
        let names = self.names.iter().map(|(own, of)| (own.clone(), if own == name { size } else { *of }));
        Terms { names: names.collect(), ..self.clone() }
    }

    /// The memory that they take besides the hold's own.
    pub fn text_bytes(&self) -> u64 {
        let names: usize = self.names.iter().map(|(name, _)| name.len()).sum();
        (names + self.value.as_ref().map_or(0, |value| value.len())) as u64
    }
}

/// The size to remember of an idle lock: one in shared use may be used exclusively next.
pub fn remembered_size(size: u32) -> u32 {
    if size == SHARED { 1 } else { size }
}

/// Whether holds of these two sizes may have one lock, one after the other: shared and exclusive ones may.
pub fn sizes_agree(one: u32, other: u32) -> bool {
    remembered_size(one) == remembered_size(other)
}
