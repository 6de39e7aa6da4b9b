//! What this node answers to the engines of others.

use super::digests::DigestComparison;
use super::error::EngineError;
use super::members::ClusterMembers;
use super::messages::{Reply, Request, TracedCommand, decode, encode};
use super::table_host::TableHost;
use crate::base::request_times::TraceParent;
use crate::base::{BoxFuture, KeyedLogRateLimit, clock};
use crate::domain::{Body, Entry, Incarnation, NodeId, StoreId, Timestamp};
use crate::mutants::planted;
use crate::raft::PeerService;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

/// Another node causes these lines, as often as it likes.
static UNREADABLE: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

/// Answers nothing until the engine is up.
pub struct EngineService {
    host: Arc<TableHost>,
    /// Weak, because consensus owns this service and the handler owns consensus.
    handler: OnceLock<Weak<RequestHandler>>,
}

impl EngineService {
    pub fn new(host: Arc<TableHost>) -> EngineService {
        EngineService { host, handler: OnceLock::new() }
    }

    pub fn serve(&self, handler: &Arc<RequestHandler>) {
        let _ = self.handler.set(Arc::downgrade(handler));
    }

    async fn answer(&self, from: u64, request: Bytes) -> Reply {
        let Some(handler) = self.handler.get().and_then(Weak::upgrade) else { return Reply::NotLeader };
        match decode(&request) {
            Ok(request) => handler.answer(from, request).await,
            Err(error) => {
                if let Some(held_back) = UNREADABLE.admit(from, clock::process_age()) {
                    tracing::warn!(from, %error, held_back, "another node's message cannot be read");
                }
                Reply::NotUnderstood
            }
        }
    }
}

impl PeerService for EngineService {
    fn call(&self, from: u64, request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move { encode(&self.answer(from, request).await).into() })
    }

    fn known_store(&self, node: u64) -> Option<[u8; 16]> {
        let table = self.host.table();
        let store = table.nodes().get(&NodeId(node)).map(|record| record.store);
        store.filter(|store| *store != StoreId::UNKNOWN).map(|id| id.0)
    }
}

/// The parts of the engine that other nodes ask.
pub struct RequestHandler {
    pub members: Arc<ClusterMembers>,
    pub comparison: Arc<DigestComparison>,
}

impl RequestHandler {
    async fn answer(&self, from: u64, request: Request) -> Reply {
        let ClusterMembers { raft, host, health, .. } = &*self.members;
        let leads = health.leads();
        if request == Request::Identify {
            return Reply::Identity { table_id: host.table().table_id(), leads };
        }
        if !leads {
            return Reply::NotLeader;
        }
        if !raft.is_member(from) {
            return self.members.answer_non_member(from, &request);
        }
        match request {
            Request::Present { incarnation, store, level } => {
                self.members.present(from, incarnation, store, level).await
            }
            Request::Forward { incarnation, entry } => self.queue_forwarded(from, incarnation, &[], *entry),
            Request::ForwardTraced { incarnation, traced, entry } => {
                self.queue_forwarded(from, incarnation, &traced, *entry)
            }
            Request::ReadIndex => {
                self.read_point().await.map_or_else(|no| no, |(index, now, _)| Reply::ReadIndex { index, now })
            }
            Request::ReadPoint => self
                .read_point()
                .await
                .map_or_else(|no| no, |(index, now, entries_from)| Reply::ReadPoint { index, now, entries_from }),
            Request::Change(change) => self.members.make_change(change).await,
            Request::Compare(digest) => Reply::Compared(self.comparison.judge(from, &digest)),
            Request::Members => Reply::Members { members: self.members.member_lines() },
            Request::Identify => Reply::NotUnderstood,
        }
    }

    async fn read_point(&self) -> Result<(u64, Timestamp, Timestamp), Reply> {
        let ClusterMembers { raft, clock, health, .. } = &*self.members;
        let entries_from = clock.unapplied_from();
        match raft.read_index().await {
            Ok(index) if health.leads() => Ok((index, clock.now(), entries_from)),
            Ok(_) => Err(Reply::NotLeader),
            Err(_) => Err(Reply::NoQuorum),
        }
    }

    fn queue_forwarded(&self, from: u64, incarnation: Incarnation, traced: &[TracedCommand], entry: Entry) -> Reply {
        let Body::Batch { touches, commands, .. } = entry.body else { return Reply::NotUnderstood };
        // A node may forward only its own commands.
        if commands.iter().any(|submitted| submitted.id.incarnation != incarnation) {
            return Reply::NotUnderstood;
        }
        self.members.note_heard(from);
        let ClusterMembers { queue, clock, host, .. } = &*self.members;
        // Before they are queued, which is the beginning of their way.
        let spans: BTreeMap<u64, &TracedCommand> = traced.iter().map(|traced| (traced.sequence, traced)).collect();
        for (submitted, traced) in commands.iter().filter_map(|one| Some((one, spans.get(&one.id.sequence)?))) {
            let parent = TraceParent { trace: traced.trace, span: traced.span.to_be_bytes() };
            host.requests.forwarded_traces.arrived(submitted, parent);
        }
        planted!("forward-twice" => commands.iter().for_each(|submitted| drop(queue.submit_as_leader(submitted.command.clone()))));
        match queue.forward(commands, touches) {
            Ok(epoch) => Reply::Accepted { epoch, now: clock.now() },
            Err(EngineError::Overloaded) => Reply::Busy,
            Err(_) => Reply::NotLeader,
        }
    }
}
