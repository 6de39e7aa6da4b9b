//! The handshake between two nodes: who is at the other end, and whether the two may talk.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::codec::{decode_prefix, encode};
use crate::raft::interface::{PeerService, Stream, Transport};
use crate::raft::peers::certificate::PeerCertificate;
use crate::raft::peers::frame::{Frame, MAX_HELLO, MessageKind, VERSION};
use crate::raft::peers::message::{Hello, HelloRefusal, HelloReply};
use crate::raft::types::{NodeId, Raft};

/// What this node says of itself, and what it knows of others.
pub struct LocalNode {
    pub node_id: NodeId,
    pub store_id: [u8; 16],
    pub store_was_empty: bool,
    pub initial: Vec<NodeId>,
    pub service: Arc<dyn PeerService>,
    /// Set as soon as openraft runs, before this node listens.
    pub raft: OnceLock<Raft>,
}

/// A node that is refused tries again and again.
static REFUSALS: KeyedLogRateLimit<NodeId> = KeyedLogRateLimit::new(64);

pub fn log_refused(node: NodeId, reason: &dyn std::fmt::Display) {
    if let Some(held_back) = REFUSALS.admit(node, clock::process_age()) {
        tracing::warn!(node, %reason, held_back, "node {node} is refused: {reason}");
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it did not answer in time")]
    Slow,
    /// The other side does not talk to this node.
    #[error("it refuses this node: {0}")]
    Refused(HelloRefusal),
    /// This node does not talk to the other side.
    #[error("it is not talked to: {0}")]
    Mistaken(HelloRefusal),
}

impl LocalNode {
    /// Whether nothing is stored here yet: no log and no vote.
    pub fn is_empty(&self) -> bool {
        let Some(raft) = self.raft.get() else { return self.store_was_empty };
        let metrics = raft.metrics();
        let metrics = metrics.borrow();
        self.store_was_empty && metrics.last_log_index.is_none() && metrics.current_term == 0
    }

    fn hello(&self, to: NodeId) -> Hello {
        Hello {
            oldest: VERSION,
            newest: VERSION,
            from: self.node_id,
            to,
            store: self.store_id,
            empty: self.is_empty(),
            initial: self.initial.clone(),
        }
    }

    fn check(&self, hello: &Hello) -> Result<(), HelloRefusal> {
        if hello.oldest > VERSION || hello.newest < VERSION {
            return Err(HelloRefusal::Protocol { oldest: VERSION, newest: VERSION });
        }
        match self.service.known_store(hello.from) {
            Some(known) if known != hello.store => Err(HelloRefusal::OtherStore),
            _ => Ok(()),
        }
    }

    /// Reads the hello of a node that has connected, and answers it. Returns it unless the node is refused.
    pub async fn receive(
        &self,
        stream: &mut Stream,
        certificate: Option<&PeerCertificate>,
    ) -> io::Result<Option<Hello>> {
        let frame = Frame::read(stream, MAX_HELLO).await?;
        if frame.kind != MessageKind::Hello as u8 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a hello"));
        }
        let hello: Hello = decode_prefix(&frame.body)?;
        // An impostor gets no answer.
        self.check_certificate(hello.from, certificate).inspect_err(|error| log_refused(hello.from, error))?;
        let judged = match hello.to == self.node_id && hello.from != self.node_id {
            true => self.check(&hello),
            false => Err(HelloRefusal::OtherNode { found: self.node_id }),
        };
        let answer: HelloReply = judged.map(|()| self.hello(hello.from));
        Frame::answer(MessageKind::Hello, frame.request, encode(&answer)).write(stream).await?;
        if let Err(refusal) = judged {
            log_refused(hello.from, &refusal);
            return Ok(None);
        }
        Ok(Some(hello))
    }
}

/// Makes connections to one node.
#[derive(Clone)]
pub struct Dialer {
    pub local: Arc<LocalNode>,
    pub transport: Arc<dyn Transport>,
    pub node: NodeId,
    pub address: String,
}

impl Dialer {
    /// Makes a connection over which both sides have said who they are.
    pub async fn dial(&self) -> Result<(Stream, Hello), DialError> {
        let mut stream = self.transport.connect(&self.address).await?;
        Frame::request(MessageKind::Hello, 0, encode(&self.local.hello(self.node))).write(&mut stream).await?;
        let answer = Frame::read(&mut stream, MAX_HELLO).await?;
        let hello = decode_prefix::<HelloReply>(&answer.body)?.map_err(DialError::Refused)?;
        if hello.from != self.node {
            return Err(DialError::Mistaken(HelloRefusal::OtherNode { found: hello.from }));
        }
        self.local.check(&hello).map_err(DialError::Mistaken)?;
        Ok((stream, hello))
    }
}
