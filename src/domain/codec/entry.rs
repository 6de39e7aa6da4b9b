//! Log entries.

use super::{CALLERS, CLUSTERS, DecodeError, Put, SINGLE_NODE, Take};
use crate::domain::caller::Caller;
use crate::domain::command::{Body, Entry, LeaderStart, Submitted};
use crate::domain::ids::{CommandId, Incarnation, NodeId, SessionId, StoreId};
use crate::domain::limits::Limits;
use crate::domain::nodes::LEVEL_OF_CALLERS;
use crate::domain::time::Timestamp;

const LEADER_START: u8 = 0;
const BATCH: u8 = 1;

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let version = self.version();
        out.put_u8(version);
        out.put_u64(self.at.0);
        out.put_u64(self.epoch);
        match &self.body {
            Body::LeaderStart(start) => {
                out.put_u8(LEADER_START);
                start.put(&mut out, version);
            }
            Body::Batch { touches, more_touches, commands } => {
                out.put_u8(BATCH);
                out.put_u64(touches.len() as u64);
                touches.iter().for_each(|session| out.put_raw(&session.0));
                out.put_u8(u8::from(*more_touches));
                out.put_u64(commands.len() as u64);
                commands.iter().for_each(|submitted| submitted.put(&mut out, version));
            }
        }
        out
    }

    /// The same without what the nodes of a table at this level may not be able to read, and do not need.
    pub fn for_level(mut self, level: u32) -> Entry {
        if level >= LEVEL_OF_CALLERS {
            return self;
        }
        match &mut self.body {
            Body::LeaderStart(start) => start.limits = start.limits.clone().without_shares(),
            Body::Batch { commands, .. } => commands.iter_mut().for_each(|submitted| submitted.command.forget_caller()),
        }
        self
    }

    /// The oldest format that has room for what it says.
    fn version(&self) -> u8 {
        let says_more = match &self.body {
            Body::LeaderStart(start) => start.limits.have_shares(),
            Body::Batch { commands, .. } => {
                commands.iter().any(|submitted| submitted.command.caller() != Caller::NOBODY)
            }
        };
        if says_more { CALLERS } else { CLUSTERS }
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut take = Take(bytes);
        let version = take.u8()?;
        if ![SINGLE_NODE, CLUSTERS, CALLERS].contains(&version) {
            return Err(DecodeError::Unknown { what: "entry version", value: version.into() });
        }
        let at = Timestamp(take.u64()?);
        let epoch = take.u64()?;
        let body = match take.u8()? {
            LEADER_START => Body::LeaderStart(LeaderStart::take(&mut take, version)?),
            BATCH => take_batch(&mut take, version)?,
            value => return Err(DecodeError::Unknown { what: "entry body", value: value.into() }),
        };
        take.end()?;
        Ok(Entry { at, epoch, body })
    }
}

fn take_batch(take: &mut Take, version: u8) -> Result<Body, DecodeError> {
    let count = take.count(16)?;
    let touches = (0..count).map(|_| take.id().map(SessionId)).collect::<Result<_, _>>()?;
    let more_touches = take.flag()?;
    let count = take.count(3)?;
    let commands = (0..count).map(|_| Submitted::take(take, version)).collect::<Result<_, _>>()?;
    Ok(Body::Batch { touches, more_touches, commands })
}

impl LeaderStart {
    fn put(&self, out: &mut Vec<u8>, version: u8) {
        out.put_u64(self.first_token);
        self.limits.put(out, version);
        out.put_u64(self.node.0);
        out.put_u64(self.incarnation.0);
        out.put_raw(&self.store.0);
        out.put_u64(self.level.into());
        out.put_u8(u8::from(self.confirm));
    }

    fn take(take: &mut Take, version: u8) -> Result<LeaderStart, DecodeError> {
        let first_token = take.u64()?;
        let limits = Limits::take(take, version)?;
        if version == SINGLE_NODE {
            return LeaderStart::take_single_node(take, first_token, limits);
        }
        Ok(LeaderStart {
            first_token,
            limits,
            node: NodeId(take.u64()?),
            incarnation: Incarnation(take.u64()?),
            store: StoreId(take.id()?),
            level: take.u32()?,
            confirm: take.flag()?,
        })
    }

    /// A list of the process runs that live: always the one of the only node, which was 1.
    fn take_single_node(take: &mut Take, first_token: u64, limits: Limits) -> Result<LeaderStart, DecodeError> {
        let live = (0..take.count(1)?).map(|_| take.u64().map(Incarnation)).collect::<Result<Vec<_>, _>>()?;
        let incarnation = *live.first().ok_or(DecodeError::Truncated)?;
        let (node, store) = (NodeId(1), StoreId::UNKNOWN);
        Ok(LeaderStart { first_token, limits, node, incarnation, store, level: 1, confirm: false })
    }
}

impl Submitted {
    fn put(&self, out: &mut Vec<u8>, version: u8) {
        out.put_u64(self.id.incarnation.0);
        out.put_u64(self.id.sequence);
        self.command.put(out, version);
    }

    fn take(take: &mut Take, version: u8) -> Result<Submitted, DecodeError> {
        let id = CommandId { incarnation: Incarnation(take.u64()?), sequence: take.u64()? };
        Ok(Submitted { id, command: super::command::take(take, version)? })
    }
}

impl Limits {
    /// The order of the fields is the format: append, never reorder.
    pub(in crate::domain) fn put(&self, out: &mut Vec<u8>, version: u8) {
        for value in [
            self.name_bytes_max,
            self.metadata_entries_max,
            self.metadata_key_bytes_max,
            self.metadata_value_bytes_max,
            self.wait_ms_max,
            self.lease_ms_max,
            self.size_max,
            self.waiters_per_lock_max,
            self.holds_max,
            self.sessions_max,
            self.holds_per_session_max,
            self.remembered_sizes_max,
            self.remembered_size_idle_ms,
            self.requests_max,
        ] {
            out.put_u64(value);
        }
        if version >= CALLERS {
            let shares = [self.table_bytes_max, self.credential_share, self.address_share];
            shares.into_iter().for_each(|value| out.put_u64(value));
        }
    }

    pub(in crate::domain) fn take(take: &mut Take, version: u8) -> Result<Limits, DecodeError> {
        Ok(Limits {
            name_bytes_max: take.u64()?,
            metadata_entries_max: take.u64()?,
            metadata_key_bytes_max: take.u64()?,
            metadata_value_bytes_max: take.u64()?,
            wait_ms_max: take.u64()?,
            lease_ms_max: take.u64()?,
            size_max: take.u64()?,
            waiters_per_lock_max: take.u64()?,
            holds_max: take.u64()?,
            sessions_max: take.u64()?,
            holds_per_session_max: take.u64()?,
            remembered_sizes_max: take.u64()?,
            remembered_size_idle_ms: take.u64()?,
            requests_max: if version >= CLUSTERS { take.u64()? } else { Limits::default().requests_max },
            table_bytes_max: if version >= CALLERS { take.u64()? } else { 0 },
            credential_share: if version >= CALLERS { take.u64()? } else { 0 },
            address_share: if version >= CALLERS { take.u64()? } else { 0 },
        })
    }
}
