//! The format of a backup: a header, then the table as snapshots have it, in checksummed chunks of at most 64 KiB.
//!
//! ```text
//! header   "LATCHBAK"  version u32  crc32 of both
//! chunks   as `base::chunked_file` writes them
//! ```

use crate::base::chunked_file::{ChunkReader, ChunkWriter, damaged, read_exact};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"LATCHBAK";
const VERSION: u32 = 1;
const CHUNK_BYTES: usize = 64 << 10;

/// Writes the header of a backup; takes its content, a chunk at a time, and its end with `finish`.
pub fn backup_writer<W: Write>(out: W) -> io::Result<ChunkWriter<W>> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_be_bytes());
    header.extend(crc32fast::hash(&header).to_be_bytes());
    ChunkWriter::new(out, &header, CHUNK_BYTES, W::flush)
}

/// Reads the header of a backup; gives its content, which is whole when reading ends without an error.
pub fn backup_reader<R: Read>(mut input: R) -> io::Result<ChunkReader<R>> {
    let mut header = [0; 16];
    read_exact(&mut input, &mut header)?;
    let [magic, numbers] = [&header[..8], &header[8..]];
    let [version, checksum] = [&numbers[..4], &numbers[4..]];
    if magic != MAGIC {
        return Err(damaged("this is no backup of latchd"));
    }
    if checksum != crc32fast::hash(&header[..12]).to_be_bytes() {
        return Err(damaged("the checksum of the header is wrong"));
    }
    if version != VERSION.to_be_bytes() {
        let found = version.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        return Err(damaged(format!("the backup has format {found}, this build reads format {VERSION}")));
    }
    Ok(ChunkReader::new(input, header.len() as u64, CHUNK_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &[u8]) -> Vec<u8> {
        let mut writer = backup_writer(Vec::new()).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        backup_reader(bytes)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_noticed() {
        let whole = written(b"a short table");
        assert_eq!(read(&whole).unwrap(), b"a short table");
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
}
