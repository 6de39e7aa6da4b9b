//! The processes that `latchd lock` starts from its own program, beside what the command starts.
//!
//! One becomes the command: it ties its life to the parent's, and waits until the lock is held. Safe code of the parent
//! cannot do this in the new process before it runs the command. It is started first, so that the command inherits the
//! signal mask and dispositions of the caller, before the parent changes its own.
//!
//! The other, the guard, kills the command's whole group when `latchd lock` itself is killed. The kernel's parent-death
//! signal reaches only the command, so its children would go on without the lock.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use clap::Args;
use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::{Pid, Signal, getppid, kill_process_group, set_parent_process_death_signal};

use super::super::{Failure, exit};

/// Separates the variables that the parent sends.
pub(super) const SEPARATOR: u8 = 0;

/// Started by `latchd lock`.
#[derive(Debug, Args)]
pub struct ExecChild {
    /// The process whose end ends this one too
    #[arg(long)]
    parent: i32,
    /// The pipe through which the parent sends the variables of the hold; its end without any ends this process
    #[arg(long)]
    pipe: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl ExecChild {
    /// Returns only if there is no command to run.
    pub fn run(self) -> Result<u8, Failure> {
        let os = |message: String| Failure::new(exit::OS_ERROR, message);
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| os(format!("the command cannot be tied to this process: {error}")))?;
        // The parent may have ended before the signal was asked for.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            return Ok(exit::OS_ERROR);
        }
        let variables =
            self.variables().map_err(|error| os(format!("the pipe of the hold cannot be read: {error}")))?;
        match self.command.split_first() {
            Some((program, arguments)) if !variables.is_empty() => {
                let error = Command::new(program).args(arguments).envs(variables).exec();
                // `exec` failed after SIGPIPE was reset for the command; the message below must not end the process.
                SigSet::from(Blockable::SIGPIPE).thread_block().map_err(|error| os(error.to_string()))?;
                let is_missing = error.kind() == ErrorKind::NotFound;
                let code = if is_missing { exit::NOT_FOUND } else { exit::NOT_EXECUTABLE };
                Err(Failure::new(code, format!("{} cannot be run: {error}", program.to_string_lossy())))
            }
            // The lock was not acquired; the parent reports it.
            _ => Ok(exit::NOT_ACQUIRED),
        }
    }

    /// The variables that the parent sends when the lock is held; none if it was not acquired.
    fn variables(&self) -> std::io::Result<Vec<(String, String)>> {
        let mut pipe = File::open(format!("/proc/self/fd/{}", self.pipe))?;
        // The command must not inherit it.
        nix::unistd::close(self.pipe)?;
        let mut text = String::new();
        pipe.read_to_string(&mut text)?;
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(text.split(char::from(SEPARATOR)).filter_map(pair).collect())
    }
}

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
