//! Which entries of a log are read, and how many of them go into one message.

use std::ops::{Bound, RangeBounds};

use crate::raft::types::{EntryPayload, LogEntry, StorageError};

/// A slow link is not taken up by one message for longer than a follower waits for the next heartbeat.
const MESSAGE_BYTES: usize = 1 << 20;

/// The half-open index range `[from, to)` that `range` describes.
pub fn index_range(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    (from, to.max(from))
}

/// The first of `entries` that go into one message: at least one, and no more bytes than a message may have.
pub fn one_message(
    entries: impl Iterator<Item = Result<LogEntry, StorageError>>,
) -> Result<Vec<LogEntry>, StorageError> {
    let (mut message, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let entry = entry?;
        bytes += payload_bytes(&entry);
        if bytes > MESSAGE_BYTES && !message.is_empty() {
            break;
        }
        message.push(entry);
    }
    Ok(message)
}

pub fn payload_bytes(entry: &LogEntry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(bytes) => bytes.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::types::log_id;

    #[test]
    fn message_is_bounded_by_bytes_and_never_empty() {
        let entries = |sizes: &[usize]| {
            let entry = |(index, size): (usize, &usize)| {
                Ok(LogEntry {
                    log_id: log_id(1, 1, index as u64),
                    payload: EntryPayload::Normal(Bytes::from(vec![0; *size])),
                })
            };
            sizes.iter().enumerate().map(entry).collect::<Vec<_>>().into_iter()
        };
        let taken = |sizes: &[usize]| one_message(entries(sizes)).expect("entries").len();
        assert_eq!(taken(&[MESSAGE_BYTES - 1, 1, 1]), 2);
        assert_eq!(taken(&[MESSAGE_BYTES + 1, 1]), 1);
        assert_eq!(taken(&[1, MESSAGE_BYTES, 1]), 1);
        assert_eq!(taken(&[0; 1000]), 1000);
    }
}
