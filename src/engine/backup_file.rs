//! The format of a backup, written and read as a stream.
//!
//! ```text
//! header   "LATCHBAK"  version u32  crc32 of both
//! chunks   length u32 (1 to 64 KiB)  crc32 of (chunk number u32, bytes)  bytes
//! end      0 u32  chunks u32  content length u64  crc32 of the last two
//! ```
//! The content is the table, as snapshots have it. Numbers are big-endian. Nothing is believed before its checksum, and
//! nothing may follow the end: a backup that broke off is noticed.

use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"LATCHBAK";
const VERSION: u32 = 1;
const CHUNK_BYTES: usize = 64 << 10;

/// Cuts what is written to it into checksummed chunks.
pub struct BackupWriter<W: Write> {
    out: W,
    chunk: Vec<u8>,
    chunks: u32,
    content_bytes: u64,
}

impl<W: Write> BackupWriter<W> {
    pub fn new(mut out: W) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_be_bytes());
        header.extend(crc32fast::hash(&header).to_be_bytes());
        out.write_all(&header)?;
        Ok(Self { out, chunk: Vec::with_capacity(CHUNK_BYTES), chunks: 0, content_bytes: 0 })
    }

    /// Writes what remains, and the end.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        self.out.write_all(&end_of(self.chunks, self.content_bytes))?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// A chunk leaves in one write, so that whoever sends it on sends it whole.
    fn end_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut framed = Vec::with_capacity(8 + self.chunk.len());
        framed.extend((self.chunk.len() as u32).to_be_bytes());
        framed.extend(chunk_checksum(self.chunks, &self.chunk).to_be_bytes());
        framed.append(&mut self.chunk);
        self.chunks += 1;
        self.content_bytes += framed.len() as u64 - 8;
        self.out.write_all(&framed)
    }
}

impl<W: Write> Write for BackupWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
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
pub struct BackupReader<R: Read> {
    input: R,
    chunk: io::Cursor<Vec<u8>>,
    chunks: u32,
    content_bytes: u64,
    ended: bool,
}

impl<R: Read> BackupReader<R> {
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut header = [0; 16];
        input.read_exact(&mut header).map_err(broken_off)?;
        let version = number(&header[8..12]);
        if &header[..8] != MAGIC {
            return Err(damaged("this is no backup of latchd"));
        }
        if number(&header[12..]) != crc32fast::hash(&header[..12]) {
            return Err(damaged("the checksum of the header is wrong"));
        }
        if version != VERSION {
            return Err(damaged(format!("the backup has format {version}, this build reads format {VERSION}")));
        }
        Ok(Self { input, chunk: io::Cursor::default(), chunks: 0, content_bytes: 0, ended: false })
    }

    /// Bytes of the content so far.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut head = [0; 4];
        self.input.read_exact(&mut head).map_err(broken_off)?;
        match number(&head) as usize {
            0 => self.end(),
            length if length > CHUNK_BYTES => Err(damaged(format!("chunk {} cannot be {length} bytes", self.chunks))),
            length => {
                let mut checksum = [0; 4];
                self.input.read_exact(&mut checksum).map_err(broken_off)?;
                let mut bytes = vec![0; length];
                self.input.read_exact(&mut bytes).map_err(broken_off)?;
                if number(&checksum) != chunk_checksum(self.chunks, &bytes) {
                    return Err(damaged(format!("the checksum of chunk {} is wrong", self.chunks)));
                }
                self.chunks += 1;
                self.content_bytes += length as u64;
                self.chunk = io::Cursor::new(bytes);
                Ok(())
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let expected = end_of(self.chunks, self.content_bytes);
        let mut found = [0; 16];
        self.input.read_exact(&mut found).map_err(broken_off)?;
        if found != expected[4..] {
            return Err(damaged("the end does not fit what stands before it"));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(damaged("something follows the end"));
        }
        self.ended = true;
        Ok(())
    }
}

impl<R: Read> Read for BackupReader<R> {
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

fn end_of(chunks: u32, content_bytes: u64) -> [u8; 20] {
    let mut end = [0; 20];
    end[4..8].copy_from_slice(&chunks.to_be_bytes());
    end[8..16].copy_from_slice(&content_bytes.to_be_bytes());
    let checksum = crc32fast::hash(&end[4..16]);
    end[16..].copy_from_slice(&checksum.to_be_bytes());
    end
}

/// The number of the chunk is part of it, so that chunks cannot change places.
fn chunk_checksum(number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

fn damaged(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn broken_off(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it breaks off before its end"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &[u8]) -> Vec<u8> {
        let mut writer = BackupWriter::new(Vec::new()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        BackupReader::new(bytes)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(read(&written(&content)).unwrap(), content, "{length} bytes");
        }
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_noticed() {
        let whole = written(b"a short table");
        for length in 0..whole.len() {
            let error = read(&whole[..length]).expect_err("broken off");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{length} bytes");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            read(&bytes).expect_err("a flipped bit");
        }
        read(&[whole.as_slice(), b"x"].concat()).expect_err("a longer one");
    }

    #[test]
    fn chunks_cannot_change_places() {
        let mut content = vec![1; CHUNK_BYTES];
        content.extend(vec![2; CHUNK_BYTES]);
        let mut bytes = written(&content);
        let (first, rest) = bytes[16..].split_at_mut(CHUNK_BYTES + 8);
        first.swap_with_slice(&mut rest[..CHUNK_BYTES + 8]);
        read(&bytes).expect_err("in another order");
    }
}
