//! How votes, log ids, entries, memberships and snapshot headers look on disk.
//!
//! Our own encoding, not a derived one: big-endian, and the first byte names the kind *and its version*, so that
//! an upgrade of openraft never changes the files, and a record whose kind was damaged is never taken for a
//! shorter one of another kind. `codec_tests.rs` holds the golden bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use bytes::Bytes;
use openraft::{BasicNode, CommittedLeaderId};

use crate::raft::types::{EntryPayload, LogId, Membership, SnapshotMeta, StoredMembership, Vote, snapshot_meta};

const TAG_LOG_ID: u8 = 0xA1;
const TAG_VOTE: u8 = 0xA2;
const TAG_PAYLOAD: u8 = 0xA3;
const TAG_MEMBERSHIP: u8 = 0xA4;
const TAG_SNAPSHOT_META: u8 = 0xA5;

const KIND_BLANK: u8 = 0;
const KIND_NORMAL: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

/// More members than this are a damaged count, not a cluster.
const MAX_MEMBERS: u32 = 1024;

pub const LOG_ID_BYTES: usize = 25;
/// Tag, kind, length, and a checksum over those three: a length is believed only when it is intact.
pub const PAYLOAD_HEADER_BYTES: usize = 10;

/// Cuts a value into bytes and back; the way in and the way out stand next to each other below.
pub trait Wire: Sized {
    fn put(&self, out: &mut impl Write) -> io::Result<usize>;
    fn get(input: &mut impl Read) -> io::Result<Self>;
}

impl Wire for LogId {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut bytes = [TAG_LOG_ID; LOG_ID_BYTES];
        bytes[1..9].copy_from_slice(&self.leader_id.term.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.leader_id.node_id.to_be_bytes());
        bytes[17..25].copy_from_slice(&self.index.to_be_bytes());
        out.write_all(&bytes)?;
        Ok(LOG_ID_BYTES)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        expect_tag(input, TAG_LOG_ID, "log id")?;
        let leader = CommittedLeaderId::new(get_u64(input)?, get_u64(input)?);
        Ok(LogId::new(leader, get_u64(input)?))
    }
}

impl Wire for Vote {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut bytes = [TAG_VOTE; 18];
        bytes[1..9].copy_from_slice(&self.leader_id.term.to_be_bytes());
        bytes[9..17].copy_from_slice(&self.leader_id.node_id.to_be_bytes());
        bytes[17] = self.committed.into();
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        expect_tag(input, TAG_VOTE, "vote")?;
        let mut vote = Vote::new(get_u64(input)?, get_u64(input)?);
        vote.committed = get_bool(input)?;
        Ok(vote)
    }
}

impl Wire for EntryPayload {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        match self {
            EntryPayload::Blank => put_payload(KIND_BLANK, &[], out),
            EntryPayload::Normal(bytes) => put_payload(KIND_NORMAL, bytes, out),
            EntryPayload::Membership(membership) => {
                let mut body = Vec::new();
                membership.put(&mut body)?;
                put_payload(KIND_MEMBERSHIP, &body, out)
            }
        }
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; PAYLOAD_HEADER_BYTES];
        input.read_exact(&mut header)?;
        let len = payload_len(&header)?;
        let mut body = Vec::with_capacity(len.min(1 << 20));
        input.take(len as u64).read_to_end(&mut body)?;
        if body.len() < len {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "entry ends before its length"));
        }
        match header[1] {
            KIND_BLANK => Ok(EntryPayload::Blank),
            KIND_NORMAL => Ok(EntryPayload::Normal(Bytes::from(body))),
            KIND_MEMBERSHIP => Ok(EntryPayload::Membership(Membership::get(&mut body.as_slice())?)),
            kind => Err(invalid(format!("unknown kind of entry {kind}"))),
        }
    }
}

fn put_payload(kind: u8, body: &[u8], out: &mut impl Write) -> io::Result<usize> {
    let len = u32::try_from(body.len()).map_err(|_| invalid("entry is longer than 4 GiB"))?;
    let mut header = [TAG_PAYLOAD; PAYLOAD_HEADER_BYTES];
    header[1] = kind;
    header[2..6].copy_from_slice(&len.to_be_bytes());
    let checksum = crc32fast::hash(&header[..6]);
    header[6..].copy_from_slice(&checksum.to_be_bytes());
    out.write_all(&header)?;
    out.write_all(body)?;
    Ok(PAYLOAD_HEADER_BYTES + body.len())
}

/// The length of the body that follows an intact payload header.
pub fn payload_len(header: &[u8; PAYLOAD_HEADER_BYTES]) -> io::Result<usize> {
    let (fields, checksum) = header.split_at(6);
    if header[0] != TAG_PAYLOAD || checksum != crc32fast::hash(fields).to_be_bytes() {
        return Err(invalid("entry header has a wrong checksum"));
    }
    Ok(u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize)
}

impl Wire for Membership {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut bytes = vec![TAG_MEMBERSHIP];
        put_len(self.get_joint_config().len(), &mut bytes)?;
        for voters in self.get_joint_config() {
            put_len(voters.len(), &mut bytes)?;
            voters.iter().for_each(|id| bytes.extend(id.to_be_bytes()));
        }
        put_len(self.nodes().count(), &mut bytes)?;
        for (id, node) in self.nodes() {
            bytes.extend(id.to_be_bytes());
            put_len(node.addr.len(), &mut bytes)?;
            bytes.extend(node.addr.as_bytes());
        }
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        expect_tag(input, TAG_MEMBERSHIP, "membership")?;
        let mut configs = Vec::new();
        for _ in 0..get_len(input)? {
            let mut voters = BTreeSet::new();
            for _ in 0..get_len(input)? {
                voters.insert(get_u64(input)?);
            }
            configs.push(voters);
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..get_len(input)? {
            let id = get_u64(input)?;
            let mut addr = vec![0; get_len(input)? as usize];
            input.read_exact(&mut addr)?;
            let addr = String::from_utf8(addr).map_err(|_| invalid("node address is not UTF-8"))?;
            nodes.insert(id, BasicNode { addr });
        }
        Ok(Membership::new(configs, nodes))
    }
}

impl Wire for SnapshotMeta {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        let mut bytes = vec![TAG_SNAPSHOT_META];
        self.last_log_id.put(&mut bytes)?;
        self.last_membership.log_id().put(&mut bytes)?;
        self.last_membership.membership().put(&mut bytes)?;
        out.write_all(&bytes)?;
        Ok(bytes.len())
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        expect_tag(input, TAG_SNAPSHOT_META, "snapshot header")?;
        let applied = Option::<LogId>::get(input)?;
        let membership = StoredMembership::new(Option::<LogId>::get(input)?, Membership::get(input)?);
        Ok(snapshot_meta(applied, membership))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut impl Write) -> io::Result<usize> {
        out.write_all(&[self.is_some().into()])?;
        Ok(1 + self.as_ref().map_or(Ok(0), |value| value.put(out))?)
    }

    fn get(input: &mut impl Read) -> io::Result<Self> {
        get_bool(input)?.then(|| T::get(input)).transpose()
    }
}

fn put_len(len: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let len = u32::try_from(len).ok().filter(|len| *len <= MAX_MEMBERS);
    let len = len.ok_or_else(|| invalid("more than 1024 members, or an address longer than 1024 bytes"))?;
    out.extend(len.to_be_bytes());
    Ok(())
}

fn get_len(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    let len = u32::from_be_bytes(bytes);
    if len > MAX_MEMBERS {
        return Err(invalid(format!("a count of {len} members is out of range")));
    }
    Ok(len)
}

pub fn get_u64(input: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

pub fn get_u8(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

pub fn get_bool(input: &mut impl Read) -> io::Result<bool> {
    match get_u8(input)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(invalid(format!("{other} is neither yes (1) nor no (0)"))),
    }
}

fn expect_tag(input: &mut impl Read, tag: u8, what: &str) -> io::Result<()> {
    let found = get_u8(input)?;
    if found == tag {
        return Ok(());
    }
    Err(invalid(format!("expected a {what} (0x{tag:02x}), found 0x{found:02x}")))
}

pub fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

pub fn encode(message: &impl Wire) -> Bytes {
    let mut bytes = Vec::new();
    message.put(&mut bytes).expect("a Vec takes everything, and no list here is too long");
    bytes.into()
}

/// The whole of `bytes`, except for a hello, which may be longer than what this build knows.
pub fn decode<T: Wire>(bytes: &[u8]) -> io::Result<T> {
    let mut rest = bytes;
    let message = T::get(&mut rest)?;
    if rest.is_empty() { Ok(message) } else { Err(invalid("something follows the message")) }
}

pub fn decode_prefix<T: Wire>(bytes: &[u8]) -> io::Result<T> {
    T::get(&mut &*bytes)
}
