//! One event as subscribers see it, and the filter that says which events a subscriber gets.

use super::id::EventId;
use crate::domain::{Dialect, EndReason, Event, Name, SessionId, Token};

/// What happened to a lock or a session, for everybody who may see it: holds are named by their tokens.
#[derive(Clone, PartialEq, Debug)]
pub enum LockEvent {
    Granted { name: Name, token: Token, replaces: Option<Token>, session: Option<SessionId>, dialect: Dialect },
    HoldEnded { name: Name, token: Token, why: EndReason, session: Option<SessionId>, dialect: Dialect },
    SessionEnded { session: SessionId, idle: bool },
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
            Event::Granted { name, token, replaces, session, dialect } => {
                Some(LockEvent::Granted { name, token, replaces, session, dialect })
            }
            Event::HoldEnded { name, token, why, session, dialect, .. } => {
                Some(LockEvent::HoldEnded { name, token, why, session, dialect })
            }
            Event::SessionEnded { session, idle } => Some(LockEvent::SessionEnded { session, idle }),
            // They concern the requests of one node; the grant itself is published by `Granted`.
            Event::WaiterGranted { .. } | Event::WaiterEnded { .. } => None,
            // A defect may show on one node only.
            Event::Broken(_) => None,
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
    /// The locks whose names start with any of these. No prefix contains another, and they are sorted.
    Under(Vec<String>),
}

impl EventFilter {
    pub fn matches(&self, event: &LockEvent) -> bool {
        match event {
            LockEvent::Granted { name, .. } | LockEvent::HoldEnded { name, .. } => self.names.contains(name),
            LockEvent::SessionEnded { .. } => self.sessions,
        }
    }
}

impl NameFilter {
    fn contains(&self, name: &Name) -> bool {
        match self {
            NameFilter::One(one) => one == name,
            NameFilter::Under(prefixes) => prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())),
        }
    }
}
