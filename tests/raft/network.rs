//! A network in memory whose links can be cut, and nodes that talk over it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use latchd::base::BoxFuture;
use latchd::raft::{
    AcceptedConnection, Handshake, Incoming, NodeStartError, PeerOptions, PeerService, RaftNode, RaftOptions, Store,
    Stream, Transport,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::support::{Journal, raft_options};

/// Generous, because the machine may be busy with other tests.
pub const SOON: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Clone)]
pub struct MemoryNetwork(Arc<Mutex<Links>>);

#[derive(Debug, Default)]
struct Links {
    listening: HashMap<u64, mpsc::UnboundedSender<tokio::io::DuplexStream>>,
    /// Pairs of nodes of which the first cannot connect to the second.
    cut: BTreeSet<(u64, u64)>,
    forwarders: Vec<(u64, u64, AbortHandle)>,
}

impl MemoryNetwork {
    pub fn transport(&self, node: u64) -> Arc<dyn Transport> {
        let (sender, accepted) = mpsc::unbounded_channel();
        self.lock().listening.insert(node, sender);
        Arc::new(MemoryTransport { node, network: self.clone(), accepted: tokio::sync::Mutex::new(accepted) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Links> {
        self.0.lock().expect("no panic while locked")
    }

    /// Cuts a node off from all others, both ways.
    pub fn isolate(&self, node: u64, others: &[u64]) {
        let mut links = self.lock();
        for other in others.iter().filter(|other| **other != node) {
            links.cut.extend([(node, *other), (*other, node)]);
        }
        links.forwarders.retain(|(from, to, forwarder)| {
            let stays = *from != node && *to != node;
            if !stays {
                forwarder.abort();
            }
            stays
        });
    }

    pub fn heal(&self) {
        self.lock().cut.clear();
    }

    fn connect(&self, from: u64, to: u64) -> io::Result<Stream> {
        let mut links = self.lock();
        if links.cut.contains(&(from, to)) {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let (near, mut near_end) = tokio::io::duplex(64 << 10);
        let (mut far_end, far) = tokio::io::duplex(64 << 10);
        let listener = links.listening.get(&to).ok_or(io::ErrorKind::ConnectionRefused)?;
        listener.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let forwarder = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near_end, &mut far_end).await });
        links.forwarders.retain(|(_, _, forwarder)| !forwarder.is_finished());
        links.forwarders.push((from, to, forwarder.abort_handle()));
        Ok(Box::new(near))
    }
}

#[derive(Debug)]
struct MemoryTransport {
    node: u64,
    network: MemoryNetwork,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<tokio::io::DuplexStream>>,
}

impl Transport for MemoryTransport {
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let stream = self.accepted.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            let handshake: Handshake =
                Box::pin(async move { Ok(AcceptedConnection { stream: Box::new(stream), certificate: None }) });
            Ok(Incoming { address: None, handshake })
        })
    }

    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>> {
        let to = address.strip_prefix("https://node-").and_then(|rest| rest.split(':').next()?.parse().ok());
        let stream = to.ok_or(io::ErrorKind::InvalidInput.into()).and_then(|to| self.network.connect(self.node, to));
        Box::pin(std::future::ready(stream))
    }
}

/// Answers every call with the caller's id and the request; has the store ids that a test sets.
#[derive(Debug, Default, Clone)]
pub struct Echo(pub Arc<Mutex<BTreeMap<u64, [u8; 16]>>>);

impl PeerService for Echo {
    fn call(&self, from: u64, request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move { [format!("{from}: ").as_bytes(), &request].concat().into() })
    }

    fn known_store(&self, node: u64) -> Option<[u8; 16]> {
        self.0.lock().expect("no panic while locked").get(&node).copied()
    }
}

pub fn address(node: u64) -> String {
    format!("https://node-{node}:9443")
}

pub fn list(nodes: &[u64]) -> BTreeMap<u64, String> {
    nodes.iter().map(|node| (*node, address(*node))).collect()
}

pub fn memory(node: u64) -> RaftOptions {
    patient(raft_options(node, Store::Memory))
}

pub fn disk(node: u64, dir: &Path) -> RaftOptions {
    patient(raft_options(node, Store::Disk { dir: dir.join(format!("node-{node}")), fsync: true }))
}

/// Slower than in production, so that a busy machine does not hold elections of its own.
fn patient(options: RaftOptions) -> RaftOptions {
    RaftOptions { election_min: Duration::from_millis(600), election_max: Duration::from_millis(1000), ..options }
}

/// A running node of a test's cluster.
#[derive(Clone)]
pub struct Node {
    pub id: u64,
    pub raft: RaftNode,
    pub journal: Journal,
    pub echo: Echo,
}

impl Node {
    pub async fn start(network: &MemoryNetwork, options: RaftOptions, initial: &[u64]) -> Result<Node, NodeStartError> {
        Node::start_knowing(network, options, initial, Echo::default()).await
    }

    pub async fn start_knowing(
        network: &MemoryNetwork,
        options: RaftOptions,
        initial: &[u64],
        echo: Echo,
    ) -> Result<Node, NodeStartError> {
        let id = options.node_id;
        let transport = network.transport(id);
        let peers = PeerOptions { advertise: address(id), initial: list(initial), transport };
        let options = RaftOptions { peers: Some(peers), ..options };
        let journal = Journal::default();
        let raft = RaftNode::start(options, journal.clone(), Arc::new(echo.clone())).await?;
        Ok(Node { id, raft, journal, echo })
    }

    /// Proposes until it is applied, on this node, which must lead.
    pub async fn propose(&self, text: &str) -> u64 {
        tokio::time::timeout(SOON, self.raft.propose(text.to_owned().into())).await.expect("in time").expect("applied")
    }

    pub async fn applies(&self, index: u64) {
        tokio::time::timeout(SOON, self.raft.applied(index)).await.expect("applied in time");
    }

    /// Waits until this node, which leads, has heard that `node` has the log up to `index`.
    pub async fn knows_up_to(&self, node: u64, index: u64) {
        let is_known = || {
            let members = self.raft.members();
            members.iter().any(|member| member.node == node && member.matched_index >= Some(index))
        };
        let known = async {
            while !is_known() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, known).await.expect("known in time");
    }

    /// Waits until this node knows that one of `nodes` leads.
    pub async fn follows(&self, nodes: &[u64]) -> u64 {
        let mut leadership = self.raft.leadership();
        let known = leadership.wait_for(|now| now.leader.is_some_and(|leader| nodes.contains(&leader)));
        let now = *tokio::time::timeout(SOON, known).await.expect("a leader in time").expect("a running node");
        now.leader.expect("waited for")
    }
}

/// Three nodes that have formed a cluster.
pub async fn three(network: &MemoryNetwork, options: impl Fn(u64) -> RaftOptions) -> Vec<Node> {
    let mut nodes = Vec::new();
    for id in [1, 2, 3] {
        nodes.push(Node::start(network, options(id), &[1, 2, 3]).await.expect("a node"));
    }
    leader(&nodes).await;
    nodes
}

/// The node that leads, once all of these nodes agree on it.
pub async fn leader(nodes: &[Node]) -> Node {
    let ids: Vec<u64> = nodes.iter().map(|node| node.id).collect();
    let agreed = async {
        loop {
            let mut leaders = BTreeSet::new();
            for node in nodes {
                leaders.insert(node.follows(&ids).await);
            }
            let found = nodes.iter().find(|node| leaders.len() == 1 && leaders.contains(&node.id));
            if let Some(leader) = found.filter(|node| node.raft.leadership().borrow().is_leader) {
                return leader.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, agreed).await.expect("one leader in time")
}

pub fn others(nodes: &[Node], than: &Node) -> Vec<Node> {
    nodes.iter().filter(|node| node.id != than.id).cloned().collect()
}

pub async fn stop(nodes: &[Node]) {
    for node in nodes {
        node.raft.shutdown().await;
    }
}
