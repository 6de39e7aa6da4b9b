//! Who may read from the terminal: the command while it runs, as if the shell had started it.

use std::fs::File;
use std::io::IsTerminal;

use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::group::Group;

/// The controlling terminal, if there is one.
pub(super) struct Terminal {
    tty: Option<File>,
    /// The command has been given the terminal.
    lent: bool,
}

impl Terminal {
    pub fn open() -> Terminal {
        // Whoever takes the terminal back from the background would be stopped by this signal.
        let mut stops = SigSet::empty();
        stops.add(Blockable::SIGTTOU);
        let is_blocked = stops.thread_block().is_ok();
        Terminal { tty: tty().filter(|_| is_blocked), lent: false }
    }

    /// Gives the terminal to a command that was started to talk with somebody. One that only writes to it does not
    /// need it, and the rest of a pipeline may.
    pub fn lend_to_the_interactive(&mut self, group: &Group) {
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            self.lend(group);
        }
    }

    /// The command was stopped. `true`: it may go on, because it asked for the terminal and has it now.
    pub fn serves(&mut self, group: &Group, stopped_by: Signal) -> bool {
        [Signal::TTIN, Signal::TTOU].contains(&stopped_by) && self.lend(group)
    }

    /// This process was continued: by `fg` it is in the foreground again, and the command is to be.
    pub fn resume(&mut self, group: &Group) {
        if self.lent {
            self.lend(group);
        }
    }

    /// The command has ended: what comes after it in a script may want to read.
    pub fn take_back(&mut self, group: &Group) {
        if self.lent && self.foreground() == Some(group.id()) {
            self.give(getpgrp());
        }
        self.lent = false;
    }

    fn lend(&mut self, group: &Group) -> bool {
        let is_ours = [Some(getpgrp()), Some(group.id())].contains(&self.foreground());
        let lent = is_ours && self.give(group.id());
        self.lent |= lent;
        lent
    }

    fn give(&self, to: Pid) -> bool {
        self.tty.as_ref().is_some_and(|tty| tcsetpgrp(tty, to).is_ok())
    }

    fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(self.tty.as_ref()?).ok()
    }
}

/// Job control has put the command aside. Stops this process and all else of its job, so that the shell which started
/// them takes notice; returns when they are continued. Without a terminal there is no such shell, and the lock is kept.
pub(super) fn stop_the_job() {
    if tty().is_some() {
        // A process may always signal its own group.
        let _ = kill_process_group(getpgrp(), Signal::STOP);
    }
}

fn tty() -> Option<File> {
    File::options().read(true).write(true).open("/dev/tty").ok()
}
