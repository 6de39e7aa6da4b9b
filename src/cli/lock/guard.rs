//! A process beside the command that kills its whole group when `latchd lock` itself is killed.
//!
//! The kernel's parent-death signal reaches the command only, not what the command has started, and those would go on
//! without the lock.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};

use super::super::Failure;

/// The word that ends the guard's duty.
const DONE: &str = "done";

/// Not for people: `latchd lock` starts it, and speaks to it over stdin.
#[derive(Debug, Args)]
pub struct GuardChild {}

impl GuardChild {
    /// The group's number on one line, then either the word that all is well or the end of the pipe.
    pub fn run(self) -> Result<u8, Failure> {
        let mut lines = std::io::stdin().lock().lines().map_while(Result::ok);
        let group = lines.next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        if let Some(group) = group
            && lines.next().as_deref() != Some(DONE)
        {
            // It may be gone, and then all is as it should be.
            let _ = kill_process_group(group, Signal::KILL);
        }
        Ok(0)
    }
}

/// The other end of the pipe.
pub(super) struct Guard(Child);

impl Guard {
    /// In a group of its own, so that no signal of the terminal ends it, and with nothing open that somebody waits on.
    pub fn start() -> std::io::Result<Guard> {
        let mut command = Command::new("/proc/self/exe");
        command.arg("guard-child").process_group(0).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Guard)
    }

    pub fn watch(&mut self, group: Pid) -> std::io::Result<()> {
        self.say(&group.as_raw_nonzero().to_string())
    }

    /// The group has ended, or may go on without the lock.
    pub fn dismiss(mut self) {
        // Both fail only if it is gone, and then there is nobody to dismiss.
        let _ = self.say(DONE);
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }

    fn say(&mut self, word: &str) -> std::io::Result<()> {
        match &mut self.0.stdin {
            Some(pipe) => writeln!(pipe, "{word}"),
            None => Ok(()),
        }
    }
}
