//! The format of a snapshot file, written and read as a stream.
//!
//! ```text
//! header    "LATCHSNP"  version u32  meta length u32  meta  crc32 of all before
//! chunks    length u32 (1 to 1 MiB)  crc32 of (chunk number u32, bytes)  bytes
//! trailer   0 u32  chunks u32  content length u64  crc32 of the last two
//! ```
//! Numbers are big-endian. Nothing is believed before its checksum, and the file must end after the trailer.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use crate::raft::codec::Wire;
use crate::raft::types::SnapshotMeta;

const MAGIC: &[u8; 8] = b"LATCHSNP";
const VERSION: u32 = 1;
const CHUNK_BYTES: usize = 1 << 20;
const MAX_META_BYTES: usize = 4 << 20;

/// Where a snapshot is written.
pub trait Target: Write {
    fn sync(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Nothing in memory survives anyway.
impl Target for Vec<u8> {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts what is written to it into checksummed chunks.
pub struct SnapshotWriter<T: Target> {
    file: T,
    chunk: Vec<u8>,
    chunks: u32,
    content_bytes: u64,
}

impl<T: Target> SnapshotWriter<T> {
    pub fn new(mut file: T, meta: &SnapshotMeta) -> io::Result<Self> {
        let mut encoded_meta = Vec::new();
        meta.put(&mut encoded_meta)?;
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_be_bytes());
        header.extend((encoded_meta.len() as u32).to_be_bytes());
        header.extend(encoded_meta);
        header.extend(crc32fast::hash(&header).to_be_bytes());
        file.write_all(&header)?;
        Ok(Self { file, chunk: Vec::with_capacity(CHUNK_BYTES), chunks: 0, content_bytes: 0 })
    }

    /// Writes the trailer and waits for the disk.
    pub fn finish(mut self) -> io::Result<T> {
        self.end_chunk()?;
        let mut trailer = vec![0; 4];
        trailer.extend(self.chunks.to_be_bytes());
        trailer.extend(self.content_bytes.to_be_bytes());
        trailer.extend(crc32fast::hash(&trailer[4..]).to_be_bytes());
        self.file.write_all(&trailer)?;
        self.file.sync()?;
        Ok(self.file)
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.file.write_all(&(self.chunk.len() as u32).to_be_bytes())?;
        self.file.write_all(&chunk_checksum(self.chunks, &self.chunk).to_be_bytes())?;
        self.file.write_all(&self.chunk)?;
        // A sync of the log waits for whatever the file system has queued before it: a large snapshot left to the page
        // cache would hold up the log for as long as it takes to write all of it.
        self.file.sync()?;
        self.chunks += 1;
        self.content_bytes += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }
}

impl<T: Target> Write for SnapshotWriter<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            self.end_chunk()?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a snapshot's content and fails at the first byte that does not add up.
pub struct SnapshotReader<R> {
    file: R,
    pub meta: SnapshotMeta,
    /// Where the part being read begins in the file.
    pub offset: u64,
    chunk: Vec<u8>,
    position: usize,
    chunks: u32,
    content_bytes: u64,
    ended: bool,
}

impl SnapshotReader<BufReader<File>> {
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(BufReader::with_capacity(64 << 10, File::open(path)?))
    }
}

impl<R: Read> SnapshotReader<R> {
    pub fn new(mut file: R) -> io::Result<Self> {
        let mut header = vec![0; 16];
        read_exact(&mut file, &mut header, "header")?;
        if &header[..8] != MAGIC {
            return Err(invalid("it does not begin like a snapshot"));
        }
        let version = be_u32(&header[8..]);
        if version != VERSION {
            return Err(invalid(format!("snapshot version {version}, this build reads version {VERSION}")));
        }
        let meta_len = be_u32(&header[12..]) as usize;
        if meta_len > MAX_META_BYTES {
            return Err(invalid(format!("a header of {meta_len} bytes is out of range")));
        }
        header.resize(16 + meta_len, 0);
        read_exact(&mut file, &mut header[16..], "header")?;
        let mut checksum = [0; 4];
        read_exact(&mut file, &mut checksum, "header")?;
        if checksum != crc32fast::hash(&header).to_be_bytes() {
            return Err(invalid("the header has a wrong checksum"));
        }
        let meta = SnapshotMeta::get(&mut &header[16..])?;
        let offset = header.len() as u64 + 4;
        Ok(Self { file, meta, offset, chunk: Vec::new(), position: 0, chunks: 0, content_bytes: 0, ended: false })
    }

    /// Reads what is left, so that the whole file is known to be good.
    pub fn verify_rest(&mut self) -> io::Result<()> {
        while !self.ended {
            self.next_chunk()?;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.offset += if self.chunks > 0 { 8 + self.chunk.len() as u64 } else { 0 };
        self.chunk.clear();
        self.position = 0;
        let mut head = [0; 8];
        read_exact(&mut self.file, &mut head, "chunk")?;
        let len = be_u32(&head) as usize;
        if len == 0 {
            return self.end(be_u32(&head[4..]));
        }
        if len > CHUNK_BYTES {
            return Err(invalid(format!("a chunk of {len} bytes is out of range")));
        }
        self.chunk.resize(len, 0);
        read_exact(&mut self.file, &mut self.chunk, "chunk")?;
        if be_u32(&head[4..]) != chunk_checksum(self.chunks, &self.chunk) {
            return Err(invalid("a chunk has a wrong checksum"));
        }
        self.chunks += 1;
        self.content_bytes += len as u64;
        Ok(())
    }

    fn end(&mut self, chunks: u32) -> io::Result<()> {
        let mut rest = Vec::new();
        (&mut self.file).take(13).read_to_end(&mut rest)?;
        let mut expected = chunks.to_be_bytes().to_vec();
        expected.extend(self.content_bytes.to_be_bytes());
        let checksum = crc32fast::hash(&expected).to_be_bytes();
        if chunks != self.chunks || rest[..] != [&expected[4..], &checksum].concat() {
            return Err(invalid("the trailer does not match the content"));
        }
        self.ended = true;
        Ok(())
    }
}

impl<R: Read> Read for SnapshotReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.chunk.len() && !self.ended && !out.is_empty() {
            self.next_chunk()?;
        }
        let taken = out.len().min(self.chunk.len() - self.position);
        out[..taken].copy_from_slice(&self.chunk[self.position..self.position + taken]);
        self.position += taken;
        Ok(taken)
    }
}

/// Covers the chunk's number, so that exchanged or repeated chunks are noticed.
fn chunk_checksum(number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn read_exact(file: &mut impl Read, bytes: &mut [u8], what: &str) -> io::Result<()> {
    file.read_exact(bytes).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => invalid(format!("the file ends inside a {what}")),
        _ => e,
    })
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
