//! The last events in order, and where they begin. Pure: no lock and no waiting.

use super::id::EventId;
use super::state::Why;
use super::wanted::Wanted;
use crate::domain::{Dialect, EndReason, Event, Name, SessionId, Token};
use crate::mutants;
use std::collections::VecDeque;

/// One thing that happened, as anybody may know it who may see the lock: a hold is named by its token.
#[derive(Clone, PartialEq, Debug)]
pub enum Happened {
    Granted { name: Name, token: Token, replaces: Option<Token>, session: Option<SessionId>, dialect: Dialect },
    Ended { name: Name, token: Token, why: EndReason, session: Option<SessionId>, dialect: Dialect },
    SessionEnded { session: SessionId, idle: bool },
}

#[derive(Clone, PartialEq, Debug)]
pub struct Published {
    pub id: EventId,
    pub what: Happened,
}

pub struct Ring {
    events: VecDeque<Published>,
    max: usize,
    /// What came after this is all here ...
    floor: EventId,
    /// ... up to this.
    end: EventId,
    /// Behind the last snapshot that became the state.
    restored: EventId,
    /// Of the table; 0 before it is opened.
    life: u64,
}

/// What a reader gets for its place.
#[derive(Debug)]
pub enum Taken {
    /// What it wants of the next events, and the place up to which it was looked through. The place itself if there is
    /// nothing new.
    Events(Vec<Published>, EventId),
    /// Something before its place is gone, or its place is none.
    Gap(Why),
}

/// What the ring knows of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    Here,
    /// Behind all that was applied here.
    NotYet,
    Missing(Why),
}

impl Happened {
    /// What is published of an event. It must follow from the log alone, and the position in its entry with it.
    fn of(event: Event) -> Option<Happened> {
        match event {
            Event::Granted { name, token, replaces, session, dialect } => {
                Some(Happened::Granted { name, token, replaces, session, dialect })
            }
            Event::HoldEnded { name, token, why, session, dialect, .. } => {
                Some(Happened::Ended { name, token, why, session, dialect })
            }
            Event::SessionEnded { session, idle } => Some(Happened::SessionEnded { session, idle }),
            // Requests of one node; its grant is told by `Granted`.
            Event::WaiterGranted { .. } | Event::WaiterEnded { .. } => None,
            // A defect may show on one node alone.
            Event::Broken(_) => None,
        }
    }
}

impl Ring {
    pub fn new(max: usize) -> Ring {
        let begin = EventId::default();
        Ring {
            events: VecDeque::with_capacity(max),
            max: max.max(1),
            floor: begin,
            end: begin,
            restored: begin,
            life: 0,
        }
    }

    /// The table has this life, and no entry a number below this.
    pub fn begin_at(&mut self, number: u64, life: u64) {
        self.life = life;
        let begin = EventId { index: number, position: 0, life };
        (self.floor, self.end) = (self.floor.max(begin), self.end.max(begin));
    }

    /// All that the entry with this number did, the next one.
    pub fn append(&mut self, index: u64, events: Vec<Event>) {
        let published = events.into_iter().filter_map(Happened::of);
        for (position, what) in (1..).zip(published) {
            if self.events.len() >= self.max
                && let Some(oldest) = self.events.pop_front()
            {
                self.floor = oldest.id;
            }
            self.events.push_back(Published { id: EventId { index, position, life: self.life }, what });
        }
        self.end = EventId::behind(index, self.life);
    }

    /// A snapshot became the state as of the entry with this number: what happened before it was not seen.
    pub fn restored(&mut self, index: u64, life: u64) {
        self.life = life;
        self.events.clear();
        self.end = EventId::behind(index, life);
        (self.floor, self.restored) = (self.end, self.end);
    }

    /// Whether a reader can go on from a place that it was told elsewhere.
    pub fn knows(&self, place: EventId) -> Known {
        if place.life != self.life {
            // One that has applied nothing does not know yet what it is.
            return if self.end.index == 0 { Known::NotYet } else { Known::Missing(Why::UnknownId) };
        }
        if let Err(why) = self.reaches(place) {
            return Known::Missing(why);
        }
        if place > self.end {
            return Known::NotYet;
        }
        let is_event = || self.events.binary_search_by_key(&place, |event| event.id).is_ok();
        let is_place = place.position == 0 || place == self.floor || is_event();
        if is_place { Known::Here } else { Known::Missing(Why::UnknownId) }
    }

    /// What follows a place, at most `scan_max` events of it looked at and `take_max` taken.
    pub fn after(&self, place: EventId, wanted: &Wanted, scan_max: usize, take_max: usize) -> Taken {
        if let Err(why) = self.reaches(place) {
            return Taken::Gap(why);
        }
        let start = self.events.partition_point(|event| event.id <= place);
        let mut seen = self.events.range(start..).take(scan_max);
        let (mut taken, mut last) = (Vec::new(), place);
        for event in seen.by_ref() {
            last = event.id;
            if wanted.wants(&event.what) {
                taken.push(event.clone());
                if taken.len() >= take_max {
                    break;
                }
            }
        }
        let all = self.events.back().is_none_or(|newest| newest.id <= last);
        Taken::Events(taken, if all { last.max(self.end) } else { last })
    }

    fn reaches(&self, place: EventId) -> Result<(), Why> {
        match place {
            place if place >= self.floor || mutants::on("gap-hidden") => Ok(()),
            place if place < self.restored => Err(Why::Snapshot),
            _ => Err(Why::TooOld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wanted::Names;
    use super::*;

    fn released(name: &str) -> Event {
        let (token, why) = (Token(1), EndReason::Released);
        let (since, deadline) = (crate::domain::Timestamp(1), None);
        Event::HoldEnded {
            name: name.into(),
            token,
            why,
            session: None,
            dialect: Dialect::DoubleDutch,
            since,
            deadline,
        }
    }

    fn id(index: u64, position: u32) -> EventId {
        EventId { index, position, life: 0 }
    }

    fn under(prefix: &str) -> Wanted {
        Wanted { names: Names::Under(vec![prefix.to_owned()]), sessions: false }
    }

    fn after(ring: &Ring, place: EventId, prefix: &str) -> (Vec<EventId>, EventId) {
        match ring.after(place, &under(prefix), 100, 100) {
            Taken::Events(events, next) => (events.into_iter().map(|event| event.id).collect(), next),
            Taken::Gap(why) => panic!("a gap: {why:?}"),
        }
    }

    #[test]
    fn positions_count_what_is_published_in_an_entry() {
        let mut ring = Ring::new(10);
        ring.append(5, vec![released("a"), Event::Broken("not for readers"), released("b")]);
        ring.append(6, Vec::new());
        ring.append(7, vec![released("a")]);
        assert_eq!(after(&ring, id(0, 0), ""), (vec![id(5, 1), id(5, 2), id(7, 1)], id(8, 0)));
        assert_eq!(after(&ring, id(5, 1), "b"), (vec![id(5, 2)], id(8, 0)));
        assert_eq!(after(&ring, id(7, 1), ""), (vec![], id(8, 0)));
        assert_eq!(after(&ring, id(8, 0), ""), (vec![], id(8, 0)));
    }

    #[test]
    fn a_look_is_bounded_and_goes_on_where_it_ended() {
        let mut ring = Ring::new(10);
        ring.append(1, vec![released("a"), released("b"), released("a"), released("a")]);
        let look = |place, scan, take| match ring.after(place, &under("a"), scan, take) {
            Taken::Events(events, next) => (events.len(), next),
            Taken::Gap(why) => panic!("a gap: {why:?}"),
        };
        assert_eq!(look(id(0, 0), 2, 9), (1, id(1, 2)));
        assert_eq!(look(id(1, 1), 1, 9), (0, id(1, 2)), "nothing wanted, but passed");
        assert_eq!(look(id(0, 0), 9, 2), (2, id(1, 3)));
        assert_eq!(look(id(1, 3), 9, 9), (1, id(2, 0)));
    }

    #[test]
    fn what_fell_out_is_a_gap_and_the_last_that_fell_out_is_not() {
        let mut ring = Ring::new(2);
        (1..=4).for_each(|index| ring.append(index, vec![released("a")]));
        assert_eq!(after(&ring, id(2, 1), ""), (vec![id(3, 1), id(4, 1)], id(5, 0)));
        assert_eq!(ring.knows(id(2, 1)), Known::Here);
        assert!(matches!(ring.after(id(1, 1), &under(""), 9, 9), Taken::Gap(Why::TooOld)));
        assert_eq!(ring.knows(id(2, 0)), Known::Missing(Why::TooOld));
    }

    #[test]
    fn a_snapshot_leaves_nothing_before_it() {
        let mut ring = Ring::new(9);
        ring.append(1, vec![released("a")]);
        ring.restored(7, 0);
        assert_eq!(ring.knows(id(1, 1)), Known::Missing(Why::Snapshot));
        assert_eq!(ring.knows(id(8, 0)), Known::Here);
        ring.append(8, vec![released("a")]);
        assert_eq!(after(&ring, id(8, 0), ""), (vec![id(8, 1)], id(9, 0)));
        assert!(matches!(ring.after(id(7, 5), &under(""), 9, 9), Taken::Gap(Why::Snapshot)));
    }

    #[test]
    fn an_id_that_no_event_had_is_known_as_none() {
        let mut ring = Ring::new(9);
        ring.begin_at(4, 0);
        assert_eq!(ring.knows(id(3, 0)), Known::Missing(Why::TooOld), "before this service");
        ring.append(5, vec![released("a")]);
        assert_eq!(ring.knows(id(5, 1)), Known::Here);
        assert_eq!(ring.knows(id(5, 2)), Known::Missing(Why::UnknownId));
        assert_eq!(ring.knows(id(6, 0)), Known::Here);
        assert_eq!(ring.knows(id(6, 1)), Known::NotYet);
    }

    #[test]
    fn an_id_of_another_table_is_known_as_none_wherever_it_would_lie() {
        let mut ring = Ring::new(9);
        let of = |life, index| EventId { index, position: 0, life };
        assert_eq!(ring.knows(of(7, 5)), Known::NotYet, "it may be of this one");
        ring.begin_at(4, 7);
        ring.append(5, vec![released("a")]);
        assert_eq!(ring.knows(of(7, 5)), Known::Here);
        for (life, index) in [(0, 1), (0, 5), (8, 5), (8, 1_000)] {
            assert_eq!(ring.knows(of(life, index)), Known::Missing(Why::UnknownId), "{life} {index}");
        }
    }
}
