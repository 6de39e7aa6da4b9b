//! Messages between engines, encoded and decoded, and damaged ones.

use super::codec::{MessageError, decode, encode};
use super::reply::{MemberLine, Reply};
use super::request::{Change, Request, TableDigest, TracedCommand, Verdict};
use crate::base::codec::DecodeError;
use crate::domain::{Body, Command, CommandId, Entry, HoldKey, Incarnation, SessionId, StoreId, Submitted, Timestamp};
use crate::raft::MemberError;

fn requests() -> Vec<Request> {
    let incarnation = Incarnation(0xfeed);
    let command = Command::Cancel { name: "deploy".into(), key: HoldKey([7; 16]) };
    let commands = vec![Submitted { id: CommandId { incarnation, sequence: 9 }, command }];
    let body = Body::Batch { touches: vec![SessionId([3; 16])], more_touches: false, commands };
    let entry = Entry { at: Timestamp(0), epoch: 0, body };
    let traced = TracedCommand { sequence: 9, trace: [6; 16], span: 0xbeef };
    vec![
        Request::Present { incarnation, store: StoreId([5; 16]), level: 2 },
        Request::ForwardTraced { incarnation, traced: vec![traced], entry: Box::new(entry.clone()) },
        Request::Forward { incarnation, entry: Box::new(entry) },
        Request::ReadIndex,
        Request::ReadPoint,
        Request::Change(Change::Add { node: 4, address: "https://10.0.0.4:9443".to_owned() }),
        Request::Change(Change::Promote { node: 4 }),
        Request::Change(Change::Remove { node: 1 }),
        Request::Members,
        Request::Identify,
        Request::Compare(TableDigest { index: 77, every_ms: 10_000, level: 3, digest: [9; 32] }),
    ]
}

fn replies() -> Vec<Reply> {
    let address = "https://10.0.0.4:9443".to_owned();
    let line = |node, lag_entries| MemberLine { node, address: address.clone(), voter: true, up: false, lag_entries };
    let errors = [
        MemberError::Alone,
        MemberError::BadAddress("ftp://x".to_owned()),
        MemberError::Unknown(4),
        MemberError::AlreadyMember { node: 4, address: address.clone() },
        MemberError::AlreadyVoter(4),
        MemberError::Unreachable { node: 4, address: address.clone(), reason: "refused".to_owned() },
        MemberError::NotCaughtUp { node: 4, lag_entries: 77 },
        MemberError::WouldLoseQuorum(4),
        MemberError::LastVoter(4),
        MemberError::Busy,
    ];
    let mut replies = vec![
        Reply::NotLeader,
        Reply::NoQuorum,
        Reply::Busy,
        Reply::Accepted { epoch: 3, now: Timestamp(123_456) },
        Reply::ReadIndex { index: 99, now: Timestamp(1) },
        Reply::ReadPoint { index: 99, now: Timestamp(7), entries_from: Timestamp(5) },
        Reply::Changed,
        Reply::NotAccepted { reason: "another store".to_owned() },
        Reply::Members { members: vec![line(1, None), line(2, Some(0)), line(3, Some(u64::MAX))] },
        Reply::NotUnderstood,
        Reply::OutcomeUnknown,
        Reply::NotMember,
        Reply::Identity { table_id: 0x5f0c, leads: true },
        Reply::Compared(Verdict::Agrees),
        Reply::Compared(Verdict::Open),
        Reply::Compared(Verdict::Differs),
    ];
    replies.extend(errors.map(Reply::Refused));
    replies
}

#[test]
fn messages_decode_to_what_was_encoded() {
    for request in requests() {
        assert_eq!(decode(&encode(&request)), Ok(request));
    }
    for reply in replies() {
        assert_eq!(decode(&encode(&reply)), Ok(reply));
    }
}

#[test]
fn messages_that_are_cut_or_too_long_are_refused() {
    for bytes in requests().iter().map(encode) {
        (0..bytes.len()).for_each(|end| assert!(decode::<Request>(&bytes[..end]).is_err(), "{bytes:x?} cut at {end}"));
        assert!(decode::<Request>(&[bytes.as_slice(), &[0]].concat()).is_err(), "{bytes:x?} and one more");
    }
    for bytes in replies().iter().map(encode) {
        (0..bytes.len()).for_each(|end| assert!(decode::<Reply>(&bytes[..end]).is_err(), "{bytes:x?} cut at {end}"));
        assert!(decode::<Reply>(&[bytes.as_slice(), &[0]].concat()).is_err(), "{bytes:x?} and one more");
    }
}

#[test]
fn unknown_version_is_distinguished_from_damage() {
    assert_eq!(decode::<Request>(&[9, 3]), Err(MessageError::Version(9)));
    assert_eq!(decode::<Reply>(&[1, 200]), Err(DecodeError::Unknown { what: "reply", value: 200 }.into()));
}

/// A list that claims to be endless must not be believed before it is read.
#[test]
fn claimed_length_allocates_nothing() {
    assert_eq!(decode::<Reply>(&[1, 8, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Truncated.into()));
}
