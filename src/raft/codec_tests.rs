//! The bytes on disk, written out: a change here is a new format version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use openraft::BasicNode;

use crate::base::codec::hex;
use crate::raft::codec::{Wire, decode, encode};
use crate::raft::log::record::{Record, RecordedState};
use crate::raft::types::{
    EntryPayload, LogEntry, Membership, SnapshotMeta, StoredMembership, Vote, log_id, snapshot_meta,
};

fn plain(spaced: &str) -> String {
    spaced.replace(' ', "")
}

#[track_caller]
fn golden<T: Wire + Debug>(value: &T, expected: &str) {
    let bytes = encode(value);
    assert_eq!(hex(&bytes), plain(expected));
    let back = decode::<T>(&bytes).expect("what was written");
    assert_eq!(format!("{back:?}"), format!("{value:?}"));
    for len in 0..bytes.len() {
        decode::<T>(&bytes[..len]).expect_err("a part of it");
    }
}

fn membership() -> Membership {
    let nodes = [(1, BasicNode::default()), (7, BasicNode { addr: "b:1".to_owned() })];
    Membership::new(vec![BTreeSet::from([1])], BTreeMap::from(nodes))
}

const LOG_ID: &str = "a1 0000000000000002 0000000000000001 0000000000000102";
const MEMBERSHIP: &str = "a4 00000001 00000001 0000000000000001 00000002 \
    0000000000000001 00000000 0000000000000007 00000003 623a31";

#[test]
fn log_id_and_vote() {
    golden(&log_id(2, 1, 258), LOG_ID);
    golden(&Vote::new(3, 9), "a2 0000000000000003 0000000000000009 00");
    golden(&Vote::new_committed(3, 9), "a2 0000000000000003 0000000000000009 01");
}

#[test]
fn entries() {
    golden(&EntryPayload::Blank, "a3 00 00000000 2e4ac2e3");
    golden(&EntryPayload::Normal(Bytes::from_static(b"hi")), "a3 01 00000002 fd248a7f 6869");
    golden(&EntryPayload::Membership(membership()), &format!("a3 02 00000030 7253a12f {MEMBERSHIP}"));
}

#[test]
fn membership_and_snapshot_header() {
    golden(&membership(), MEMBERSHIP);
    let stored = StoredMembership::new(Some(log_id(2, 1, 258)), membership());
    golden(&snapshot_meta(Some(log_id(2, 1, 258)), stored), &format!("a5 01 {LOG_ID} 01 {LOG_ID} {MEMBERSHIP}"));
    let empty = snapshot_meta(None, StoredMembership::default());
    golden::<SnapshotMeta>(&empty, "a5 00 00 a4 00000000 00000000");
}

#[test]
fn log_records_have_golden_bytes() {
    let (id, payload) = (log_id(2, 1, 258), EntryPayload::Normal(Bytes::from_static(b"hi")));
    let vote = Vote::new(3, 9);
    let state = RecordedState { vote: Some(vote), last: Some(id), committed: None, purged: Some(id) };
    let vote_bytes = "a2 0000000000000003 0000000000000009 00";
    for (record, expected) in [
        (Record::Vote(vote), format!("00000000 {vote_bytes} 00000000 64258498")),
        (
            Record::Append(LogEntry { log_id: id, payload }),
            format!("00000001 {LOG_ID} a3 01 00000002 fd248a7f 6869 00000000 243c35cf"),
        ),
        (Record::Committed(id), format!("00000002 {LOG_ID} 00000000 92c3b5c1")),
        (Record::Truncate(Some(id)), format!("00000003 01 {LOG_ID} 00000000 d8508e69")),
        (Record::Truncate(None), "00000003 00 00000000 ed0fa4de".to_owned()),
        (Record::Purge(id), format!("00000004 {LOG_ID} 00000000 ad1d6870")),
        (Record::State(state), format!("00000005 01 01 {vote_bytes} 01 {LOG_ID} 00 01 {LOG_ID} 00 00000000 b78db5d3")),
    ] {
        let mut bytes = Vec::new();
        record.put(&mut bytes).expect("no entry is too long");
        assert_eq!(hex(&bytes), plain(&expected));
        let longer = [&bytes[..], b"more"].concat();
        assert_eq!(Record::decode(&longer).expect("what was written"), (record, bytes.len()));
        for len in 0..bytes.len() {
            let error = Record::decode(&bytes[..len]).expect_err("a part of it");
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{len}: {error}");
        }
    }
}

#[test]
fn damaged_kind_or_length_is_refused() {
    let payload = encode(&EntryPayload::Normal(Bytes::from_static(b"hi")));
    for at in 0..10 {
        for bit in 0..8 {
            let mut damaged = payload.to_vec();
            damaged[at] ^= 1 << bit;
            let error = decode::<EntryPayload>(&damaged).expect_err("a damaged header");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "byte {at}, bit {bit}: {error}");
        }
    }
    decode::<Vote>(&encode(&log_id(2, 1, 258))).expect_err("a log id is no vote");
}
