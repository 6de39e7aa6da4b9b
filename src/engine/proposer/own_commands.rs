//! The commands of this process: their numbers, and which of them may have to be sent again.

use crate::domain::{CommandId, Incarnation, Submitted};
use crate::engine::answer::AnswerSender;
use crate::engine::command_queue::Queued;
use crate::engine::table_host::TableHost;
use std::collections::VecDeque;
use std::sync::Arc;

pub struct OwnCommands {
    host: Arc<TableHost>,
    incarnation: Incarnation,
    /// The last number given.
    sequence: u64,
    /// Handed on, outcome not seen, oldest first: own commands, and after a failed proposal also those of others.
    unsettled: VecDeque<Submitted>,
}

impl OwnCommands {
    pub fn new(host: Arc<TableHost>) -> OwnCommands {
        let incarnation = host.requests.incarnation();
        OwnCommands { host, incarnation, sequence: 0, unsettled: VecDeque::new() }
    }

    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Numbers commands, and registers the requests that wait for them.
    pub fn number(&mut self, queued: Vec<Queued>, commands: &mut Vec<Submitted>) {
        if queued.is_empty() {
            return;
        }
        let first = self.next_sequence();
        self.sequence += queued.len() as u64;
        let mut answers: Vec<(u64, AnswerSender)> = Vec::with_capacity(queued.len());
        for (queued, sequence) in queued.into_iter().zip(first..) {
            let id = CommandId { incarnation: self.incarnation, sequence };
            commands.push(Submitted { id, command: queued.command });
            answers.extend(queued.answer.map(|answer| (sequence, answer)));
        }
        self.host.requests.register(first..=self.sequence, answers.into_iter());
    }

    pub fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    pub fn unsettled_count(&self) -> usize {
        self.unsettled.len()
    }

    pub fn take_unsettled(&mut self) -> Vec<Submitted> {
        self.unsettled.drain(..).collect()
    }

    /// Keeps commands whose outcome was not seen, in the place of those that were kept before.
    pub fn keep_unsettled(&mut self, commands: Vec<Submitted>) {
        self.unsettled = commands.into();
        self.forget_settled();
    }

    pub fn add_unsettled(&mut self, commands: Vec<Submitted>) {
        self.unsettled.extend(commands);
    }

    pub fn forget_all(&mut self) {
        self.unsettled.clear();
    }

    /// Other nodes send their commands again to the next leader.
    pub fn forget_those_of_others(&mut self) {
        self.unsettled.retain(|submitted| submitted.id.incarnation == self.incarnation);
    }

    /// Forgets what needs no sending again.
    pub fn forget_settled(&mut self) {
        let settled = self.host.requests.settled();
        let own = self.incarnation;
        while self.unsettled.front().is_some_and(|first| first.id.incarnation == own && first.id.sequence <= settled) {
            self.unsettled.pop_front();
        }
    }

    /// The oldest commands after this number, as many as fit one entry.
    pub fn unsettled_after(&self, sequence: u64, commands_max: usize) -> Vec<Submitted> {
        let unsent = self.unsettled.iter().filter(|submitted| submitted.id.sequence > sequence);
        unsent.take(commands_max).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Applied, Command, Outcome, SessionId};

    fn close(number: u8) -> Queued {
        Queued::new(Command::CloseSession { session: SessionId([number; 16]) }, None, 0, None)
    }

    fn sequences(commands: &[Submitted]) -> Vec<u64> {
        commands.iter().map(|submitted| submitted.id.sequence).collect()
    }

    #[test]
    fn unsettled_commands_are_kept_in_order_until_applied() {
        let host = Arc::new(TableHost::new(Incarnation(7)));
        let mut own = OwnCommands::new(host.clone());
        let mut commands = Vec::new();
        own.number(vec![close(1), close(2), close(3)], &mut commands);
        assert_eq!(sequences(&commands), [1, 2, 3]);
        let second = commands[1].id;
        own.add_unsettled(commands);
        assert_eq!(sequences(&own.unsettled_after(1, 1)), [2]);
        host.requests.answer(&mut Applied { outcomes: vec![(second, Outcome::SessionClosed)], events: Vec::new() });
        own.forget_settled();
        assert_eq!(sequences(&own.take_unsettled()), [3]);
        assert!(!own.has_unsettled());
    }
}
