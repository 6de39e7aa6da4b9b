//! What other nodes may say: only members are heard, each for itself alone, and no terms that elections cannot have led to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::base::clock::process_age;
use crate::mutants::planted;
use crate::raft::codec::decode;
use crate::raft::peers::certificate::{PeerCertificate, refused};
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::MessageKind;
use crate::raft::peers::hello::LocalNode;
use crate::raft::peers::tls::host_and_port;
use crate::raft::types::{Membership, NodeId, Vote};

/// Terms are counted by elections, of which there are a few a second at most. A node that was away for years is not
/// this far behind; and it would take as many forged messages to bring all terms to their end.
const TERMS_AHEAD_MAX: u64 = 1 << 32;
/// The last term that a node without a cluster believes: it leaves room for later ones.
const FIRST_TERM_MAX: u64 = 1 << 63;

const VOUCH_TIMEOUT: Duration = Duration::from_millis(500);
/// How long an answer of the members about a node counts that this node does not know as a member.
const VOUCHED_FOR: Duration = Duration::from_secs(10);
const NOT_VOUCHED_FOR: Duration = Duration::from_secs(1);
const REMEMBERED_MAX: usize = 64;

/// The node at the other end of a connection, as it says, and the certificate that it has shown.
#[derive(Clone)]
pub struct RemoteNode {
    pub node: NodeId,
    pub certificate: Option<PeerCertificate>,
}

/// What the members have answered, and when, about nodes that this one does not know as members: their address, or that
/// they are no members.
#[derive(Clone, Default)]
pub struct VouchedMembers(Arc<Mutex<BTreeMap<NodeId, Answer>>>);

type Answer = (Option<String>, Duration);

impl VouchedMembers {
    fn remembered(&self, node: NodeId) -> Option<Option<String>> {
        let known = self.0.lock();
        let (address, at) = known.get(&node)?;
        let lasts = if address.is_some() { VOUCHED_FOR } else { NOT_VOUCHED_FOR };
        (process_age().saturating_sub(*at) < lasts).then(|| address.clone())
    }

    fn remember(&self, node: NodeId, address: Option<String>) {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(node, (address, process_age()));
    }
}

impl LocalNode {
    pub(super) fn membership(&self) -> Membership {
        let membership =
            |raft: &crate::raft::types::Raft| raft.metrics().borrow().membership_config.membership().clone();
        self.raft.get().map_or_else(Membership::default, membership)
    }

    /// Checks that the certificate is that of `node`.
    pub(super) fn check_certificate(&self, node: NodeId, certificate: Option<&PeerCertificate>) -> io::Result<()> {
        let address = self.membership().get_node(&node).map(|known| known.addr.clone());
        check_host(node, certificate, address.as_deref())
    }

    /// Whether `node` is heard as a member: it is one, or leads by this node's own vote, as a leader does that is leaving;
    /// or this node does not know any member yet.
    pub(super) fn is_member(&self, node: NodeId) -> bool {
        let Some(raft) = self.raft.get() else { return false };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let leads = metrics.vote.committed && metrics.vote.leader_id.node_id == node;
        leads || membership.get_node(&node).is_some() || membership.nodes().next().is_none()
    }

    /// Whether elections can have led to the term of a vote, as far as this node knows.
    pub(super) fn is_plausible(&self, vote: &Vote) -> bool {
        let Some(raft) = self.raft.get() else { return false };
        let own = raft.metrics().borrow().vote.leader_id.term;
        let latest = if own == 0 { FIRST_TERM_MAX } else { own.saturating_add(TERMS_AHEAD_MAX) };
        vote.leader_id.term <= latest.min(u64::MAX - TERMS_AHEAD_MAX) || planted!("implausible-term-accepted")
    }

    /// Checks the vote in a message: the sender must lead by it, or stand for election with it, itself.
    pub(super) fn check_vote(&self, from: NodeId, vote: &Vote, leads: bool) -> io::Result<()> {
        if (vote.leader_id.node_id, vote.committed) != (from, leads) {
            let node = vote.leader_id.node_id;
            return Err(refused(format!("node {from} may not speak for node {node}")));
        }
        match self.is_plausible(vote) {
            true => Ok(()),
            false => Err(refused(format!("term {} is too far beyond the last known one", vote.leader_id.term))),
        }
    }
}

/// Refuses a node that is no member. A node that this one does not know is looked up at the known members: this node may
/// have been away while the members changed, and only the new leader would tell it.
pub async fn authorize(peers: &Peers, vouched: &VouchedMembers, remote: &RemoteNode) -> io::Result<()> {
    planted!("non-members-accepted" => return Ok(()));
    if peers.local.is_member(remote.node) {
        return Ok(());
    }
    let address = match vouched.remembered(remote.node) {
        Some(known) => known,
        None => {
            let address = ask_members(peers, remote.node).await;
            vouched.remember(remote.node, address.clone());
            address
        }
    };
    match address {
        Some(address) => check_host(remote.node, remote.certificate.as_ref(), Some(&address)),
        None => Err(refused(format!("node {} is not a member", remote.node))),
    }
}

/// The address of `node`, if any other member knows it as one.
async fn ask_members(peers: &Peers, node: NodeId) -> Option<String> {
    let (local, mut asked) = (&peers.local, JoinSet::new());
    for (member, known) in local.membership().nodes().filter(|(member, _)| **member != local.node_id) {
        let connection = peers.raft_connection(*member, &known.addr);
        let ask = async move { connection.request(MessageKind::Members, Bytes::new()).await };
        asked.spawn(tokio::time::timeout(VOUCH_TIMEOUT, ask));
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(Ok(answer))) = answer
            && let Ok(members) = decode::<Membership>(&answer)
            && let Some(known) = members.get_node(&node)
        {
            return Some(known.addr.clone());
        }
    }
    None
}

/// The address of a node that ran alone may not be known: then the name in the certificate alone counts.
fn check_host(node: NodeId, certificate: Option<&PeerCertificate>, address: Option<&str>) -> io::Result<()> {
    let Some(certificate) = certificate else { return Ok(()) };
    let host = address.and_then(|address| host_and_port(address).ok()).map(|(host, _)| host);
    certificate.check(node, host.as_deref())
}
