//! Log entries and their bytes: a batch of commands under one cluster time, or the start of a leadership.

use super::codec::Format;
use super::command::{Command, Proof};
use super::ids::{CommandId, HoldKey, Incarnation, NodeId, SessionId, StoreId};
use super::limits::{Feature, Limits};
use super::quotas::Quotas;
use super::time::Timestamp;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, record};
use std::sync::Arc;

/// One entry of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The leader's cluster time when it proposed this entry.
    pub at: Timestamp,
    /// The leadership that proposed it; apply refuses entries of any other.
    pub epoch: u64,
    pub body: Body,
}

#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "an entry is moved a few times, and an allocation would cost more")]
pub enum Body {
    /// The first entry of a leadership.
    LeaderStart(LeaderStart),
    /// Commands in order of arrival. Without commands the entry only advances time.
    Batch {
        /// Sessions that requests used since the last entry without writing anything.
        touches: Vec<SessionId>,
        /// More touches follow in the next entry: until then no session may expire.
        more_touches: bool,
        commands: Vec<Submitted>,
    },
}

/// Starts a leadership: sets the limits, records the leader's incarnation, and drops requests of dead incarnations.
#[derive(Clone, PartialEq, Debug)]
pub struct LeaderStart {
    /// The first fencing token of a new table. An older table raises its next token to this one, because its log may have
    /// lost the latest tokens. 0 if the clock cannot be trusted.
    pub first_token: u64,
    pub limits: Limits,
    /// The leader.
    pub node: NodeId,
    /// Its incarnation; an incarnation recorded before is over.
    pub incarnation: Incarnation,
    pub store: StoreId,
    /// The feature level that the leader supports; a new table starts at it.
    pub level: u32,
    /// Whether a grant to a waiter stays unconfirmed until the waiter's node says that it can answer: true where the
    /// service outlives a node.
    pub confirm: bool,
    /// Since their level.
    pub quotas: Option<Arc<Quotas>>,
}

/// A command with the id that makes sure it is applied once.
#[derive(Clone, PartialEq, Debug)]
pub struct Submitted {
    pub id: CommandId,
    pub command: Command,
}

const LEADER_START: u8 = 0;
const BATCH: u8 = 1;
/// The byte of [`Command::Renew`].
const RENEW: u8 = 4;

record!(LeaderStart { first_token, limits, node, incarnation, store, level, confirm, quotas } in Format);

impl Entry {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let format = self.format();
        out.put_u8(format as u8);
        self.at.put(&mut out, format);
        self.epoch.put(&mut out, format);
        match &self.body {
            Body::LeaderStart(start) => {
                out.put_u8(LEADER_START);
                start.put(&mut out, format);
            }
            Body::Batch { touches, more_touches, commands } => {
                out.put_u8(BATCH);
                out.put_varint(touches.len() as u64);
                touches.iter().for_each(|session| session.put(&mut out, format));
                out.put_flag(*more_touches);
                out.put_varint(commands.len() as u64);
                commands.iter().for_each(|submitted| {
                    submitted.id.put(&mut out, format);
                    submitted.command.put(&mut out, format);
                });
            }
        }
        out
    }

    /// The entry without what nodes of a table at this level may not be able to read, and do not need.
    pub fn for_level(mut self, level: u32) -> Entry {
        if level >= Feature::Quotas as u32 {
            return self;
        }
        match &mut self.body {
            Body::LeaderStart(start) => {
                (start.limits, start.quotas) = (start.limits.for_level(level), None);
            }
            Body::Batch { commands, .. } => {
                commands.iter_mut().for_each(|submitted| submitted.command.limit_to_level(level))
            }
        }
        self
    }

    /// The oldest format that can say all of it.
    fn format(&self) -> Format {
        match &self.body {
            Body::LeaderStart(start) if start.quotas.is_some() => Format::Quotas,
            Body::LeaderStart(start) => start.limits.format(),
            Body::Batch { commands, .. } => {
                commands.iter().map(|submitted| submitted.command.format()).max().unwrap_or(Format::Clusters)
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
        let mut input = Decoder(bytes);
        let byte = input.u8()?;
        let is_of_entries = |format: &Format| !matches!(format, Format::EventOrigins | Format::TableIds);
        let unknown = DecodeError::Unknown { what: "entry version", value: byte.into() };
        let format = Format::from_u8(byte).filter(is_of_entries).ok_or(unknown)?;
        let (at, epoch) = (Value::get(&mut input, format)?, input.varint()?);
        let body = match input.u8()? {
            LEADER_START if format == Format::SingleNode => Body::LeaderStart(get_single_node_start(&mut input)?),
            LEADER_START => Body::LeaderStart(Value::get(&mut input, format)?),
            BATCH => get_batch(&mut input, format)?,
            value => return Err(DecodeError::Unknown { what: "entry body", value: value.into() }),
        };
        input.end()?;
        Ok(Entry { at, epoch, body })
    }
}

/// With a list of living incarnations: always one, of the only node, which was node 1.
fn get_single_node_start(input: &mut Decoder) -> Result<LeaderStart, DecodeError> {
    let (first_token, limits) = (input.varint()?, Limits::get(input, Format::SingleNode)?);
    let live = (0..input.count(1)?).map(|_| input.varint().map(Incarnation)).collect::<Result<Vec<_>, _>>()?;
    let incarnation = *live.first().ok_or(DecodeError::Truncated)?;
    let (node, store) = (NodeId(1), StoreId::UNKNOWN);
    Ok(LeaderStart { first_token, limits, node, incarnation, store, level: 1, confirm: false, quotas: None })
}

fn get_batch(input: &mut Decoder, format: Format) -> Result<Body, DecodeError> {
    let count = input.count(16)?;
    let touches = (0..count).map(|_| Value::get(input, format)).collect::<Result<_, _>>()?;
    let more_touches = input.flag()?;
    let count = input.count(3)?;
    let commands = (0..count).map(|_| {
        let id = Value::get(input, format)?;
        Ok(Submitted { id, command: get_command(input, format)? })
    });
    let commands = commands.collect::<Result<_, _>>()?;
    Ok(Body::Batch { touches, more_touches, commands })
}

fn get_command(input: &mut Decoder, format: Format) -> Result<Command, DecodeError> {
    if format != Format::SingleNode || input.0.first() != Some(&RENEW) {
        let command = Command::get(input, format)?;
        let is_in_format = command.format() <= format.max(Format::Callers);
        let unknown = DecodeError::Unknown { what: "command in this entry version", value: (format as u8).into() };
        return is_in_format.then_some(command).ok_or(unknown);
    }
    // A renewal named the key alone.
    input.u8()?;
    let (name, session) = (Value::get(input, format)?, Value::get(input, format)?);
    let proof = Proof::Key(HoldKey::get(input, format)?);
    Ok(Command::Renew { name, session, proof, lease_ms: input.varint()? })
}
