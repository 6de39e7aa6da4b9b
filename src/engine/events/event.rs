//! One event as subscribers see it, its id, and the filter that says which events a subscriber gets.

use crate::domain::view::Mode;
use crate::domain::{Dialect, EndReason, Event, Freeze, Name, SessionId, ThawReason, Token};
use arcstr::ArcStr;
use std::fmt;
use std::str::FromStr;

/// What happened to a lock or a session, for everybody who may see it: holds are named by their tokens.
#[derive(Clone, PartialEq, Debug)]
pub enum LockEvent {
    Granted {
        name: Name,
        token: Token,
        replaces: Option<Token>,
        session: Option<SessionId>,
        dialect: Dialect,
        mode: Mode,
        weight: u32,
        /// Of the leader of an election.
        value: Option<ArcStr>,
    },
    /// The leader of an election has another value.
    ValueChanged {
        name: Name,
        token: Token,
        value: ArcStr,
        session: Option<SessionId>,
        dialect: Dialect,
    },
    HoldEnded {
        name: Name,
        token: Token,
        why: EndReason,
        session: Option<SessionId>,
        dialect: Dialect,
        /// It was that of a leader.
        is_election: bool,
    },
    SessionEnded {
        session: SessionId,
        idle: bool,
    },
    /// A freeze begins, or is another from now on.
    Frozen {
        target: Name,
        freeze: Box<Freeze>,
    },
    Thawed {
        target: Name,
        freeze: Box<Freeze>,
        why: ThawReason,
    },
}

#[derive(Clone, PartialEq, Debug)]
pub struct PublishedEvent {
    pub id: EventId,
    pub event: LockEvent,
}

impl LockEvent {
    /// What is published of a table's event. It must follow from the log alone, because event ids count what is published.
    pub fn of(event: Event) -> Option<LockEvent> {
        match event {
            Event::Granted { name, token, replaces, session, dialect, size, weight, value } => {
                let mode = Mode::of(size);
                Some(LockEvent::Granted { name, token, replaces, session, dialect, mode, weight, value })
            }
            Event::ValueChanged { name, token, value, session, dialect } => {
                Some(LockEvent::ValueChanged { name, token, value, session, dialect })
            }
            Event::HoldEnded { name, token, why, session, dialect, is_election, .. } => {
                Some(LockEvent::HoldEnded { name, token, why, session, dialect, is_election })
            }
            Event::Frozen { target, freeze } => Some(LockEvent::Frozen { target, freeze }),
            Event::Thawed { target, freeze, why } => Some(LockEvent::Thawed { target, freeze, why }),
            Event::SessionEnded { session, idle } => Some(LockEvent::SessionEnded { session, idle }),
            // They concern the requests of one node; the grant itself is published by `Granted`.
            Event::WaiterGranted { .. } | Event::WaiterEnded { .. } => None,
            // A defect may show on one node only.
            Event::Broken(_) | Event::DeadlockSearchCut => None,
        }
    }

    /// What it takes besides its place: names are shared with the table, values seldom are.
    pub fn value_bytes(&self) -> usize {
        match self {
            LockEvent::Granted { value: Some(value), .. } | LockEvent::ValueChanged { value, .. } => value.len(),
            LockEvent::Frozen { freeze, .. } | LockEvent::Thawed { freeze, .. } => freeze.reason.len(),
            LockEvent::Granted { value: None, .. } | LockEvent::HoldEnded { .. } | LockEvent::SessionEnded { .. } => 0,
        }
    }

    fn is_of_election(&self) -> bool {
        match self {
            LockEvent::Granted { value, .. } => value.is_some(),
            LockEvent::ValueChanged { .. } => true,
            LockEvent::HoldEnded { is_election, .. } => *is_election,
            LockEvent::SessionEnded { .. } | LockEvent::Frozen { .. } | LockEvent::Thawed { .. } => false,
        }
    }
}

/// The events that a subscriber gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventFilter {
    pub names: NameFilter,
    /// The ends of sessions, which belong to no lock.
    pub sessions: bool,
}

/// Which locks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameFilter {
    One(Name),
    /// This one, and of its holds only those of leaders.
    Election(Name),
    /// The locks whose names start with any of these. No prefix contains another, and they are sorted.
    Under(Vec<String>),
}

impl EventFilter {
    pub fn matches(&self, event: &LockEvent) -> bool {
        match event {
            LockEvent::Granted { name, .. }
            | LockEvent::ValueChanged { name, .. }
            | LockEvent::HoldEnded { name, .. } => self.names.contains(name) && self.names.accepts(event),
            LockEvent::Frozen { target, freeze } | LockEvent::Thawed { target, freeze, .. } => {
                self.names.are_frozen_by(target, freeze)
            }
            LockEvent::SessionEnded { .. } => self.sessions,
        }
    }
}

impl NameFilter {
    pub fn is_election(&self) -> bool {
        matches!(self, NameFilter::Election(_))
    }

    fn accepts(&self, event: &LockEvent) -> bool {
        !self.is_election() || event.is_of_election()
    }

    /// Whether a freeze concerns any of these locks. A stream of an election has its leaders only.
    fn are_frozen_by(&self, target: &Name, freeze: &Freeze) -> bool {
        match self {
            NameFilter::One(name) => freeze.concerns(target, name),
            NameFilter::Election(_) => false,
            NameFilter::Under(prefixes) => prefixes.iter().any(|prefix| freeze.concerns_any_under(target, prefix)),
        }
    }

    fn contains(&self, name: &Name) -> bool {
        match self {
            NameFilter::One(one) | NameFilter::Election(one) => one == name,
            NameFilter::Under(prefixes) => prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())),
        }
    }
}

/// Where an event comes among all events of the service: the same on every node, and ordered. Position 0 is before the first
/// event of an entry, so that there is an id between two entries too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventId {
    /// The index of the log entry, counted from the origin of the table.
    pub index: u64,
    /// Among the events of that entry, counted from 1.
    pub position: u32,
    /// The random id of the table, which tells ids of another table apart. 0 in tables of older releases.
    pub table_id: u64,
}

/// The text is not an event id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an id reads INDEX-POSITION-TABLE, two whole numbers and hexadecimal digits, as in 4711-1-5f0c")]
pub struct InvalidEventId;

impl EventId {
    /// After all events of an entry, before those of the next.
    pub fn after_entry(index: u64, table_id: u64) -> EventId {
        EventId { index: index.saturating_add(1), position: 0, table_id }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventId { index, position, table_id } = self;
        match table_id {
            0 => write!(f, "{index}-{position}"),
            table_id => write!(f, "{index}-{position}-{table_id:x}"),
        }
    }
}

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<EventId, InvalidEventId> {
        let mut parts = text.splitn(3, '-');
        let (index, position) = (parts.next().ok_or(InvalidEventId)?, parts.next().ok_or(InvalidEventId)?);
        let table_id = parts.next().map_or(Ok(0), table_id)?;
        Ok(EventId { index: number(index)?, position: number(position)?, table_id })
    }
}

/// Digits only: the standard parser accepts a sign too.
fn number<T: FromStr>(text: &str) -> Result<T, InvalidEventId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(InvalidEventId)
}

/// Only as it is written: an id has one text.
fn table_id(text: &str) -> Result<u64, InvalidEventId> {
    let table_id = u64::from_str_radix(text, 16).map_err(|_| InvalidEventId)?;
    if table_id > 0 && format!("{table_id:x}") == text { Ok(table_id) } else { Err(InvalidEventId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_as_they_are_written_are_parsed() {
        for (text, table_id) in [("4711-2", 0), ("4711-2-5f0c", 0x5f0c)] {
            let id = EventId { index: 4711, position: 2, table_id };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
        let bad = ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1 -1", "1-4294967296", "18446744073709551616-0"];
        let bad_table_ids = ["1-1-", "1-1-0", "1-1-0f", "1-1-F", "1-1-+f", "1-1-g", "1-1-f-", "1-1-10000000000000000"];
        for bad in bad.into_iter().chain(bad_table_ids) {
            assert_eq!(bad.parse::<EventId>(), Err(InvalidEventId), "{bad}");
        }
    }

    #[test]
    fn id_between_entries_is_between_their_events() {
        let event = |index, position| EventId { index, position, table_id: 3 };
        assert!(event(7, 9) < EventId::after_entry(7, 3) && EventId::after_entry(7, 3) < event(8, 1));
    }
}
