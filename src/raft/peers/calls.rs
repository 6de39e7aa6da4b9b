//! Calls to the services of other nodes: requests and answers are byte strings.

use bytes::Bytes;

use crate::raft::error::CallError;
use crate::raft::node::RaftNode;
use crate::raft::peers::connection::RequestError;
use crate::raft::types::NodeId;

impl RaftNode {
    /// Calls the service of another member. The caller bounds how long it waits; no request is sent twice.
    pub async fn call(&self, node: u64, request: Bytes) -> Result<Bytes, CallError> {
        let unknown = CallError::UnknownNode { node };
        let Some(peers) = self.peers() else { return Err(unknown) };
        let Some(address) = self.address_of(node) else { return Err(unknown) };
        peers.call(node, &address, request).await.map_err(|error| not_called(node, error))
    }

    /// The same for a node that need not be a member, at this address.
    pub async fn call_at(&self, node: u64, address: &str, request: Bytes) -> Result<Bytes, CallError> {
        let Some(peers) = self.peers() else { return Err(CallError::UnknownNode { node }) };
        peers.call(node, address, request).await.map_err(|error| not_called(node, error))
    }
}

fn not_called(node: NodeId, error: RequestError) -> CallError {
    match error {
        RequestError::Unreachable(reason) => CallError::Unreachable { node, reason },
        RequestError::Lost(reason) | RequestError::Failed(reason) => CallError::Lost { node, reason },
    }
}
