//! Lends the terminal to the command while it runs, as a shell does.

use std::fs::File;
use std::io::IsTerminal;

use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::group::Group;

/// The controlling terminal, if there is one.
pub(super) struct Terminal {
    tty: Option<File>,
    /// The command has the terminal.
    lent: bool,
}

impl Terminal {
    pub fn open() -> Terminal {
        // This signal would stop a background process that takes the terminal back.
        let mut stops = SigSet::empty();
        stops.add(Blockable::SIGTTOU);
        let is_blocked = stops.thread_block().is_ok();
        Terminal { tty: tty().filter(|_| is_blocked), lent: false }
    }

    /// Lends the terminal to an interactive command. One that only writes does not need it, and the rest of a pipeline may.
    pub fn lend_if_interactive(&mut self, group: &Group) {
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            self.lend(group);
        }
    }

    /// Lends the terminal to a command that was stopped because it wanted it; whether the command may go on.
    pub fn serves(&mut self, group: &Group, stopped_by: Signal) -> bool {
        [Signal::TTIN, Signal::TTOU].contains(&stopped_by) && self.lend(group)
    }

    /// Lends the terminal again after this process was continued, which `fg` does in the foreground.
    pub fn resume(&mut self, group: &Group) {
        if self.lent {
            self.lend(group);
        }
    }

    /// Takes the terminal back from a command that has ended, for the rest of a script.
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

/// Stops this process and its job, so that the shell notices that job control stopped the command; returns when they are
/// continued. Without a terminal there is no such shell, and the process goes on.
pub(super) fn stop_the_job() {
    if tty().is_some() {
        // A process may always signal its own group.
        let _ = kill_process_group(getpgrp(), Signal::STOP);
    }
}

fn tty() -> Option<File> {
    File::options().read(true).write(true).open("/dev/tty").ok()
}
