//! The id of an event: which log entry, and which of the entry's events.

use std::fmt;
use std::str::FromStr;

/// Where an event stands among all events of the service, the same on every node. They are in order.
///
/// Position 0 is no event: it stands before the first of its entry, so that a place between two entries has an id too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EventId {
    /// Of the log entry: its index in the log, counted from the origin of the table.
    pub index: u64,
    /// Among the events of that entry, from 1.
    pub position: u32,
}

/// The text is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an id reads INDEX-POSITION, two whole numbers, as in 4711-1")]
pub struct NoEventId;

impl EventId {
    /// Behind all events of the entry, before those of the next.
    pub fn behind(index: u64) -> EventId {
        EventId { index: index.saturating_add(1), position: 0 }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.position)
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<EventId, NoEventId> {
        let (index, position) = text.split_once('-').ok_or(NoEventId)?;
        Ok(EventId { index: number(index)?, position: number(position)? })
    }
}

/// Digits alone: the standard parser takes a sign, too.
fn number<T: FromStr>(text: &str) -> Result<T, NoEventId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(NoEventId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let id = EventId { index: 4711, position: 2 };
        assert_eq!(id.to_string(), "4711-2");
        assert_eq!("4711-2".parse(), Ok(id));
        for bad in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-1-1", "1 -1", "1-4294967296", "18446744073709551616-0"]
        {
            assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
        }
    }

    #[test]
    fn the_place_between_two_entries_is_between_their_events() {
        let event = |index, position| EventId { index, position };
        assert!(event(7, 9) < EventId::behind(7) && EventId::behind(7) < event(8, 1));
    }
}
