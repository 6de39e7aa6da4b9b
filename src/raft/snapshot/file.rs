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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::codec::hex;
    use crate::raft::types::{StoredMembership, snapshot_meta};

    fn write(path: &Path, content: &[u8]) {
        let meta = snapshot_meta(None, StoredMembership::default());
        let mut writer = snapshot_writer(File::create(path).expect("a file"), &meta, File::flush).expect("a header");
        writer.write_all(content).expect("the content");
        writer.finish().expect("the trailer");
    }

    fn read(path: &Path) -> std::io::Result<Vec<u8>> {
        let (_, mut reader) = open_snapshot(path)?;
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        reader.verify_rest()?;
        Ok(content)
    }

    /// The format, written out: a change here is a new version of it.
    #[test]
    fn snapshot_file_has_golden_bytes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("s");
        write(&path, b"locks");
        let found = hex(&fs::read(&path).expect("the file"));
        let header = "4c41544348534e50 00000001 0000000c a5 00 00 a4 00000000 00000000 9cf0190e";
        let chunk = "00000005 dc1a8e24 6c6f636b73";
        let trailer = "00000000 00000001 0000000000000005 1cc426a3";
        assert_eq!(found, [header, chunk, trailer].concat().replace(' ', ""));
    }

    #[test]
    fn flipped_bits_and_missing_bytes_of_snapshot_are_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("s");
        write(&path, b"what the locks are");
        let good = fs::read(&path).expect("the file");
        assert_eq!(read(&path).expect("a whole file"), b"what the locks are");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).expect("a damaged file");
                read(&path).expect_err("a flipped bit");
            }
            fs::write(&path, &good[..at]).expect("a short file");
            read(&path).expect_err("a missing end");
        }
        fs::write(&path, [good.as_slice(), b"x"].concat()).expect("a long file");
        read(&path).expect_err("something after the end");
    }
}
