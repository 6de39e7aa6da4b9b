//! The last events, in order. Pure: no lock and no waiting.

use super::event::{EventFilter, EventId, LockEvent, PublishedEvent};
use crate::domain::Event;
use crate::mutants::planted;
use std::collections::VecDeque;

/// What the values of leaders may take: the oldest events go sooner where values are long and change often.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// Leaderships whose ids are told from those that were lost before them.
const JUMPS_MAX: usize = 64;

pub struct Ring {
    events: VecDeque<PublishedEvent>,
    max: usize,
    value_bytes: usize,
    /// Every event after this id and up to `end` is kept.
    floor: EventId,
    end: EventId,
    /// Where a leadership has moved the indexes up: no id lies after the first and before the second. One that a reader has is
    /// of entries that the log has lost.
    jumps: VecDeque<(EventId, EventId)>,
    /// After the last snapshot that replaced the table.
    restored: EventId,
    /// The id of the table; 0 before it is opened.
    table_id: u64,
}

/// Why a subscriber cannot get all events after its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GapReason {
    /// It is older than what is kept.
    TooOld,
    /// A snapshot has replaced this node's table, and holds no events.
    Snapshot,
    /// No event of this service has this id.
    UnknownId,
}

/// What follows an id: the next events that pass the filter, and the id up to which the ring was searched, the same again
/// if there is nothing new. Or events after the id are gone.
pub type RingRead = Result<(Vec<PublishedEvent>, EventId), GapReason>;

/// Whether a subscriber can continue after an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdStatus {
    Kept,
    /// After everything that was applied on this node.
    NotApplied,
    Missing(GapReason),
}

impl Ring {
    pub fn new(max: usize) -> Ring {
        let begin = EventId::default();
        Ring {
            events: VecDeque::with_capacity(max),
            max: max.max(1),
            value_bytes: 0,
            floor: begin,
            end: begin,
            jumps: VecDeque::new(),
            restored: begin,
            table_id: 0,
        }
    }

    /// The table has this id, and its entries begin at this index.
    pub fn begin_at(&mut self, index: u64, table_id: u64) {
        self.table_id = table_id;
        let begin = EventId { index, position: 0, table_id };
        (self.floor, self.end) = (self.floor.max(begin), self.end.max(begin));
    }

    pub fn append(&mut self, index: u64, events: Vec<Event>) {
        if index > self.end.index {
            self.note_jump(EventId { index, position: 0, table_id: self.table_id });
        }
        let published = events.into_iter().filter_map(LockEvent::of);
        for (position, event) in (1..).zip(published) {
            self.value_bytes += event.value_bytes();
            while (self.events.len() >= self.max || self.value_bytes > VALUE_BYTES_MAX)
                && let Some(oldest) = self.events.pop_front()
            {
                self.floor = oldest.id;
                self.value_bytes -= oldest.event.value_bytes();
            }
            self.events.push_back(PublishedEvent { id: EventId { index, position, table_id: self.table_id }, event });
        }
        self.end = EventId::after_entry(index, self.table_id);
    }

    fn note_jump(&mut self, to: EventId) {
        self.jumps.push_back((self.end, to));
        if self.jumps.len() > JUMPS_MAX
            && let Some((_, oldest)) = self.jumps.pop_front()
        {
            self.floor = self.floor.max(oldest);
        }
    }

    /// A snapshot as of the entry at this index has replaced the table: earlier events were not seen.
    pub fn restored(&mut self, index: u64, table_id: u64) {
        self.table_id = table_id;
        self.events.clear();
        self.value_bytes = 0;
        self.jumps.clear();
        self.end = EventId::after_entry(index, table_id);
        (self.floor, self.restored) = (self.end, self.end);
    }

    /// Whether a subscriber can continue after an id that it may have from another node.
    pub fn status_of(&self, id: EventId) -> IdStatus {
        if id.table_id != self.table_id {
            // A node that has applied nothing does not know the id of its table yet.
            return if self.end.index == 0 { IdStatus::NotApplied } else { IdStatus::Missing(GapReason::UnknownId) };
        }
        if let Err(why) = self.check_kept(id) {
            return IdStatus::Missing(why);
        }
        if id > self.end {
            return IdStatus::NotApplied;
        }
        let is_event = || self.events.binary_search_by_key(&id, |event| event.id).is_ok();
        let was_lost = || self.jumps.iter().any(|(from, to)| (*from < id) && (id < *to));
        let is_known = id == self.floor || if id.position == 0 { !was_lost() } else { is_event() };
        if is_known { IdStatus::Kept } else { IdStatus::Missing(GapReason::UnknownId) }
    }

    /// What follows an id: looks at most at `scan_max` events and takes at most `take_max`.
    pub fn after(&self, id: EventId, filter: &EventFilter, scan_max: usize, take_max: usize) -> RingRead {
        self.check_kept(id)?;
        let start = self.events.partition_point(|event| event.id <= id);
        let mut seen = self.events.range(start..).take(scan_max);
        let (mut taken, mut last) = (Vec::new(), id);
        for event in seen.by_ref() {
            last = event.id;
            if filter.matches(&event.event) {
                taken.push(event.clone());
                if taken.len() >= take_max {
                    break;
                }
            }
        }
        let all = self.events.back().is_none_or(|newest| newest.id <= last);
        Ok((taken, if all { last.max(self.end) } else { last }))
    }

    /// The newest events before an id, or of all, that are wanted: looks at most at `scan_max` and takes at most `take_max`,
    /// the newest first. And the id up to which it has not looked, if there is any.
    pub fn newest(
        &self,
        before: Option<EventId>,
        is_wanted: &dyn Fn(&LockEvent) -> bool,
        scan_max: usize,
        take_max: usize,
    ) -> (Vec<PublishedEvent>, Option<EventId>) {
        let end = before.map_or(self.events.len(), |before| self.events.partition_point(|event| event.id < before));
        let (mut taken, mut seen) = (Vec::new(), end);
        while seen > 0 && end - seen < scan_max && taken.len() < take_max {
            seen -= 1;
            taken.extend(self.events.get(seen).filter(|event| is_wanted(&event.event)).cloned());
        }
        (taken, self.events.get(seen).filter(|_| seen > 0).map(|event| event.id))
    }

    fn check_kept(&self, id: EventId) -> Result<(), GapReason> {
        match id {
            id if id >= self.floor || planted!("gap-hidden") => Ok(()),
            id if id < self.restored => Err(GapReason::Snapshot),
            _ => Err(GapReason::TooOld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::NameFilter;
    use super::*;
    use crate::domain::Dialect;
    use crate::engine::test_node;

    fn released(name: &str) -> Event {
        test_node::released(name, 1, Dialect::DoubleDutch)
    }

    fn id(index: u64, position: u32) -> EventId {
        EventId { index, position, table_id: 0 }
    }

    fn under(prefix: &str) -> EventFilter {
        EventFilter { names: NameFilter::Under(vec![prefix.to_owned()]), sessions: false }
    }

    fn after(ring: &Ring, id: EventId, prefix: &str) -> (Vec<EventId>, EventId) {
        let (events, next) = ring.after(id, &under(prefix), 100, 100).expect("no gap");
        (events.into_iter().map(|event| event.id).collect(), next)
    }

    #[test]
    fn positions_count_the_published_events_of_an_entry() {
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
    fn read_is_bounded_and_continues_where_it_ended() {
        let mut ring = Ring::new(10);
        ring.append(1, vec![released("a"), released("b"), released("a"), released("a")]);
        let look = |id, scan, take| {
            let (events, next) = ring.after(id, &under("a"), scan, take).expect("no gap");
            (events.len(), next)
        };
        assert_eq!(look(id(0, 0), 2, 9), (1, id(1, 2)));
        assert_eq!(look(id(1, 1), 1, 9), (0, id(1, 2)), "nothing matches, but it was passed");
        assert_eq!(look(id(0, 0), 9, 2), (2, id(1, 3)));
        assert_eq!(look(id(1, 3), 9, 9), (1, id(2, 0)));
    }

    #[test]
    fn dropped_events_are_a_gap_except_after_the_last_one() {
        let mut ring = Ring::new(2);
        (1..=4).for_each(|index| ring.append(index, vec![released("a")]));
        assert_eq!(after(&ring, id(2, 1), ""), (vec![id(3, 1), id(4, 1)], id(5, 0)));
        assert_eq!(ring.status_of(id(2, 1)), IdStatus::Kept);
        assert_eq!(ring.after(id(1, 1), &under(""), 9, 9), Err(GapReason::TooOld));
        assert_eq!(ring.status_of(id(2, 0)), IdStatus::Missing(GapReason::TooOld));
    }

    /// Long values cost the oldest events their places, and their readers get a gap.
    #[test]
    fn values_of_leaders_have_a_bound_of_their_own() {
        let mut ring = Ring::new(1_000);
        let value = arcstr::ArcStr::from("x".repeat(VALUE_BYTES_MAX / 4));
        let changed = || {
            let (name, token, session) = ("a".into(), crate::domain::Token(1), None);
            Event::ValueChanged { name, token, value: value.clone(), session, dialect: Dialect::LdlmRest }
        };
        ring.append(1, vec![released("a")]);
        (2..=5).for_each(|index| ring.append(index, vec![changed()]));
        assert_eq!(after(&ring, id(0, 0), "").0.len(), 5);
        ring.append(6, vec![changed()]);
        assert_eq!(ring.status_of(id(1, 1)), IdStatus::Missing(GapReason::TooOld));
        assert_eq!(after(&ring, id(2, 1), "").0, [3, 4, 5, 6].map(|index| id(index, 1)));
        (7..20).for_each(|index| ring.append(index, vec![released("a")]));
        assert_eq!(after(&ring, id(2, 1), "").0.len(), 17, "only values are bounded");
    }

    #[test]
    fn snapshot_leaves_no_events_before_it() {
        let mut ring = Ring::new(9);
        ring.append(1, vec![released("a")]);
        ring.restored(7, 0);
        assert_eq!(ring.status_of(id(1, 1)), IdStatus::Missing(GapReason::Snapshot));
        assert_eq!(ring.status_of(id(8, 0)), IdStatus::Kept);
        ring.append(8, vec![released("a")]);
        assert_eq!(after(&ring, id(8, 0), ""), (vec![id(8, 1)], id(9, 0)));
        assert_eq!(ring.after(id(7, 5), &under(""), 9, 9), Err(GapReason::Snapshot));
    }

    #[test]
    fn id_that_no_event_has_is_unknown() {
        let mut ring = Ring::new(9);
        ring.begin_at(4, 0);
        assert_eq!(ring.status_of(id(3, 0)), IdStatus::Missing(GapReason::TooOld), "before this service");
        ring.append(5, vec![released("a")]);
        assert_eq!(ring.status_of(id(5, 1)), IdStatus::Kept);
        assert_eq!(ring.status_of(id(5, 2)), IdStatus::Missing(GapReason::UnknownId));
        assert_eq!(ring.status_of(id(6, 0)), IdStatus::Kept);
        assert_eq!(ring.status_of(id(6, 1)), IdStatus::NotApplied);
    }

    /// The place of a reader between two entries that the log has lost since.
    #[test]
    fn place_between_two_leaderships_is_unknown() {
        let mut ring = Ring::new(9);
        ring.begin_at(4, 0);
        ring.append(4, vec![released("a")]);
        ring.append(100, vec![released("a")]);
        for kept in [id(4, 0), id(4, 1), id(5, 0), id(100, 0), id(100, 1), id(101, 0)] {
            assert_eq!(ring.status_of(kept), IdStatus::Kept, "{kept}");
        }
        for lost in [id(6, 0), id(7, 3), id(99, 0)] {
            assert_eq!(ring.status_of(lost), IdStatus::Missing(GapReason::UnknownId), "{lost}");
        }
        (2..100).for_each(|leadership| ring.append(100 * leadership, Vec::new()));
        assert_eq!(ring.status_of(id(9_850, 0)), IdStatus::Missing(GapReason::UnknownId));
        assert_eq!(
            ring.status_of(id(101, 0)),
            IdStatus::Missing(GapReason::TooOld),
            "those of old leaderships are not told apart"
        );
    }

    #[test]
    fn id_of_another_table_is_unknown_at_any_index() {
        let mut ring = Ring::new(9);
        let of = |table_id, index| EventId { index, position: 0, table_id };
        assert_eq!(ring.status_of(of(7, 5)), IdStatus::NotApplied, "it may be of this one");
        ring.begin_at(4, 7);
        ring.append(5, vec![released("a")]);
        assert_eq!(ring.status_of(of(7, 5)), IdStatus::Kept);
        for (table_id, index) in [(0, 1), (0, 5), (8, 5), (8, 1_000)] {
            assert_eq!(
                ring.status_of(of(table_id, index)),
                IdStatus::Missing(GapReason::UnknownId),
                "{table_id} {index}"
            );
        }
    }
}
