//! What a user of this room implements: the state machine, and what a node answers to others; and, in the place of a data
//! directory and of TLS (`peers/tls.rs`), a store and a transport.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::BoxFuture;
use crate::raft::peers::certificate::PeerCertificate;

/// A state machine: the same entries in the same order give the same state on every node.
pub trait Machine: Send + 'static {
    /// Applies the committed entry at `index`. Called in log order from one task; must not panic.
    fn apply(&mut self, index: u64, payload: &[u8]);

    /// A consistent view, cheap to take; it is encoded later on another thread while `apply` goes on.
    fn freeze(&self) -> Frozen;

    /// Replaces the state with the one in `snapshot`, which is that after the entry at `index`.
    fn restore(&mut self, index: u64, snapshot: &mut dyn io::Read) -> Result<(), String>;
}

/// Writes a state that no longer changes.
pub type Frozen = Box<dyn Fn(&mut dyn io::Write) -> io::Result<()> + Send>;

/// What the user of this room does for other nodes.
pub trait PeerService: Send + Sync + 'static {
    /// Answers a request that another node sent with [`RaftNode::call`](crate::raft::RaftNode::call).
    fn call(&self, from: u64, request: Bytes) -> BoxFuture<'_, Bytes>;

    /// The store that the replicated state has for a node. A node that presents another store is refused: its disk was lost
    /// or exchanged, and what it acknowledged is gone.
    fn known_store(&self, node: u64) -> Option<[u8; 16]>;
}

/// Keeps the log and the snapshot of one node beyond the end of its process. Ids and payloads are bytes in the encoding
/// of the data directory, which orders ids as the log does.
pub trait StableStore: Debug + Send + Sync + 'static {
    /// The identity of the store, as the file `store-id` of a data directory.
    fn id(&self) -> [u8; 16];

    /// The log as it is stored. Read at the start of a node; what is read must survive a loss of power.
    fn load(&self) -> StoredLog;

    /// Writes a change after all those before it. It may be lost until a `sync` that begins later has ended.
    fn write(&self, change: LogChange);

    /// Resolves when everything that was written before this call would survive a loss of power.
    fn sync(&self) -> BoxFuture<'static, ()>;

    /// The newest snapshot, as a file.
    fn snapshot(&self) -> Option<Bytes>;

    /// Replaces the snapshot; it survives a loss of power when this returns.
    fn save_snapshot(&self, file: Bytes);
}

/// A log that is stored.
#[derive(Debug, Default, Clone)]
pub struct StoredLog {
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
    /// The id of the last entry that was purged.
    pub purged: Option<Bytes>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    pub entries: Vec<StoredEntry>,
    /// The id of the newest entry of an end that was lost although it was synced.
    pub lost: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub struct StoredEntry {
    pub index: u64,
    pub id: Bytes,
    pub payload: Bytes,
}

/// One write to a stored log.
#[derive(Debug, Clone)]
pub enum LogChange {
    Vote(Bytes),
    /// Not waited for: losing it costs nothing but a later apply.
    Committed(Bytes),
    Append(Vec<StoredEntry>),
    /// Removes the entries from this index on.
    Truncate {
        from: u64,
    },
    /// Removes the entries up to this one, which a snapshot covers.
    Purge {
        index: u64,
        id: Bytes,
    },
}

/// A connection: bytes in order, both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

pub type Stream = Box<dyn ByteStream>;

/// A connection that was accepted, before anything was read from it.
pub struct Incoming {
    /// Its remote address, if the transport knows addresses.
    pub address: Option<IpAddr>,
    pub handshake: Handshake,
}

/// The part of accepting a connection that may take long: awaited beside the next `accept`, and given up after a while.
pub type Handshake = BoxFuture<'static, io::Result<AcceptedConnection>>;

/// A connection that can be used, and the certificate of its other end.
pub struct AcceptedConnection {
    pub stream: Stream,
    /// `None` if the transport has none: then the node id in the hello is not verified.
    pub certificate: Option<PeerCertificate>,
}

/// The listener and the dialer of one node.
///
/// The transport proves, with certificates, that the other side is one of the cluster's machines. The hello says which
/// node it is, and must fit the certificate.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Accepts the next connection. An error means that this one failed, not that listening has ended.
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>>;

    /// Connects to an address as other nodes advertise it.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>>;

    /// The PEM text of each file with certificates, by its configuration key, as the next connection uses it.
    fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }
}
