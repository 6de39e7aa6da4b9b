//! Which events a subscriber gets, or may see.

use super::event::LockEvent;
use crate::domain::Name;

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
