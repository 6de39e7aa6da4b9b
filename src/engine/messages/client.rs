//! Asks the engines of other nodes.

use super::codec::{decode, encode};
use super::reply::Reply;
use super::request::Request;
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::RaftNode;
use std::time::Duration;

/// For a request that the other node answers at once, or after a round to its quorum.
pub const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// A node of another release may answer again and again.
static UNREADABLE: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

/// Asks a member; `None` if no readable answer came in time.
pub async fn ask(raft: &RaftNode, node: u64, request: &Request, timeout: Duration) -> Option<Reply> {
    let call = raft.call(node, encode(request).into());
    read(node, &tokio::time::timeout(timeout, call).await.ok()?.ok()?)
}

/// Asks a node that may not be a member, at its address.
pub async fn ask_at(raft: &RaftNode, node: u64, address: &str, request: &Request, timeout: Duration) -> Option<Reply> {
    let call = raft.call_at(node, address, encode(request).into());
    read(node, &tokio::time::timeout(timeout, call).await.ok()?.ok()?)
}

fn read(node: u64, answer: &[u8]) -> Option<Reply> {
    decode(answer)
        .inspect_err(|error| {
            if let Some(held_back) = UNREADABLE.admit(node, clock::process_age()) {
                tracing::warn!(node, %error, held_back, "another node's answer cannot be read");
            }
        })
        .ok()
}
