//! Which events a reader wants, or may see.

use super::ring::Happened;
use crate::domain::Name;

/// What a reader is told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    pub names: Names,
    /// The ends of sessions, which belong to no lock.
    pub sessions: bool,
}

/// Which locks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Names {
    One(Name),
    /// Those that start with any of these; none inside another, in order.
    Under(Vec<String>),
}

impl Wanted {
    pub fn wants(&self, what: &Happened) -> bool {
        match what {
            Happened::Granted { name, .. } | Happened::Ended { name, .. } => self.names.hold(name),
            Happened::SessionEnded { .. } => self.sessions,
        }
    }
}

impl Names {
    fn hold(&self, name: &Name) -> bool {
        match self {
            Names::One(one) => one == name,
            Names::Under(prefixes) => prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())),
        }
    }
}
