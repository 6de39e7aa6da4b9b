//! High-water marks: for each resource the highest token that its protected side has accepted. Their number is limited, and
//! one that is not used for a while is forgotten.

use super::cow_map::{CowMap, FrozenMap};
use super::ids::{Caller, Name, Token};
use super::time::Timestamp;
use super::usage::{Usage, Usages};
use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub token: Token,
    /// Who made it.
    pub caller: Caller,
    /// When it is forgotten.
    pub until: Timestamp,
}

#[derive(Default)]
pub struct Marks {
    marks: CowMap<Name, Mark>,
    by_end: BTreeSet<(Timestamp, Name)>,
}

impl Marks {
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn get(&self, resource: &Name) -> Option<&Mark> {
        self.marks.get(resource)
    }

    pub fn freeze(&self) -> FrozenMap<Name, Mark> {
        self.marks.freeze()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// Sets the mark of a resource. Whoever made it first is counted for it.
    pub fn raise(&mut self, resource: Name, mark: Mark, usages: &mut Usages) {
        let caller = match self.marks.get(&resource) {
            Some(before) => {
                self.by_end.remove(&(before.until, resource.clone()));
                before.caller
            }
            None => {
                usages.add(mark.caller, Usage::of_mark(&resource));
                mark.caller
            }
        };
        self.by_end.insert((mark.until, resource.clone()));
        self.marks.insert(resource, Mark { caller, ..mark });
    }

    /// Forgets one mark whose time has passed; whether there was one.
    pub fn forget_due(&mut self, now: Timestamp, usages: &mut Usages) -> bool {
        let due = self.next_deadline().filter(|until| until.is_past(now)).and_then(|_| self.by_end.pop_first());
        let Some((_, resource)) = due else { return false };
        if let Some(mark) = self.marks.remove(&resource) {
            usages.remove(mark.caller, Usage::of_mark(&resource));
        }
        true
    }
}
