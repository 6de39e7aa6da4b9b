//! The process group of the command and everything it starts. This process also reaps the orphans that it inherits.

use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigSet, SigmaskHow};
use procfs::process::{Stat, all_processes};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, test_kill_process_group, wait,
};

use super::super::exit;
use super::children::SEPARATOR;

/// The command's group; its leader is the command itself.
pub(super) struct Group {
    leader: Pid,
    /// The leader waits at its other end.
    pipe: Option<PipeWriter>,
    change: Option<Change>,
}

/// A change of the command's state.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// With this exit code.
    Ended(u8),
    /// By this signal; it may be continued.
    Stopped(Signal),
}

/// The processes of the group that still live, by number and name.
pub(super) enum Remaining {
    None,
    /// This user may signal them.
    Ours(Vec<String>),
    /// This user may signal none of them.
    Untouchable(Vec<String>),
}

impl Group {
    /// Starts the process that becomes the command when the lock is held. Call it first, because it inherits the signal
    /// mask and dispositions, and on the main thread: the parent-death signal comes when the calling thread ends.
    pub fn prepare(command: &[OsString]) -> io::Result<Group> {
        let (theirs, ours) = io::pipe()?;
        fcntl_setfd(&theirs, FdFlags::empty())?;
        let mut launcher = Command::new("/proc/self/exe");
        launcher.arg("exec-child").arg("--parent").arg(getpid().as_raw_nonzero().to_string());
        launcher.arg("--pipe").arg(theirs.as_raw_fd().to_string()).arg("--").args(command);
        // The standard library cannot wait for stopped children.
        let child = launcher.process_group(0).spawn()?;
        Ok(Group { leader: Pid::from_child(&child), pipe: Some(ours), change: None })
    }

    /// The same for a further command, with the signal mask that the first one inherited.
    pub fn prepare_again(command: &[OsString], inherited: &SigSet) -> io::Result<Group> {
        let own = inherited.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let group = Group::prepare(command);
        own.thread_set_mask()?;
        group
    }

    /// Starts the command with these variables.
    pub fn begin(&mut self, variables: &[(&str, String)]) -> io::Result<()> {
        let mut text = Vec::new();
        for (name, value) in variables {
            text.extend_from_slice(format!("{name}={value}").as_bytes());
            text.push(SEPARATOR);
        }
        self.pipe.take().map_or(Ok(()), |mut pipe| pipe.write_all(&text))
    }

    pub fn id(&self) -> Pid {
        self.leader
    }

    /// Whether this user may signal the group; `true` if it has no process left.
    pub fn signal(&self, signal: Signal) -> bool {
        kill_process_group(self.leader, signal) != Err(Errno::PERM)
    }

    pub fn remaining(&self) -> Remaining {
        let reach = test_kill_process_group(self.leader);
        if reach == Err(Errno::SRCH) {
            return Remaining::None;
        }
        let (visible, living) = members(self.leader);
        match (reach, living.is_empty()) {
            // The group exists, but its processes are hidden from this user.
            (Err(_), true) if visible == 0 => Remaining::Untouchable(living),
            (_, true) => Remaining::None,
            (Ok(()), false) => Remaining::Ours(living),
            (Err(_), false) => Remaining::Untouchable(living),
        }
    }

    /// Reaps every child, with inherited orphans. Called at each SIGCHLD.
    pub fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            if pid == self.leader {
                self.change = change(status).or(self.change);
            }
        }
    }

    /// The change of the command's state since the last call.
    pub fn change(&mut self) -> Option<Change> {
        self.reap();
        self.change.take()
    }
}

fn change(status: WaitStatus) -> Option<Change> {
    if let Some(signal) = status.stopping_signal() {
        return Signal::from_named_raw(signal).map(Change::Stopped);
    }
    let low_byte = |number: i32| (number & 0xff) as u8;
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Some(Change::Ended(low_byte(code))),
        (None, Some(signal)) => Some(Change::Ended(exit::SIGNAL.saturating_add(low_byte(signal)))),
        (None, None) => None,
    }
}

/// The number of visible processes of the group, with zombies, and the numbers and names of those that live.
fn members(group: Pid) -> (usize, Vec<String>) {
    let processes = all_processes().into_iter().flatten().flatten();
    // A process may end at any time.
    let stats = processes.filter_map(|process| process.stat().ok());
    let visible: Vec<Stat> = stats.filter(|stat| stat.pgrp == group.as_raw_nonzero().get()).collect();
    let living = visible.iter().filter(|stat| !matches!(stat.state, 'Z' | 'X'));
    (visible.len(), living.map(|stat| format!("{} ({})", stat.pid, stat.comm)).collect())
}

#[cfg(test)]
mod tests {
    use procfs::FromRead as _;

    use super::*;

    #[test]
    fn process_name_may_contain_spaces_and_parentheses() {
        let line = format!("77 (a) Z 1 (b) S 1 4711 77 0 -1 4194560{}", " 0".repeat(43));
        let stat = Stat::from_read(line.as_bytes()).expect("a line of /proc/PID/stat");
        assert_eq!((stat.comm.as_str(), stat.state, stat.pgrp), ("a) Z 1 (b", 'S', 4711));
    }
}
