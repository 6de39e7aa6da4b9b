//! The id of an event: which log entry, which of the entry's events, and of which table.

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
    /// Of the table, random: an id of another table is known by it. 0 in tables that are older than this.
    pub life: u64,
}

/// The text is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an id reads INDEX-POSITION-LIFE, two whole numbers and hexadecimal digits, as in 4711-1-5f0c")]
pub struct NoEventId;

impl EventId {
    /// Behind all events of the entry, before those of the next.
    pub fn behind(index: u64, life: u64) -> EventId {
        EventId { index: index.saturating_add(1), position: 0, life }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EventId { index, position, life } = self;
        match life {
            0 => write!(f, "{index}-{position}"),
            life => write!(f, "{index}-{position}-{life:x}"),
        }
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<EventId, NoEventId> {
        let mut parts = text.splitn(3, '-');
        let (index, position) = (parts.next().ok_or(NoEventId)?, parts.next().ok_or(NoEventId)?);
        let life = parts.next().map_or(Ok(0), life)?;
        Ok(EventId { index: number(index)?, position: number(position)?, life })
    }
}

/// Digits alone: the standard parser takes a sign, too.
fn number<T: FromStr>(text: &str) -> Result<T, NoEventId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(NoEventId)
}

/// As it is written, and no other way: an id has one text.
fn life(text: &str) -> Result<u64, NoEventId> {
    let life = u64::from_str_radix(text, 16).map_err(|_| NoEventId)?;
    if life > 0 && format!("{life:x}") == text { Ok(life) } else { Err(NoEventId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        for (text, life) in [("4711-2", 0), ("4711-2-5f0c", 0x5f0c)] {
            let id = EventId { index: 4711, position: 2, life };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
        let bad = ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1 -1", "1-4294967296", "18446744073709551616-0"];
        let bad_lives = ["1-1-", "1-1-0", "1-1-0f", "1-1-F", "1-1-+f", "1-1-g", "1-1-f-", "1-1-10000000000000000"];
        for bad in bad.into_iter().chain(bad_lives) {
            assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
        }
    }

    #[test]
    fn the_place_between_two_entries_is_between_their_events() {
        let event = |index, position| EventId { index, position, life: 3 };
        assert!(event(7, 9) < EventId::behind(7, 3) && EventId::behind(7, 3) < event(8, 1));
    }
}
