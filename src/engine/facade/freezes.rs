//! What other rooms may ask about freezes.

use super::Engine;
use crate::domain::view::LockView;
use crate::domain::{Freeze, FreezeOrder, FreezesView, FrozenBy, Name, Timestamp};
use crate::engine::error::Fault;

impl Engine {
    /// Grants nothing new under a target until the end of the freeze, which is given back.
    pub async fn freeze(&self, order: FreezeOrder) -> Result<Freeze, Fault> {
        self.parts.submitter.freeze(order).await
    }

    /// The share of the freezes that whoever orders has used up with those of other targets, as far as this node knows.
    pub fn local_freezes_share_used_up(&self, order: &FreezeOrder) -> Option<u64> {
        let limit = self.limits().freezes_share()?;
        let freezes = self.parts.reader.host.table().freezes();
        let is_own = |(target, freeze): &(&Name, &Freeze)| freeze.by == order.by && **target != order.target;
        let own = freezes.after(None, self.now()).filter(is_own).count() as u64;
        (own >= limit).then_some(limit)
    }

    /// Ends the freeze of this target, and grants the locks under it to those who wait. The freeze as it was.
    pub async fn thaw(&self, target: Name) -> Result<Freeze, Fault> {
        self.parts.submitter.thaw(target).await
    }

    /// The freezes that have not ended, by their targets; with the cluster time of the view.
    pub async fn freezes(&self) -> Result<(FreezesView, Timestamp), Fault> {
        self.read_barrier().await?;
        Ok((self.parts.reader.host.table().freezes(), self.now()))
    }

    /// Whether locks are still to be looked at, as far as this node knows: one by one the holds under a freeze end, or who
    /// waits gets what has thawed.
    pub fn is_sweeping(&self) -> bool {
        self.parts.reader.host.table().freezes().is_sweeping()
    }

    /// The freeze of a lock that lasts longest, as far as this node knows; `None` if nothing is frozen.
    pub fn local_freeze_of(&self, name: &Name) -> Option<Box<FrozenBy>> {
        self.parts.reader.host.table().freeze_of(name, self.now())
    }

    /// Adds to locks their freezes, as far as this node knows.
    pub fn mark_frozen(&self, locks: &mut [LockView]) {
        let (table, now) = (self.parts.reader.host.table(), self.now());
        locks.iter_mut().for_each(|lock| lock.frozen = table.freeze_of(&lock.name, now));
    }
}
