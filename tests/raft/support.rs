//! A state machine that records what was applied, and nodes that drive it.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use latchd::base::BoxFuture;
use latchd::config::Config;
use latchd::raft::{Accept, Frozen, Machine, NodeStartError, PeerService, RaftNode, RaftOptions, Store};

/// Keeps every payload, in order; the test looks at it through a clone.
#[derive(Debug, Default, Clone)]
pub struct Journal(Arc<Mutex<Vec<Vec<u8>>>>);

impl Journal {
    pub fn entries(&self) -> Vec<Vec<u8>> {
        self.0.lock().expect("no panic while locked").clone()
    }

    pub fn strings(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| String::from_utf8(entry).expect("text")).collect()
    }
}

impl Machine for Journal {
    fn apply(&mut self, _index: u64, payload: &[u8]) {
        self.0.lock().expect("no panic while locked").push(payload.to_vec());
    }

    fn freeze(&self) -> Frozen {
        let entries = self.entries();
        Box::new(move |out| {
            entries.iter().try_for_each(|entry| {
                out.write_all(&(entry.len() as u32).to_be_bytes())?;
                out.write_all(entry)
            })
        })
    }

    fn restore(&mut self, _index: u64, snapshot: &mut dyn Read) -> Result<(), String> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            entries.push(tail.get(..len).ok_or("an entry ends early")?.to_vec());
            rest = &tail[len..];
        }
        *self.0.lock().expect("no panic while locked") = entries;
        Ok(())
    }
}

/// The service of a node that nobody calls.
pub struct Alone;

impl PeerService for Alone {
    fn call(&self, _from: u64, _request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async { unreachable!("nobody can ask") })
    }

    fn known_store(&self, _node: u64) -> Option<[u8; 16]> {
        None
    }
}

/// A node that runs alone, with the defaults.
pub fn raft_options(node_id: u64, store: Store) -> RaftOptions {
    let Config { storage, cluster, .. } = Config::default();
    RaftOptions {
        node_id,
        store,
        snapshot_log_bytes: storage.snapshot_log_bytes,
        heartbeat: cluster.heartbeat,
        election_min: cluster.election_min,
        election_max: cluster.election_max,
        peers: None,
        may_begin: Ok(()),
        accept: Accept::default(),
    }
}

pub fn on_disk(dir: &Path) -> RaftOptions {
    raft_options(1, Store::Disk { dir: dir.to_owned(), fsync: true })
}

/// Starts a node and waits until it leads.
pub async fn start(options: RaftOptions) -> Result<(RaftNode, Journal), NodeStartError> {
    let journal = Journal::default();
    let node = RaftNode::start(options, journal.clone(), Arc::new(Alone)).await?;
    lead(&node).await;
    Ok((node, journal))
}

pub async fn lead(node: &RaftNode) {
    let mut leadership = node.leadership();
    let wait = leadership.wait_for(|now| now.is_leader);
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("a leader").expect("a running node");
}
