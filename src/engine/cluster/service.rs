//! What this node answers to the engines of others.

use super::MemberError;
use super::wire::{Change, MemberLine, Reply, Request};
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::domain::{Body, Command, Entry, Incarnation, NodeId, Outcome, Refusal, StoreId};
use crate::engine::answer::Answered;
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use crate::engine::table_host::TableHost;
use crate::mutants;
use crate::raft::{self, Member, PeerService, ReadError, RemovedNode};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// How long the log may take to learn of a node before that node is told to ask again.
const KNOWN_WITHIN: Duration = Duration::from_millis(400);

const IDENTIFY_WITHIN: Duration = Duration::from_secs(2);

/// Programs of a lower level do not know [`Reply::NotMember`].
const LEVEL_OF_NOT_MEMBER: u32 = 4;

/// Lines that another node causes, as often as it likes.
static UNREADABLE: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);
static HEARD: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

/// Answers nothing until the engine is up.
pub struct Service {
    host: Arc<TableHost>,
    core: OnceLock<Weak<Core>>,
}

impl Service {
    pub fn new(host: Arc<TableHost>) -> Service {
        Service { host, core: OnceLock::new() }
    }

    pub fn serve(&self, core: &Arc<Core>) {
        let _ = self.core.set(Arc::downgrade(core));
    }

    async fn answer(&self, from: u64, request: Bytes) -> Reply {
        let Some(core) = self.core.get().and_then(Weak::upgrade) else { return Reply::NotLeader };
        match Request::decode(&request) {
            Ok(request) => core.answer(from, request).await,
            Err(error) => {
                if let Some(held_back) = UNREADABLE.admit(from, clock::process_age()) {
                    tracing::warn!(from, %error, held_back, "another node's message cannot be read");
                }
                Reply::NotUnderstood
            }
        }
    }
}

impl PeerService for Service {
    fn call(&self, from: u64, request: Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send + '_>> {
        Box::pin(async move { self.answer(from, request).await.encode().into() })
    }

    fn known_store(&self, node: u64) -> Option<[u8; 16]> {
        let table = self.host.table();
        table
            .nodes()
            .get(&NodeId(node))
            .map(|record| record.store)
            .filter(|store| *store != StoreId::UNKNOWN)
            .map(|id| id.0)
    }
}

impl Core {
    async fn answer(&self, from: u64, request: Request) -> Reply {
        if request == Request::Identify {
            return Reply::Identity { life: self.host.table().table_id(), leads: self.leads() };
        }
        if !self.leads() {
            return Reply::NotLeader;
        }
        if !self.raft.is_member(from) {
            return self.answer_stranger(from, &request);
        }
        match request {
            Request::Present { incarnation, store, level } => self.present(from, incarnation, store, level).await,
            Request::Forward { incarnation, entry } => self.take_in(from, incarnation, entry),
            Request::ReadIndex => match self.raft.read_index().await {
                Ok(index) if self.leads() => Reply::ReadIndex { index, now: self.clock.now() },
                Ok(_) => Reply::NotLeader,
                Err(_) => Reply::NoQuorum,
            },
            Request::Change(change) => self.change_members(change).await,
            Request::Compare(mark) => Reply::Compared(self.compare(from, &mark)),
            Request::Members => Reply::Members { members: self.member_lines() },
            Request::Identify => Reply::NotUnderstood,
        }
    }

    /// What was a member once may do nothing here: the log does not reach it.
    fn answer_stranger(&self, from: u64, request: &Request) -> Reply {
        match request {
            // One that was deposed and does not know it must not say who is a member.
            _ if !self.has_quorum() => Reply::NoQuorum,
            Request::Present { level, .. } if *level < LEVEL_OF_NOT_MEMBER => {
                Reply::NotTakenIn { reason: RemovedNode { node: from }.to_string() }
            }
            Request::Present { .. } => Reply::NotMember,
            _ => Reply::NotLeader,
        }
    }

    async fn present(&self, from: u64, incarnation: Incarnation, store: StoreId, level: u32) -> Reply {
        if !self.has_quorum() {
            return Reply::NoQuorum;
        }
        self.heard.note(from, self.clock.age());
        let node = NodeId(from);
        let is_known = self.host.table().nodes().get(&node).is_some_and(|record| {
            record.up && (record.incarnation, record.store, record.level) == (incarnation, store, level)
        });
        if !is_known {
            if let Err(reply) = self.make_known(Command::NodeUp { node, incarnation, store, level }).await {
                return reply;
            }
            if let Some(held_back) = HEARD.admit(from, clock::process_age()) {
                tracing::info!(node = from, level, held_back, "node {from} is heard");
            }
        }
        match self.queue.leading() {
            Some(epoch) => Reply::Accepted { epoch, now: self.clock.now() },
            None => Reply::NotLeader,
        }
    }

    async fn make_known(&self, node_up: Command) -> Result<(), Reply> {
        let applied = self.queue.submit_as_leader(node_up).map_err(|_| Reply::NotLeader)?;
        match tokio::time::timeout(KNOWN_WITHIN, applied).await {
            Ok(Ok(Ok(Answered::Outcome(Outcome::Refused(refusal))))) => {
                Err(Reply::NotTakenIn { reason: words(&refusal) })
            }
            Ok(Ok(Ok(_))) => Ok(()),
            _ => Err(Reply::NoQuorum),
        }
    }

    fn take_in(&self, from: u64, incarnation: Incarnation, entry: Entry) -> Reply {
        let Body::Batch { touches, commands, .. } = entry.body else { return Reply::NotUnderstood };
        // A node speaks for itself alone.
        if commands.iter().any(|submitted| submitted.id.incarnation != incarnation) {
            return Reply::NotUnderstood;
        }
        self.heard.note(from, self.clock.age());
        if mutants::on("forward-twice") {
            let again = commands.iter().map(|submitted| self.queue.submit_as_leader(submitted.command.clone()));
            again.for_each(drop);
        }
        match self.queue.forward(commands, touches) {
            Ok(epoch) => Reply::Accepted { epoch, now: self.clock.now() },
            Err(EngineError::Overloaded) => Reply::Busy,
            Err(_) => Reply::NotLeader,
        }
    }

    pub async fn change_members(&self, change: Change) -> Reply {
        // A leader that was stopped, and does not know yet that another leads, must not say who is a member.
        match self.raft.read_index().await {
            Ok(index) => self.raft.applied(index).await,
            Err(ReadError::NotLeader { .. }) => return Reply::NotLeader,
            Err(_) => return Reply::NoQuorum,
        }
        let changed = match &change {
            Change::Add { node, address } => self.add(*node, address.clone()).await,
            Change::Promote { node } => self.raft.promote(*node).await,
            Change::Remove { node } => match self.raft.remove(*node).await {
                // Removed before, and not forgotten: the second half was lost.
                Err(raft::MembershipError::UnknownNode { .. })
                    if self.host.table().nodes().contains_key(&NodeId(*node)) =>
                {
                    Ok(())
                }
                removed => removed,
            },
        };
        // Whether grants must be confirmed may have changed with it.
        self.queue.wake();
        if let Err(error) = changed {
            return refused(error);
        }
        match change {
            Change::Remove { node } => match self.make_known(Command::ForgetNode { node: NodeId(node) }).await {
                Ok(()) => Reply::Changed,
                Err(reply) => reply,
            },
            Change::Add { .. } | Change::Promote { .. } => Reply::Changed,
        }
    }

    /// A node comes empty, or with what it had when it was a member of this very cluster.
    async fn add(&self, node: u64, address: String) -> Result<(), raft::MembershipError> {
        match self.raft.add_learner(node, address.clone()).await {
            Err(raft::MembershipError::NotEmpty { .. }) if self.was_member(node, &address).await => {
                self.raft.add_former(node, address).await
            }
            added => added,
        }
    }

    /// Whether a node has this cluster's table. Only a cluster's own nodes get it.
    async fn was_member(&self, node: u64, address: &str) -> bool {
        let own = self.host.table().table_id();
        let told = self.ask_at(node, address, &Request::Identify, IDENTIFY_WITHIN).await;
        matches!(told, Some(Reply::Identity { life, leads: false }) if life == own && own != 0)
    }

    /// The members as this node, leading, sees them.
    pub fn member_lines(&self) -> Vec<MemberLine> {
        let last = self.raft.progress().last_log_index;
        let table = self.host.table();
        let line = |member: Member| MemberLine {
            up: table.nodes().get(&NodeId(member.node)).is_some_and(|record| record.up),
            node: member.node,
            address: member.address,
            voter: member.voter,
            lag_entries: member.matched_index.map(|matched| last.saturating_sub(matched)),
        };
        self.raft.members().into_iter().map(line).collect()
    }
}

/// The log room's word in the house's. What is not a refusal is told as the leader's own state.
fn refused(error: raft::MembershipError) -> Reply {
    let address_of =
        |node, address, reason: &str| MemberError::Unreachable { node, address, reason: reason.to_owned() };
    Reply::Refused(match error {
        raft::MembershipError::NotLeader { .. } => return Reply::NotLeader,
        raft::MembershipError::NoQuorum => return Reply::NoQuorum,
        raft::MembershipError::OutcomeUnknown => return Reply::OutcomeUnknown,
        raft::MembershipError::NoPeers => MemberError::Alone,
        raft::MembershipError::AlreadyMember { node, address } => MemberError::AlreadyMember { node, address },
        raft::MembershipError::UnknownNode { node } => MemberError::Unknown(node),
        raft::MembershipError::AlreadyVoter { node } => MemberError::AlreadyVoter(node),
        raft::MembershipError::Unreachable { node, address, reason } => {
            let again = format!("{reason}; when it runs there, ask again: `latchd members add {node} {address}`");
            address_of(node, address, &again)
        }
        raft::MembershipError::NotEmpty { node, address } => {
            let again = format!(
                "it holds data that is not known to be of this cluster: stop it, move its data directory away, start it \
                 again, and ask again: `latchd members add {node} {address}`"
            );
            address_of(node, address, &again)
        }
        raft::MembershipError::NotCaughtUp { node, lag } => MemberError::NotCaughtUp { node, lag_entries: lag },
        raft::MembershipError::WouldLoseQuorum { node, .. } | raft::MembershipError::LastVoter { node } => {
            MemberError::WouldLoseQuorum(node)
        }
        raft::MembershipError::InProgress => MemberError::Busy,
    })
}

fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::StoreMismatch => {
            "this node id is known with another data directory: if its disk was lost, remove it with `latchd members \
             remove`, then add it again"
                .to_owned()
        }
        other => format!("{other:?}"),
    }
}
