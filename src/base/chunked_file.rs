//! The common form of snapshots and backups: a header, then checksummed chunks, written and read as a stream.
//!
//! ```text
//! header   the caller's
//! chunks   length u32 (1 to a maximum)  crc32 of (chunk number u32, bytes)  bytes
//! end      0 u32  chunks u32  content length u64  crc32 of the last two
//! ```
//! Numbers are big-endian. Nothing is believed before its checksum, and nothing may follow the end, so that a file that
//! broke off is noticed.

use std::io::{self, Read, Write};

/// Length and checksum of a chunk.
const HEAD_BYTES: usize = 8;

/// Cuts what is written to it into checksummed chunks.
pub struct ChunkWriter<W: Write> {
    out: W,
    /// Called after each chunk and at the end.
    sync: fn(&mut W) -> io::Result<()>,
    chunk_bytes: usize,
    /// The chunk that is being filled, behind the space for its head.
    chunk: Vec<u8>,
    chunks: u32,
    content_bytes: u64,
}

impl<W: Write> ChunkWriter<W> {
    /// Writes the header; chunks of `chunk_bytes` follow.
    pub fn new(mut out: W, header: &[u8], chunk_bytes: usize, sync: fn(&mut W) -> io::Result<()>) -> io::Result<Self> {
        out.write_all(header)?;
        let mut chunk = Vec::with_capacity(HEAD_BYTES + chunk_bytes);
        chunk.resize(HEAD_BYTES, 0);
        Ok(Self { out, sync, chunk_bytes, chunk, chunks: 0, content_bytes: 0 })
    }

    /// Writes what remains, and the end.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        self.out.write_all(&end_of(self.chunks, self.content_bytes))?;
        (self.sync)(&mut self.out)?;
        Ok(self.out)
    }

    /// A chunk leaves in one write, so that a sender passes it on whole.
    fn end_chunk(&mut self) -> io::Result<()> {
        let (head, bytes) = self.chunk.split_at_mut(HEAD_BYTES);
        if bytes.is_empty() {
            return Ok(());
        }
        head[..4].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
        head[4..].copy_from_slice(&chunk_checksum(self.chunks, bytes).to_be_bytes());
        self.chunks += 1;
        self.content_bytes += bytes.len() as u64;
        self.out.write_all(&self.chunk)?;
        self.chunk.truncate(HEAD_BYTES);
        (self.sync)(&mut self.out)
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = HEAD_BYTES + self.chunk_bytes - self.chunk.len();
        let taken = bytes.len().min(room);
        self.chunk.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.end_chunk()?;
        }
        Ok(taken)
    }

    /// A chunk leaves when it is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives the content, each chunk after its checksum was found right.
pub struct ChunkReader<R> {
    input: R,
    chunk_bytes: usize,
    /// Where the part that is being read begins in the file.
    offset: u64,
    chunk: io::Cursor<Vec<u8>>,
    chunks: u32,
    content_bytes: u64,
    ended: bool,
}

impl<R: Read> ChunkReader<R> {
    /// Reads on behind a header of `header_bytes`, which was read and checked; no chunk may be larger than `chunk_bytes`.
    pub fn new(input: R, header_bytes: u64, chunk_bytes: usize) -> Self {
        let chunk = io::Cursor::default();
        Self { input, chunk_bytes, offset: header_bytes, chunk, chunks: 0, content_bytes: 0, ended: false }
    }

    /// Where the part that is being read begins in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what is left, so that the whole file is known to be good.
    pub fn verify_rest(&mut self) -> io::Result<()> {
        while !self.ended {
            self.next_chunk()?;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        if self.chunks > 0 {
            self.offset += (HEAD_BYTES + self.chunk.get_ref().len()) as u64;
        }
        self.chunk = io::Cursor::default();
        let length = read_u32(&mut self.input)? as usize;
        if length == 0 {
            return self.end();
        }
        if length > self.chunk_bytes {
            return Err(damaged(format!("chunk {} cannot be {length} bytes", self.chunks)));
        }
        let checksum = read_u32(&mut self.input)?;
        let mut bytes = vec![0; length];
        read_exact(&mut self.input, &mut bytes)?;
        if checksum != chunk_checksum(self.chunks, &bytes) {
            return Err(damaged(format!("the checksum of chunk {} is wrong", self.chunks)));
        }
        self.chunks += 1;
        self.content_bytes += length as u64;
        self.chunk = io::Cursor::new(bytes);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let mut found = [0; 16];
        read_exact(&mut self.input, &mut found)?;
        if found != end_of(self.chunks, self.content_bytes)[4..] {
            return Err(damaged("the end does not fit what stands before it"));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(damaged("something follows the end"));
        }
        self.ended = true;
        Ok(())
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let taken = self.chunk.read(into)?;
            if taken > 0 || self.ended || into.is_empty() {
                return Ok(taken);
            }
            self.next_chunk()?;
        }
    }
}

/// Fills `bytes`, and calls a file damaged that ends before.
pub fn read_exact(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it breaks off before its end"),
        _ => error,
    })
}

pub fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn read_u32(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    read_exact(input, &mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn end_of(chunks: u32, content_bytes: u64) -> [u8; 20] {
    let mut end = [0; 20];
    end[4..8].copy_from_slice(&chunks.to_be_bytes());
    end[8..16].copy_from_slice(&content_bytes.to_be_bytes());
    let checksum = crc32fast::hash(&end[4..16]);
    end[16..].copy_from_slice(&checksum.to_be_bytes());
    end
}

/// Covers the chunk's number, so that exchanged or repeated chunks are noticed.
fn chunk_checksum(number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK_BYTES: usize = 1 << 10;

    fn written(content: &[u8]) -> Vec<u8> {
        let mut writer = ChunkWriter::new(Vec::new(), b"header", CHUNK_BYTES, |_| Ok(())).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        ChunkReader::new(&bytes[6..], 6, CHUNK_BYTES).read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn content_of_any_size_reads_back() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES / 2] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(read(&written(&content)).unwrap(), content, "{length} bytes");
        }
    }

    #[test]
    fn exchanged_chunks_are_noticed() {
        let mut bytes = written(&[[1; CHUNK_BYTES], [2; CHUNK_BYTES]].concat());
        bytes[6..6 + 2 * (8 + CHUNK_BYTES)].rotate_left(8 + CHUNK_BYTES);
        read(&bytes).expect_err("exchanged chunks");
    }
}
