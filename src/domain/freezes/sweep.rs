//! A sweep looks at every lock once, a part of them with each entry: after a freeze that ends holds begins, and after any
//! freeze ends. What it has to do follows from the lock and the freezes, so one sweep serves them all.

use crate::domain::ids::Name;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sweep {
    /// The last lock that was looked at, in the order of the table.
    pub after: Option<Name>,
    /// Something came meanwhile that concerns locks which were looked at: it begins again.
    pub again: bool,
}

impl Sweep {
    pub fn request(sweep: &mut Option<Sweep>) {
        match sweep {
            None => *sweep = Some(Sweep::default()),
            Some(underway) => underway.again |= underway.after.is_some(),
        }
    }

    /// All locks were looked at.
    pub fn lap_ended(sweep: &mut Option<Sweep>) {
        *sweep = sweep.take().filter(|ended| ended.again).map(|_| Sweep::default());
    }
}
