//! Asks the engines of other nodes.

use super::reply::Reply;
use super::request::Request;
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::RaftNode;
use std::time::Duration;

/// A node of another release may answer again and again.
static UNREADABLE: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

#[derive(Clone)]
pub struct NodeClient(pub RaftNode);

impl NodeClient {
    /// Asks a member; `None` if no readable answer came in time.
    pub async fn ask(&self, node: u64, request: &Request, bound: Duration) -> Option<Reply> {
        let call = self.0.call(node, request.encode().into());
        let answer = tokio::time::timeout(bound, call).await.ok()?.ok()?;
        read(node, &answer)
    }

    /// Asks a node that may not be a member, at its address.
    pub async fn ask_at(&self, node: u64, address: &str, request: &Request, bound: Duration) -> Option<Reply> {
        let call = self.0.call_at(node, address, request.encode().into());
        let answer = tokio::time::timeout(bound, call).await.ok()?.ok()?;
        read(node, &answer)
    }
}

fn read(node: u64, answer: &[u8]) -> Option<Reply> {
    match Reply::decode(answer) {
        Ok(reply) => Some(reply),
        Err(error) => {
            if let Some(held_back) = UNREADABLE.admit(node, clock::process_age()) {
                tracing::warn!(node, %error, held_back, "another node's answer cannot be read");
            }
            None
        }
    }
}
