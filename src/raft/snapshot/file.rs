//! The format of a snapshot file: a header that says what it covers, then the content in checksummed chunks of at most
//! 1 MiB.
//!
//! ```text
//! header   "LATCHSNP"  version u32  meta length u32  meta  crc32 of all before
//! chunks   as `base::chunked_file` writes them
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use bytes::{Buf, Bytes};

use crate::base::chunked_file::{ChunkReader, ChunkWriter, damaged, read_exact};
use crate::raft::codec::{Wire, decode};
use crate::raft::types::{Snapshot, SnapshotBody, SnapshotMeta};

const MAGIC: &[u8; 8] = b"LATCHSNP";
const VERSION: u32 = 1;
const CHUNK_BYTES: usize = 1 << 20;
const MAX_META_BYTES: usize = 4 << 20;

/// Writes the header of a snapshot; takes its content, and calls `sync` after each chunk and at the end.
///
/// A sync of the log waits for whatever the file system has queued before it: a large snapshot left to the page cache would
/// hold up grants for as long as it takes to write all of it.
pub fn snapshot_writer<W: Write>(
    file: W,
    meta: &SnapshotMeta,
    sync: fn(&mut W) -> io::Result<()>,
) -> io::Result<ChunkWriter<W>> {
    let mut encoded_meta = Vec::new();
    meta.put(&mut encoded_meta)?;
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_be_bytes());
    header.extend((encoded_meta.len() as u32).to_be_bytes());
    header.extend(encoded_meta);
    header.extend(crc32fast::hash(&header).to_be_bytes());
    ChunkWriter::new(file, &header, CHUNK_BYTES, sync)
}

/// What a snapshot covers, and its content, which fails at the first byte that is wrong.
pub fn snapshot_reader<R: Read>(mut file: R) -> io::Result<(SnapshotMeta, ChunkReader<R>)> {
    let mut header = vec![0; 16];
    read_exact(&mut file, &mut header)?;
    if &header[..8] != MAGIC {
        return Err(damaged("it does not begin like a snapshot"));
    }
    let version = be_u32(&header[8..]);
    if version != VERSION {
        return Err(damaged(format!("snapshot version {version}, this build reads version {VERSION}")));
    }
    let meta_len = be_u32(&header[12..]) as usize;
    if meta_len > MAX_META_BYTES {
        return Err(damaged(format!("a header of {meta_len} bytes is out of range")));
    }
    header.resize(16 + meta_len, 0);
    read_exact(&mut file, &mut header[16..])?;
    let mut checksum = [0; 4];
    read_exact(&mut file, &mut checksum)?;
    if checksum != crc32fast::hash(&header).to_be_bytes() {
        return Err(damaged("the checksum of the header is wrong"));
    }
    let meta = decode(&header[16..])?;
    let header_bytes = header.len() as u64 + 4;
    Ok((meta, ChunkReader::new(file, header_bytes, CHUNK_BYTES)))
}

pub fn open_snapshot(path: &Path) -> io::Result<(SnapshotMeta, ChunkReader<BufReader<File>>)> {
    snapshot_reader(BufReader::with_capacity(64 << 10, File::open(path)?))
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[derive(Debug, Clone)]
pub struct KeptSnapshot {
    pub meta: SnapshotMeta,
    pub body: SnapshotBody,
    pub bytes: u64,
}

impl KeptSnapshot {
    pub fn in_memory(file: Bytes) -> io::Result<KeptSnapshot> {
        let ((meta, _), bytes) = (snapshot_reader(file.clone().reader())?, file.len() as u64);
        Ok(KeptSnapshot { meta, body: SnapshotBody::Memory(file), bytes })
    }

    /// The content.
    pub fn reader(&self) -> io::Result<ChunkReader<Box<dyn Read>>> {
        let file: Box<dyn Read> = match &self.body {
            SnapshotBody::File(path) => Box::new(BufReader::with_capacity(64 << 10, File::open(path)?)),
            SnapshotBody::Memory(bytes) => Box::new(bytes.clone().reader()),
            SnapshotBody::OnDemand => return Err(io::Error::other("the snapshot has no content")),
        };
        snapshot_reader(file).map(|(_, content)| content)
    }
}

impl From<KeptSnapshot> for Snapshot {
    fn from(kept: KeptSnapshot) -> Snapshot {
        Snapshot { meta: kept.meta, snapshot: Box::new(kept.body) }
    }
}
