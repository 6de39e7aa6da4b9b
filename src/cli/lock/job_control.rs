//! Job control, as a shell does it: the signals that this process gets on the command's behalf, and the terminal, which is
//! lent to the command while it runs.

use std::fs::File;
use std::io::IsTerminal;

use nix::sys::signal::{SigSet, Signal as Blockable};
use procfs::process::Process;
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::group::Group;

/// Passed on to the command. SIGCHLD is received too, for the end of the command.
const PASSED_ON: [Signal; 9] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::TSTP,
    Signal::CONT,
];

/// Those that ask a process to end.
const ENDING: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];

pub(super) struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
    /// Whether one of them asked this process to end.
    asked_to_end: bool,
}

impl Signals {
    /// Receives signals from now on. Signals that were ignored already stay ignored, for this process and the command:
    /// that is how `nohup` and shells protect what they start.
    pub fn listen() -> std::io::Result<Signals> {
        // The caller may have blocked it, and then the end of the command would not be noticed.
        SigSet::from(Blockable::SIGCHLD).thread_unblock()?;
        let (send, receive) = mpsc::unbounded_channel();
        // A bit for each signal that this process was started to ignore.
        let ignored = Process::myself().and_then(|process| process.status()).map_or(0, |status| status.sigign);
        let wanted = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal.as_raw() - 1)) == 0);
        for number in wanted.chain([Signal::CHILD]) {
            let mut stream = signal(SignalKind::from_raw(number.as_raw()))?;
            let send = send.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && send.send(number).is_ok() {} });
        }
        // Children that ended before left no signal behind.
        _ = send.send(Signal::CHILD);
        Ok(Signals { received: receive, asked_to_end: false })
    }

    pub async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => {
                self.asked_to_end |= ENDING.contains(&signal);
                signal
            }
            // The senders end with the runtime.
            None => std::future::pending().await,
        }
    }

    pub fn asked_to_end(&self) -> bool {
        self.asked_to_end
    }

    /// The first signal that asks this process to end. Meanwhile it stops when it is asked to.
    pub async fn end(&mut self, group: &mut Group) -> Signal {
        loop {
            match self.next().await {
                signal if ENDING.contains(&signal) => return signal,
                Signal::CHILD => group.reap(),
                Signal::TSTP => stop_the_job(),
                _ => {}
            }
        }
    }
}

/// The controlling terminal, if there is one.
pub(super) struct Terminal {
    tty: Option<File>,
    /// The command has the terminal.
    lent: bool,
}

impl Terminal {
    pub fn open() -> Terminal {
        // This signal would stop a background process that takes the terminal back.
        let is_blocked = SigSet::from(Blockable::SIGTTOU).thread_block().is_ok();
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
