//! The first words on a connection: who is there, and whether it may be talked to.

use std::io;
use std::sync::{Arc, OnceLock};

use super::frame::{Frame, Kind, MAX_HELLO, VERSION};
use super::message::{Hello, Refusal, Welcome, decode_open, encode};
use super::{PeerCertificate, Stream, Transport};
use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::PeerService;
use crate::raft::types::{NodeId, Raft};

/// What this node says of itself, and what it knows of others.
pub(in crate::raft) struct Local {
    pub node_id: NodeId,
    pub store_id: [u8; 16],
    pub store_was_empty: bool,
    pub initial: Vec<NodeId>,
    pub service: Arc<dyn PeerService>,
    /// Set as soon as the log engine runs, before anybody is listened to.
    pub raft: OnceLock<Raft>,
}

/// A node that is refused comes again and again.
static REFUSALS: KeyedLogRateLimit<NodeId> = KeyedLogRateLimit::new(64);

pub(super) fn say_refused(node: NodeId, reason: &dyn std::fmt::Display) {
    if let Some(held_back) = REFUSALS.admit(node, clock::process_age()) {
        tracing::warn!(node, %reason, held_back, "node {node} is refused: {reason}");
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub(in crate::raft) enum DialError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it did not answer in time")]
    Slow,
    /// The other side does not talk to this node.
    #[error("it refuses this node: {0}")]
    Refused(Refusal),
    /// This node does not talk to the other side.
    #[error("it is not talked to: {0}")]
    Mistaken(Refusal),
}

impl Local {
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

    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        if hello.oldest > VERSION || hello.newest < VERSION {
            return Err(Refusal::Protocol { oldest: VERSION, newest: VERSION });
        }
        match self.service.known_store(hello.from) {
            Some(known) if known != hello.store => Err(Refusal::OtherStore),
            _ => Ok(()),
        }
    }

    /// Takes the hello of who has connected, and answers it; returns it if there is more to say.
    pub async fn receive(
        &self,
        stream: &mut Stream,
        certificate: Option<&PeerCertificate>,
    ) -> io::Result<Option<Hello>> {
        let frame = Frame::read(stream, MAX_HELLO).await?;
        if frame.kind != Kind::Hello as u8 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a hello"));
        }
        let hello: Hello = decode_open(&frame.body)?;
        // Nothing is said to an impostor.
        self.check_certificate(hello.from, certificate).inspect_err(|error| say_refused(hello.from, error))?;
        let judged = match hello.to == self.node_id && hello.from != self.node_id {
            true => self.check(&hello),
            false => Err(Refusal::OtherNode { found: self.node_id }),
        };
        let answer = match judged {
            Ok(()) => Welcome::Hello(self.hello(hello.from)),
            Err(refusal) => Welcome::Refused(refusal),
        };
        Frame::answer(Kind::Hello, frame.request, encode(&answer)).write(stream).await?;
        if let Err(refusal) = judged {
            say_refused(hello.from, &refusal);
            return Ok(None);
        }
        Ok(Some(hello))
    }
}

/// Makes connections to one node.
#[derive(Clone)]
pub(in crate::raft) struct Dialler {
    pub local: Arc<Local>,
    pub transport: Arc<dyn Transport>,
    pub node: NodeId,
    pub address: String,
}

impl Dialler {
    /// A connection over which both sides have said who they are.
    pub async fn dial(&self) -> Result<(Stream, Hello), DialError> {
        let mut stream = self.transport.connect(&self.address).await?;
        Frame::request(Kind::Hello, 0, encode(&self.local.hello(self.node))).write(&mut stream).await?;
        let answer = Frame::read(&mut stream, MAX_HELLO).await?;
        let hello = match decode_open(&answer.body)? {
            Welcome::Hello(hello) => hello,
            Welcome::Refused(refusal) => return Err(DialError::Refused(refusal)),
        };
        if hello.from != self.node {
            return Err(DialError::Mistaken(Refusal::OtherNode { found: hello.from }));
        }
        self.local.check(&hello).map_err(DialError::Mistaken)?;
        Ok((stream, hello))
    }
}
