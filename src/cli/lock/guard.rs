//! A process that kills the command's whole group when `latchd lock` itself is killed. The kernel's parent-death signal
//! reaches only the command, so its children would go on without the lock.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};

use super::super::Failure;

/// The line that dismisses the guard.
const DONE: &str = "done";

/// Started by `latchd lock`, which writes to its stdin.
#[derive(Debug, Args)]
pub struct GuardChild {}

impl GuardChild {
    /// Reads the group's number, then waits for [`DONE`] or the end of the pipe.
    pub fn run(self) -> Result<u8, Failure> {
        let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
        let group = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        if let Some(group) = group
            && lines.next().as_deref() != Some(DONE)
        {
            // Fails only if the group is gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
        Ok(0)
    }
}

/// The guard's process, and the other end of its pipe.
pub(super) struct Guard(Child);

impl Guard {
    /// Starts it in a group of its own, so that no signal of the terminal ends it, and with no output open.
    pub fn start() -> std::io::Result<Guard> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("guard-child").process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Guard)
    }

    pub fn watch(&mut self, group: Pid) -> std::io::Result<()> {
        self.write_line(&group.as_raw_nonzero().to_string())
    }

    /// Ends the guard when the group has ended, or may go on without the lock.
    pub fn dismiss(mut self) {
        // Both fail only if the guard is gone.
        let _ = self.write_line(DONE);
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }

    fn write_line(&mut self, word: &str) -> std::io::Result<()> {
        match &mut self.0.stdin {
            Some(pipe) => writeln!(pipe, "{word}"),
            None => Ok(()),
        }
    }
}
