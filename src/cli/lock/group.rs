//! The command and all that it starts: one process group, whose end is looked after, and that of every orphan which
//! this process inherits.

use std::ffi::OsString;
use std::io::{self, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, test_kill_process_group, wait,
};

use super::super::code;
use super::exec::SEPARATOR;
use super::members::{self, Member};

/// The command's group; its leader is the command itself.
pub(super) struct Group {
    leader: Pid,
    /// Where the leader waits for the lock.
    pipe: Option<PipeWriter>,
    change: Option<Change>,
}

/// What became of the command.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// With this exit code.
    Ended(u8),
    /// By this signal; it may be continued.
    Stopped(Signal),
}

/// What is left of the group once its end was asked for.
pub(super) enum Rest {
    Nobody,
    /// They can be signalled.
    Ours(Vec<Member>),
    /// None of them takes a signal of this user.
    Untouchable(Vec<Member>),
}

impl Group {
    /// Starts what becomes the command when the lock is held. Must be called on the process's first thread: the
    /// parent-death signal comes when the thread ends that started the child. Must be called first: signal mask and
    /// dispositions are inherited as they are.
    pub fn prepare(command: &[OsString]) -> io::Result<Group> {
        let (theirs, ours) = io::pipe()?;
        fcntl_setfd(&theirs, FdFlags::empty())?;
        let mut launcher = Command::new("/proc/self/exe");
        launcher.arg("exec-child").arg("--parent").arg(getpid().as_raw_nonzero().to_string());
        launcher.arg("--pipe").arg(theirs.as_raw_fd().to_string()).arg("--").args(command);
        // Not waited for through the standard library, which knows no stopped children.
        let child = launcher.process_group(0).spawn()?;
        Ok(Group { leader: Pid::from_child(&child), pipe: Some(ours), change: None })
    }

    /// Lets the command begin, with these variables.
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

    /// Whether anybody was there to be signalled whom this user may signal; nobody left is as good.
    pub fn signal(&self, signal: Signal) -> bool {
        kill_process_group(self.leader, signal) != Err(Errno::PERM)
    }

    /// Which of its processes live; zombies do not.
    pub fn rest(&self) -> Rest {
        let reach = test_kill_process_group(self.leader);
        if reach == Err(Errno::SRCH) {
            return Rest::Nobody;
        }
        let (members, living) = members::of(self.leader);
        match (reach, living.is_empty()) {
            // Of those whom nobody may see it is known only that they are there.
            (Err(_), true) if members == 0 => Rest::Untouchable(living),
            (_, true) => Rest::Nobody,
            (Ok(()), false) => Rest::Ours(living),
            (Err(_), false) => Rest::Untouchable(living),
        }
    }

    /// Fetches the end of every child, of orphans too, which nobody else would. Asked at each SIGCHLD.
    pub fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            if pid == self.leader {
                self.change = change(status).or(self.change);
            }
        }
    }

    /// What became of the command since this was asked last.
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
        (None, Some(signal)) => Some(Change::Ended(code::SIGNAL.saturating_add(low_byte(signal)))),
        (None, None) => None,
    }
}
