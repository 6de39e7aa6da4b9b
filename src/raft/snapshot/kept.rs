//! A snapshot that is kept, in a file or in memory.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use bytes::{Buf, Bytes};

use crate::raft::snapshot::file::SnapshotReader;
use crate::raft::types::{Snapshot, SnapshotBody, SnapshotMeta};

#[derive(Debug, Clone)]
pub struct KeptSnapshot {
    pub meta: SnapshotMeta,
    pub body: SnapshotBody,
    pub bytes: u64,
}

impl KeptSnapshot {
    pub fn in_memory(file: Bytes) -> io::Result<KeptSnapshot> {
        let (meta, bytes) = (SnapshotReader::new(file.clone().reader())?.meta, file.len() as u64);
        Ok(KeptSnapshot { meta, body: SnapshotBody::Memory(file), bytes })
    }

    pub fn path(&self) -> Option<&Path> {
        match &self.body {
            SnapshotBody::File(path) => Some(path),
            SnapshotBody::Memory(_) | SnapshotBody::OnDemand => None,
        }
    }

    pub fn reader(&self) -> io::Result<SnapshotReader<Box<dyn Read>>> {
        let file: Box<dyn Read> = match &self.body {
            SnapshotBody::File(path) => Box::new(BufReader::with_capacity(64 << 10, File::open(path)?)),
            SnapshotBody::Memory(bytes) => Box::new(bytes.clone().reader()),
            SnapshotBody::OnDemand => return Err(io::Error::other("the snapshot has no content")),
        };
        SnapshotReader::new(file)
    }
}

impl From<KeptSnapshot> for Snapshot {
    fn from(kept: KeptSnapshot) -> Snapshot {
        Snapshot { meta: kept.meta, snapshot: Box::new(kept.body) }
    }
}
