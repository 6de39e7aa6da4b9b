//! Traced commands that other nodes have forwarded to this one, from their arrival until they are applied here.

use crate::base::clock::process_age;
use crate::base::request_times::{self, ForwardedTimes, TraceParent};
use crate::domain::{CommandId, Submitted};
use crate::engine::command_queue::{EntryTimes, Traced};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// More are not traced here; a command that is lost with a leadership stays until then.
const COMMANDS_MAX: usize = 1024;

#[derive(Default)]
pub struct ForwardedTraces {
    commands: Mutex<BTreeMap<CommandId, Forwarded>>,
    /// So that nobody looks where there are none.
    count: AtomicUsize,
}

struct Forwarded {
    parent: TraceParent,
    began: Duration,
    traced: Traced,
}

impl ForwardedTraces {
    /// A command has arrived. The oldest ones, of processes that have ended or never sent them again, make room.
    pub fn arrived(&self, command: &Submitted, parent: TraceParent) {
        if !request_times::is_on() {
            return;
        }
        let mut commands = self.commands.lock();
        if commands.len() >= COMMANDS_MAX {
            let oldest = commands.iter().min_by_key(|(_, forwarded)| forwarded.began).map(|(id, _)| *id);
            oldest.into_iter().for_each(|id| _ = commands.remove(&id));
        }
        let traced = Traced::forwarded(command.command.name());
        commands.insert(command.id, Forwarded { parent, began: process_age(), traced });
        self.count.store(commands.len(), Ordering::Relaxed);
    }

    /// These go to the log.
    pub fn handed_on(&self, forwarded: &[Submitted]) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut commands = self.commands.lock();
        for submitted in forwarded {
            commands.get_mut(&submitted.id).into_iter().for_each(|forwarded| forwarded.traced.handed_on());
        }
    }

    /// The entry of a command is applied here.
    pub fn applied(&self, id: CommandId, entry: EntryTimes) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let found = {
            let mut commands = self.commands.lock();
            let found = commands.remove(&id);
            self.count.store(commands.len(), Ordering::Relaxed);
            found
        };
        if let Some(Forwarded { parent, began, mut traced }) = found {
            traced.applied(entry);
            request_times::forwarded(ForwardedTimes { parent, began, steps: traced.steps() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::request_times::StepKind;
    use crate::domain::{Command, HoldKey, Incarnation};
    use std::sync::mpsc;

    fn command(sequence: u64) -> Submitted {
        let id = CommandId { incarnation: Incarnation(7), sequence };
        Submitted { id, command: Command::Cancel { name: "deploy".into(), key: HoldKey([7; 16]) } }
    }

    #[test]
    fn forwarded_command_is_told_once_when_it_is_applied_and_lost_ones_make_room() {
        let traces = ForwardedTraces::default();
        let (told, heard) = mpsc::channel();
        let told = Mutex::new(told);
        request_times::switch_on(move |times| drop(told.lock().send(times)));
        for sequence in 0..=COMMANDS_MAX as u64 {
            let span = sequence.to_be_bytes();
            traces.arrived(&command(sequence), TraceParent { trace: [1; 16], span });
        }
        assert_eq!(traces.commands.lock().len(), COMMANDS_MAX);
        traces.handed_on(&[command(5)]);
        let entry = EntryTimes { apply: process_age(), flush: None, commands: 2 };
        (0..2).for_each(|_| traces.applied(command(5).id, entry));
        let times = heard.try_recv().expect("told");
        assert!(heard.try_recv().is_err(), "once");
        let kinds: Vec<_> = times.steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, [StepKind::Queue, StepKind::Apply, StepKind::Commit]);
        assert_eq!((times.parent.span, &times.steps[0].lock), (5_u64.to_be_bytes(), &Some("deploy".into())));
    }
}
