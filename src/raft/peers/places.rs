//! Places for connections. Who has not shown that it is a member may lose its place to whoever comes next, so that silent
//! connections keep no member out, however many there are.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use crate::mutants::planted;
use crate::raft::types::NodeId;

/// Of those who are no members, or have not said yet who they are.
const STRANGERS_MAX: usize = 128;
const STRANGERS_OF_ADDRESS_MAX: usize = 32;
/// A member has two lanes to each node, one more for a snapshot, and for a moment those that it has lost.
const OF_MEMBER_MAX: usize = 32;

#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

/// Oldest first.
#[derive(Default)]
struct Taken {
    next: u64,
    strangers: VecDeque<Connection>,
    members: BTreeMap<NodeId, VecDeque<Connection>>,
}

struct Connection {
    place: u64,
    address: Option<IpAddr>,
    task: AbortHandle,
}

/// The place of one connection, for as long as this lives.
pub(super) struct Place {
    number: u64,
    places: Places,
}

impl Places {
    /// Starts the task of a connection that has just come in. Where all places for strangers are taken, or all for those
    /// of its address, the one that has been there longest is closed for it.
    pub fn admit(&self, address: Option<IpAddr>, start: impl FnOnce(Place) -> AbortHandle) {
        let address = address.map(network_of);
        let mut taken = self.lock();
        let of_address = taken.strangers.iter().filter(|stranger| stranger.address == address).count();
        let first = match of_address >= STRANGERS_OF_ADDRESS_MAX {
            _ if planted!("one-room-for-all") => None,
            true => taken.strangers.iter().position(|stranger| stranger.address == address),
            false if taken.strangers.len() >= STRANGERS_MAX => Some(0),
            false => None,
        };
        if let Some(oldest) = first.and_then(|at| taken.strangers.remove(at)) {
            oldest.task.abort();
        }
        let number = taken.next;
        taken.next += 1;
        // While this is locked: the task may end before it has a place to give back.
        let task = start(Place { number, places: self.clone() });
        taken.strangers.push_back(Connection { place: number, address, task });
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection is one of a member: strangers do not count against it any more.
    pub fn belongs_to(&self, node: NodeId) {
        let mut taken = self.places.lock();
        let Some(at) = taken.strangers.iter().position(|stranger| stranger.place == self.number) else { return };
        let Some(connection) = taken.strangers.remove(at) else { return };
        let own = taken.members.entry(node).or_default();
        own.push_back(connection);
        if own.len() > OF_MEMBER_MAX
            && let Some(oldest) = own.pop_front()
        {
            oldest.task.abort();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.strangers.retain(|stranger| stranger.place != self.number);
        taken.members.retain(|_, own| {
            own.retain(|connection| connection.place != self.number);
            !own.is_empty()
        });
    }
}

/// Whoever has one address of an IPv6 network has all of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.into(),
            None => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that stays until it is closed.
    fn come(places: &Places, address: IpAddr) -> tokio::task::JoinHandle<()> {
        let mut started = None;
        places.admit(Some(address), |place| {
            let task = tokio::spawn(async move {
                let _place = place;
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
    async fn the_oldest_stranger_of_an_address_makes_room_for_its_next() {
        let places = Places::default();
        let other = come(&places, numbered(9));
        let of_one: Vec<_> = (0..STRANGERS_OF_ADDRESS_MAX).map(|_| come(&places, numbered(1))).collect();
        let newest = come(&places, numbered(1));
        assert!(of_one.into_iter().next().expect("one").await.expect_err("closed").is_cancelled());
        assert!(!newest.is_finished() && !other.is_finished());
        assert_eq!(places.lock().strangers.len(), STRANGERS_OF_ADDRESS_MAX + 1);
    }

    #[tokio::test]
    async fn the_oldest_stranger_of_all_makes_room_where_there_is_none() {
        let places = Places::default();
        let all: Vec<_> = (0..STRANGERS_MAX).map(|at| come(&places, numbered((at % 200) as u8))).collect();
        come(&places, numbered(250));
        assert!(all.into_iter().next().expect("one").await.expect_err("closed").is_cancelled());
        assert_eq!(places.lock().strangers.len(), STRANGERS_MAX);
    }

    #[tokio::test]
    async fn a_member_keeps_its_place_whoever_comes() {
        let places = Places::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut member = None;
        places.admit(Some(numbered(1)), |place| {
            let task = tokio::spawn(async move {
                place.belongs_to(2);
                sender.send(()).expect("somebody waits");
                std::future::pending::<()>().await;
                drop(place);
            });
            let handle = task.abort_handle();
            member = Some(task);
            handle
        });
        receiver.await.expect("it has a member's place");
        (0..4 * STRANGERS_MAX).for_each(|_| drop(come(&places, numbered(1))));
        let member = member.expect("started");
        assert!(!member.is_finished());
        member.abort();
        drop(member.await);
        assert!(places.lock().members.is_empty(), "the place is given back");
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(network_of(parse("2001:db8::1")), network_of(parse("2001:db8::ffff:1")));
        assert_ne!(network_of(parse("2001:db8::1")), network_of(parse("2001:db8:0:1::1")));
        assert_eq!(network_of(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
    }
}
