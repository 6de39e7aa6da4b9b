//! Numbers the commands of this process, and keeps those that may have to be sent again: handed on, outcome not seen.

use crate::domain::{CommandId, Incarnation, Submitted};
use crate::engine::command_queue::{AnswerSender, Queued};
use crate::engine::table_host::TableHost;
use std::collections::VecDeque;
use std::sync::Arc;

pub struct UnsettledCommands {
    host: Arc<TableHost>,
    /// The number of the last own command.
    sequence: u64,
    /// Oldest first: own commands, and after a failed proposal also those that other nodes forwarded.
    pub commands: VecDeque<Submitted>,
}

impl UnsettledCommands {
    pub fn new(host: Arc<TableHost>) -> UnsettledCommands {
        UnsettledCommands { host, sequence: 0, commands: VecDeque::new() }
    }

    pub fn incarnation(&self) -> Incarnation {
        self.host.requests.incarnation()
    }

    pub fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// Numbers commands, and registers the requests that wait for them.
    pub fn number(&mut self, queued: Vec<Queued>, commands: &mut Vec<Submitted>) {
        if queued.is_empty() {
            return;
        }
        let (incarnation, first) = (self.incarnation(), self.next_sequence());
        self.sequence += queued.len() as u64;
        let mut answers: Vec<(u64, AnswerSender)> = Vec::with_capacity(queued.len());
        for (queued, sequence) in queued.into_iter().zip(first..) {
            let id = CommandId { incarnation, sequence };
            commands.push(Submitted { id, command: queued.command });
            answers.extend(queued.answer.map(|answer| (sequence, answer)));
        }
        self.host.requests.register(first..=self.sequence, answers.into_iter());
    }

    /// Other nodes send their commands again to the next leader.
    pub fn forget_those_of_others(&mut self) {
        let own = self.incarnation();
        self.commands.retain(|submitted| submitted.id.incarnation == own);
    }

    /// Forgets what needs no sending again.
    pub fn forget_settled(&mut self) {
        let (own, settled) = (self.incarnation(), self.host.requests.settled());
        while self.commands.front().is_some_and(|first| first.id.incarnation == own && first.id.sequence <= settled) {
            self.commands.pop_front();
        }
    }

    /// The oldest commands after this number, as many as fit one entry.
    pub fn after(&self, sequence: u64, commands_max: usize) -> Vec<Submitted> {
        let unsent = self.commands.iter().filter(|submitted| submitted.id.sequence > sequence);
        unsent.take(commands_max).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Applied, Command, Outcome, SessionId};

    fn close(number: u8) -> Queued {
        Queued::new(Command::CloseSession { session: SessionId([number; 16]), force: None }, None, 0, None)
    }

    fn sequences(commands: &[Submitted]) -> Vec<u64> {
        commands.iter().map(|submitted| submitted.id.sequence).collect()
    }

    #[test]
    fn unsettled_commands_are_kept_in_order_until_applied() {
        let host = Arc::new(TableHost::new(Incarnation(7)));
        let mut unsettled = UnsettledCommands::new(host.clone());
        let mut commands = Vec::new();
        unsettled.number(vec![close(1), close(2), close(3)], &mut commands);
        assert_eq!(sequences(&commands), [1, 2, 3]);
        let second = commands[1].id;
        unsettled.commands.extend(commands);
        assert_eq!(sequences(&unsettled.after(1, 1)), [2]);
        host.requests
            .answer(&mut Applied { outcomes: vec![(second, Outcome::SessionClosed)], ..Applied::default() }, None);
        unsettled.forget_settled();
        assert_eq!(sequences(unsettled.commands.make_contiguous()), [3]);
    }
}
