//! The leader of an election: the hold that has a value.
//!
//! Who looks the leader up is told for how long nobody else can be elected. So no end of such a hold, and no shorter lease,
//! lets another one in before what was told last is over: at most `election_reliable_ms` after the end, and never after the
//! end of the lease.

use super::Table;
use crate::domain::ids::{HoldKey, Name, Token};
use crate::domain::locks::Hold;
use crate::domain::time::{Deadline, Timestamp};
use crate::mutants::planted;
use arcstr::ArcStr;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderView {
    pub value: ArcStr,
    pub token: Token,
    /// For so long from now nobody else can be elected.
    pub reliable_for: Duration,
}

impl Table {
    /// The leader of an election at `now`; `None` without one. `entries_from` is a moment before which no entry is stamped
    /// that this table lacks: an entry may end the hold as of then, and be applied after this.
    ///
    /// A hold counts from its grant, also while its node has not confirmed it or its request is lost: its end delays the
    /// next one all the same, the subscribers of events know it, and nobody else can be elected meanwhile, so that to deny it
    /// would say less.
    pub fn leader_view(&self, name: &Name, now: Timestamp, entries_from: Timestamp) -> Option<LeaderView> {
        let hold = self.live_holds(name, now).find(|hold| hold.value().is_some())?;
        let ends = self.end_of(hold, now);
        let relied_on_until = entries_from.after_ms(self.header.limits.election_reliable_ms);
        let until = planted!("stale-leader-answer", ends.min(Some(relied_on_until)) => ends);
        // `entries_from` is of another clock where the leadership of the cluster has just changed.
        let longest = Duration::from_millis(self.header.limits.election_reliable_ms);
        let reliable_for = until.map_or(Duration::ZERO, |until| until.since(now));
        let reliable_for = planted!("stale-leader-answer", reliable_for.min(longest) => reliable_for);
        Some(LeaderView { value: hold.value()?.clone(), token: hold.token, reliable_for })
    }

    /// The tokens of the holds that have not ended at `now`.
    pub fn live_tokens(&self, name: &Name, now: Timestamp) -> Vec<Token> {
        self.live_holds(name, now).map(|hold| hold.token).collect()
    }

    /// Whether the hold with this key is that of a leader; `None` if there is no such hold.
    pub fn is_election(&self, name: &Name, key: HoldKey) -> Option<bool> {
        let hold = self.locks.get(name)?.holds().iter().find(|hold| hold.key == key)?;
        Some(hold.value().is_some())
    }

    pub(super) fn live_holds(&self, name: &Name, now: Timestamp) -> impl Iterator<Item = &Hold> {
        let holds = self.locks.get(name).map_or(&[][..], |lock| lock.holds());
        let is_owned = |hold: &Hold| hold.owner.session().is_none_or(|session| self.sessions.is_live(session));
        holds.iter().filter(move |hold| !hold.deadline.is_past(now) && is_owned(hold))
    }

    /// Before this no lease of a leader may be shortened to end; the beginning of time for any other hold.
    pub(super) fn relied_on_until(&self, name: &Name, token: Token) -> Deadline {
        let hold = self.locks.hold(name, token).filter(|hold| hold.value().is_some());
        let latest = Deadline::at(self.header.now.after_ms(self.header.limits.election_reliable_ms));
        hold.map_or(Deadline::at(Timestamp(0)), |hold| hold.deadline.min(latest))
    }
}
