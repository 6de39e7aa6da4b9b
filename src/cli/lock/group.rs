//! The command and all that it starts: one process group.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, test_kill_process_group, waitpid};

use super::code;
use crate::client::Hold;

/// The command's group; its leader is the command itself.
pub(super) struct Group {
    leader: Pid,
}

/// What became of the command.
pub(super) enum Change {
    /// With this exit code.
    Ended(u8),
    /// By this signal; it may be continued.
    Stopped(Signal),
}

impl Group {
    /// Starts the command. Must be called on the process's first thread: the parent-death signal comes when the thread
    /// ends that started the child.
    pub fn start(command: &[OsString], hold: &Hold) -> std::io::Result<Group> {
        let mut launcher = Command::new("/proc/self/exe");
        launcher.arg("exec-child").arg("--parent").arg(getpid().as_raw_nonzero().to_string()).arg("--").args(command);
        launcher.env("LATCHD_LOCK_NAME", &hold.name).env("LATCHD_LOCK_KEY", &hold.key);
        launcher.env("LATCHD_FENCING_TOKEN", hold.fencing_token.to_string());
        // Not waited for through the standard library, which knows no stopped children.
        let child = launcher.process_group(0).spawn()?;
        Ok(Group { leader: Pid::from_child(&child) })
    }

    pub fn id(&self) -> Pid {
        self.leader
    }

    pub fn signal(&self, signal: Signal) {
        // Fails when nobody is left, and then nobody has to be told.
        let _ = kill_process_group(self.leader, signal);
    }

    /// Whether any of its processes lives; asked after the command has ended.
    pub fn lives(&self) -> bool {
        test_kill_process_group(self.leader).is_ok()
    }

    /// What became of the command since this was asked last.
    pub fn change(&self) -> Option<Change> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        let (_, status) = waitpid(Some(self.leader), options).ok()??;
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
}
