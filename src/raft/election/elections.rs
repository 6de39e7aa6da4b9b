//! Heartbeats and elections: who is heard, and when silence has lasted long enough.
//!
//! openraft's own timers are switched off, for two reasons. They tick one and a half times slower than configured, so
//! that a failover would take a second longer; and a node that was cut off would come back with a higher term and
//! unseat a leader that works. Here a node asks around first ([`MessageKind::PreVote`]): it stands for election only when a
//! majority hears no leader either and has no newer log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ServerState};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::base::random;
use crate::raft::codec::{decode, encode};
use crate::raft::log::monitor::LogMonitor;
use crate::raft::membership::node_state::NodeState;
use crate::raft::options::RaftOptions;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::MessageKind;
use crate::raft::types::{LogId, NodeId, Raft, Vote};

/// Between two canvasses of which the first found no majority: at least this, and as much again at random. The next
/// pause is twice as long, up to the longest: a node that was removed and has not heard of it goes on for ever.
const PRE_VOTE_PAUSE: Duration = Duration::from_millis(25);
const PRE_VOTE_PAUSE_MAX: Duration = Duration::from_millis(400);
/// Elections that follow each other without a leader come ever more slowly, in case a disk needs longer for a vote.
const SLOWER_MAX: u32 = 4;
/// A node that was told to take over tries as often as this.
const TRANSFER_TRIES: u32 = 20;
const TRANSFER_WAIT: Duration = Duration::from_millis(80);

/// What one node hears of leaders.
#[derive(Debug)]
pub struct Elections {
    node_id: NodeId,
    heartbeat: Duration,
    election_min: Duration,
    election_max: Duration,
    heard: Notify,
    /// Messages of a leader or a candidate that are being worked on.
    hearing: AtomicUsize,
    /// Nobody was heard for the shortest election timeout.
    quiet: AtomicBool,
    /// Heartbeats are held back: another node is to take over.
    paused: AtomicBool,
    /// This node takes no part any more: it neither leads nor stands for election.
    retired: AtomicBool,
    /// The newest entry that this node has acknowledged, where its log had lost it at the start.
    lost: Option<LogId>,
    log: Arc<LogMonitor>,
}

/// Somebody is being heard for as long as this lives.
pub struct Hearing<'a>(&'a Elections);

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.0.hearing.fetch_sub(1, SeqCst);
    }
}

/// Heartbeats are held back for as long as this lives.
pub struct Paused<'a>(&'a Elections);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.paused.store(false, SeqCst);
    }
}

impl Elections {
    pub fn new(options: &RaftOptions, lost: Option<LogId>, log: Arc<LogMonitor>) -> Elections {
        Elections {
            node_id: options.node_id,
            heartbeat: options.heartbeat,
            election_min: options.election_min,
            election_max: options.election_max,
            heard: Notify::new(),
            hearing: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            log,
            lost,
        }
    }

    /// A leader was heard, or this node has given its vote: it waits anew.
    pub fn heard(&self) {
        self.quiet.store(false, SeqCst);
        self.heard.notify_one();
    }

    pub fn hearing(&self) -> Hearing<'_> {
        self.hearing.fetch_add(1, SeqCst);
        Hearing(self)
    }

    pub fn pause(&self) -> Paused<'_> {
        self.paused.store(true, SeqCst);
        Paused(self)
    }

    pub fn retire(&self) {
        self.retired.store(true, SeqCst);
    }

    /// Whether this node could not store its own vote.
    fn is_full(&self) -> bool {
        self.log.space.is_full()
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(SeqCst)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(SeqCst) && self.hearing.load(SeqCst) == 0
    }

    /// Whether this node would help to unseat whoever leads now, in favour of a node whose log ends with `last`.
    pub fn grants_pre_vote(&self, raft: &Raft, last: Option<LogId>) -> bool {
        let metrics = raft.metrics();
        let leads_a_quorum = {
            let metrics = metrics.borrow();
            let fresh = |age| Duration::from_millis(age) <= self.election_max;
            metrics.state == ServerState::Leader && metrics.millis_since_quorum_ack.is_some_and(fresh)
        };
        let leads = metrics.borrow().state == ServerState::Leader;
        let own = raft.data_metrics().borrow().last_log;
        last >= own && self.may_help(raft, last) && if leads { !leads_a_quorum } else { self.is_quiet() }
    }

    /// Stands for election at once, because the leader has asked for it; whether this node leads then.
    pub async fn accept_transfer(&self, raft: &Raft, from: NodeId, asked_by: Vote) -> bool {
        let mut server = raft.server_metrics();
        {
            let now = server.borrow_and_update();
            if now.vote != asked_by || now.current_leader != Some(from) || self.lost(raft).is_some() {
                return false;
            }
        }
        // The leader itself votes at once, unless it was elected only just now; others, in a larger cluster, when they
        // have not heard it for a moment. So once may not be enough.
        for _ in 0..TRANSFER_TRIES {
            if raft.trigger().elect().await.is_err() {
                return false;
            }
            let led = turns(&mut server, |now| now.state == ServerState::Leader);
            if let Ok(led) = tokio::time::timeout(TRANSFER_WAIT, led).await {
                return led;
            }
        }
        false
    }

    /// Runs until the log engine is gone.
    pub async fn beat(self: Arc<Self>, raft: Raft, peers: Peers) {
        let mut slower = 0;
        loop {
            let leads = raft.server_metrics().borrow().state == ServerState::Leader;
            let goes_on = if leads { self.lead(&raft).await } else { self.follow(&raft, &peers, &mut slower).await };
            if !goes_on {
                return;
            }
        }
    }

    async fn lead(&self, raft: &Raft) -> bool {
        let mut server = raft.server_metrics();
        tokio::select! {
            biased;
            gone = turns(&mut server, |now| now.state != ServerState::Leader) => gone,
            () = tokio::time::sleep(self.heartbeat) => {
                self.paused.load(SeqCst) || self.is_retired() || raft.trigger().heartbeat().await.is_ok()
            }
        }
    }

    async fn follow(&self, raft: &Raft, peers: &Peers, slower: &mut u32) -> bool {
        let scale = 2u32.pow((*slower).min(SLOWER_MAX));
        let spread = (self.election_max - self.election_min) * scale;
        let beyond = self.election_min * (scale - 1) + random_up_to(spread);
        let mut server = raft.server_metrics();
        let leads = turns(&mut server, |now| now.state == ServerState::Leader);
        let silence = async {
            tokio::time::sleep(self.election_min).await;
            self.quiet.store(self.hearing.load(SeqCst) == 0, SeqCst);
            tokio::time::sleep(beyond).await;
            let mut pause = PRE_VOTE_PAUSE;
            while self.is_retired() || !(self.is_quiet() && self.wins_pre_vote(raft, peers).await) {
                tokio::time::sleep(pause + random_up_to(pause)).await;
                pause = PRE_VOTE_PAUSE_MAX.min(pause * 2);
                self.quiet.store(self.hearing.load(SeqCst) == 0, SeqCst);
            }
        };
        tokio::select! {
            biased;
            leads = leads => {
                *slower = 0;
                leads
            }
            () = self.heard.notified() => {
                *slower = 0;
                true
            }
            () = silence => {
                *slower += 1;
                raft.trigger().elect().await.is_ok()
            }
        }
    }

    /// Whether this node may vote, and a majority would vote for it.
    async fn wins_pre_vote(&self, raft: &Raft, peers: &Peers) -> bool {
        let id = peers.local.node_id;
        let membership = raft.metrics().borrow().membership_config.membership().clone();
        let last = raft.data_metrics().borrow().last_log;
        let configs = membership.get_joint_config();
        if !configs.iter().flatten().any(|voter| *voter == id) || self.lost(raft).is_some() || self.is_full() {
            return false;
        }
        let mut asked = JoinSet::new();
        let others: BTreeSet<NodeId> = membership.voter_ids().filter(|voter| *voter != id).collect();
        for node in others {
            let Some(address) = membership.get_node(&node).map(|node| node.addr.clone()) else { continue };
            let connection = peers.raft_connection(node, &address);
            let ask = async move { (node, connection.request(MessageKind::PreVote, encode(&last)).await) };
            asked.spawn(tokio::time::timeout(self.election_min, ask));
        }
        let mut with = BTreeSet::from([id]);
        let is_majority =
            |with: &BTreeSet<NodeId>| configs.iter().all(|voters| voters.intersection(with).count() * 2 > voters.len());
        while !is_majority(&with) {
            match asked.join_next().await {
                Some(Ok(Ok((node, Ok(answer))))) if decode(&answer).unwrap_or(false) => drop(with.insert(node)),
                Some(_) => {}
                None => return false,
            }
        }
        true
    }
}

impl Elections {
    /// Whether this node may help one to lead whose log ends with `last`.
    ///
    /// A node without a log may have lost it, and with it what the other knows nothing of. So it helps to begin a cluster,
    /// whose log is its first members alone; for one that goes on, those decide who have a part of it. A node whose log
    /// has lost its end votes as it would have with it.
    pub fn may_help(&self, raft: &Raft, last: Option<LogId>) -> bool {
        let goes_on = last.is_some_and(|last| last.index > 0);
        let has_log = !goes_on || raft.data_metrics().borrow().last_log.is_some();
        has_log && self.lost(raft).is_none_or(|lost| last >= Some(lost))
    }

    /// The newest entry that this node has acknowledged, while its log lacks it. That others count on it may be a part of
    /// what is lost, so only a node without peers goes on by itself.
    pub fn lost(&self, raft: &Raft) -> Option<LogId> {
        self.lost.filter(|lost| raft.data_metrics().borrow().last_log < Some(*lost))
    }

    /// How this node stands to its cluster, as a member of it.
    pub fn standing(&self, raft: &Raft) -> NodeState {
        match self.lost(raft) {
            Some(lost) => NodeState::LostEnd { node: self.node_id, term: lost.leader_id.term, index: lost.index },
            None => NodeState::Member,
        }
    }

    /// Tells when a leader has sent what this node had lost. Runs until then, or until the log engine is gone.
    pub async fn regain(self: Arc<Self>, raft: Raft, stands: watch::Sender<NodeState>) {
        let mut data = raft.data_metrics();
        let node = self.node_id;
        tracing::error!(node, "{}", *stands.borrow());
        while self.lost(&raft).is_some() {
            if data.changed().await.is_err() {
                return;
            }
        }
        tracing::info!(node, "the log of node {node} has all that this node acknowledged again");
        stands.send_if_modified(|now| {
            let regained = matches!(now, NodeState::LostEnd { .. });
            if regained {
                *now = NodeState::Member;
            }
            regained
        });
    }
}

type ServerMetrics = RaftServerMetrics<NodeId, BasicNode>;

/// Waits until the node's role is so; false if the log engine is gone before.
async fn turns(server: &mut watch::Receiver<ServerMetrics>, is_so: impl FnMut(&ServerMetrics) -> bool) -> bool {
    server.wait_for(is_so).await.is_ok()
}

/// Even enough: the range is tiny beside 2^64.
fn random_up_to(max: Duration) -> Duration {
    Duration::from_millis(random::random_u64() % (max.as_millis() as u64 + 1))
}
