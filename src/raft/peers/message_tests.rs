//! The bytes between nodes, written out: a change here is a new version of the protocol.
//!
//! `tests/golden/frames/` holds one frame of each kind as the first version wrote it. They are decoded for ever: a node
//! that is a release newer talks to one that is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;

use bytes::Bytes;
use openraft::BasicNode;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use crate::base::codec::hex;
use crate::raft::codec::{Wire, decode, decode_prefix, encode};
use crate::raft::peers::frame::{Frame, MAX_BODY, MessageKind};
use crate::raft::peers::message::{Hello, HelloRefusal, HelloReply, SnapshotBegin};
use crate::raft::types::{
    EntryPayload, LogEntry, Membership, StoredMembership, TypeConfig, Vote, log_id, snapshot_meta,
};

fn hello() -> Hello {
    let store = std::array::from_fn(|at| at as u8);
    Hello { oldest: 1, newest: 1, from: 2, to: 1, store, empty: true, initial: vec![1, 2, 3] }
}

fn membership() -> Membership {
    let nodes = [(1, BasicNode { addr: "https://a:1".to_owned() }), (7, BasicNode { addr: "https://b:1".to_owned() })];
    Membership::new(vec![BTreeSet::from([1])], BTreeMap::from(nodes))
}

fn entries() -> AppendEntriesRequest<TypeConfig> {
    let payloads =
        [EntryPayload::Blank, EntryPayload::Normal(Bytes::from_static(b"hi")), EntryPayload::Membership(membership())];
    let entries =
        payloads.into_iter().zip(5..).map(|(payload, index)| LogEntry { log_id: log_id(2, 1, index), payload });
    AppendEntriesRequest {
        vote: Vote::new_committed(2, 1),
        prev_log_id: Some(log_id(1, 3, 4)),
        entries: entries.collect(),
        leader_commit: Some(log_id(2, 1, 5)),
    }
}

/// Every kind of frame, by the name of its file.
fn examples() -> Vec<(&'static str, Frame)> {
    let request = |kind, body| Frame::request(kind, 258, body);
    let answer = |kind, body| Frame::answer(kind, 258, body);
    let refused = |refusal| answer(MessageKind::Hello, encode(&HelloReply::Err(refusal)));
    let applied = Some(log_id(2, 1, 258));
    let begin = SnapshotBegin {
        vote: Vote::new_committed(2, 1),
        meta: snapshot_meta(applied, StoredMembership::new(applied, membership())),
    };
    let ask = VoteRequest { vote: Vote::new(3, 2), last_log_id: applied };
    let given = VoteResponse { vote: Vote::new(3, 2), vote_granted: true, last_log_id: applied };
    vec![
        ("hello", request(MessageKind::Hello, encode(&hello()))),
        ("hello-answer", answer(MessageKind::Hello, encode(&HelloReply::Ok(hello())))),
        ("hello-answer-protocol", refused(HelloRefusal::Protocol { oldest: 1, newest: 2 })),
        ("hello-answer-other-node", refused(HelloRefusal::OtherNode { found: 9 })),
        ("hello-answer-other-store", refused(HelloRefusal::OtherStore)),
        ("append", request(MessageKind::Append, encode(&entries()))),
        ("append-answer-success", answer(MessageKind::Append, encode(&AppendEntriesResponse::Success))),
        ("append-answer-partial", answer(MessageKind::Append, encode(&AppendEntriesResponse::PartialSuccess(applied)))),
        ("append-answer-conflict", answer(MessageKind::Append, encode(&AppendEntriesResponse::Conflict))),
        (
            "append-answer-higher-vote",
            answer(MessageKind::Append, encode(&AppendEntriesResponse::HigherVote(Vote::new(3, 2)))),
        ),
        ("vote", request(MessageKind::Vote, encode(&ask))),
        ("vote-answer", answer(MessageKind::Vote, encode(&given))),
        ("pre-vote", request(MessageKind::PreVote, encode(&applied))),
        ("pre-vote-answer", answer(MessageKind::PreVote, encode(&true))),
        ("snapshot-begin", request(MessageKind::SnapshotBegin, encode(&begin))),
        ("snapshot-chunk", request(MessageKind::SnapshotChunk, Bytes::from_static(b"LATCHSNP"))),
        ("snapshot-end", request(MessageKind::SnapshotEnd, Bytes::new())),
        ("snapshot-end-answer", answer(MessageKind::SnapshotEnd, encode(&Vote::new_committed(2, 1)))),
        ("call", request(MessageKind::Call, Bytes::from_static(b"opaque"))),
        ("call-answer", answer(MessageKind::Call, Bytes::from_static(b"opaque too"))),
        ("transfer-leadership", request(MessageKind::TransferLeadership, encode(&Vote::new_committed(2, 1)))),
        ("transfer-leadership-answer", answer(MessageKind::TransferLeadership, encode(&true))),
        ("working", Frame::request(MessageKind::Working, 0, Bytes::new())),
        ("failed", Frame::failed(258, "it was not to be")),
    ]
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/frames/v1-{name}.hex"))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// `REFRESH_FRAMES=1` writes those that are missing, and never changes one that is there.
#[tokio::test]
async fn frames_match_golden_files() {
    for (name, frame) in examples() {
        let mut written = Vec::new();
        frame.write(&mut written).await.expect("a Vec takes everything");
        let path = file(name);
        if std::env::var_os("REFRESH_FRAMES").is_some() && !path.exists() {
            std::fs::write(&path, hex(&written) + "\n").expect("written");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(hex(&written), golden.trim(), "{name}");
        let read = Frame::read(&mut unhex(&golden).as_slice(), MAX_BODY).await.expect(name);
        assert_eq!(read, frame, "{name}");
    }
}

#[track_caller]
fn comes_back<T: Wire + Debug>(message: &T) {
    let bytes = encode(message);
    assert_eq!(format!("{:?}", decode::<T>(&bytes).expect("what was written")), format!("{message:?}"));
    for len in 0..bytes.len() {
        decode::<T>(&bytes[..len]).expect_err("a part of it");
    }
    decode::<T>(&[&bytes, &b"x"[..]].concat()).expect_err("more than it");
}

#[test]
fn partial_messages_are_refused() {
    comes_back(&hello());
    comes_back(&HelloReply::Ok(hello()));
    comes_back(&HelloReply::Err(HelloRefusal::OtherNode { found: 9 }));
    comes_back(&HelloReply::Err(HelloRefusal::Protocol { oldest: 1, newest: 2 }));
    comes_back(&entries());
    comes_back(&AppendEntriesResponse::PartialSuccess(Some(log_id(1, 2, 3))));
    comes_back(&AppendEntriesResponse::HigherVote(Vote::new(3, 2)));
    comes_back(&VoteRequest { vote: Vote::new(3, 2), last_log_id: None });
    comes_back(&VoteResponse { vote: Vote::new(3, 2), vote_granted: false, last_log_id: Some(log_id(1, 2, 3)) });
    comes_back(&true);
}

/// A later version may say more; this one reads what it knows.
#[test]
fn longer_hello_of_later_version_is_read() {
    let longer = [&encode(&hello()), &b"more"[..]].concat();
    assert_eq!(decode_prefix::<Hello>(&longer).expect("the part that is known"), hello());
}

#[tokio::test]
async fn frames_out_of_range_are_refused() {
    let frame = Frame::request(MessageKind::Call, 1, Bytes::from_static(b"body"));
    let mut good = Vec::new();
    frame.write(&mut good).await.expect("written");
    for len in 0..good.len() {
        Frame::read(&mut &good[..len], MAX_BODY).await.expect_err("a part of it");
    }
    Frame::read(&mut good.as_slice(), 3).await.expect_err("larger than allowed");
    let mut other = good.clone();
    other[4] = 2;
    Frame::read(&mut other.as_slice(), MAX_BODY).await.expect_err("another version");
    other[..4].copy_from_slice(&9u32.to_be_bytes());
    Frame::read(&mut other.as_slice(), MAX_BODY).await.expect_err("shorter than its header");
}
