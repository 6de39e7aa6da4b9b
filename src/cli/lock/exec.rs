//! The process that becomes the command: it ties its life to the parent's, and waits until the lock is held.
//!
//! Safe code of the parent cannot do this in the new process before it runs the command. It is started first, so that the
//! command inherits the signal mask and dispositions of the caller, before the parent changes its own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

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
                let mut broken_pipe = SigSet::empty();
                broken_pipe.add(Blockable::SIGPIPE);
                broken_pipe.thread_block().map_err(|error| os(error.to_string()))?;
                Err(refused(program, &error))
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

fn refused(program: &OsString, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    };
    Failure::new(code, format!("{} cannot be run: {error}", program.to_string_lossy()))
}
