//! One event as subscribers see it.

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
