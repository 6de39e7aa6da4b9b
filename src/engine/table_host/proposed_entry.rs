//! The entry that this node proposed last: applying it here needs no decoding.

use crate::domain::Entry;
use bytes::Bytes;
use parking_lot::Mutex;

/// The entry, and its encoded form, until it is applied.
#[derive(Default)]
pub struct ProposedEntry(Mutex<Option<(Bytes, Entry)>>);

impl ProposedEntry {
    pub fn keep(&self, payload: Bytes, entry: Entry) {
        *self.0.lock() = Some((payload, entry));
    }

    /// The kept entry, if `payload` is its encoded form.
    ///
    /// Two payloads at the same address are the same: while one is kept, its memory is used for nothing else.
    pub fn take(&self, payload: &[u8]) -> Option<Entry> {
        let kept = self.0.lock().take_if(|(kept, _)| std::ptr::eq::<[u8]>(&**kept, payload));
        kept.map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Body, Timestamp};

    fn keep(proposed: &ProposedEntry, at: u64) -> Bytes {
        let body = Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
        let entry = Entry { at: Timestamp(at), epoch: 1, body };
        let payload = Bytes::from(entry.encode());
        proposed.keep(payload.clone(), entry);
        payload
    }

    fn take(proposed: &ProposedEntry, payload: &[u8]) -> Option<Timestamp> {
        proposed.take(payload).map(|entry| entry.at)
    }

    #[test]
    fn proposed_entry_is_taken_once() {
        let proposed = ProposedEntry::default();
        let payload = keep(&proposed, 7);
        assert_eq!(take(&proposed, &payload), Some(Timestamp(7)));
        assert_eq!(take(&proposed, &payload), None);
    }

    #[test]
    fn equal_bytes_elsewhere_and_older_entries_are_not_taken() {
        let proposed = ProposedEntry::default();
        let older = keep(&proposed, 7);
        let copy = older.to_vec();
        assert_eq!(take(&proposed, &copy), None, "a copy");
        let newer = keep(&proposed, 10);
        assert_eq!(take(&proposed, &older), None);
        assert_eq!(take(&proposed, &newer), Some(Timestamp(10)));
    }
}
