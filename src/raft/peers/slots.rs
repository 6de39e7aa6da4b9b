//! Slots for connections. A connection that has not shown that it is a member's may lose its slot to the next one, so
//! that silent connections keep no member out, however many there are.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::base::address_group::AddressGroup;
use crate::mutants::planted;
use crate::raft::types::NodeId;

/// Connections without a hello, or of nodes that are no members.
const UNAUTHENTICATED_MAX: usize = 128;
const UNAUTHENTICATED_OF_ADDRESS_MAX: usize = 32;
/// A member has two connections to each node, one more for a snapshot, and for a moment those that it has lost.
const OF_MEMBER_MAX: usize = 32;

#[derive(Clone, Default)]
pub struct ConnectionSlots(Arc<Mutex<Slots>>);

/// Oldest first.
#[derive(Default)]
struct Slots {
    next: u64,
    unauthenticated: VecDeque<Occupant>,
    members: BTreeMap<NodeId, VecDeque<Occupant>>,
}

/// A connection that has a slot.
struct Occupant {
    slot: u64,
    address: Option<AddressGroup>,
    task: AbortHandle,
}

/// The slot of one connection, for as long as this lives.
pub struct Slot {
    number: u64,
    slots: ConnectionSlots,
}

impl ConnectionSlots {
    /// Starts the task of a connection that has just come in. If all slots for unauthenticated
    /// ones are taken, or all of its address, the oldest of those connections is closed for it.
    pub fn admit(&self, address: Option<IpAddr>, start: impl FnOnce(Slot) -> AbortHandle) {
        let address = address.map(AddressGroup::from);
        let mut taken = self.0.lock();
        let of_address = taken.unauthenticated.iter().filter(|connection| connection.address == address).count();
        let first = match of_address >= UNAUTHENTICATED_OF_ADDRESS_MAX {
            _ if planted!("connection-limit-shared") => None,
            true => taken.unauthenticated.iter().position(|connection| connection.address == address),
            false if taken.unauthenticated.len() >= UNAUTHENTICATED_MAX => Some(0),
            false => None,
        };
        if let Some(oldest) = first.and_then(|at| taken.unauthenticated.remove(at)) {
            oldest.task.abort();
        }
        let number = taken.next;
        taken.next += 1;
        // While this is locked: the task may end before it has a slot to give back.
        let task = start(Slot { number, slots: self.clone() });
        taken.unauthenticated.push_back(Occupant { slot: number, address, task });
    }
}

impl Slot {
    /// The connection is a member's: it does not count as unauthenticated any more.
    pub fn assign_to_member(&self, node: NodeId) {
        let mut taken = self.slots.0.lock();
        let at = taken.unauthenticated.iter().position(|connection| connection.slot == self.number);
        let Some(connection) = at.and_then(|at| taken.unauthenticated.remove(at)) else { return };
        let own = taken.members.entry(node).or_default();
        own.push_back(connection);
        if own.len() > OF_MEMBER_MAX
            && let Some(oldest) = own.pop_front()
        {
            oldest.task.abort();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock();
        taken.unauthenticated.retain(|connection| connection.slot != self.number);
        taken.members.retain(|_, own| {
            own.retain(|connection| connection.slot != self.number);
            !own.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that stays until it is closed.
    fn come(slots: &ConnectionSlots, address: IpAddr) -> tokio::task::JoinHandle<()> {
        come_and(slots, address, |_| ())
    }

    fn come_and(
        slots: &ConnectionSlots,
        address: IpAddr,
        act: impl FnOnce(&Slot) + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let mut started = None;
        slots.admit(Some(address), |slot| {
            let task = tokio::spawn(async move {
                act(&slot);
                std::future::pending().await
            });
            let handle = task.abort_handle();
            started = Some(task);
            handle
        });
        started.expect("started")
    }

    fn numbered(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test]
    async fn next_unauthenticated_replaces_oldest_of_its_address() {
        let slots = ConnectionSlots::default();
        let other = come(&slots, numbered(9));
        let of_one: Vec<_> = (0..UNAUTHENTICATED_OF_ADDRESS_MAX).map(|_| come(&slots, numbered(1))).collect();
        let newest = come(&slots, numbered(1));
        assert!(of_one.into_iter().next().expect("one").await.expect_err("closed").is_cancelled());
        assert!(!newest.is_finished() && !other.is_finished());
        assert_eq!(slots.0.lock().unauthenticated.len(), UNAUTHENTICATED_OF_ADDRESS_MAX + 1);
    }

    #[tokio::test]
    async fn next_unauthenticated_replaces_oldest_when_slots_are_full() {
        let slots = ConnectionSlots::default();
        let all: Vec<_> = (0..UNAUTHENTICATED_MAX).map(|at| come(&slots, numbered((at % 200) as u8))).collect();
        come(&slots, numbered(250));
        assert!(all.into_iter().next().expect("one").await.expect_err("closed").is_cancelled());
        assert_eq!(slots.0.lock().unauthenticated.len(), UNAUTHENTICATED_MAX);
    }

    #[tokio::test]
    async fn member_keeps_its_slot_while_unauthenticated_ones_come() {
        let slots = ConnectionSlots::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let member = come_and(&slots, numbered(1), |slot| {
            slot.assign_to_member(2);
            sender.send(()).expect("the test waits");
        });
        receiver.await.expect("it has a member's slot");
        (0..4 * UNAUTHENTICATED_MAX).for_each(|_| drop(come(&slots, numbered(1))));
        assert!(!member.is_finished());
        member.abort();
        drop(member.await);
        assert!(slots.0.lock().members.is_empty(), "the slot is given back");
    }
}
