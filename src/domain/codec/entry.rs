//! Log entries. Version 1.

use super::{DecodeError, Put, Take};
use crate::domain::command::{Body, Entry, LeaderStart, Submitted};
use crate::domain::ids::{CommandId, Incarnation, SessionId};
use crate::domain::limits::Limits;
use crate::domain::time::Timestamp;

const VERSION: u8 = 1;
const LEADER_START: u8 = 0;
const BATCH: u8 = 1;

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.put_u8(VERSION);
        out.put_u64(self.at.0);
        out.put_u64(self.epoch);
        match &self.body {
            Body::LeaderStart(start) => {
                out.put_u8(LEADER_START);
                start.put(&mut out);
            }
            Body::Batch { touches, more_touches, commands } => {
                out.put_u8(BATCH);
                out.put_u64(touches.len() as u64);
                touches.iter().for_each(|session| out.put_raw(&session.0));
                out.put_u8(u8::from(*more_touches));
                out.put_u64(commands.len() as u64);
                commands.iter().for_each(|submitted| submitted.put(&mut out));
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut take = Take(bytes);
        let version = take.u8()?;
        if version != VERSION {
            return Err(DecodeError::Unknown { what: "entry version", value: version.into() });
        }
        let at = Timestamp(take.u64()?);
        let epoch = take.u64()?;
        let body = match take.u8()? {
            LEADER_START => Body::LeaderStart(LeaderStart::take(&mut take)?),
            BATCH => take_batch(&mut take)?,
            value => return Err(DecodeError::Unknown { what: "entry body", value: value.into() }),
        };
        take.end()?;
        Ok(Entry { at, epoch, body })
    }
}

fn take_batch(take: &mut Take) -> Result<Body, DecodeError> {
    let count = take.count(16)?;
    let touches = (0..count).map(|_| take.id().map(SessionId)).collect::<Result<_, _>>()?;
    let more_touches = take.flag()?;
    let count = take.count(3)?;
    let commands = (0..count).map(|_| Submitted::take(take)).collect::<Result<_, _>>()?;
    Ok(Body::Batch { touches, more_touches, commands })
}

impl LeaderStart {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.first_token);
        self.limits.put(out);
        out.put_u64(self.live.len() as u64);
        self.live.iter().for_each(|run| out.put_u64(run.0));
    }

    fn take(take: &mut Take) -> Result<LeaderStart, DecodeError> {
        let first_token = take.u64()?;
        let limits = Limits::take(take)?;
        let count = take.count(1)?;
        let live = (0..count).map(|_| take.u64().map(Incarnation)).collect::<Result<_, _>>()?;
        Ok(LeaderStart { first_token, limits, live })
    }
}

impl Submitted {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.id.incarnation.0);
        out.put_u64(self.id.sequence);
        self.command.put(out);
    }

    fn take(take: &mut Take) -> Result<Submitted, DecodeError> {
        let id = CommandId { incarnation: Incarnation(take.u64()?), sequence: take.u64()? };
        Ok(Submitted { id, command: super::command::take(take)? })
    }
}

impl Limits {
    /// The order of the fields is the format: append, never reorder.
    pub(in crate::domain) fn put(&self, out: &mut Vec<u8>) {
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
        ] {
            out.put_u64(value);
        }
    }

    pub(in crate::domain) fn take(take: &mut Take) -> Result<Limits, DecodeError> {
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
        })
    }
}
