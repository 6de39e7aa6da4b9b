//! The way to other nodes: connections, and what is said over them.
//!
//! ```text
//! transport (TLS, or a simulation's) ─► hello ─► frames ─┬─► link: asks, one lane for each purpose
//!                                                        └─► serve: answers
//! ```

mod certificate;
mod frame;
mod hello;
mod link;
mod message;
#[cfg(test)]
mod message_tests;
mod network;
mod places;
mod serve;
mod snapshot;
mod tls;
mod transport;
mod trust;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

pub use certificate::PeerCertificate;
pub(super) use frame::Kind;
pub(super) use hello::{DialError, Dialler, Local};
pub(super) use link::{Lane, LinkError};
pub(super) use message::{Hello, Refusal, decode, encode};
pub(super) use network::Network;
pub(super) use serve::{Serving, listen};
pub use tls::{PeerFiles, TlsTransport, TransportError};
pub use transport::{Arrival, ByteStream, Handshake, Incoming, Stream, Transport};
pub(super) use trust::Vouched;

use super::types::NodeId;

/// The connections of one node; clones share them.
#[derive(Clone)]
pub(super) struct Peers {
    pub local: Arc<Local>,
    transport: Arc<dyn Transport>,
    lanes: Arc<Mutex<BTreeMap<NodeId, Lanes>>>,
}

#[derive(Clone)]
struct Lanes {
    address: String,
    raft: Lane,
    calls: Lane,
}

impl Peers {
    pub fn new(local: Arc<Local>, transport: Arc<dyn Transport>) -> Peers {
        Peers { local, transport, lanes: Arc::default() }
    }

    pub fn dialler(&self, node: NodeId, address: &str) -> Dialler {
        Dialler { local: self.local.clone(), transport: self.transport.clone(), node, address: address.to_owned() }
    }

    pub fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.transport.certificates()
    }

    /// For what raft itself says: never behind anything else.
    pub fn raft_lane(&self, node: NodeId, address: &str) -> Lane {
        self.lanes(node, address).raft
    }

    pub fn is_up(&self, node: NodeId, address: &str) -> bool {
        self.lanes(node, address).raft.is_up()
    }

    /// Asks the engine of another node.
    pub async fn call(&self, node: NodeId, address: &str, request: Bytes) -> Result<Bytes, LinkError> {
        self.lanes(node, address).calls.request(Kind::Call, request).await
    }

    fn lanes(&self, node: NodeId, address: &str) -> Lanes {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lanes.get(&node).filter(|lanes| lanes.address == address);
        known.cloned().unwrap_or_else(|| {
            let dialler = self.dialler(node, address);
            let made =
                Lanes { address: address.to_owned(), raft: Lane::new(dialler.clone()), calls: Lane::new(dialler) };
            lanes.insert(node, made.clone());
            made
        })
    }
}
