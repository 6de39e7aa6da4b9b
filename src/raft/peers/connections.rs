//! The connections of this node to all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::raft::interface::Transport;
use crate::raft::peers::connection::{Connection, RequestError};
use crate::raft::peers::frame::MessageKind;
use crate::raft::peers::hello::{Dialer, LocalNode};
use crate::raft::types::NodeId;

/// The connections of one node; clones share them.
#[derive(Clone)]
pub struct Peers {
    pub local: Arc<LocalNode>,
    pub transport: Arc<dyn Transport>,
    connections: Arc<Mutex<BTreeMap<NodeId, NodeConnections>>>,
}

#[derive(Clone)]
struct NodeConnections {
    address: String,
    raft: Connection,
    calls: Connection,
}

impl Peers {
    pub fn new(local: Arc<LocalNode>, transport: Arc<dyn Transport>) -> Peers {
        Peers { local, transport, connections: Arc::default() }
    }

    pub fn dialer(&self, node: NodeId, address: &str) -> Dialer {
        Dialer { local: self.local.clone(), transport: self.transport.clone(), node, address: address.to_owned() }
    }

    /// For Raft's own messages, which never wait behind anything else.
    pub fn raft_connection(&self, node: NodeId, address: &str) -> Connection {
        self.connections(node, address).raft
    }

    /// Calls the service of another node.
    pub async fn call(&self, node: NodeId, address: &str, request: Bytes) -> Result<Bytes, RequestError> {
        self.connections(node, address).calls.request(MessageKind::Call, request).await
    }

    fn connections(&self, node: NodeId, address: &str) -> NodeConnections {
        let mut connections = self.connections.lock();
        let known = connections.get(&node).filter(|connections| connections.address == address);
        known.cloned().unwrap_or_else(|| {
            let dialer = self.dialer(node, address);
            let made = NodeConnections {
                address: address.to_owned(),
                raft: Connection::new(dialer.clone()),
                calls: Connection::new(dialer),
            };
            connections.insert(node, made.clone());
            made
        })
    }
}
