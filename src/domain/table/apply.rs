//! `apply`: the one function that changes the table.

use super::{CommandResult, Effects, Table};
use crate::domain::command::Command;
use crate::domain::entry::{Body, Entry, LeaderStart, Submitted};
use crate::domain::ids::{CommandId, SessionId, Token};
use crate::domain::limits::Feature;
use crate::domain::outcome::{Applied, EndReason, Outcome, StaleEpoch};
use crate::domain::refusal::Refusal;
use crate::mutants::planted;

/// What may expire per entry besides its commands: bounds how long a burst of expiries delays a grant.
const EXPIRIES_PER_ENTRY: u32 = 1024;

/// A later leadership raises tokens only up to here, half of all tokens, or a wrong clock could use them up. As a date
/// it is in the year 2109.
const RAISED_TOKEN_END: u64 = Token::END / 2;

/// 48 bits.
const TABLE_ID_MASK: u64 = (1 << 48) - 1;

impl Table {
    /// Applies an entry at the start of a log. Never panics, whatever the entry says.
    pub fn apply(&mut self, entry: Entry) -> Result<Applied, StaleEpoch> {
        self.apply_at(0, entry)
    }

    /// Applies the log entry at this index.
    pub fn apply_at(&mut self, index: u64, entry: Entry) -> Result<Applied, StaleEpoch> {
        let mut effects = Effects::new(EXPIRIES_PER_ENTRY);
        let outcomes = match entry.body {
            Body::LeaderStart(start) => {
                self.header.now = self.header.now.max(entry.at);
                self.start_leadership(&mut effects, index, start);
                Vec::new()
            }
            Body::Batch { touches, more_touches, commands } => {
                if entry.epoch != self.header.epoch && !planted!("stale-epoch-applied") {
                    return Err(StaleEpoch { found: entry.epoch, expected: self.header.epoch });
                }
                self.header.now = self.header.now.max(entry.at);
                self.touch_sessions(planted!("touches-forgotten", touches => Vec::new()), &commands);
                effects.events.reserve(commands.len());
                self.expire_due(&mut effects, !more_touches);
                let outcomes =
                    commands.into_iter().map(|Submitted { id, command }| (id, self.run(&mut effects, id, command)));
                let outcomes = outcomes.collect();
                self.clear_ended_sessions(&mut effects);
                outcomes
            }
        };
        Ok(Applied { outcomes, events: effects.events, waits: effects.waits })
    }

    fn start_leadership(&mut self, effects: &mut Effects, index: u64, start: LeaderStart) {
        self.header.epoch += 1;
        if self.header.level == 0 {
            self.header.level = start.level;
        }
        if self.header.next_token == 0 {
            self.open(start.first_token, start.incarnation.0);
        } else if self.supports(Feature::RaisedTokens) {
            self.raise_tokens(index, start.first_token);
        }
        self.set_limits(&start.limits);
        self.set_quotas(start.quotas);
        self.set_clock(start.first_token);
        self.header.confirm = start.confirm;
        self.touch_all_sessions();
        // The election vouches for the leader, so it is recorded unchecked.
        self.header.nodes.record(start.node, start.incarnation, start.store, start.level);
        self.drop_requests_of_dead_incarnations(effects);
    }

    /// The first leadership of a new table.
    fn open(&mut self, first_token: u64, random: u64) {
        self.header.next_token = first_token.max(1);
        self.header.event_origin = if self.supports(Feature::EventOrigins) { first_token.min(Token::END) } else { 0 };
        self.header.table_id = if self.supports(Feature::TableIds) { table_id(random) } else { 0 };
    }

    /// The log may have lost its end, and with it tokens and event ids that were issued: they must not be issued again.
    fn raise_tokens(&mut self, index: u64, first_token: u64) {
        if first_token < RAISED_TOKEN_END {
            self.header.next_token = self.header.next_token.max(first_token);
            self.header.event_origin = self.header.event_origin.max(first_token.saturating_sub(index));
        }
    }

    /// Every session that the entry names was in use: touched before anything is judged to be due.
    fn touch_sessions(&mut self, touches: Vec<SessionId>, commands: &[Submitted]) {
        let in_commands = commands.iter().filter_map(|submitted| submitted.command.session());
        touches.into_iter().chain(in_commands).for_each(|id| self.sessions.touch(id, self.header.now));
    }

    /// What was used since the last entry is lost with the old leader, so every idle time restarts.
    fn touch_all_sessions(&mut self) {
        self.sessions.live_ids().into_iter().for_each(|id| self.sessions.touch(id, self.header.now));
    }

    fn run(&mut self, effects: &mut Effects, id: CommandId, command: Command) -> Outcome {
        if let Err(outcome) = self.header.nodes.admit(id) {
            return outcome;
        }
        self.run_admitted(effects, id, command).unwrap_or_else(Outcome::Refused)
    }

    fn run_admitted(&mut self, effects: &mut Effects, id: CommandId, mut command: Command) -> CommandResult {
        if !self.records_callers() {
            command.forget_caller();
        }
        self.check_supported(&command)?;
        if let Some(session) = command.session()
            && !self.sessions.is_live(session)
        {
            return Err(Refusal::SessionUnknown);
        }
        if let Some(name) = command.name() {
            self.expire_lock(effects, &name.clone());
        }
        command.other_names().for_each(|name| self.expire_lock(effects, name));
        match command {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key, caller } => {
                self.open_session(session, idle_timeout_ms, idempotency_key, caller)
            }
            Command::CloseSession { session, force } => self.close_session(effects, session, force),
            Command::Acquire(acquire) => self.acquire(effects, id, *acquire),
            Command::Release { name, proof, .. } => self.release(effects, &name, &proof, EndReason::Released),
            Command::Renew { name, proof, lease_ms, .. } => self.renew(&name, &proof, lease_ms),
            Command::Cancel { name, key } => Ok(self.cancel(effects, &name, key)),
            Command::ForceRelease { name, key, force } => self.force_release(effects, &name, key, force),
            Command::ConfirmDelivery { name, key } => self.confirm_delivery(&name, key),
            Command::CancelWait { name, label } => self.cancel_wait(effects, &name, &label),
            Command::NodeUp { node, incarnation, store, level } => {
                self.node_up(effects, node, incarnation, store, level)
            }
            Command::NodeDown { node, incarnation } => {
                let known = self.header.nodes.set_down(node, incarnation);
                self.node_lost(effects, known)
            }
            Command::ForgetNode { node } => {
                let known = self.header.nodes.forget(node);
                self.node_lost(effects, known)
            }
            Command::RaiseLevel { level, limits, quotas } => self.raise_level(level, limits.as_deref(), quotas),
            Command::Downgrade { name, key, .. } => self.downgrade(effects, &name, key),
            Command::Upgrade(upgrade) => self.upgrade(effects, id, &upgrade),
            Command::Transfer { name, key, to, new_key, .. } => self.transfer(effects, &name, key, to, new_key),
            Command::Resize { name, size } => self.resize(effects, &name, size),
            Command::SetValue { name, key, value, .. } => self.set_value(effects, &name, key, value),
            Command::RaiseMark { resource, token, caller } => self.raise_mark(resource, token, caller),
            Command::Freeze(order) => self.freeze_target(effects, *order),
            Command::Thaw { target } => self.thaw(effects, &target),
        }
    }
}

impl Table {
    /// Refuses what needs a higher feature level.
    pub fn check_supported(&self, command: &Command) -> Result<(), Refusal> {
        command.needed_feature().map_or(Ok(()), |feature| self.check_has(feature))
    }

    /// Refuses what needs this feature, where the level is lower.
    pub fn check_has(&self, feature: Feature) -> Result<(), Refusal> {
        if self.supports(feature) {
            return Ok(());
        }
        let level = feature as u32;
        let lacking = self.header.nodes.all().iter().find(|(_, record)| record.level < level);
        Err(Refusal::NotYet { level, node: lacking.map(|(node, _)| *node) })
    }
}

/// Made from a random number, of which not all bits are published.
pub(super) fn table_id(random: u64) -> u64 {
    (random & TABLE_ID_MASK).max(1)
}
