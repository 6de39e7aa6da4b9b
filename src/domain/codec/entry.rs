//! Log entries.

use super::Format;
use super::values::{put_limits, take_limits};
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::domain::entry::{Body, Entry, LeaderStart, Submitted};
use crate::domain::ids::{Caller, CommandId, Incarnation, NodeId, SessionId, StoreId};
use crate::domain::level;
use crate::domain::limits::Limits;
use crate::domain::time::Timestamp;

const LEADER_START: u8 = 0;
const BATCH: u8 = 1;

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let format = self.format();
        out.put_u8(format as u8);
        out.put_varint(self.at.0);
        out.put_varint(self.epoch);
        match &self.body {
            Body::LeaderStart(start) => {
                out.put_u8(LEADER_START);
                start.put(&mut out, format);
            }
            Body::Batch { touches, more_touches, commands } => {
                out.put_u8(BATCH);
                out.put_varint(touches.len() as u64);
                touches.iter().for_each(|session| out.put_bytes(&session.0));
                out.put_flag(*more_touches);
                out.put_varint(commands.len() as u64);
                commands.iter().for_each(|submitted| submitted.put(&mut out, format));
            }
        }
        out
    }

    /// The entry without what nodes of a table at this level may not be able to read, and do not need.
    pub fn for_level(mut self, level: u32) -> Entry {
        if level >= level::CALLERS {
            return self;
        }
        match &mut self.body {
            Body::LeaderStart(start) => start.limits = start.limits.without_shares(),
            Body::Batch { commands, .. } => commands.iter_mut().for_each(|submitted| submitted.command.forget_caller()),
        }
        self
    }

    /// The oldest format that can say all of it.
    fn format(&self) -> Format {
        let names_callers = match &self.body {
            Body::LeaderStart(start) => start.limits.have_shares(),
            Body::Batch { commands, .. } => {
                commands.iter().any(|submitted| submitted.command.caller() != Caller::NOBODY)
            }
        };
        if names_callers { Format::Callers } else { Format::Clusters }
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut input = Decoder(bytes);
        let byte = input.u8()?;
        let is_of_entries = |format: &Format| !matches!(format, Format::EventOrigins | Format::TableIds);
        let unknown = DecodeError::Unknown { what: "entry version", value: byte.into() };
        let format = Format::from_u8(byte).filter(is_of_entries).ok_or(unknown)?;
        let at = Timestamp(input.varint()?);
        let epoch = input.varint()?;
        let body = match input.u8()? {
            LEADER_START => Body::LeaderStart(LeaderStart::take(&mut input, format)?),
            BATCH => take_batch(&mut input, format)?,
            value => return Err(DecodeError::Unknown { what: "entry body", value: value.into() }),
        };
        input.end()?;
        Ok(Entry { at, epoch, body })
    }
}

fn take_batch(input: &mut Decoder, format: Format) -> Result<Body, DecodeError> {
    let count = input.count(16)?;
    let touches = (0..count).map(|_| input.array().map(SessionId)).collect::<Result<_, _>>()?;
    let more_touches = input.flag()?;
    let count = input.count(3)?;
    let commands = (0..count).map(|_| Submitted::take(input, format)).collect::<Result<_, _>>()?;
    Ok(Body::Batch { touches, more_touches, commands })
}

impl LeaderStart {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.first_token);
        put_limits(out, &self.limits, format);
        out.put_varint(self.node.0);
        out.put_varint(self.incarnation.0);
        out.put_bytes(&self.store.0);
        out.put_varint(self.level.into());
        out.put_flag(self.confirm);
    }

    fn take(input: &mut Decoder, format: Format) -> Result<LeaderStart, DecodeError> {
        let first_token = input.varint()?;
        let limits = take_limits(input, format)?;
        if format == Format::SingleNode {
            return LeaderStart::take_single_node(input, first_token, limits);
        }
        Ok(LeaderStart {
            first_token,
            limits,
            node: NodeId(input.varint()?),
            incarnation: Incarnation(input.varint()?),
            store: StoreId(input.array()?),
            level: input.varint_u32()?,
            confirm: input.flag()?,
        })
    }

    /// A list of living incarnations: always one, of the only node, which was node 1.
    fn take_single_node(input: &mut Decoder, first_token: u64, limits: Limits) -> Result<LeaderStart, DecodeError> {
        let live = (0..input.count(1)?).map(|_| input.varint().map(Incarnation)).collect::<Result<Vec<_>, _>>()?;
        let incarnation = *live.first().ok_or(DecodeError::Truncated)?;
        let (node, store) = (NodeId(1), StoreId::UNKNOWN);
        Ok(LeaderStart { first_token, limits, node, incarnation, store, level: 1, confirm: false })
    }
}

impl Submitted {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.id.incarnation.0);
        out.put_varint(self.id.sequence);
        self.command.put(out, format);
    }

    fn take(input: &mut Decoder, format: Format) -> Result<Submitted, DecodeError> {
        let id = CommandId { incarnation: Incarnation(input.varint()?), sequence: input.varint()? };
        Ok(Submitted { id, command: super::command::take(input, format)? })
    }
}
