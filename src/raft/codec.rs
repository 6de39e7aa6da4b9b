//! The encoding of votes, log ids, entries, memberships and snapshot headers, on disk and between nodes.
//!
//! It is our own and not a derived one: big-endian, and the first byte names the kind *and its version*, so that an
//! upgrade of openraft never changes the files, and a record whose kind was damaged is never taken for a shorter one of
//! another kind. `codec_tests.rs` holds the golden bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use openraft::BasicNode;

use crate::base::codec::{Decoder, Encode};
use crate::raft::types::{
    EntryPayload, LogEntry, LogId, Membership, SnapshotMeta, StoredMembership, Vote, log_id, snapshot_meta,
};

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

/// A value with an encoding.
pub trait Wire: Sized {
    fn put(&self, out: &mut impl Encode) -> io::Result<()>;
    fn get(input: &mut Decoder<'_>) -> io::Result<Self>;
}

impl Wire for LogId {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_u8(TAG_LOG_ID);
        out.put_be_u64(self.leader_id.term);
        out.put_be_u64(self.leader_id.node_id);
        out.put_be_u64(self.index);
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        expect_tag(input, TAG_LOG_ID, "log id")?;
        Ok(log_id(input.be_u64()?, input.be_u64()?, input.be_u64()?))
    }
}

impl Wire for Vote {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_u8(TAG_VOTE);
        out.put_be_u64(self.leader_id.term);
        out.put_be_u64(self.leader_id.node_id);
        out.put_flag(self.committed);
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        expect_tag(input, TAG_VOTE, "vote")?;
        let mut vote = Vote::new(input.be_u64()?, input.be_u64()?);
        vote.committed = input.flag()?;
        Ok(vote)
    }
}

impl Wire for EntryPayload {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
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

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        let header = input.array()?;
        let body = input.bytes(payload_len(&header)?)?;
        match header[1] {
            KIND_BLANK => Ok(EntryPayload::Blank),
            KIND_NORMAL => Ok(EntryPayload::Normal(Bytes::copy_from_slice(body))),
            KIND_MEMBERSHIP => Ok(EntryPayload::Membership(Membership::get(&mut Decoder(body))?)),
            kind => Err(invalid(format!("unknown kind of entry {kind}"))),
        }
    }
}

fn put_payload(kind: u8, body: &[u8], out: &mut impl Encode) -> io::Result<()> {
    let len = u32::try_from(body.len()).map_err(|_| invalid("entry is longer than 4 GiB"))?;
    let mut header = [TAG_PAYLOAD; PAYLOAD_HEADER_BYTES];
    header[1] = kind;
    header[2..6].copy_from_slice(&len.to_be_bytes());
    let checksum = crc32fast::hash(&header[..6]);
    header[6..].copy_from_slice(&checksum.to_be_bytes());
    out.put_bytes(&header);
    out.put_bytes(body);
    Ok(())
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
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_u8(TAG_MEMBERSHIP);
        put_len(self.get_joint_config().len(), out)?;
        for voters in self.get_joint_config() {
            put_len(voters.len(), out)?;
            voters.iter().for_each(|id| out.put_be_u64(*id));
        }
        put_len(self.nodes().count(), out)?;
        for (id, node) in self.nodes() {
            out.put_be_u64(*id);
            put_len(node.addr.len(), out)?;
            out.put_bytes(node.addr.as_bytes());
        }
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        expect_tag(input, TAG_MEMBERSHIP, "membership")?;
        let mut configs = Vec::new();
        for _ in 0..get_len(input)? {
            let voters = (0..get_len(input)?).map(|_| Ok(input.be_u64()?));
            configs.push(voters.collect::<io::Result<BTreeSet<u64>>>()?);
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..get_len(input)? {
            let id = input.be_u64()?;
            let len = get_len(input)? as usize;
            let addr = String::from_utf8(input.bytes(len)?.to_vec());
            nodes.insert(id, BasicNode { addr: addr.map_err(|_| invalid("node address is not UTF-8"))? });
        }
        Ok(Membership::new(configs, nodes))
    }
}

impl Wire for SnapshotMeta {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_u8(TAG_SNAPSHOT_META);
        self.last_log_id.put(out)?;
        self.last_membership.log_id().put(out)?;
        self.last_membership.membership().put(out)
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        expect_tag(input, TAG_SNAPSHOT_META, "snapshot header")?;
        let applied = Option::<LogId>::get(input)?;
        let membership = StoredMembership::new(Option::<LogId>::get(input)?, Membership::get(input)?);
        Ok(snapshot_meta(applied, membership))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_flag(self.is_some());
        self.as_ref().map_or(Ok(()), |value| value.put(out))
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        input.flag()?.then(|| T::get(input)).transpose()
    }
}

impl Wire for bool {
    fn put(&self, out: &mut impl Encode) -> io::Result<()> {
        out.put_flag(*self);
        Ok(())
    }

    fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(input.flag()?)
    }
}

/// A struct is its fields, in this order.
macro_rules! wire_struct {
    ($type:ty { $($field:ident),+ }) => {
        impl Wire for $type {
            fn put(&self, out: &mut impl Encode) -> io::Result<()> {
                $(self.$field.put(out)?;)+
                Ok(())
            }

            fn get(input: &mut Decoder<'_>) -> io::Result<Self> {
                Ok(Self { $($field: Wire::get(input)?),+ })
            }
        }
    };
}
pub(in crate::raft) use wire_struct;

wire_struct!(LogEntry { log_id, payload });

fn put_len(len: usize, out: &mut impl Encode) -> io::Result<()> {
    let len = u32::try_from(len).ok().filter(|len| *len <= MAX_MEMBERS);
    out.put_be_u32(len.ok_or_else(|| invalid("more than 1024 members, or an address longer than 1024 bytes"))?);
    Ok(())
}

fn get_len(input: &mut Decoder<'_>) -> io::Result<u32> {
    match input.be_u32()? {
        len if len > MAX_MEMBERS => Err(invalid(format!("a count of {len} members is out of range"))),
        len => Ok(len),
    }
}

fn expect_tag(input: &mut Decoder<'_>, tag: u8, what: &str) -> io::Result<()> {
    match input.u8()? {
        found if found == tag => Ok(()),
        found => Err(invalid(format!("expected a {what} (0x{tag:02x}), found 0x{found:02x}"))),
    }
}

pub fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

pub fn encode(value: &impl Wire) -> Bytes {
    let mut bytes = Vec::new();
    value.put(&mut bytes).expect("no list in a message is too long");
    bytes.into()
}

/// Decodes the whole of `bytes`.
pub fn decode<T: Wire>(bytes: &[u8]) -> io::Result<T> {
    let mut input = Decoder(bytes);
    let value = T::get(&mut input)?;
    input.end()?;
    Ok(value)
}

/// Decodes the beginning of `bytes`: later versions may add to the end.
pub fn decode_prefix<T: Wire>(bytes: &[u8]) -> io::Result<T> {
    T::get(&mut Decoder(bytes))
}
