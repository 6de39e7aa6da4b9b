//! The files of the log as they are on disk: records, and zeros behind them while they are written.

use std::path::Path;

const LOG_ID: usize = 25;
const VOTE: usize = 18;
const PAYLOAD_HEADER: usize = 10;
const CHECKSUM: usize = 8;

/// How many bytes of a log file are records.
pub fn written(file: &Path) -> u64 {
    let bytes = std::fs::read(file).expect("a log file");
    let mut at = 0;
    while let Some(len) = record_len(&bytes[at..]).filter(|len| at + len <= bytes.len()) {
        at += len;
    }
    at as u64
}

/// The length that a record claims, where there is one: a vote is never all zeros.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let kind = u32::from_be_bytes(bytes.get(..4)?.try_into().expect("four bytes"));
    let body = match kind {
        0 if bytes.get(4) == Some(&0) => return None,
        0 => VOTE,
        1 => {
            let header = bytes.get(4 + LOG_ID..4 + LOG_ID + PAYLOAD_HEADER)?;
            LOG_ID + PAYLOAD_HEADER + u32::from_be_bytes(header[2..6].try_into().expect("four bytes")) as usize
        }
        2 | 4 => LOG_ID,
        3 => optional(bytes, 4, LOG_ID)?,
        5 => {
            // Behind the version: the vote, three ids, and a flag.
            let ends = [VOTE, LOG_ID, LOG_ID, LOG_ID]
                .into_iter()
                .try_fold(5, |at, len| optional(bytes, at, len).map(|len| at + len));
            ends? + 1 - 4
        }
        _ => return None,
    };
    Some(4 + body + CHECKSUM)
}

fn optional(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    bytes.get(at).map(|is_there| 1 + usize::from(*is_there) * len)
}
