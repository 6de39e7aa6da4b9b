//! Heartbeats and elections: what this node hears of leaders, and when silence has lasted long enough.
//!
//! openraft's own timers are switched off, for two reasons. They tick one and a half times slower than configured, so
//! that a failover would take a second longer; and a node that was cut off would come back with a higher term and
//! unseat a leader that works. Here a node holds a pre-vote first (`pre_vote.rs`): it stands for election only when a
//! majority hears no leader either and has no newer log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ServerState};
use tokio::sync::{Notify, watch};

use crate::base::{OnDrop, random};
use crate::raft::election::lost_end::LostEnd;
use crate::raft::election::pre_vote;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::options::RaftOptions;
use crate::raft::peers::connections::Peers;
use crate::raft::types::{LogId, NodeId, Raft, Vote};

/// Between two pre-votes of which the first found no majority: at least this, and as much again at random. The next
/// pause is twice as long, up to the longest: a node that was removed and has not heard of it goes on for ever.
const PRE_VOTE_DELAY: Duration = Duration::from_millis(25);
const PRE_VOTE_DELAY_MAX: Duration = Duration::from_millis(400);
/// Elections that follow each other without a leader come ever more slowly, in case a disk needs longer for a vote.
const BACKOFF_MAX: u32 = 4;
/// How often, and at what intervals, a node stands for election that leadership is transferred to.
const TRANSFER_TRIES: u32 = 20;
const TRANSFER_WAIT: Duration = Duration::from_millis(80);

/// The election timer of one node, and its part in the elections of others.
#[derive(Debug)]
pub struct Elections {
    heartbeat: Duration,
    election_min: Duration,
    election_max: Duration,
    heard: Notify,
    /// Messages of a leader or a candidate that are being worked on.
    hearing: AtomicUsize,
    /// No leader was heard for the shortest election timeout.
    quiet: AtomicBool,
    /// Heartbeats are held back while leadership is transferred.
    paused: AtomicBool,
    /// This node neither leads nor stands for election any more.
    retired: AtomicBool,
    pub lost_end: Arc<LostEnd>,
    log: Arc<LogMonitor>,
}

impl Elections {
    pub fn new(options: &RaftOptions, lost_end: Arc<LostEnd>, log: Arc<LogMonitor>) -> Elections {
        Elections {
            heartbeat: options.heartbeat,
            election_min: options.election_min,
            election_max: options.election_max,
            heard: Notify::new(),
            hearing: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            lost_end,
            log,
        }
    }

    /// Restarts the election timer: a leader was heard, or this node has given its vote.
    pub fn restart_timer(&self) {
        self.quiet.store(false, SeqCst);
        self.heard.notify_one();
    }

    /// Holds the election timer for as long as the result lives, while a message of a leader or a candidate is worked on: a
    /// leader is not silent while this node's disk is slow.
    pub fn hear(&self) -> OnDrop<impl FnMut()> {
        self.hearing.fetch_add(1, SeqCst);
        OnDrop(|| _ = self.hearing.fetch_sub(1, SeqCst))
    }

    /// Holds heartbeats back for as long as the result lives.
    pub fn pause_heartbeats(&self) -> OnDrop<impl FnMut()> {
        self.paused.store(true, SeqCst);
        OnDrop(|| self.paused.store(false, SeqCst))
    }

    pub fn retire(&self) {
        self.retired.store(true, SeqCst);
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(SeqCst)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(SeqCst) && self.hearing.load(SeqCst) == 0
    }

    /// Answers a pre-vote: whether this node would vote for a candidate whose log ends with `last`. It would not while it
    /// hears a leader, or leads a quorum itself.
    pub fn grants_pre_vote(&self, raft: &Raft, last: Option<LogId>) -> bool {
        let is_leaderless = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            let is_fresh = |age| Duration::from_millis(age) <= self.election_max;
            match metrics.state {
                ServerState::Leader => !metrics.millis_since_quorum_ack.is_some_and(is_fresh),
                _ => self.is_quiet(),
            }
        };
        let own = raft.data_metrics().borrow().last_log;
        last >= own && self.lost_end.may_vote_for(raft, last) && is_leaderless && !self.log.space.is_full()
    }

    /// Whether this node may vote for a candidate whose log ends with `last`: its own vote must fit on its disk, and the
    /// candidate must have what this node acknowledged.
    pub fn may_vote_for(&self, raft: &Raft, last: Option<LogId>) -> bool {
        self.lost_end.may_vote_for(raft, last) && !self.log.space.is_full()
    }

    /// Stands for election at once, because the leader transfers its leadership; whether this node leads then.
    pub async fn accept_transfer(&self, raft: &Raft, from: NodeId, leader_vote: Vote) -> bool {
        let mut server = raft.server_metrics();
        {
            let now = server.borrow_and_update();
            if now.vote != leader_vote || now.current_leader != Some(from) || self.lost_end.missing(raft).is_some() {
                return false;
            }
        }
        // The leader itself votes at once, unless it was elected only just now; others, in a larger cluster, when they
        // have not heard it for a moment. So one try may not be enough.
        for _ in 0..TRANSFER_TRIES {
            if raft.trigger().elect().await.is_err() {
                return false;
            }
            let led = becomes(&mut server, |now| now.state == ServerState::Leader);
            if let Ok(led) = tokio::time::timeout(TRANSFER_WAIT, led).await {
                return led;
            }
        }
        false
    }

    /// Sends heartbeats while this node leads, and stands for election when it hears no leader. Runs until openraft has
    /// stopped.
    pub async fn run(self: Arc<Self>, raft: Raft, peers: Peers) {
        let mut elections = 0;
        loop {
            let leads = raft.server_metrics().borrow().state == ServerState::Leader;
            let goes_on = match leads {
                true => self.send_heartbeat(&raft).await,
                false => self.wait_for_leader(&raft, &peers, &mut elections).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn send_heartbeat(&self, raft: &Raft) -> bool {
        let mut server = raft.server_metrics();
        tokio::select! {
            biased;
            runs = becomes(&mut server, |now| now.state != ServerState::Leader) => runs,
            () = tokio::time::sleep(self.heartbeat) => {
                self.paused.load(SeqCst) || self.is_retired() || raft.trigger().heartbeat().await.is_ok()
            }
        }
    }

    /// Waits until this node leads, a leader was heard, or it is time for an election, which this begins. `elections` counts
    /// those that followed each other without a leader.
    async fn wait_for_leader(&self, raft: &Raft, peers: &Peers, elections: &mut u32) -> bool {
        let scale = 2u32.pow((*elections).min(BACKOFF_MAX));
        let spread = (self.election_max - self.election_min) * scale;
        let beyond = self.election_min * (scale - 1) + random_up_to(spread);
        let mut server = raft.server_metrics();
        let leads = becomes(&mut server, |now| now.state == ServerState::Leader);
        tokio::select! {
            biased;
            leads = leads => {
                *elections = 0;
                leads
            }
            () = self.heard.notified() => {
                *elections = 0;
                true
            }
            () = self.win_pre_vote(raft, peers, beyond) => {
                *elections += 1;
                raft.trigger().elect().await.is_ok()
            }
        }
    }

    /// Waits for the shortest election timeout and `beyond`, then holds pre-votes until one is won.
    async fn win_pre_vote(&self, raft: &Raft, peers: &Peers, beyond: Duration) {
        tokio::time::sleep(self.election_min).await;
        self.quiet.store(self.hearing.load(SeqCst) == 0, SeqCst);
        tokio::time::sleep(beyond).await;
        let mut pause = PRE_VOTE_DELAY;
        loop {
            let may_stand = !self.is_retired() && self.is_quiet() && !self.log.space.is_full();
            if may_stand
                && self.lost_end.missing(raft).is_none()
                && pre_vote::is_won(raft, peers, self.election_min).await
            {
                return;
            }
            tokio::time::sleep(pause + random_up_to(pause)).await;
            pause = PRE_VOTE_DELAY_MAX.min(pause * 2);
            self.quiet.store(self.hearing.load(SeqCst) == 0, SeqCst);
        }
    }
}

type ServerMetrics = RaftServerMetrics<NodeId, BasicNode>;

/// Waits until `is_so`; false if openraft stops before.
async fn becomes(server: &mut watch::Receiver<ServerMetrics>, is_so: impl FnMut(&ServerMetrics) -> bool) -> bool {
    server.wait_for(is_so).await.is_ok()
}

/// Even enough: the range is tiny beside 2^64.
fn random_up_to(max: Duration) -> Duration {
    Duration::from_millis(random::random_u64() % (max.as_millis() as u64 + 1))
}
